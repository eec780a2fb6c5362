"""Everything that training may refuse, as one tree. An error names fields and expectations, never a value."""

from __future__ import annotations

from typing import ClassVar

from shared.kernel.errors import Fault, Kind, ServiceError


class TrainingError(ServiceError):
    """Base of the tree; each class is one code and one sentence.

    Attributes:
        summary: what happened, for a person; the faults say where.
    """

    summary: ClassVar[str]

    def __init__(self, *faults: Fault) -> None:
        super().__init__(self.summary, *faults)


class CourseInvalid(TrainingError):
    code: ClassVar[str] = "course-invalid"
    kind: ClassVar[Kind] = "invalid"
    summary: ClassVar[str] = "the course cannot be held as described"


class CourseUnknown(TrainingError):
    code: ClassVar[str] = "course-unknown"
    kind: ClassVar[Kind] = "unknown"
    summary: ClassVar[str] = "there is no such course"


class CourseOver(TrainingError):
    code: ClassVar[str] = "course-over"
    kind: ClassVar[Kind] = "conflict"
    summary: ClassVar[str] = "the course has ended"


class CourseFull(TrainingError):
    code: ClassVar[str] = "course-full"
    kind: ClassVar[Kind] = "conflict"
    summary: ClassVar[str] = "all seats of the course are taken"


class SeekerUnknown(TrainingError):
    """The event that tells of her may still be on its way."""

    code: ClassVar[str] = "seeker-unknown"
    kind: ClassVar[Kind] = "invalid"
    retryable: ClassVar[bool] = True
    summary: ClassVar[str] = "the seeker is not known here"


class SeekerWithdrawn(TrainingError):
    code: ClassVar[str] = "seeker-withdrawn"
    kind: ClassVar[Kind] = "conflict"
    summary: ClassVar[str] = "the seeker has withdrawn"


class SeekerElsewhere(TrainingError):
    """Her certificates must reach the rankings of her own city."""

    code: ClassVar[str] = "seeker-elsewhere"
    kind: ClassVar[Kind] = "invalid"
    summary: ClassVar[str] = "the seeker belongs to another city"


class AlreadyEnrolled(TrainingError):
    code: ClassVar[str] = "already-enrolled"
    kind: ClassVar[Kind] = "conflict"
    summary: ClassVar[str] = "she has a seat in this course"


class EnrolmentUnknown(TrainingError):
    code: ClassVar[str] = "enrolment-unknown"
    kind: ClassVar[Kind] = "unknown"
    summary: ClassVar[str] = "there is no such enrolment"


class EnrolmentInvalid(TrainingError):
    """As `EnrolmentUnknown`, where the enrolment stands in the body and not in the path."""

    code: ClassVar[str] = "enrolment-invalid"
    kind: ClassVar[Kind] = "invalid"
    summary: ClassVar[str] = "there is no such enrolment"


class NotBegun(TrainingError):
    code: ClassVar[str] = "course-not-begun"
    kind: ClassVar[Kind] = "conflict"
    summary: ClassVar[str] = "the course has not begun"


class AlreadyAssessed(TrainingError):
    code: ClassVar[str] = "already-assessed"
    kind: ClassVar[Kind] = "conflict"
    summary: ClassVar[str] = "the enrolment was assessed; an assessment is not changed"


class NotPassed(TrainingError):
    code: ClassVar[str] = "not-passed"
    kind: ClassVar[Kind] = "conflict"
    summary: ClassVar[str] = "only a passed exam earns a certificate"


class AlreadyCertified(TrainingError):
    code: ClassVar[str] = "already-certified"
    kind: ClassVar[Kind] = "conflict"
    summary: ClassVar[str] = "the enrolment has earned its certificate"


class ValidityInvalid(TrainingError):
    code: ClassVar[str] = "validity-invalid"
    kind: ClassVar[Kind] = "invalid"
    summary: ClassVar[str] = "the certificate would be expired"


class CertificateUnknown(TrainingError):
    code: ClassVar[str] = "certificate-unknown"
    kind: ClassVar[Kind] = "unknown"
    summary: ClassVar[str] = "there is no such certificate"


class AlreadyRevoked(TrainingError):
    code: ClassVar[str] = "already-revoked"
    kind: ClassVar[Kind] = "conflict"
    summary: ClassVar[str] = "the certificate was revoked"

"""Everything that revenue may refuse, as one tree. An error names fields, dates and expectations."""

from __future__ import annotations

from typing import ClassVar

from shared.kernel.errors import Kind, ServiceError


class RevenueError(ServiceError):
    """Base of the tree; each class is one code."""


class AgreementInvalid(RevenueError):
    """The terms are outside what the programme allows."""

    code: ClassVar[str] = "agreement-invalid"
    kind: ClassVar[Kind] = "invalid"


class PartyUnknown(RevenueError):
    """No such employer or community here; the event that tells of it may still be on its way."""

    code: ClassVar[str] = "party-unknown"
    kind: ClassVar[Kind] = "invalid"
    retryable: ClassVar[bool] = True


class PartiesApart(RevenueError):
    """Employer and community belong to different cities, whose ledgers are apart."""

    code: ClassVar[str] = "parties-apart"
    kind: ClassVar[Kind] = "invalid"


class AgreementOverlaps(RevenueError):
    """A version of the same pair already covers one of the days, or shifts were accrued under the one that this would
    end."""

    code: ClassVar[str] = "agreement-overlaps"
    kind: ClassVar[Kind] = "conflict"


class AgreementGap(RevenueError):
    """Days between this version and the next one of the same pair would be under no agreement."""

    code: ClassVar[str] = "agreement-gap"
    kind: ClassVar[Kind] = "conflict"


class NoAgreement(RevenueError):
    """Employer and community never signed anything, so there is nothing to settle."""

    code: ClassVar[str] = "no-agreement"
    kind: ClassVar[Kind] = "invalid"


class MonthNotOver(RevenueError):
    """A month is settled when its last day has passed."""

    code: ClassVar[str] = "month-not-over"
    kind: ClassVar[Kind] = "invalid"


class AlreadySettled(RevenueError):
    """The month was settled; the detail names the settlement."""

    code: ClassVar[str] = "already-settled"
    kind: ClassVar[Kind] = "conflict"


class MonthClosed(RevenueError):
    """A later month was settled, which closed this one."""

    code: ClassVar[str] = "month-closed"
    kind: ClassVar[Kind] = "conflict"


class EarlierMonthOpen(RevenueError):
    """An earlier month of the pair has entries that are not settled; its remainder must be carried first."""

    code: ClassVar[str] = "earlier-month-open"
    kind: ClassVar[Kind] = "conflict"


class SettlementRunning(RevenueError):
    """A month of the pair is closed and being settled; what was asked for has to wait for that."""

    code: ClassVar[str] = "settlement-running"
    kind: ClassVar[Kind] = "conflict"
    retryable: ClassVar[bool] = True


class TotalsDiffer(RevenueError):
    """The lines of a closed month do not sum up to the totals kept beside the ledger, so it cannot be settled."""

    code: ClassVar[str] = "totals-differ"
    kind: ClassVar[Kind] = "conflict"


class ReversalInvalid(RevenueError):
    """A settlement is not reversed without a reason."""

    code: ClassVar[str] = "reversal-invalid"
    kind: ClassVar[Kind] = "invalid"


class AlreadyReversed(RevenueError):
    """A settlement is reversed once."""

    code: ClassVar[str] = "already-reversed"
    kind: ClassVar[Kind] = "conflict"


class LaterMonthClosed(RevenueError):
    """A later month of the pair was settled with the remainder of this one; that settlement is reversed first."""

    code: ClassVar[str] = "later-month-closed"
    kind: ClassVar[Kind] = "conflict"


class SpendingInvalid(RevenueError):
    """The spending is not one that a fund may make."""

    code: ClassVar[str] = "spending-invalid"
    kind: ClassVar[Kind] = "invalid"


class FundTooSmall(RevenueError):
    """The fund does not hold the amount."""

    code: ClassVar[str] = "fund-too-small"
    kind: ClassVar[Kind] = "conflict"


class ReceiptUsed(RevenueError):
    """Another request has the same receipt; the detail names it. A receipt pays once."""

    code: ClassVar[str] = "receipt-used"
    kind: ClassVar[Kind] = "conflict"


class SelfApproval(RevenueError):
    """Who requested a spending does not approve it. Without a tokens file all are one, so nobody can approve."""

    code: ClassVar[str] = "self-approval"
    kind: ClassVar[Kind] = "forbidden"


class AlreadyApproved(RevenueError):
    """The spending was approved, and the fund has paid."""

    code: ClassVar[str] = "already-approved"
    kind: ClassVar[Kind] = "conflict"


class RequestDeclined(RevenueError):
    """The spending was declined; what is still wanted is requested again."""

    code: ClassVar[str] = "request-declined"
    kind: ClassVar[Kind] = "conflict"


class SpendingUnknown(RevenueError):
    """No such spending request."""

    code: ClassVar[str] = "spending-unknown"
    kind: ClassVar[Kind] = "unknown"


class ReceiptUnknown(RevenueError):
    """No request has a receipt with this hash."""

    code: ClassVar[str] = "receipt-unknown"
    kind: ClassVar[Kind] = "unknown"


class NothingDue(RevenueError):
    """Whatever was settled in the city was ordered before."""

    code: ClassVar[str] = "nothing-due"
    kind: ClassVar[Kind] = "conflict"


class ConfirmationInvalid(RevenueError):
    """The bank's file is none, or its control totals are not those of its lines; nothing of it was taken in."""

    code: ClassVar[str] = "confirmation-invalid"
    kind: ClassVar[Kind] = "invalid"


class BatchUnknown(RevenueError):
    """No such batch of payouts."""

    code: ClassVar[str] = "batch-unknown"
    kind: ClassVar[Kind] = "unknown"


class GrantInvalid(RevenueError):
    """The source or the grant is not one that there may be."""

    code: ClassVar[str] = "grant-invalid"
    kind: ClassVar[Kind] = "invalid"


class SourceExhausted(RevenueError):
    """The source has not that much left."""

    code: ClassVar[str] = "source-exhausted"
    kind: ClassVar[Kind] = "conflict"


class SourceUnknown(RevenueError):
    """No such funding source."""

    code: ClassVar[str] = "source-unknown"
    kind: ClassVar[Kind] = "unknown"


class CommunityUnknown(RevenueError):
    """No such community here; the event that tells of it may still be on its way."""

    code: ClassVar[str] = "community-unknown"
    kind: ClassVar[Kind] = "unknown"
    retryable: ClassVar[bool] = True


class SettlementUnknown(RevenueError):
    """No such settlement."""

    code: ClassVar[str] = "settlement-unknown"
    kind: ClassVar[Kind] = "unknown"

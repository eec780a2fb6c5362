"""A scenario: stages of commands exactly as they are posted over HTTP.

Ids are given by the server, so a command names what earlier commands made by *local references*: the text
`@employer:17` in a body or a path stands for the id that the command with the ref `employer:17` was answered.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from itertools import groupby
from typing import Any, Literal

from shared.kernel.clock import end_of_month, month_of

Body = dict[str, Any]
Service = Literal["registry", "training", "revenue"]
Holder = Literal["desk", "approver"]
"""Whose token a stage is sent with; money is spent by two."""

Awaits = Literal["suspense", "rebates", "settlements"]
"""What must have come to pass before a stage begins; see `Stage.awaits`."""

REF_PATTERN = r"[a-z]+:[0-9]+"
REFERENCE = re.compile(rf"@({REF_PATTERN})")
"""A local reference in a path, or the whole of a text in a body."""

ROWS_MAX = 1_000
"""Rows of one upload: the services take no more."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a command that is wrong on purpose must be refused.

    Attributes:
        code: code of the problem, or of the row in a bulk report.
        field: one of the fields that the refusal must name.
        status: HTTP status; `None` for a row of an upload, which has none of its own.
    """

    code: str
    field: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """One command: a POST of its own, or a row of an upload.

    Attributes:
        ref: unique name. One without `/` (`seeker:17`) names an entity that the command makes; its id is what
            `@seeker:17` stands for. Others (`seeker:17/change`, `bad:3`) make nothing that can be referred to.
        path: path template, e.g. `/placements/@placement:3/end`; for a row, the path of the upload.
        body: the JSON body or row, with references not yet resolved.
        upload: name of the upload that the row belongs to, such as `seekers-2.csv`; its ending is its form. Rows of one
            upload stand together.
        refusal: set if the command is wrong on purpose; all others must be accepted.
        accrues: the ledger must get an accrual for this revision of a shift.
        suspended: no agreement covers the shift when it is told; it waits in suspense until one is signed.
    """

    ref: str
    path: str
    body: Body
    upload: str | None = None
    refusal: Refusal | None = None
    accrues: bool = False
    suspended: bool = False

    @property
    def makes_entity(self) -> bool:
        return self.refusal is None and "/" not in self.ref


@dataclass(frozen=True, slots=True)
class Stage:
    """Commands that do not depend on each other and may be sent in any order, all at once; the next stage may depend on
    them.

    Attributes:
        awaits: `rebates`: before the first command, wait until revenue's ledger holds the accrual of every command so
            far that says `accrues` (of a shift corrected since: the accrual of the last revision, or the reversal of
            the last one that accrued). `suspense`: the same for those that are `suspended`, in suspense. `settlements`:
            wait until every settlement that was ordered is entered.
        holder: who sends the commands.
    """

    name: str
    service: Service
    commands: tuple[Command, ...]
    awaits: Awaits | None = None
    holder: Holder = "desk"

    def requests(self) -> Iterator[tuple[Command, ...]]:
        """Commands by HTTP request: single ones alone, rows of an upload together."""
        for upload, together in groupby(self.commands, key=lambda command: command.upload):
            if upload is None:
                yield from ((command,) for command in together)
            else:
                yield tuple(together)


@dataclass(frozen=True)
class Scenario:
    """A programme to play.

    Attributes:
        month: first day of the month in which the shifts are worked.
    """

    name: str
    seed: int
    scale: float
    month: date
    stages: tuple[Stage, ...]

    @property
    def usable_from(self) -> date:
        """First civil day on which it can be played: the month is over."""
        return end_of_month(self.month) + timedelta(days=1)

    @property
    def usable_until(self) -> date:
        """Last civil day on which it can be played: after it posts have expired and children are too old."""
        return end_of_month(self.usable_from)

    @cached_property
    def city(self) -> str | None:
        """The city that its commands name first; a programme is played in one. `None`: they name none."""
        accepted = (command for stage in self.stages for command in stage.commands if command.refusal is None)
        return next((str(command.body["city"]) for command in accepted if "city" in command.body), None)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Commands that will be accepted, by stage, and all that must be refused."""
        accepted = {
            stage.name: sum(command.refusal is None for command in stage.commands)
            for stage in self.stages
            if any(command.refusal is None for command in stage.commands)
        }
        refused = sum(command.refusal is not None for stage in self.stages for command in stage.commands)
        return {**accepted, "refused": refused}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that is posted: equal for equal seed, scale and month, on every machine."""
        digest = hashlib.sha256(f"{self.name} {month_of(self.month)}\n".encode())
        for stage in self.stages:
            digest.update(f"{stage.name} {stage.service} {stage.awaits} {stage.holder}\n".encode())
            for command in stage.commands:
                digest.update(line_of(command))
        return digest.hexdigest()


def line_of(command: Command) -> bytes:
    """A command as one line of NDJSON; the same bytes on every machine."""
    fields: Body = {"ref": command.ref, "method": "POST", "path": command.path, "body": command.body}
    if command.upload is not None:
        fields["upload"] = command.upload
    if command.refusal is not None:
        refusal = command.refusal
        fields["refusal"] = {"code": refusal.code, "field": refusal.field}
        if refusal.status is not None:
            fields["refusal"]["status"] = refusal.status
    if command.accrues:
        fields["accrues"] = True
    if command.suspended:
        fields["suspended"] = True
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"

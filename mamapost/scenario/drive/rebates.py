"""Waits for revenue: until it has heard of all shifts (a settlement closes the month; what comes later belongs to the
next), and until the settlements are entered, which funds spend from."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mamapost.scenario.drive.sending import Sender, Undelivered

POLL_S = 0.1
"""Pause before the end of the ledger is read again."""

PAGE_LIMIT = 200
"""What the services allow at most."""

ENTERED = ("settled", "reversed")
"""States of a settlement that is in the ledger."""

Line = tuple[str, str, int]
"""Kind of a ledger entry, shift id, revision."""


class Told(NamedTuple):
    """What a command said of a revision of a shift; see `Command`."""

    accrues: bool
    suspended: bool


class Rebates:
    """Which lines the ledger will hold, by what was accepted so far."""

    def __init__(self) -> None:
        self._revisions: defaultdict[str, dict[int, Told]] = defaultdict(dict)

    def add(self, shift_id: str, revision: int, told: Told) -> None:
        """A revision of a shift was accepted."""
        self._revisions[shift_id][revision] = told

    def lines(self) -> set[Line]:
        """The last line of each shift that has one when all agreements are signed: the accrual of its last revision, or
        the reversal of the last that accrued."""
        return {
            ("accrual" if is_last else "reversal", shift_id, accrued)
            for shift_id, accrued, is_last, is_suspended in self._accrued()
            if is_last or not is_suspended
        }

    def held(self) -> set[Line]:
        """The last line in suspense of each shift that came before its agreement."""
        return {
            ("suspense" if is_last else "suspense-reversal", shift_id, accrued)
            for shift_id, accrued, is_last, is_suspended in self._accrued()
            if is_suspended
        }

    def _accrued(self) -> Iterator[tuple[str, int, bool, bool]]:
        """Of each shift the last revision that accrues, whether it is the last one, and whether that is suspended."""
        for shift_id, told in self._revisions.items():
            accrued = max((revision for revision, one in told.items() if one.accrues), default=None)
            if accrued is not None:
                last = max(told)
                yield shift_id, accrued, accrued == last, told[last].suspended


async def await_lines(sender: Sender, wanted: set[Line], city: str | None, timeout_s: float) -> None:
    """Read the ledger until it holds all the lines.

    Args:
        city: whose lines they are. A city's list only grows at its end, where the reading goes on; that of all cities
            grows in the midst too. `None`: there is one city.
        timeout_s: without any of them coming.

    Raises:
        Undelivered: no further line came for so long, or revenue did not answer.
    """
    missing = set(wanted)
    query = {"kinds": "all", "limit": str(PAGE_LIMIT)} | ({} if city is None else {"city": city})
    until = time.monotonic() + timeout_s
    while missing:
        answer = await sender.get("/ledger/entries", query)
        items = answer.document.get("items")
        if answer.status != 200 or not isinstance(items, list):
            raise Undelivered("revenue", "GET /ledger/entries", f"{answer.status} {answer.code}", timeout_s)
        before = len(missing)
        missing -= {(item["kind"], item["shift_id"], item["revision"]) for item in items if "shift_id" in item}
        following = answer.document.get("next")
        if len(missing) < before or following:
            until = time.monotonic() + timeout_s
        if following:
            query["cursor"] = str(following)
        elif time.monotonic() > until:
            raise Undelivered("revenue", f"{len(missing)} of {len(wanted)} rebates", "not in the ledger", timeout_s)
        else:
            await asyncio.sleep(POLL_S)


async def await_settlements(sender: Sender, settlement_ids: Sequence[str], timeout_s: float) -> None:
    """Ask for the progress of settlements until all are entered.

    Args:
        timeout_s: for each of them.

    Raises:
        Undelivered: one is not entered by then, or revenue did not answer.
    """
    for settlement_id in settlement_ids:
        until = time.monotonic() + timeout_s
        while (answer := await sender.get(f"/settlements/{settlement_id}/progress", {})).document.get(
            "state"
        ) not in ENTERED:
            if answer.status != 200 or time.monotonic() > until:
                raise Undelivered(
                    "revenue", f"the settlement {settlement_id}", f"{answer.status} {answer.document}", timeout_s
                )
            await asyncio.sleep(POLL_S)

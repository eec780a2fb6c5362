"""Indexes, each for a query that is named beside it."""

from __future__ import annotations

from pymongo import ASCENDING, IndexModel

from shared.messaging import events
from shared.runtime import commands
from shared.runtime.migrations import Step
from shared.runtime.mongo import Database

FUND_KINDS = ["settlement", "settlement-reversal", "spending", "grant"]

_INDEXES: dict[str, list[IndexModel]] = {
    "entries": [
        # Each index costs an accrual a quarter of all that it costs the database; it has these two.
        # The chain in order; and no number twice, whatever goes wrong.
        IndexModel([("n", ASCENDING)], name="chain", unique=True),
        # The lines of a statement.
        IndexModel([("b", ASCENDING), ("n", ASCENDING)], name="book"),
        # What came into a fund and left it; settlements and payouts. An accrual has no `kind`.
        IndexModel(
            [("community_id", ASCENDING), ("n", ASCENDING)],
            name="fund",
            partialFilterExpression={"kind": {"$in": FUND_KINDS}},
        ),
        IndexModel(
            [("kind", ASCENDING), ("n", ASCENDING)], name="kind", partialFilterExpression={"kind": {"$exists": True}}
        ),
    ],
    "agreements": [
        # Versions of a pair; two writers cannot make the same one.
        IndexModel([("pair", ASCENDING), ("version", ASCENDING)], name="versions", unique=True),
        IndexModel([("release_pending", ASCENDING)], name="pending", partialFilterExpression={"release_pending": True}),
    ],
    "books": [
        # What the number on an entry stands for.
        IndexModel([("number", ASCENDING)], name="number", unique=True),
        # Open months of a pair.
        IndexModel([("pair", ASCENDING), ("settled", ASCENDING), ("month", ASCENDING)], name="open"),
        # What was worked in a month, for tiers and for what is known of it now.
        IndexModel([("pair", ASCENDING), ("worked_month", ASCENDING)], name="worked"),
        # Until when something was accrued under an agreement.
        IndexModel([("agreement_id", ASCENDING), ("last_day", ASCENDING)], name="agreement"),
        IndexModel([("city", ASCENDING)], name="city"),
    ],
    "accounts": [IndexModel([("city", ASCENDING)], name="city")],
    "suspense": [
        # Shifts that a new agreement covers.
        IndexModel([("pair", ASCENDING), ("day", ASCENDING)], name="waiting"),
    ],
    "settlements": [
        # A month is settled once, unless its settlement was reversed.
        IndexModel(
            [("pair", ASCENDING), ("month", ASCENDING)],
            name="month_of_pair",
            unique=True,
            partialFilterExpression={"stands": True},
        ),
        IndexModel([("month", ASCENDING), ("_id", ASCENDING)], name="month"),
        IndexModel([("city", ASCENDING)], name="city"),
    ],
    "spendings": [
        # A receipt pays once.
        IndexModel([("receipt_hash", ASCENDING)], name="receipt", unique=True),
        # Requests that wait for their approval; what a fund spent on each category.
        IndexModel([("community_id", ASCENDING), ("is_approved", ASCENDING)], name="community"),
        IndexModel([("is_approved", ASCENDING), ("_id", ASCENDING)], name="requests"),
    ],
    "batches": [IndexModel([("city", ASCENDING), ("_id", ASCENDING)], name="city")],
    "payouts": [
        # The file of a batch; what is ordered in a city.
        IndexModel([("batch_id", ASCENDING), ("pair", ASCENDING)], name="batch", unique=True),
        IndexModel([("city", ASCENDING), ("state", ASCENDING)], name="city"),
    ],
    "sources": [IndexModel([("city", ASCENDING), ("_id", ASCENDING)], name="city")],
    "funds": [IndexModel([("city", ASCENDING)], name="city")],
}


_WITHOUT_INDEX = ("heads", "told", "blocks", "shifts", "parties", "receipts", "orders", "grants")

STEPS = (
    Step(
        "collections and indexes of the first release",
        {
            **dict.fromkeys(_WITHOUT_INDEX, ()),
            **_INDEXES,
            "events": events.INDEXES,
            "command_answers": commands.INDEXES,
        },
    ),
    Step("instances share the verification of cities", {"verifications": ()}),
    Step("instances share the reconciliation of cities", {"reconciliations": ()}),
)
"""How revenue's database came to be what it is; steps are added at the end and never changed."""


class OldLedger(Exception):
    """The entries have the form of a release before the first."""

    def __init__(self) -> None:
        super().__init__(
            "the ledger was written by a development version and is not read any more (decision 0031): give "
            "MAMAPOST_DB_PREFIX another value, and the ledger is made anew from the topics; agreements are signed again"
        )


async def refuse_old_ledger(db: Database) -> None:
    """Stop at a database whose ledger this release cannot read.

    Raises:
        OldLedger
    """
    chain = (await db["entries"].index_information()).get("chain")
    if chain is not None and chain["key"] != [("n", ASCENDING)]:
        raise OldLedger

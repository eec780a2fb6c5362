"""Money beside the rebates, and what a second person declined: by the topics, and in the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import cast

from mamapost.demo.reader import Reader
from mamapost.demo.reads import Item
from mamapost.demo.report import Check
from shared.contracts.revenue import FundSpent, GrantMade, SpendingDeclined
from shared.kernel.money import E4


def check_gifts(entries: Sequence[Item], sources: Sequence[Item], reader: Reader) -> Check:
    """Each grant and subsidy stands in the ledger once, and no source gave more than its limit."""
    check = Check("grants, subsidies: in the ledger, within limits")
    in_ledger = {entry["cause"]: entry for entry in entries if entry["kind"] in ("grant", "subsidy")}
    given: Counter[str] = Counter()
    for envelope in reader.of(GrantMade):
        grant = cast("GrantMade", envelope.event)
        given[grant.source_id] += grant.amount_fen
        posted = in_ledger.pop(grant.grant_id, {})
        kind = "grant" if grant.employer_id is None else "subsidy"
        found = (posted.get("kind"), posted.get("amount_fen_e4"))
        check.compare(f"entry of {grant.grant_id}", found, (kind, grant.amount_fen * E4))
    for cause in in_ledger:
        check.fail(f"{cause} is in the ledger and was never told")
    for source in sources:
        which = source["source_id"]
        check.compare(f"given by {which}", source["given_fen"], given[which])
        check.compare(f"{which} keeps its limit", given[which] <= source["limit_fen"], True)
    return check


def check_spendings(entries: Sequence[Item], reader: Reader) -> Check:
    """What was approved was paid once; what was declined never."""
    check = Check("spendings: approved is paid, declined is not")
    paid = {entry["cause"]: entry["amount_fen_e4"] for entry in entries if entry["kind"] == "spending"}
    for envelope in reader.of(FundSpent):
        spent = cast("FundSpent", envelope.event)
        check.compare(f"paid for {spent.spending_id}", paid.pop(spent.spending_id, 0), spent.amount_fen * E4)
    for envelope in reader.of(SpendingDeclined):
        check.compare(f"declined {envelope.event.entity_id}", envelope.event.entity_id in paid, False)
    for cause in paid:
        check.fail(f"{cause} was paid, and its approval never told")
    return check

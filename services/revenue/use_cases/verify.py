"""Read the whole ledger again and say what is wrong with it."""

from __future__ import annotations

from services.revenue.domain.audit import Audit
from services.revenue.ports import LedgerSnapshot


async def verify_city(city: str, *, snapshot: LedgerSnapshot) -> Audit:
    """Audit one city: chain, debits and credits, running totals, settlements, statements, funds."""
    audit = Audit(city, await snapshot.kept(city))
    async for link in snapshot.chain(city):
        audit.read(link)
    audit.finish()
    return audit


async def verify_ledger(*, snapshot: LedgerSnapshot) -> list[Audit]:
    """Audit every city that has a ledger."""
    return [await verify_city(city, snapshot=snapshot) for city in await snapshot.cities()]

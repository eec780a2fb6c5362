"""The ledger that `make bench-revenue BENCH_ARGS="--postings N"` makes is one that a service could have left."""

from __future__ import annotations

import pytest

from bench.revenue import filled
from services.revenue.domain.audit import Audit
from services.revenue.handlers import Ledger
from services.revenue.store import at_one_moment
from services.revenue.use_cases.reconcile import reconcile_kept
from services.revenue.use_cases.verify import verify_ledger
from shared.runtime.mongo import Mongo
from tests.events import YANTAI
from tests.integration.serving import Client
from tests.integration.town import Town, envelopes


async def test_it_verifies_reconciles_and_its_writer_goes_on(
    revenue: Client, ledger: Ledger, revenue_mongo: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filled, "BATCH", 100)
    filler = filled.Filler(revenue_mongo)
    await filler.start()

    async def verified() -> Audit:
        [audit] = await verify_ledger(at_one_moment=lambda: at_one_moment(revenue_mongo), city=YANTAI)
        assert audit.findings == []
        return audit

    made = await filler.fill(400)
    await filler.tell(made)
    audit = await verified()
    assert (audit.entries, audit.kept.told) == (made / 2, made / 2)
    assert audit.debits_fen_e4 > 0

    made = await filler.fill(1_600)
    assert made >= 1_600
    await filler.settle()
    audit = await verified()
    assert (audit.entries, len(audit.kept.settlements)) == (made / 2 + 1, 1)
    report = await reconcile_kept(YANTAI, at_one_moment=lambda: at_one_moment(revenue_mongo))
    assert (report.listed, report.lines) == ([], made / 2)
    assert report.shifts < report.lines, "some were corrected"

    town = Town()
    await ledger.apply(envelopes(town.parties()))
    await revenue.accepted("/agreements", town.terms())
    await ledger.apply(envelopes([town.shift()]))
    assert (await verified()).entries == made / 2 + 2

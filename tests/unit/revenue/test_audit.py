"""Tampering: whatever field of whatever entry, total, settlement or fund is changed, verification finds it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from datetime import date, timedelta
from typing import Any, cast

import pytest

from services.revenue.domain.audit import Kept
from services.revenue.domain.books import BookTotals
from services.revenue.domain.funds import Fund
from services.revenue.domain.ledger import Block, Entry, Link, Posting, Rebate, seal
from services.revenue.domain.ledger import Head as ChainHead
from services.revenue.domain.settlements import Account, Settlement
from services.revenue.ports import LedgerSnapshot
from services.revenue.use_cases.accrue import accrue_shifts
from services.revenue.use_cases.settle import SettleMonth
from services.revenue.use_cases.sign import sign_agreement
from services.revenue.use_cases.tell import tell_entries
from services.revenue.use_cases.verify import verify_city, verify_ledger
from shared.contracts.revenue import RebateAccrued
from tests.unit.revenue.given import CITY, COMMUNITIES, NOW, PAIR, ids, ledger, settled, shift, spend, terms
from tests.unit.revenue.memory import MemoryLedger


@pytest.fixture
async def store() -> MemoryLedger:
    """A ledger with every kind of entry: 2 accruals, 1 reversal, 1 accrual, 1 settlement, 1 spending."""
    made, new_id = await ledger(), ids()
    await sign_agreement(terms(), store=made, now=NOW, new_id=new_id)
    story = [shift(), shift(shift_id="sft-" + "1" * 32), shift(revision=2, wage_fen=9_001)]
    await accrue_shifts(story, store=made, now=NOW)
    await settled(SettleMonth(PAIR, "2026-03"), made, new_id)
    await spend(made, COMMUNITIES[0], 1_000, new_id)
    assert [link.entry.kind for link in made.links] == [
        "accrual", "accrual", "reversal", "accrual", "settlement", "spending",
    ]  # fmt: skip
    return made


def other(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, int):
        return value + 1
    if isinstance(value, date):
        return value + timedelta(days=1)
    if isinstance(value, str):
        return value[:-1] + ("1" if value[-1:] != "1" else "2")
    if value is None:
        return "emp-" + "7" * 32
    if value == ():
        return (Posting("a", 1), Posting("b", -1))
    if isinstance(value, tuple):
        return (Posting(value[0].account, value[0].amount_fen_e4 + 1), *value[1:])
    raise AssertionError(type(value))


async def rules(store: MemoryLedger) -> set[str]:
    return {finding.rule for finding in (await verify_city(CITY, snapshot=store)).findings}


async def test_an_untouched_ledger_verifies(store: MemoryLedger) -> None:
    audit = await verify_city(CITY, snapshot=store)
    assert audit.findings == []
    assert (audit.entries, audit.imbalance_fen_e4) == (6, 0)


@pytest.mark.parametrize("position", range(6))
async def test_every_field_of_every_entry_is_watched(store: MemoryLedger, position: int) -> None:
    link = store.links[position]
    tampered = [link._replace(seq=link.seq + 1)]
    for field in fields(Entry):
        if field.name == "rebate":
            continue
        entry = replace(link.entry, **{field.name: other(getattr(link.entry, field.name))})
        tampered.append(link._replace(entry=entry))
    if link.entry.rebate:
        for field in fields(Rebate):
            rebate = replace(link.entry.rebate, **{field.name: other(getattr(link.entry.rebate, field.name))})
            tampered.append(link._replace(entry=replace(link.entry, rebate=rebate)))
        tampered.append(link._replace(entry=replace(link.entry, rebate=None)))
    for changed in tampered:
        store.links[position] = changed
        assert await rules(store), changed
    store.links[position] = link
    assert not await rules(store)


@pytest.mark.parametrize("position", range(6))
async def test_a_lost_entry_is_missed(store: MemoryLedger, position: int) -> None:
    del store.links[position]
    assert await rules(store)


async def test_every_field_of_every_block_is_watched(store: MemoryLedger) -> None:
    for position, block in enumerate(store.sealed):
        for field in fields(Block):
            store.sealed[position] = replace(block, **{field.name: other(getattr(block, field.name))})
            assert await rules(store), (position, field.name)
        store.sealed[position] = block
    assert not await rules(store)
    for position, block in enumerate(store.sealed):
        del store.sealed[position]
        assert await rules(store)
        store.sealed.insert(position, block)


async def test_an_entry_that_was_told_and_has_no_event_is_missed(store: MemoryLedger) -> None:
    assert await tell_entries(CITY, store=store) == 6
    assert not await rules(store)
    [lost, *_] = [event for event in store.events if isinstance(event, RebateAccrued)]
    store.events.remove(lost)
    assert await rules(store) == {"event-missing"}
    store.events += [lost, lost]
    assert await rules(store) == {"event-twice"}


async def test_two_entries_cannot_change_places(store: MemoryLedger) -> None:
    store.links[0], store.links[1] = store.links[1], store.links[0]
    assert {"number-not-next", "hash-wrong"} <= await rules(store)


async def test_a_chain_forged_anew_does_not_hide_a_changed_amount(store: MemoryLedger) -> None:
    """Whoever can write all hashes still has the statement, the totals and the fund against him."""
    entries = [link.entry for link in store.links]
    rebate = entries[1].rebate
    assert rebate
    forged = replace(
        entries[1],
        rebate=replace(rebate, base_fen=rebate.base_fen + 1_000),
        amount_fen_e4=entries[1].amount_fen_e4 + 1_000_000,
    )
    links, block = seal(ChainHead(CITY), [entries[0], forged, *entries[2:]])
    store.links, store.sealed = list[Link](links), [block]
    store.heads[CITY] = block.end
    found = await rules(store)
    assert {"statement-hash-wrong", "settlement-amount-wrong", "book-total-wrong", "fund-wrong"} <= found


async def test_what_is_kept_beside_the_ledger_is_watched(store: MemoryLedger) -> None:
    [settlement_id] = store.settlements
    settlement = store.settlements[settlement_id]
    for field in fields(Settlement):
        value = getattr(settlement, field.name)
        changed = value._replace(employer_id="emp-" + "7" * 32) if field.name == "pair" else other(value)
        store.settlements[settlement_id] = replace(settlement, **{field.name: changed})
        assert await rules(store), field.name
    store.settlements[settlement_id] = settlement
    key = next(iter(store.books))._replace(month="2026-04")
    store.books[key] = BookTotals(1, 1, 1)
    assert await rules(store) == {"book-total-wrong"}
    del store.books[key]
    store.kept_accounts[PAIR] = Account("2026-03", 1)
    assert await rules(store) == {"account-wrong"}
    store.kept_accounts[PAIR] = Account("2026-03", 0)
    store.funds[COMMUNITIES[1]] = Fund(COMMUNITIES[1], CITY, income_fen=1)
    assert "fund-wrong" in await rules(store)


async def test_an_entry_that_does_not_balance_cannot_be_sealed(store: MemoryLedger) -> None:
    [settlement] = [link.entry for link in store.links if link.entry.kind == "settlement"]
    with pytest.raises(ValueError, match="does not balance"):
        seal(ChainHead(CITY), [replace(settlement, legs=(Posting("a", 1), Posting("b", -2)))])


async def test_each_city_is_read_at_a_moment_of_its_own(store: MemoryLedger) -> None:
    """All chains together take longer to read than a database keeps one moment."""
    elsewhere = shift(city="110100", shift_id="sft-" + "2" * 32)
    await accrue_shifts([elsewhere], store=store, now=NOW)
    moments: list[list[str]] = []

    class Moment:
        """Notes the cities that are read at one moment."""

        def __init__(self) -> None:
            self.cities = store.cities
            self.chain, self.blocks, self.told = store.chain, store.blocks, store.told

        async def kept(self, city: str) -> Kept:
            moments[-1].append(city)
            return await store.kept(city)

    @asynccontextmanager
    async def at_one_moment() -> AsyncIterator[LedgerSnapshot]:
        moments.append([])
        yield cast("LedgerSnapshot", Moment())

    audits = await verify_ledger(at_one_moment=at_one_moment)
    assert {audit.city for audit in audits} == {"110100", CITY}
    assert [len(cities) for cities in moments] == [0, 1, 1]

"""Routes that answer: agreements, settlements, the ledger itself."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from services.revenue import metrics
from services.revenue.api.desk import Desk
from services.revenue.api.funds import number_of
from services.revenue.api.statements import known_settlement
from services.revenue.api.terms import AgreementView, agreement_view
from services.revenue.api.views import (
    BlockView,
    EntryView,
    SettlementView,
    SuspendedView,
    VerificationView,
    block_view,
    entry_view,
    settlement_view,
    suspended_view,
    verification_view,
)
from services.revenue.ports.checks import Verification
from services.revenue.use_cases.verify import verify_ledger
from shared.contracts.fields import City, Month
from shared.kernel.ids import ID_PATTERN
from shared.runtime.pages import LIMIT_DEFAULT, Cursor, Limit, Page, decode_cursor, encode_cursor
from shared.runtime.routers import EntityPath, reading

EntityQuery = Annotated[str | None, Query(pattern=ID_PATTERN, max_length=40)]


def routers(desk: Desk) -> list[APIRouter]:
    """The routers of lists and lookups."""
    return [_agreements(desk), _settlements(desk), _ledger(desk)]


def _agreements(desk: Desk) -> APIRouter:
    read = reading("agreements")

    @read.get("/agreements", response_model_exclude_none=True)
    async def list_agreements(
        employer_id: EntityQuery = None,
        community_id: EntityQuery = None,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Page[AgreementView]:
        """All signed versions."""
        after = decode_cursor("agreements", cursor) or ""
        found = await desk.reads.agreements(employer_id, community_id, after, limit + 1)
        more = len(found) > limit
        return Page(
            items=[agreement_view(signed) for signed in found[:limit]],
            next=encode_cursor("agreements", found[limit - 1].agreement.agreement_id) if more else None,
        )

    return read


def _settlements(desk: Desk) -> APIRouter:
    read = reading("settlements")

    @read.get("/settlements", response_model_exclude_none=True)
    async def list_settlements(
        month: Annotated[Month | None, Query()] = None,
        employer_id: EntityQuery = None,
        community_id: EntityQuery = None,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Page[SettlementView]:
        """Settled months."""
        after = decode_cursor("settlements", cursor) or ""
        found = await desk.reads.settlements(month, employer_id, community_id, after, limit + 1)
        more = len(found) > limit
        return Page(
            items=[settlement_view(settlement) for settlement in found[:limit]],
            next=encode_cursor("settlements", found[limit - 1].settlement_id) if more else None,
        )

    @read.get("/settlements/{settlement_id}")
    async def get_settlement(settlement_id: EntityPath) -> SettlementView:
        """One settled month."""
        return settlement_view(await known_settlement(desk.reads, settlement_id))

    return read


def _ledger(desk: Desk) -> APIRouter:
    read = reading("ledger")

    @read.get("/ledger/entries", response_model_exclude_none=True)
    async def list_entries(
        city: City | None = None,
        kinds: Annotated[
            Literal["rebates", "all"],
            Query(description="`rebates`: lines of statements; `all`: every entry, as the blocks seal them."),
        ] = "rebates",
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Page[EntryView]:
        """The ledger, by city and number. A city's list only grows at its end: keep the cursor to follow it."""
        text = decode_cursor("entries", cursor)
        after: tuple[str, int] | None = None
        if text is not None:
            of_city, _, seq = text.partition(":")
            after = (of_city, number_of(seq))
        found = await desk.reads.links(city, kinds == "rebates", after, limit + 1)
        last = found[:limit][-1] if len(found) > limit else None
        return Page(
            items=[entry_view(link) for link in found[:limit]],
            next=encode_cursor("entries", f"{last.entry.city}:{last.seq}") if last else None,
        )

    @read.get("/ledger/blocks", response_model_exclude_none=True)
    async def list_blocks(city: City, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT) -> Page[BlockView]:
        """What seals the entries of a city, in order: the hash of each block covers its entries and the one before."""
        text = decode_cursor("blocks", cursor)
        found = await desk.reads.blocks(city, number_of(text) if text is not None else 0, limit + 1)
        more = len(found) > limit
        return Page(
            items=[block_view(block) for block in found[:limit]],
            next=encode_cursor("blocks", str(found[limit - 1].first)) if more else None,
        )

    @read.get("/ledger/verify")
    async def verify(city: City | None = None) -> VerificationView:
        """Read the ledger again from its first entry: chain, debits and credits, totals, statements, funds."""
        audits = await verify_ledger(at_one_moment=desk.snapshot, city=city)
        if city is None:
            now = desk.clock()
            for audit in audits:
                await desk.verifications.done(Verification.of(audit, now))
            metrics.show_verifications(await desk.verifications.last(), now)
        return verification_view(audits)

    @read.get("/suspense", response_model_exclude_none=True)
    async def list_suspended(
        city: City | None = None,
        community_id: EntityQuery = None,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Page[SuspendedView]:
        """Shifts that wait for an agreement that covers their day."""
        after = decode_cursor("suspense", cursor) or ""
        found = await desk.reads.suspended(city, community_id, after, limit + 1)
        more = len(found) > limit
        return Page(
            items=[suspended_view(shift) for shift in found[:limit]],
            next=encode_cursor("suspense", found[limit - 1].shift_id) if more else None,
        )

    return read

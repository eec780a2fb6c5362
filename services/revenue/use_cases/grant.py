"""Take in money from further sources: subsidies, donations, grants."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime

from services.revenue.domain.funds import Fund
from services.revenue.domain.grants import (
    Grant,
    Source,
    SourceKind,
    faults_of_grant,
    faults_of_source,
    grant_entry,
)
from services.revenue.domain.ledger import seal
from services.revenue.errors import GrantInvalid, PartiesApart, PartyUnknown, SourceExhausted, SourceUnknown
from services.revenue.ports import LedgerStore
from shared.contracts.envelope import Envelope
from shared.contracts.revenue import FundingSourceOpened, GrantMade
from shared.kernel.clock import civil_day
from shared.kernel.errors import Fault
from shared.kernel.ids import NewId


@dataclass(frozen=True, slots=True)
class OpenSource:
    """Who gives how much at most, and when."""

    city: str
    kind: SourceKind
    giver: str
    limit_fen: int
    valid_from: date
    valid_until: date


@dataclass(frozen=True, slots=True)
class MakeGrant:
    """What a source gave to whom."""

    source_id: str
    community_id: str
    employer_id: str | None
    amount_fen: int
    granted_on: date


async def open_source(command: OpenSource, *, store: LedgerStore, now: datetime, new_id: NewId) -> Envelope:
    """Register a source.

    Raises:
        GrantInvalid
    """
    faults = faults_of_source(command.giver, command.limit_fen, command.valid_from, command.valid_until)
    if faults:
        raise GrantInvalid("a source cannot give like this", *faults)
    source = Source(
        source_id=new_id("source"),
        city=command.city,
        kind=command.kind,
        giver=command.giver.strip(),
        limit_fen=command.limit_fen,
        valid_from=command.valid_from,
        valid_until=command.valid_until,
    )
    await store.save_source(source)
    opened = FundingSourceOpened(
        source_id=source.source_id,
        city=source.city,
        kind=source.kind,
        limit_fen=source.limit_fen,
        valid_from=source.valid_from,
        valid_until=source.valid_until,
        opened_at=now,
    )
    [envelope] = await store.publish([opened], now)
    return envelope


async def make_grant(command: MakeGrant, *, store: LedgerStore, now: datetime, new_id: NewId) -> Envelope:
    """Post what a source gave.

    Raises:
        SourceUnknown, GrantInvalid, PartyUnknown, PartiesApart, SourceExhausted.
    """
    found = await store.source(command.source_id)
    if found is None:
        raise SourceUnknown("there is no such source", Fault("source_id", "the id of a funding source"))
    faults = faults_of_grant(found, command.employer_id, command.amount_fen, command.granted_on, civil_day(now))
    if faults:
        raise GrantInvalid("the source cannot give this", *faults)
    await _check_parties(command, found.city, store)
    head = (await store.lock([found.city]))[found.city]
    # Again, now that nobody else draws on it.
    source = await store.source(command.source_id) or found
    if source.left_fen < command.amount_fen:
        raise SourceExhausted(
            f"the source has {source.left_fen} fen left", Fault("amount_fen", f"at most {source.left_fen} fen")
        )
    grant = Grant(
        grant_id=new_id("grant"),
        source_id=source.source_id,
        city=source.city,
        kind=source.kind,
        community_id=command.community_id,
        employer_id=command.employer_id,
        amount_fen=command.amount_fen,
        granted_on=command.granted_on,
        granted_at=now,
    )
    links, block = seal(head, [grant_entry(grant)])
    await store.append(links, [block])
    await store.add_grant(grant)
    await store.save_source(replace(source, given_fen=source.given_fen + grant.amount_fen))
    if grant.employer_id is None:
        fund = await store.fund(grant.community_id) or Fund(grant.community_id, grant.city)
        await store.save_fund(replace(fund, granted_fen=fund.granted_fen + grant.amount_fen))
    [envelope] = await store.publish([_made(grant)], now)
    return envelope


async def _check_parties(command: MakeGrant, city: str, store: LedgerStore) -> None:
    cities = {"community_id": await store.city_of("community", command.community_id)}
    if command.employer_id is not None:
        cities["employer_id"] = await store.city_of("employer", command.employer_id)
    unknown = [name for name, of_city in cities.items() if of_city is None]
    if unknown:
        raise PartyUnknown(
            "not known here", *(Fault(name, "registered; if it was registered just now, retry") for name in unknown)
        )
    apart = [name for name, of_city in cities.items() if of_city != city]
    if apart:
        raise PartiesApart("the source gives in another city", *(Fault(name, f"one of {city}") for name in apart))


def _made(grant: Grant) -> GrantMade:
    return GrantMade(
        grant_id=grant.grant_id,
        source_id=grant.source_id,
        kind=grant.kind,
        community_id=grant.community_id,
        employer_id=grant.employer_id,
        city=grant.city,
        amount_fen=grant.amount_fen,
        granted_on=grant.granted_on,
        granted_at=grant.granted_at,
    )

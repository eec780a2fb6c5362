"""Sign an agreement. Shifts that waited for it are accrued with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from services.revenue.domain.agreements import Agreement, Base, Pair, Tier, Timeline, faults_of_terms
from services.revenue.errors import AgreementGap, AgreementInvalid, AgreementOverlaps, PartiesApart, PartyUnknown
from services.revenue.ports import LedgerStore, Signatories
from services.revenue.use_cases.accrue import release_waiting
from shared.contracts.envelope import Envelope
from shared.contracts.revenue import AgreementSigned, AgreementTier
from shared.kernel.clock import civil_day
from shared.kernel.errors import Fault
from shared.kernel.ids import NewId


@dataclass(frozen=True, slots=True)
class SignAgreement:
    """What federation, employer and community agreed on."""

    employer_id: str
    community_id: str
    base: Base
    rate_bp: int
    valid_from: date
    valid_until: date | None
    signatories: Signatories
    tiers: tuple[Tier, ...] = ()


async def sign_agreement(command: SignAgreement, *, store: LedgerStore, now: datetime, new_id: NewId) -> Envelope:
    """Sign a new version between two parties; it may end one that stands until further notice.

    If more shifts wait for it than one transaction takes, the rest is released afterwards (`Ledger.release`).

    Raises:
        AgreementInvalid, PartyUnknown, PartiesApart, AgreementOverlaps, AgreementGap.
    """
    faults = faults_of_terms(command.rate_bp, command.tiers, command.valid_from, command.valid_until)
    faults += command.signatories.faults(civil_day(now))
    if faults:
        raise AgreementInvalid("the terms are outside what the programme allows", *faults)
    city = await _city_of_both(command, store)
    await store.lock([city])
    pair = Pair(command.employer_id, command.community_id)
    versions = (await store.agreements([pair])).get(pair, ())
    await _refuse_misfit(command, Timeline(versions), store)
    agreement = Agreement(
        agreement_id=new_id("agreement"),
        version=len(versions) + 1,
        city=city,
        pair=pair,
        base=command.base,
        rate_bp=command.rate_bp,
        valid_from=command.valid_from,
        valid_until=command.valid_until,
        tiers=command.tiers,
    )
    await store.add_agreement(agreement, command.signatories, now)
    [envelope] = await store.publish([_signed(agreement, now)], now)
    if await release_waiting(agreement, "", store=store, now=now) is not None:
        await store.postpone_release(agreement)
    return envelope


async def _refuse_misfit(command: SignAgreement, timeline: Timeline, store: LedgerStore) -> None:
    """Versions follow each other day by day, and what was accrued stays under the version that it was accrued under."""
    misfit = timeline.misfit(command.valid_from, command.valid_until)
    if misfit is not None and misfit.kind == "overlap":
        raise AgreementOverlaps(
            f"agreement {misfit.version.agreement_id} is valid from {misfit.days}",
            Fault("valid_from", f"days outside {misfit.days}, which {misfit.version.agreement_id} covers"),
        )
    if misfit is not None:
        raise AgreementGap(
            f"no version would cover {misfit.days}, next to agreement {misfit.version.agreement_id}",
            Fault("valid_from", f"days that follow each other: {misfit.days} would be without agreement"),
        )
    ended = timeline.ended_by(command.valid_from)
    accrued_until = await store.last_day_accrued(ended.agreement_id) if ended is not None else None
    if ended is not None and accrued_until is not None and command.valid_from <= accrued_until:
        raise AgreementOverlaps(
            f"shifts until {accrued_until} were accrued under agreement {ended.agreement_id}, which this would end",
            Fault("valid_from", f"a day after {accrued_until}, the last one accrued under {ended.agreement_id}"),
        )


async def _city_of_both(command: SignAgreement, store: LedgerStore) -> str:
    employer_city = await store.city_of("employer", command.employer_id)
    community_city = await store.city_of("community", command.community_id)
    unknown = [
        Fault(name, f"a registered {role}; if it was registered just now, retry")
        for name, role, city in (
            ("employer_id", "employer", employer_city),
            ("community_id", "community", community_city),
        )
        if city is None
    ]
    if employer_city is None or community_city is None:
        raise PartyUnknown("a party of the agreement is not known here", *unknown)
    if employer_city != community_city:
        raise PartiesApart(
            "employer and community belong to different cities",
            Fault("community_id", "a community of the employer's city"),
        )
    return community_city


def _signed(agreement: Agreement, now: datetime) -> AgreementSigned:
    return AgreementSigned(
        agreement_id=agreement.agreement_id,
        version=agreement.version,
        city=agreement.city,
        employer_id=agreement.pair.employer_id,
        community_id=agreement.pair.community_id,
        base=agreement.base,
        rate_bp=agreement.rate_bp,
        tiers=tuple(AgreementTier(from_fen=tier.from_fen, rate_bp=tier.rate_bp) for tier in agreement.tiers) or None,
        valid_from=agreement.valid_from,
        valid_until=agreement.valid_until,
        signed_at=now,
    )

"""Examples of the events of revenue: the agreement, a rebate, and what the community spent it on."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta

from shared.contracts import revenue
from shared.contracts.examples.story import AGREEMENT, CITY, COMMUNITY, EMPLOYER, SHIFT, Told, at, id_of

TOLD: Told = (
    (
        revenue.AgreementSigned(
            agreement_id=AGREEMENT,
            version=1,
            city=CITY,
            employer_id=EMPLOYER,
            community_id=COMMUNITY,
            base="output",
            rate_bp=800,
            tiers=(revenue.AgreementTier(from_fen=50_000_000, rate_bp=600),),
            valid_from=date(2026, 3, 1),
            valid_until=date(2027, 2, 28),
            signed_at=at(2, "14:00"),
        ),
        at(2, "14:00"),
    ),
    (
        revenue.RebateAccrued(
            entry_id=id_of("entry"),
            kind="accrual",
            shift_id=SHIFT,
            revision=1,
            community_id=COMMUNITY,
            employer_id=EMPLOYER,
            city=CITY,
            agreement_id=AGREEMENT,
            agreement_version=1,
            before_fen=0,
            base_fen=11_500,
            rate_bp=800,
            amount_fen_e4=9_200_000,
            month="2026-03",
            worked_month="2026-03",
            accrued_at=at(9, "11:35"),
        ),
        at(9, "11:35"),
    ),
    (
        revenue.MonthClosed(
            settlement_id=id_of("settlement"),
            community_id=COMMUNITY,
            employer_id=EMPLOYER,
            city=CITY,
            month="2026-03",
            entries=14,
            closed_at=at(31, "09:00") + timedelta(days=2),
        ),
        at(31, "09:00") + timedelta(days=2),
    ),
    (
        # 14 shifts, 160,313 fen of output: 8 % is 12,825.04 fen; 0.04 fen goes into April.
        revenue.RebateSettled(
            settlement_id=id_of("settlement"),
            community_id=COMMUNITY,
            employer_id=EMPLOYER,
            city=CITY,
            month="2026-03",
            base_fen=160_313,
            amount_fen=12_825,
            carry_fen_e4=400,
            entries=14,
            statement_hash=hashlib.sha256(b"statement").hexdigest(),
            settled_at=at(31, "09:00") + timedelta(days=2),
        ),
        at(31, "09:00") + timedelta(days=2),
    ),
    (
        revenue.SettlementReversed(
            settlement_id=id_of("settlement"),
            community_id=COMMUNITY,
            employer_id=EMPLOYER,
            city=CITY,
            month="2026-03",
            amount_fen=12_825,
            statement_hash=hashlib.sha256(b"statement").hexdigest(),
            reversed_at=at(31, "09:00") + timedelta(days=3),
        ),
        at(31, "09:00") + timedelta(days=3),
    ),
    (
        revenue.SpendingRequested(
            spending_id=id_of("spending"),
            community_id=COMMUNITY,
            city=CITY,
            category="lighting",
            amount_fen=9_600,
            receipt_hash=hashlib.sha256(b"receipt").hexdigest(),
            requested_at=at(31, "09:00") + timedelta(days=9),
        ),
        at(31, "09:00") + timedelta(days=9),
    ),
    (
        revenue.FundSpent(
            spending_id=id_of("spending"),
            community_id=COMMUNITY,
            city=CITY,
            category="lighting",
            amount_fen=9_600,
            receipt_hash=hashlib.sha256(b"receipt").hexdigest(),
            spent_at=at(31, "15:00") + timedelta(days=9),
        ),
        at(31, "15:00") + timedelta(days=9),
    ),
    (
        revenue.SpendingDeclined(
            spending_id=id_of("spending"),
            community_id=COMMUNITY,
            city=CITY,
            category="lighting",
            amount_fen=9_600,
            declined_at=at(31, "15:00") + timedelta(days=9),
        ),
        at(31, "15:00") + timedelta(days=9),
    ),
    (
        revenue.PayoutsOrdered(
            batch_id=id_of("batch"),
            city=CITY,
            count=1,
            amount_fen=96_000,
            file_hash=hashlib.sha256(b"file").hexdigest(),
            ordered_at=at(31, "09:00") + timedelta(days=3),
        ),
        at(31, "09:00") + timedelta(days=3),
    ),
    (
        revenue.PayoutConfirmed(
            payout_id=id_of("payout"),
            batch_id=id_of("batch"),
            employer_id=EMPLOYER,
            community_id=COMMUNITY,
            city=CITY,
            amount_fen=96_000,
            state="paid",
            booked_on=date(2026, 4, 4),
            confirmed_at=at(31, "09:00") + timedelta(days=5),
        ),
        at(31, "09:00") + timedelta(days=5),
    ),
    (
        revenue.FundingSourceOpened(
            source_id=id_of("source"),
            city=CITY,
            kind="social-insurance-subsidy",
            limit_fen=1_000_000,
            valid_from=date(2026, 3, 1),
            valid_until=date(2026, 12, 31),
            opened_at=at(2, "09:00"),
        ),
        at(2, "09:00"),
    ),
    (
        revenue.GrantMade(
            grant_id=id_of("grant"),
            source_id=id_of("source"),
            kind="social-insurance-subsidy",
            community_id=COMMUNITY,
            employer_id=EMPLOYER,
            city=CITY,
            amount_fen=200_000,
            granted_on=date(2026, 3, 10),
            granted_at=at(10, "09:00"),
        ),
        at(10, "09:00"),
    ),
)

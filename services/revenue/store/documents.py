"""Domain values as MongoDB documents and back. Days are ISO texts, instants aware datetimes, money int64."""

from __future__ import annotations

from datetime import date, datetime

from services.revenue.domain.accrual import Accrued, Shift, Standing
from services.revenue.domain.agreements import Agreement, Pair, Tier
from services.revenue.domain.books import BookKey, BookTotals
from services.revenue.domain.funds import Declined, Fund, Spending, SpendingRequest
from services.revenue.domain.settlements import Account, Order, Settlement
from services.revenue.ports import Signatories, Signature, Signed
from shared.runtime.mongo import Document


def agreement_document(agreement: Agreement, signatories: Signatories, signed_at: datetime) -> Document:
    return {
        "_id": agreement.agreement_id,
        "version": agreement.version,
        "city": agreement.city,
        "pair": agreement.pair.key,
        "employer_id": agreement.pair.employer_id,
        "community_id": agreement.pair.community_id,
        "base": agreement.base,
        "rate_bp": agreement.rate_bp,
        "tiers": [list(tier) for tier in agreement.tiers],
        "valid_from": agreement.valid_from.isoformat(),
        "valid_until": agreement.valid_until.isoformat() if agreement.valid_until else None,
        "signatories": {
            party: {"office": signature.office, "signed_on": signature.signed_on.isoformat()}
            for party, signature in signatories.by_party().items()
        },
        "signed_at": signed_at,
    }


def agreement_of(document: Document) -> Agreement:
    """The terms of an agreement, without those who signed."""
    until = document["valid_until"]
    return Agreement(
        agreement_id=document["_id"],
        version=document["version"],
        city=document["city"],
        pair=Pair(document["employer_id"], document["community_id"]),
        base=document["base"],
        rate_bp=document["rate_bp"],
        valid_from=date.fromisoformat(document["valid_from"]),
        valid_until=date.fromisoformat(until) if until else None,
        tiers=tuple(Tier(from_fen, rate_bp) for from_fen, rate_bp in document["tiers"]),
    )


def signed_of(document: Document) -> Signed:
    """An agreement with those who signed."""
    signatures = {
        party: Signature(signed["office"], date.fromisoformat(signed["signed_on"]))
        for party, signed in document["signatories"].items()
    }
    return Signed(agreement_of(document), Signatories(**signatures), document["signed_at"])


def shift_document(shift: Shift) -> Document:
    return {
        "_id": shift.shift_id,
        "revision": shift.revision,
        "city": shift.city,
        "pair": shift.pair.key if shift.pair else None,
        "employer_id": shift.employer_id,
        "community_id": shift.community_id,
        "day": shift.day.isoformat(),
        "wage_fen": shift.wage_fen,
        "output_fen": shift.output_fen,
        "event_id": shift.event_id,
    }


def shift_of(document: Document) -> Shift:
    return Shift(
        shift_id=document["_id"],
        revision=document["revision"],
        city=document["city"],
        employer_id=document["employer_id"],
        community_id=document["community_id"],
        day=date.fromisoformat(document["day"]),
        wage_fen=document["wage_fen"],
        output_fen=document["output_fen"],
        event_id=document["event_id"],
    )


def settlement_document(settlement: Settlement) -> Document:
    return {
        "_id": settlement.settlement_id,
        "city": settlement.city,
        "pair": settlement.pair.key,
        "employer_id": settlement.pair.employer_id,
        "community_id": settlement.pair.community_id,
        "month": settlement.month,
        "entries": settlement.entries,
        "base_fen": settlement.base_fen,
        "sum_fen_e4": settlement.sum_fen_e4,
        "carry_in_fen_e4": settlement.carry_in_fen_e4,
        "amount_fen": settlement.amount_fen,
        "carry_out_fen_e4": settlement.carry_out_fen_e4,
        "statement_hash": settlement.statement_hash,
        "settled_at": settlement.settled_at,
        "stands": True,
    }


def settlement_of(document: Document) -> Settlement:
    return Settlement(
        settlement_id=document["_id"],
        city=document["city"],
        pair=Pair(document["employer_id"], document["community_id"]),
        month=document["month"],
        entries=document["entries"],
        base_fen=document["base_fen"],
        sum_fen_e4=document["sum_fen_e4"],
        carry_in_fen_e4=document["carry_in_fen_e4"],
        amount_fen=document["amount_fen"],
        carry_out_fen_e4=document["carry_out_fen_e4"],
        statement_hash=document["statement_hash"],
        settled_at=document["settled_at"],
        reversed_at=document.get("reversed_at"),
    )


def order_document(order: Order) -> Document:
    """An order that nobody carries out yet; see `MongoOrders` for its other fields."""
    return {
        "_id": order.settlement_id,
        "city": order.city,
        "employer_id": order.pair.employer_id,
        "community_id": order.pair.community_id,
        "month": order.month,
        "entries": order.entries,
        "ordered_at": order.ordered_at,
        "read": 0,
    }


def order_of(document: Document) -> Order:
    return Order(
        settlement_id=document["_id"],
        city=document["city"],
        pair=pair_of(document),
        month=document["month"],
        entries=document["entries"],
        ordered_at=document["ordered_at"],
    )


def account_of(document: Document) -> Account:
    return Account(document["settled_through"], document["carry_fen_e4"], document["closing"])


def book_key_of(document: Document) -> BookKey:
    return BookKey(pair_of(document), document["month"], document["worked_month"], document["agreement_id"])


def book_totals_of(document: Document) -> BookTotals:
    """Running totals of a book."""
    last_day = date.fromisoformat(document["last_day"])
    return BookTotals(document["entries"], document["base_fen"], document["sum_fen_e4"], last_day)


def standing_document(shift_id: str, standing: Standing) -> Document:
    """What stands of a shift; `accrued` lists the fields of `Accrued`, since their names would double its size."""
    accrued = standing.accrued
    return {
        "_id": shift_id,
        "revision": standing.revision,
        "event_id": standing.event_id,
        "city": standing.city,
        "accrued": None
        if accrued is None
        else [
            accrued.pair.employer_id,
            accrued.pair.community_id,
            accrued.worked_day.isoformat(),
            accrued.agreement_id,
            accrued.base_fen,
        ],
    }


def standing_of(document: Document) -> Standing:
    """What stands of a shift."""
    accrued = document["accrued"]
    return Standing(
        document["revision"],
        document["event_id"],
        document["city"],
        None
        if accrued is None
        else Accrued(Pair(accrued[0], accrued[1]), date.fromisoformat(accrued[2]), accrued[3], accrued[4]),
    )


def fund_of(document: Document) -> Fund:
    return Fund(
        document["_id"], document["city"], document["income_fen"], document["spent_fen"], document["granted_fen"]
    )


def request_document(request: SpendingRequest) -> Document:
    """A request; `declined` only where it was."""
    declined = request.declined
    told = {} if declined is None else {"declined": declined._asdict()}
    return told | {
        "_id": request.spending_id,
        "city": request.city,
        "community_id": request.community_id,
        "category": request.category,
        "amount_fen": request.amount_fen,
        "purpose": request.purpose,
        "receipt_hash": request.receipt_hash,
        "requested_by": request.requested_by,
        "requested_at": request.requested_at,
        "is_approved": request.is_approved,
    }


def request_of(document: Document) -> SpendingRequest:
    return SpendingRequest(
        spending_id=document["_id"],
        city=document["city"],
        community_id=document["community_id"],
        category=document["category"],
        amount_fen=document["amount_fen"],
        purpose=document["purpose"],
        receipt_hash=document["receipt_hash"],
        requested_by=document["requested_by"],
        requested_at=document["requested_at"],
        is_approved=document["is_approved"],
        declined=Declined(**declined) if (declined := document.get("declined")) is not None else None,
    )


def spending_document(spending: Spending) -> Document:
    return {
        **request_document(spending.request),
        "approved_by": spending.approved_by,
        "spent_at": spending.spent_at,
    }


def spending_of(document: Document) -> Spending:
    return Spending(request_of(document), document["approved_by"], document["spent_at"])


def pair_of(document: Document) -> Pair:
    return Pair(document["employer_id"], document["community_id"])

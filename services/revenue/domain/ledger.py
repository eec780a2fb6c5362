"""The ledger: double entry, append-only, hash-chained per city.

An entry moves an amount between accounts; its postings sum to zero (a debit is positive, a credit negative). Nothing is
ever changed: a correction is an entry of its own that reverses. Entries of a city form a chain: each is sealed with the
hash of the one before, so that no entry can be changed, left out or slipped in without every later hash being wrong.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, NamedTuple

from services.revenue.domain.agreements import Pair
from shared.kernel.money import E4

EntryKind = Literal[
    "accrual", "reversal", "settlement", "settlement-reversal", "spending", "payout", "grant", "subsidy"
]

GENESIS_HASH = "0" * 64
"""What the first entry of a city stands on."""


class Posting(NamedTuple):
    """One leg of an entry, in fen × 10 000; positive debits the account, negative credits it."""

    account: str
    amount_fen_e4: int


@dataclass(frozen=True, slots=True)
class Rebate:
    """What an accrual or a reversal is about: one revision of one shift under one agreement.

    Attributes:
        base_fen: signed: negative in a reversal, so that `base_fen × rate_bp` is the entry's amount in every line.
        before_fen: under tiers, the base of the agreement's month worked before this line; otherwise `None`.
    """

    shift_id: str
    revision: int
    worked_day: date
    agreement_id: str
    agreement_version: int
    base_fen: int
    rate_bp: int
    before_fen: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One fact of the ledger.

    Attributes:
        entry_id: derived from the cause (`entry_id_of`), so that the same cause cannot be posted twice.
        month: the month that it is posted into; not always the month worked (a settled month takes nothing any more).
        amount_fen_e4: signed, in fen × 10 000; the first posting debits it, the second credits it.
        cause: the event, settlement or spending that this entry is the effect of.
        rebate: on accruals and reversals.
        document_hash: SHA-256 of the statement of a settlement, or of the receipt of a spending.
    """

    entry_id: str
    city: str
    kind: EntryKind
    posted_at: datetime
    month: str
    employer_id: str | None
    community_id: str
    amount_fen_e4: int
    cause: str
    postings: tuple[Posting, ...]
    rebate: Rebate | None = None
    document_hash: str | None = None

    @property
    def pair(self) -> Pair:
        """The pair of an accrual, a reversal or a settlement.

        Raises:
            ValueError: a spending has no employer.
        """
        if self.employer_id is None:
            raise ValueError("a spending belongs to no pair")
        return Pair(self.employer_id, self.community_id)


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain of a city ends: the number and hash of its last entry."""

    city: str
    seq: int = 0
    hash: str = GENESIS_HASH


@dataclass(frozen=True, slots=True)
class Link:
    """An entry in its place in the chain."""

    seq: int
    prev_hash: str
    hash: str
    entry: Entry


def entry_id_of(kind: EntryKind, cause_id: str, revision: int = 0, part: int = 0) -> str:
    """The id of the one entry that a cause may have: a second posting would collide, whoever attempts it.

    Args:
        cause_id: the shift, settlement or spending; random, so that the hash leads nobody to it.
        revision: of the shift, for accruals and their reversals.
        part: number of the line, from 0, where a base crosses tiers.
    """
    cause = f"{kind}|{cause_id}|{revision}" + (f"|{part}" if part else "")
    return "ent-" + hashlib.sha256(cause.encode()).hexdigest()[:32]


def payable(pair: Pair) -> str:
    """What an employer owes for a community's rooms."""
    return f"employer-payable:{pair.employer_id}:{pair.community_id}"


def accrued(pair: Pair) -> str:
    """What has come together for a community but is not settled; after a settlement, the carried remainder."""
    return f"community-accrued:{pair.community_id}:{pair.employer_id}"


def fund(community_id: str) -> str:
    """What a community may spend."""
    return f"community-fund:{community_id}"


def spent(community_id: str, category: str) -> str:
    """What a community has spent on one category."""
    return f"community-spent:{community_id}:{category}"


def bank(community_id: str) -> str:
    """What the bank has transferred to a community."""
    return f"community-bank:{community_id}"


def source(source_id: str) -> str:
    """What a source of subsidies or grants has given."""
    return f"funding-source:{source_id}"


def subsidy(employer_id: str, community_id: str) -> str:
    """What an employer received as a subsidy for its posts at a community."""
    return f"employer-subsidy:{employer_id}:{community_id}"


def move(debit: str, credit: str, amount_fen_e4: int) -> tuple[Posting, ...]:
    """Both legs of an entry; a negative amount goes the other way."""
    return (Posting(debit, amount_fen_e4), Posting(credit, -amount_fen_e4))


def rebate_postings(pair: Pair, amount_fen_e4: int) -> tuple[Posting, ...]:
    """Legs of an accrual (or, negative, of its reversal): the employer owes, the community's claim grows."""
    return move(payable(pair), accrued(pair), amount_fen_e4)


def settlement_postings(pair: Pair, amount_fen: int) -> tuple[Posting, ...]:
    """Legs of a settlement: whole fen leave the accrued claim for the fund; the remainder stays behind."""
    return move(accrued(pair), fund(pair.community_id), amount_fen * E4)


def spending_postings(community_id: str, category: str, amount_fen: int) -> tuple[Posting, ...]:
    """Legs of a spending: the fund is debited, what was paid for is credited."""
    return move(fund(community_id), spent(community_id, category), amount_fen * E4)


def payout_postings(pair: Pair, amount_fen: int) -> tuple[Posting, ...]:
    """Legs of a payout: the community has the money at its bank, and the employer owes that much less."""
    return move(bank(pair.community_id), payable(pair), amount_fen * E4)


def grant_postings(source_id: str, community_id: str, amount_fen: int) -> tuple[Posting, ...]:
    """Legs of a grant or a donation: the source has given, the fund holds more."""
    return move(source(source_id), fund(community_id), amount_fen * E4)


def subsidy_postings(source_id: str, employer_id: str, community_id: str, amount_fen: int) -> tuple[Posting, ...]:
    """Legs of a subsidy: the source has given, the employer has received; no fund is touched."""
    return move(source(source_id), subsidy(employer_id, community_id), amount_fen * E4)


def canonical(seq: int, prev_hash: str, entry: Entry) -> bytes:
    """What is hashed: every field of an entry and its place, as one JSON array without spaces, in this order."""
    rebate = entry.rebate
    fields: list[object] = [
        entry.city,
        seq,
        prev_hash,
        entry.entry_id,
        entry.kind,
        entry.posted_at.isoformat(timespec="milliseconds"),
        entry.month,
        entry.employer_id,
        entry.community_id,
        entry.amount_fen_e4,
        entry.cause,
        entry.document_hash,
        rebate
        and [
            rebate.shift_id,
            rebate.revision,
            rebate.worked_day.isoformat(),
            rebate.agreement_id,
            rebate.agreement_version,
            rebate.base_fen,
            rebate.rate_bp,
            rebate.before_fen,
        ],
        entry.postings,
    ]
    return json.dumps(fields, separators=(",", ":")).encode()


def hash_of(seq: int, prev_hash: str, entry: Entry) -> str:
    """SHA-256 of the canonical form, hex."""
    return hashlib.sha256(canonical(seq, prev_hash, entry)).hexdigest()


def seal(head: Head, entries: Iterable[Entry]) -> tuple[list[Link], Head]:
    """Append entries to a city's chain.

    Raises:
        ValueError: an entry of another city, or one whose postings do not sum to zero; a bug, never an input.
    """
    links: list[Link] = []
    seq, last = head.seq, head.hash
    for entry in entries:
        if entry.city != head.city or sum(posting.amount_fen_e4 for posting in entry.postings) != 0:
            raise ValueError(f"{entry.entry_id} does not belong into the ledger of {head.city}, or does not balance")
        seq += 1
        link = Link(seq, last, hash_of(seq, last, entry), entry)
        last = link.hash
        links.append(link)
    return links, Head(head.city, seq, last)

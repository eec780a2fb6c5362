"""The ledger: double entry, append-only, hash-chained per city.

An entry moves an amount between accounts; its postings sum to zero (a debit is positive, a credit negative). Nothing is
ever changed: a correction is an entry of its own that reverses. Entries of a city are numbered, and what a transaction
posts is sealed as a block: its hash takes in every field of its entries and the hash of the block before, so that no
entry can be changed, left out or slipped in without every later hash being wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from hashlib import sha256
from itertools import count
from typing import Literal, NamedTuple

from services.revenue.domain.agreements import Pair
from shared.kernel.money import E4

RebateKind = Literal["accrual", "reversal"]
"""Lines of a statement."""

SuspenseKind = Literal["suspense", "suspense-reversal"]
"""What a shift comes to that no agreement covers, and its taking back."""

EntryKind = Literal[
    RebateKind, SuspenseKind, "settlement", "settlement-reversal", "spending", "payout", "grant", "subsidy"
]

GENESIS_HASH = "0" * 64
"""What the first block of a city stands on."""


class Posting(NamedTuple):
    """One leg of an entry, in fen × 10 000; positive debits the account, negative credits it."""

    account: str
    amount_fen_e4: int


# Three classes of this module and `accrual` are not frozen, though nothing ever changes them: one of each is made for
# every shift, and a frozen one takes six times as long to make.


@dataclass(slots=True)
class Rebate:
    """What an accrual, a suspense or its reversal is about: one revision of one shift under one agreement.

    Attributes:
        agreement_id: empty in suspense, where `agreement_version` is 0.
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


_pair = lru_cache(maxsize=10_000)(Pair)  # entries of a pair share theirs


@dataclass(slots=True)
class Entry:
    """One fact of the ledger.

    Attributes:
        entry_id: derived from the cause (`entry_id_of`), so that the same cause cannot be posted twice.
        month: the month that it is posted into; not always the month worked (a settled month takes nothing any more).
        amount_fen_e4: signed, in fen × 10 000; the first posting debits it, the second credits it.
        cause: the event, settlement or spending that this entry is the effect of.
        legs: the postings, where there is no rebate; those of a rebate follow from its pair and amount.
        rebate: on what a shift comes to: accruals, suspense, and the reversals of both.
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
    legs: tuple[Posting, ...] = ()
    rebate: Rebate | None = None
    document_hash: str | None = None

    @property
    def postings(self) -> tuple[Posting, ...]:
        """Both legs."""
        if self.rebate is None:
            return self.legs
        legs_of = rebate_postings if self.rebate.agreement_id else suspense_postings
        return legs_of(self.pair, self.amount_fen_e4)

    @property
    def pair(self) -> Pair:
        """The pair of an accrual, a reversal or a settlement.

        Raises:
            ValueError: a spending has no employer.
        """
        if self.employer_id is None:
            raise ValueError("a spending belongs to no pair")
        return _pair(self.employer_id, self.community_id)

    @property
    def is_plain(self) -> bool:
        """Whether it is the accrual of a first revision under a flat rate: of its shift there is one such entry."""
        rebate = self.rebate
        return rebate is not None and self.kind == "accrual" and rebate.revision == 1 and rebate.before_fen is None


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain of a city ends: the number of its last entry and the hash of its last block."""

    city: str
    seq: int = 0
    hash: str = GENESIS_HASH


class Link(NamedTuple):
    """An entry and its number in its city."""

    seq: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class Block:
    """What one transaction posted in a city.

    Attributes:
        first: number of its first entry; `last` of its last one. Blocks of a city leave no number out.
        hash: of `prev_hash` and the entries (`hash_of`).
    """

    city: str
    first: int
    last: int
    prev_hash: str
    hash: str

    @property
    def end(self) -> Head:
        """Where the chain ends with this block."""
        return Head(self.city, self.last, self.hash)


def entry_id_of(kind: EntryKind, cause_id: str, revision: int = 0, part: int = 0) -> str:
    """The id of the one entry that a cause may have: a second posting would collide, whoever attempts it.

    Args:
        cause_id: the shift, settlement or spending; random, so that the hash leads nobody to it.
        revision: of the shift, for accruals and their reversals.
        part: number of the line, from 0, where a base crosses tiers.
    """
    cause = f"{kind}|{cause_id}|{revision}|{part}" if part else f"{kind}|{cause_id}|{revision}"
    return "ent-" + sha256(cause.encode()).hexdigest()[:32]


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


@lru_cache(maxsize=10_000)
def _rebate_accounts(pair: Pair) -> tuple[str, str]:
    return payable(pair), accrued(pair)


def rebate_postings(pair: Pair, amount_fen_e4: int) -> tuple[Posting, ...]:
    """Legs of an accrual (or, negative, of its reversal): the employer owes, the community's claim grows."""
    return move(*_rebate_accounts(pair), amount_fen_e4)


def suspense_postings(pair: Pair, amount_fen_e4: int) -> tuple[Posting, ...]:
    """Legs of what waits for an agreement: no debt and no claim yet, but what they may become."""
    return move(f"employer-suspense:{pair.key}", f"community-suspense:{pair.key}", amount_fen_e4)


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


_instant = lru_cache(maxsize=64)(datetime.isoformat)  # entries of a block share theirs
_day = lru_cache(maxsize=4096)(date.isoformat)


def canonical(seq: int, entry: Entry) -> str:
    """What is hashed of an entry: its number and every field, with commas between and a line break at the end.

    No value holds either. Postings stand at the end, except those of a rebate, which follow from its kind, pair and
    amount.
    """
    rebate = entry.rebate
    if rebate is None:
        of_kind = "".join([f",{account},{amount}" for account, amount in entry.legs])
    else:
        of_kind = (
            f",{rebate.shift_id},{rebate.revision},{_day(rebate.worked_day)},{rebate.agreement_id},"
            f"{rebate.agreement_version},{rebate.base_fen},{rebate.rate_bp},{rebate.before_fen}"
        )
    return (
        f"{seq},{entry.entry_id},{entry.city},{entry.kind},{_instant(entry.posted_at)},{entry.month},"
        f"{entry.employer_id},{entry.community_id},{entry.amount_fen_e4},{entry.cause},{entry.document_hash}{of_kind}\n"
    )


def hash_of(prev_hash: str, canonicals: Sequence[str]) -> str:
    """SHA-256 of a block, hex: of the hash of the one before, a line break, and the canonical form of its entries."""
    return sha256(f"{prev_hash}\n{''.join(canonicals)}".encode()).hexdigest()


def seal(head: Head, entries: Sequence[Entry]) -> tuple[list[Link], Block]:
    """Number entries after the last one of a city, and seal them as a block (`block_after`)."""
    block = block_after(head, entries)
    return [Link(seq, entry) for seq, entry in enumerate(entries, block.first)], block


def block_after(head: Head, entries: Sequence[Entry]) -> Block:
    """The block that seals entries after the last one of a city.

    Args:
        entries: at least one; numbered in order from the block's `first`.

    Raises:
        ValueError: no entry, one of another city, or one whose legs do not sum to zero; a bug, never an input.
    """
    if not entries:
        raise ValueError("a block without entries")
    for entry in entries:
        if entry.city != head.city or (entry.rebate is None and sum([amount for _, amount in entry.legs]) != 0):
            raise ValueError(f"{entry.entry_id} does not belong into the ledger of {head.city}, or does not balance")
    first = head.seq + 1
    sealed = hash_of(head.hash, list(map(canonical, count(first), entries)))
    return Block(head.city, first, head.seq + len(entries), head.hash, sealed)

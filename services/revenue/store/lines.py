"""Entries as documents. What a shift comes to is most of them, so these are as lean as they can be read again:

    _id  the shift's id, for the accrual of its first revision under a flat rate; otherwise the id of the entry
    n    place: city and number (`place_of`)
    b    number of the book, which says pair, months and agreement
    t    when it was posted
    d    day of the month worked
    v p  base, fen, and rate, basis points: their product is the amount
    e    event that told of it
    f    base of the month before it, under tiers
    s r k  shift, revision and kind, where `_id` does not say them

All other entries have the names of `Entry`, and `n`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from services.revenue.domain.agreements import Pair
from services.revenue.domain.books import Numbered
from services.revenue.domain.ledger import (
    Block,
    Entry,
    Link,
    Posting,
    Rebate,
    entry_id_of,
)
from services.revenue.domain.months import first_day
from shared.kernel.money import accrue_e4
from shared.runtime.mongo import Database, Document, Session

SEQ_BITS = 36
"""Bits of a place that hold the number within the city: 68 billion entries; the code of the city takes the 20 above."""

SEQ_MAX = (1 << SEQ_BITS) - 1

BOOK_BITS = 24
"""The same for the number of a book: 16 million months of pairs in a city."""

BOOKS_MAX = 100_000
"""Books whose meaning a reader keeps, some 50 MB; one that meets more starts anew."""


class Book(NamedTuple):
    """What the number of a book stands for; it never changes.

    Attributes:
        worked: first day of the month worked.
        agreement_id: empty in suspense, where `agreement_version` is 0.
    """

    city: str
    pair: Pair
    month: str
    worked: date
    agreement_id: str
    agreement_version: int


def place_of(city: str, seq: int) -> int:
    """One number for an entry's city and its number there; in the order of both. MongoDB keeps it as an int64."""
    return int(city) << SEQ_BITS | seq


def seq_of(place: int) -> int:
    """An entry's number in its city."""
    return place & (1 << SEQ_BITS) - 1


def until(city: str, seq: int) -> Document:
    """The places of a city up to a number."""
    return {"$gt": place_of(city, 0), "$lte": place_of(city, seq)}


def book_number(city: str, count: int) -> int:
    """The number of a city's next book.

    Args:
        count: of its books, with this one.
    """
    return int(city) << BOOK_BITS | count


def line_documents(lines: Sequence[Numbered], start: int, book: int) -> list[Document]:
    """Entries of one book, all about shifts.

    Args:
        start: of their city's places, `place_of(city, 0)`.
    """
    documents: list[Document] = []
    for seq, entry in lines:
        rebate = entry.rebate
        if rebate is None:
            raise ValueError(f"{entry.entry_id} is about no shift")
        is_plain = entry.is_plain
        document: Document = {
            "_id": rebate.shift_id if is_plain else entry.entry_id,
            "n": start + seq,
            "b": book,
            "t": entry.posted_at,
            "d": rebate.worked_day.day,
            "v": rebate.base_fen,
            "p": rebate.rate_bp,
            "e": entry.cause,
        }
        if rebate.before_fen is not None:
            document["f"] = rebate.before_fen
        if not is_plain:
            document |= {"s": rebate.shift_id, "r": rebate.revision, "k": entry.kind}
        documents.append(document)
    return documents


def entry_document(link: Link) -> Document:
    """An entry that is not about a shift; `document_hash` only where there is one."""
    entry = link.entry
    document: Document = {
        "_id": entry.entry_id,
        "n": place_of(entry.city, link.seq),
        "kind": entry.kind,
        "posted_at": entry.posted_at,
        "month": entry.month,
        "employer_id": entry.employer_id,
        "community_id": entry.community_id,
        "amount_fen_e4": entry.amount_fen_e4,
        "cause": entry.cause,
        "postings": [list(leg) for leg in entry.legs],
    }
    if entry.document_hash is not None:
        document["document_hash"] = entry.document_hash
    return document


def block_document(block: Block) -> Document:
    """A block, by the place of its first entry."""
    return {
        "_id": place_of(block.city, block.first),
        "last": place_of(block.city, block.last),
        "prev_hash": block.prev_hash,
        "hash": block.hash,
    }


def block_of(document: Document) -> Block:
    """What `block_document` was made of."""
    city = str(document["_id"] >> SEQ_BITS)
    return Block(city, seq_of(document["_id"]), seq_of(document["last"]), document["prev_hash"], document["hash"])


def link_of_entry(document: Document) -> Link:
    """What `entry_document` was made of."""
    return Link(
        seq_of(document["n"]),
        Entry(
            entry_id=document["_id"],
            city=str(document["n"] >> SEQ_BITS),
            kind=document["kind"],
            posted_at=document["posted_at"],
            month=document["month"],
            employer_id=document["employer_id"],
            community_id=document["community_id"],
            amount_fen_e4=document["amount_fen_e4"],
            cause=document["cause"],
            legs=tuple(Posting(account, amount) for account, amount in document["postings"]),
            document_hash=document.get("document_hash"),
        ),
    )


def link_of_line(document: Document, book: Book) -> Link:
    """What `line_documents` were made of."""
    base_fen, rate_bp = document["v"], document["p"]
    amount = accrue_e4(base_fen, rate_bp)
    shift_id = document.get("s")
    entry_id = document["_id"]
    if shift_id is None:
        shift_id, entry_id = entry_id, entry_id_of("accrual", entry_id, 1)
    # By position, as it is done for each line of a ledger.
    return Link(
        seq_of(document["n"]),
        Entry(
            entry_id,
            book.city,
            document.get("k", "accrual"),
            document["t"],
            book.month,
            book.pair.employer_id,
            book.pair.community_id,
            amount,
            document["e"],
            (),
            Rebate(
                shift_id,
                document.get("r", 1),
                book.worked.replace(day=document["d"]),
                book.agreement_id,
                book.agreement_version,
                base_fen,
                rate_bp,
                document.get("f"),
            ),
        ),
    )


class Books:
    """Reads entries, and what the numbers of their books stand for.

    Args:
        session: of the transaction that reads; a book may be as new as the line.
    """

    def __init__(self, db: Database, session: Session | None = None) -> None:
        self._db = db
        self._session = session
        self._known: dict[int, Book] = {}

    async def links(self, documents: Sequence[Document]) -> list[Link]:
        """Entries of documents, in order."""
        missing = {document["b"] for document in documents if "b" in document} - self._known.keys()
        if missing:
            await self._read(missing)
        known = self._known
        return [
            link_of_line(document, known[document["b"]]) if "b" in document else link_of_entry(document)
            for document in documents
        ]

    async def _read(self, numbers: set[int]) -> None:
        wanted = {"number": {"$in": list(numbers)}}
        found = await self._db["books"].find(wanted, session=self._session).to_list(None)
        named = {"_id": {"$in": [document["agreement_id"] for document in found]}}
        signed = await self._db["agreements"].find(named, {"version": 1}, session=self._session).to_list(None)
        versions = {document["_id"]: document["version"] for document in signed}
        if len(self._known) > BOOKS_MAX:
            self._known.clear()
        for document in found:
            agreement_id = document["agreement_id"]
            self._known[document["number"]] = Book(
                city=document["city"],
                pair=Pair(document["employer_id"], document["community_id"]),
                month=document["month"],
                worked=first_day(document["worked_month"]),
                agreement_id=agreement_id,
                agreement_version=versions.get(agreement_id, 0),
            )

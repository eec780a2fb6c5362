"""Made-up personal data that nothing else looks like, and the search for it in all that leaves the vault."""

from __future__ import annotations

import base64
import json
import secrets
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import quote

PLACES = (
    "record key", "record header", "record value", "log", "metrics", "dead letter", "trace", "feed", "stream",
    "checkpoint", "collection",
)  # fmt: skip
"""Where personal data must not be."""

RARE = "\U00020bb7\u9986"
"""Characters that every canary of text has, so that each spelling of it is one of its own: a rare name and a house."""


@dataclass(frozen=True)
class Canary:
    """One made-up value.

    Attributes:
        what: what it stands for; failures tell this and never the value.
        only_in: a collection in which it stands by right, such as a community's name; of a person: none.
    """

    value: str | float
    what: str
    only_in: str | None = None

    def spellings(self) -> Iterator[tuple[str, bytes]]:
        """The forms in which it could be found, by name."""
        if isinstance(self.value, float):
            yield "double", struct.pack("<d", self.value)
        plain = str(self.value).encode()
        yield "plain", plain
        yield "JSON-escaped", json.dumps(self.value)[1:-1].encode() if isinstance(self.value, str) else plain
        for lead in range(3):
            yield "base64", _inside_base64(plain, lead)
            yield "base64url", _inside_base64(plain, lead).translate(bytes.maketrans(b"+/", b"-_"))
        yield "hex", plain.hex().encode()
        yield "hex", plain.hex().upper().encode()
        yield "percent-encoded", quote(plain, safe="").encode()
        yield "percent-encoded", quote(plain, safe="").lower().encode()

    def may_stand_in(self, text: Text) -> bool:
        return text.place == "collection" and text.name == self.only_in


def _inside_base64(plain: bytes, lead: int) -> bytes:
    """What base64 makes of a text that stands after `lead` other bytes: without what depends on its neighbours."""
    encoded = base64.b64encode(b"\0" * lead + plain)
    return encoded[-(-lead * 8 // 6) : (lead + len(plain)) * 8 // 6]


@dataclass(frozen=True)
class Text:
    """Something that left the vault.

    Attributes:
        place: one of `PLACES`.
        name: which one: a topic, a service, a collection.
    """

    place: str
    name: str
    content: bytes


START = 8
"""Bytes by which a spelling is looked up; none is shorter, since a coordinate in binary has as many."""


def leaks(texts: Sequence[Text], canaries: Sequence[Canary]) -> list[str]:
    """Where a canary stands: place, name, what it stands for and its spelling; never the value."""
    spellings = defaultdict(list)
    for canary in canaries:
        for form, spelled in canary.spellings():
            spellings[spelled[:START]].append((canary, form, spelled))
    found: dict[str, None] = {}
    for text in texts:
        for at in range(len(text.content) - START + 1):
            for canary, form, spelled in spellings.get(text.content[at : at + START], ()):
                if text.content.startswith(spelled, at) and not canary.may_stand_in(text):
                    found[f"{text.place} {text.name}: {canary.what}, {form}"] = None
    return list(found)


@dataclass
class Aviary:
    """Makes canaries, and remembers them all."""

    canaries: list[Canary] = field(default_factory=list)

    def text(self, what: str, only_in: str | None = None) -> str:
        """A name, an address, a free text, or what somebody writes where something else is expected."""
        return self._text(f"{RARE}{secrets.token_hex(8)}", what, only_in)

    def code(self, what: str) -> str:
        """What is written into a header or a path: visible ASCII."""
        return self._text(f"canary-{secrets.token_hex(8)}", what)

    def phone(self, what: str) -> str:
        """A telephone number, of a country that is none."""
        return self._text(f"+999{secrets.randbelow(10**12):012}", what)

    def day(self, what: str, years: Sequence[int]) -> str:
        """A day of birth that nobody else has here."""
        used = {canary.value for canary in self.canaries}
        days = (
            f"{secrets.choice(years)}-{1 + secrets.randbelow(12):02}-{1 + secrets.randbelow(28):02}" for _ in count()
        )
        return self._text(next(day for day in days if day not in used), what)

    def degrees(self, what: str, whole: int) -> float:
        """A coordinate near the middle of a degree, to less than a millimetre."""
        value = float(f"{whole}.5{secrets.randbelow(10**8):08}3")
        self.canaries.append(Canary(value, what))
        return value

    def _text(self, value: str, what: str, only_in: str | None = None) -> str:
        self.canaries.append(Canary(value, what, only_in))
        return value


def written(document: object) -> bytes:
    """A document of the database as text: bytes and numbers as they are."""
    if isinstance(document, Mapping):
        return b"\n".join(written(part) for pair in document.items() for part in pair)
    if isinstance(document, list | tuple):
        return b"\n".join(map(written, document))
    return document if isinstance(document, bytes) else str(document).encode(errors="surrogatepass")

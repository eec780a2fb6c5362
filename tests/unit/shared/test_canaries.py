"""The search for personal data finds it: in each place, in each spelling, and nowhere else."""

from __future__ import annotations

import base64
import json
import secrets
import struct
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from tests.integration.canaries import PLACES, Aviary, Text, leaks, written

WRITTEN: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "JSON-escaped": lambda text: json.dumps({"x": text}).encode(),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64 behind one byte": lambda text: base64.b64encode(b"x" + text.encode() + b"y"),
    "base64 behind two bytes": lambda text: base64.b64encode(b"xy" + text.encode() + b"z"),
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).rstrip(b"="),
    "hex": lambda text: text.encode().hex().encode(),
    "hex in capitals": lambda text: text.encode().hex().upper().encode(),
    "percent-encoded": lambda text: quote(text).encode(),
    "percent-encoded in small letters": lambda text: quote_plus(text).lower().encode(),
}


def clean() -> list[Text]:
    """Every place, with something in it that is nobody's."""
    return [
        Text(place, "seeker-registered", b'{"seeker_id": "skr-%d"}' % number) for number, place in enumerate(PLACES)
    ]


def planted() -> Aviary:
    aviary = Aviary()
    aviary.text("name")
    aviary.text("community", only_in="communities")
    aviary.phone("phone")
    aviary.day("child", range(2016, 2022))
    aviary.code("key")
    aviary.degrees("home", 37)
    return aviary


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("spelled", WRITTEN)
def test_a_leak_is_found_wherever_it_is_and_however_it_is_written(place: str, spelled: str) -> None:
    aviary = planted()
    assert leaks(clean(), aviary.canaries) == []
    for canary in aviary.canaries:
        noise = secrets.token_bytes(40)
        leak = Text(place, "planted", noise + WRITTEN[spelled](str(canary.value)) + noise)
        found = leaks([*clean(), leak], aviary.canaries)
        assert found
        assert {line.rpartition(",")[0] for line in found} == {f"{place} planted: {canary.what}"}
        assert str(canary.value) not in str(found), "the failure itself tells nobody"


def test_an_exact_home_is_found_as_a_number_too() -> None:
    aviary = Aviary()
    home = aviary.degrees("home", 37)
    assert leaks([Text("checkpoint", "0", struct.pack("<3d", 1.0, home, 2.0))], aviary.canaries)
    assert (
        leaks([Text("checkpoint", "0", struct.pack("<3d", 1.0, round(home * 200) / 200, 2.0))], aviary.canaries) == []
    )


def test_what_may_stand_in_one_collection_may_stand_nowhere_else() -> None:
    aviary = Aviary()
    name = aviary.text("a community's name", only_in="communities").encode()
    assert leaks([Text("collection", "communities", name)], aviary.canaries) == []
    for other in (Text("collection", "persons", name), Text("record value", "communities", name)):
        assert leaks([other], aviary.canaries)


def test_a_document_is_searched_to_its_depth() -> None:
    aviary = planted()
    for canary in aviary.canaries:
        document = {"_id": 1, "of": [{"kept": ("x", canary.value)}], "sealed": b"\x00\xff"}
        assert leaks([Text("collection", "requests", written(document))], aviary.canaries)
        assert leaks([Text("collection", "requests", written({str(canary.value): 1}))], aviary.canaries)

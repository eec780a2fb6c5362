"""Promises 4 and 7: what cannot be used is set aside and named, nothing else is, and nothing personal is repeated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mamapost.chaos.evidence import Topics
from mamapost.demo.report import Check


def poison_is_set_aside(topics: Topics, consumers: Mapping[str, frozenset[str]]) -> Check:
    """Every consumer of a topic names each message on it that is no event; of the broker that is there now."""
    check = Check("poison is dead-lettered by each consumer")
    named = {(letter.consumer, letter.spot) for letter in topics.letters}
    for message in topics.messages:
        if message.envelope is not None or message.spot.generation != topics.generations[-1]:
            continue
        for service, consumed in consumers.items():
            if message.spot.topic in consumed:
                check.count += 1
                if (service, message.spot) not in named:
                    check.fail(f"{message.spot} was not set aside by {service}")
    return check


def only_poison_is_set_aside(topics: Topics) -> Check:
    """No dead letter names a message that is a good event, and no service sent one that is none."""
    check = Check("nothing but poison is dead-lettered")
    by_spot = {message.spot: message for message in topics.messages}
    for letter in topics.letters:
        check.count += 1
        message = by_spot.get(letter.spot)
        if message is None or message.envelope is not None:
            check.fail(f"{letter.consumer} set aside {letter.spot}")
    for message in topics.messages:
        check.count += 1
        if message.envelope is None and not message.injected:
            check.fail(f"{message.spot} is no event, and a service sent it")
    return check


def nothing_personal(raw: Mapping[str, Iterable[bytes]], markers: Mapping[str, str]) -> Check:
    """No personal text of the scenario, or of the poison, stands anywhere.

    Args:
        raw: what was read, by where it stood.
        markers: a piece of text that stands in every personal text of its kind, and the kind.
    """
    check = Check("no personal data on topics or in logs")
    forms = [(form, kind) for marker, kind in markers.items() for form in _forms(marker)]
    for where, pieces in raw.items():
        for piece in pieces:
            check.count += 1
            for form, kind in forms:
                if form in piece:
                    check.fail(f"{kind} in {where}")
    return check


def _forms(marker: str) -> set[bytes]:
    """As it is, and as JSON may escape it."""
    return {marker.encode(), marker.encode("ascii", "backslashreplace")}

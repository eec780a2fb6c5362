"""Checks 1 and privacy: what was accepted stands on its topic exactly once, and nothing personal stands anywhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import httpx

from mamapost.demo.reader import Reader
from mamapost.demo.report import Check
from shared.contracts.fields import Event
from shared.contracts.position import Position
from shared.contracts.registry import SeekerRegistered
from shared.kernel.geo import Place, coarse

DERIVED = {
    *("rebate-accrued", "rebate-settled", "ranking-changed", "offer-made", "offer-settled"),
    "payout-confirmed",
}
"""Topics of which no event is the answer to a command: they follow from other events, or from the bank's file."""


class Accepted(Protocol):
    """What a driver noted of an accepted command."""

    @property
    def topic(self) -> str: ...
    @property
    def event_id(self) -> str: ...
    @property
    def position(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Answered:
    """What the demo itself was answered to a command."""

    topic: str
    event_id: str
    position: str

    @classmethod
    def of(cls, answer: httpx.Response) -> Answered:
        """From the answer to a command that must be accepted.

        Raises:
            httpx.HTTPStatusError: it was refused.
        """
        body = answer.raise_for_status().json()
        return cls(body["topic"], body["event_id"], body["position"])


def check_commands(accepted: Iterable[Accepted], reader: Reader) -> list[Check]:
    """Every accepted command has exactly one event, and every event of a command has its command.

    "Exactly one" is one event id for the position that was answered; the same event may be delivered twice (at least
    once), which is counted apart and is harmless, since its id and version are the same.
    """
    has_event = Check("every accepted command has exactly one event")
    by_position: defaultdict[str, set[str]] = defaultdict(set)
    for envelope in reader.events.values():
        by_position[str(Position.of(envelope.event))].add(envelope.id)
    answered: set[str] = set()
    for command in accepted:
        answered.add(command.position)
        has_event.compare(command.position, sorted(by_position[command.position]), [command.event_id])
    has_command = Check("every event has its command or cause")
    for envelope in reader.events.values():
        has_command.count += 1
        if not is_derived(envelope.event) and str(Position.of(envelope.event)) not in answered:
            has_command.fail(f"{Position.of(envelope.event)} was never answered to a command")
    valid = Check("every message is a valid event, no dead letter")
    valid.count = sum(reader.deliveries.values()) + len(reader.undecodable)
    for message in reader.undecodable:
        valid.fail(message)
    for letter in reader.dead_letters:
        valid.fail(letter.decode(errors="replace"))
    return [has_event, has_command, valid]


def is_derived(event: Event) -> bool:
    """Whether an event follows from another one; a placement also ends by itself when its seeker withdraws."""
    return event.topic in DERIVED or getattr(event, "reason", None) == "seeker-withdrawn"


def check_privacy(markers: Mapping[str, str], reader: Reader, log_dir: Path) -> Check:
    """No name, telephone number or address of the scenario stands in any message, dead letter or log.

    Args:
        markers: a piece of text that stands in every personal text of its kind, and the kind.
    """
    check = Check("no personal data on topics or in logs")
    places = [(topic, b"\n".join(messages)) for topic, messages in reader.raw.items()]
    places += [(f"log of {file.stem}", file.read_bytes()) for file in sorted(log_dir.glob("*.log"))]
    for where, content in places:
        check.count += content.count(b"\n") + 1
        for marker, kind in markers.items():
            escaped = marker.encode("ascii", "backslashreplace")
            if marker.encode() in content or escaped in content:
                check.fail(f"{kind} in {where}")
    for envelope in reader.of(SeekerRegistered):
        home = cast("SeekerRegistered", envelope.event).home
        check.compare("published home", (home.lat, home.lon), tuple(coarse(Place(home.lat, home.lon))))
    return check

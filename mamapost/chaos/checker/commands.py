"""Promises 1 to 3: nothing that was accepted is lost, nothing takes effect twice, versions come in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from mamapost.chaos.evidence import Logged, Topics
from mamapost.chaos.history import Answered, Effect, History, Invoked
from mamapost.demo.report import Check
from shared.contracts.position import Position


def accepted_are_logged(history: History, log: Mapping[str, Logged]) -> Check:
    """The event that an answer promised stands in the log of its service."""
    check = Check("every accepted command's event is kept")
    for effect in _promised(history):
        found = log.get(effect.event_id)
        check.compare(effect.position, found and found.position, effect.position)
    return check


def logged_are_published(log: Mapping[str, Logged], topics: Topics) -> Check:
    """Every event that is kept is on its topic, also where the broker was wiped."""
    check = Check("every event kept is on its topic")
    there = {envelope.id for _, envelope in topics.events(topics.generations[-1])}
    for event in log.values():
        check.count += 1
        if event.event_id not in there:
            check.fail(f"{event.position} is kept and not on its topic")
    return check


def repeated_are_answered_alike(history: History) -> Check:
    """A request that was repeated got the same events each time."""
    check = Check("a repeated request does nothing again")
    first: dict[str, tuple[Effect, ...]] = {}
    for answer in history.of(Answered):
        if answer.effects:
            check.compare(f"answer to {answer.key}", answer.effects, first.setdefault(answer.key, answer.effects))
    return check


def kept_have_commands(history: History, log: Mapping[str, Logged]) -> Check:
    """Every event has its command or its cause. A command that never got an answer may have made one."""
    check = Check("every event kept has one command or cause")
    promised = {effect.event_id for effect in _promised(history)}
    unexplained = [event.position for event in log.values() if not event.cause and event.event_id not in promised]
    answered = {answer.key for answer in history.of(Answered)}
    open_ = sum(1 for command in history.of(Invoked) if command.key not in answered)
    check.count = len(log)
    for position in unexplained[open_:]:
        check.fail(f"{position} was made by no command that was answered, and only {open_} were not answered")
    return check


def published_are_kept(log: Mapping[str, Logged], topics: Topics) -> Check:
    """What is on a topic stands in the log word for word: nothing was published and then taken back or made twice."""
    check = Check("every message is an event kept, unchanged")
    for message, envelope in topics.events():
        check.count += 1
        event = log.get(envelope.id)
        if event is None:
            check.fail(f"{Position.of(envelope.event)} at {message.spot} is kept by no service")
        elif (event.position, event.digest) != (str(Position.of(envelope.event)), message.digest):
            check.fail(f"{message.spot} differs from {event.position} as it is kept")
    return check


def versions_are_in_order(topics: Topics) -> Check:
    """The first copy of each version of an entity follows those of the versions before it, in one partition.

    Copies may come again later (at least once); what chaos itself put there is left out.
    """
    check = Check("versions come in order, in one partition")
    last: dict[tuple[str, str, str], int] = {}
    where: dict[tuple[str, str, str], int] = {}
    seen: set[tuple[str, str]] = set()
    for message, envelope in sorted(topics.events(), key=lambda pair: pair[0].spot):
        if message.injected or (message.spot.generation, envelope.id) in seen:
            continue
        seen.add((message.spot.generation, envelope.id))
        event = envelope.event
        entity = (message.spot.generation, event.topic, event.entity_id)
        check.count += 1
        if event.entity_version <= last.get(entity, 0):
            check.fail(f"{Position.of(event)} at {message.spot} follows version {last[entity]}")
        if where.setdefault(entity, message.spot.partition) != message.spot.partition:
            check.fail(f"{Position.of(event)} at {message.spot}: its entity began in partition {where[entity]}")
        last[entity] = max(last.get(entity, 0), event.entity_version)
    return check


def positions_are_unique(topics: Topics) -> Check:
    """One event for each version of an entity."""
    check = Check("one event for each version of an entity")
    by_position: defaultdict[str, set[str]] = defaultdict(set)
    for _, envelope in topics.events():
        by_position[str(Position.of(envelope.event))].add(envelope.id)
    for position, ids in by_position.items():
        check.compare(f"events of {position}", len(ids), 1)
    return check


def _promised(history: History) -> Iterable[Effect]:
    """Each promised event once."""
    return {effect.event_id: effect for answer in history.of(Answered) for effect in answer.effects}.values()

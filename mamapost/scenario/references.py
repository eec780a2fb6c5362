"""Local references in paths and bodies: which there are, and what they stand for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mamapost.scenario.model import REFERENCE, Command


class Unresolved(Exception):
    """A reference to something that was not made.

    Attributes:
        ref: of the command that should have made it.
    """

    def __init__(self, ref: str) -> None:
        super().__init__(f"nothing was made as {ref}")
        self.ref = ref


def references(command: Command) -> Iterator[str]:
    """Refs that a command needs, as often as it names them."""
    yield from REFERENCE.findall(command.path)
    yield from _in_value(command.body)


def _in_value(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if (match := REFERENCE.fullmatch(value)) is not None:
            yield match[1]
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _in_value(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _in_value(inner)


def resolve_path(path: str, ids: Mapping[str, str]) -> str:
    """The path with ids in the place of references.

    Raises:
        Unresolved: one of them was not made.
    """
    return REFERENCE.sub(lambda match: _id_of(match[1], ids), path)


def resolve(value: Any, ids: Mapping[str, str]) -> Any:
    """A body with ids in the place of references; what has none is answered as it is.

    Raises:
        Unresolved: one of them was not made.
    """
    if isinstance(value, str):
        match = REFERENCE.fullmatch(value) if value.startswith("@") else None
        return value if match is None else _id_of(match[1], ids)
    if isinstance(value, Mapping):
        return {name: resolve(inner, ids) for name, inner in value.items()}
    if isinstance(value, list):
        return [resolve(inner, ids) for inner in value]
    return value


def _id_of(ref: str, ids: Mapping[str, str]) -> str:
    try:
        return ids[ref]
    except KeyError:
        raise Unresolved(ref) from None

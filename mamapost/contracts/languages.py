"""Sets of strings as JSON Schema describes them, and whether one holds another: by derivatives of regular expressions.

The derivative of an expression by a character is what must follow that character (Brzozowski 1964). Walking two
expressions in step finds the shortest string that the first takes and the second does not, or proves that there is
none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

STATES_MAX = 20_000
"""Pairs of expressions looked at before giving up; patterns of contracts need some hundreds."""

CODE_MAX = 0x10FFFF


class NotRegular(ValueError):
    """A pattern uses more than literals, classes, groups, alternatives and repetitions; nothing is claimed of it."""


# Expressions are tuples, so that equal ones are equal and states can be counted.
Expression: TypeAlias = tuple[object, ...]
NOTHING: Expression = ("nothing",)
EMPTY: Expression = ("empty",)


def _characters(ranges: list[tuple[int, int]]) -> Expression:
    return ("characters", tuple(sorted(ranges))) if ranges else NOTHING


ANY = _characters([(0, CODE_MAX)])


def _either(*parts: Expression) -> Expression:
    found: set[Expression] = set()
    for part in parts:
        found |= set(part[1]) if part[0] == "either" else {part}  # type: ignore[call-overload]
    found.discard(NOTHING)
    if not found:
        return NOTHING
    return found.pop() if len(found) == 1 else ("either", tuple(sorted(found, key=repr)))


def _then(first: Expression, second: Expression) -> Expression:
    if NOTHING in (first, second):
        return NOTHING
    if first == EMPTY:
        return second
    if second == EMPTY:
        return first
    if first[0] == "then":
        return _then(first[1], _then(first[2], second))  # type: ignore[arg-type]
    return ("then", first, second)


def _repeated(part: Expression, least: int, most: int | None) -> Expression:
    if most == 0 or part == EMPTY:
        return EMPTY
    if (least, most) == (1, 1):
        return part
    return ("repeated", part, least, most)


class _Parser:
    """Reads the body of a pattern, without its anchors."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def read(self) -> Expression:
        found = self._alternatives()
        if self._at < len(self._text):
            raise NotRegular(f"unexpected {self._text[self._at]!r}")
        return found

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        character = self._peek()
        if not character:
            raise NotRegular("the pattern ends too soon")
        self._at += 1
        return character

    def _alternatives(self) -> Expression:
        found = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            found.append(self._sequence())
        return _either(*found)

    def _sequence(self) -> Expression:
        parts = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repetition())
        found = EMPTY
        for part in reversed(parts):
            found = _then(part, found)
        return found

    def _repetition(self) -> Expression:
        part = self._atom()
        while (sign := self._peek()) in ("*", "+", "?", "{") and sign:
            self._at += 1
            if sign == "{":
                least, most = self._counts()
            else:
                least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
            if self._peek() in ("?", "+") and self._peek():
                raise NotRegular("lazy and possessive repetitions are not read")
            part = _repeated(part, least, most)
        return part

    def _counts(self) -> tuple[int, int | None]:
        end = self._text.find("}", self._at)
        first, comma, last = self._text[self._at : end].partition(",")
        self._at = end + 1
        if end < 0 or not first.isdecimal() or (last and not last.isdecimal()):
            raise NotRegular("expected a count, {2} or {2,4}")
        return int(first), (int(last) if last else None) if comma else int(first)

    def _atom(self) -> Expression:
        character = self._next()
        if character == "(":
            if self._peek() == "?":
                if self._text[self._at : self._at + 2] != "?:":
                    raise NotRegular("looking around and naming are not read")
                self._at += 2
            found = self._alternatives()
            if self._next() != ")":
                raise NotRegular("a group is not closed")
            return found
        if character == "[":
            return self._class()
        if character == "\\":
            return _characters([(ord(self._escaped()),) * 2])
        if character in "^$.*+?{":
            raise NotRegular(f"{character} is not read here")
        return _characters([(ord(character),) * 2])

    def _escaped(self) -> str:
        character = self._next()
        if character.isalnum():
            raise NotRegular(f"\\{character} means different things in different languages")
        return character

    def _class(self) -> Expression:
        if self._peek() == "^":
            raise NotRegular("negated classes are not read")
        ranges: list[tuple[int, int]] = []
        while (character := self._next()) != "]":
            first = self._escaped() if character == "\\" else character
            last = first
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] != "]":
                self._at += 1
                character = self._next()
                last = self._escaped() if character == "\\" else character
            if first > last:
                raise NotRegular("a range runs backwards")
            ranges.append((ord(first), ord(last)))
        return _characters(ranges)


def _body(pattern: str) -> Expression:
    """What a pattern matches as a whole: a pattern without anchors is found anywhere in a string."""
    is_start, is_end = pattern.startswith("^"), pattern.endswith("$") and not pattern.endswith("\\$")
    inner = pattern[1 if is_start else 0 : -1 if is_end else None]
    found = _Parser(inner).read()
    if "|" in inner and (is_start or is_end) and _is_split(inner):
        raise NotRegular("an anchor binds to one alternative only")
    anything = _repeated(ANY, 0, None)
    return _then(EMPTY if is_start else anything, _then(found, EMPTY if is_end else anything))


def _is_split(text: str) -> bool:
    """Whether an alternative stands outside all groups."""
    depth, is_escaped, in_class = 0, False, False
    for character in text:
        if is_escaped:
            is_escaped = False
        elif character == "\\":
            is_escaped = True
        elif in_class:
            in_class = character != "]"
        elif character == "[":
            in_class = True
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == "|" and depth == 0:
            return True
    return False


def _takes_empty(part: Expression) -> bool:
    kind = part[0]
    if kind == "then":
        return _takes_empty(part[1]) and _takes_empty(part[2])  # type: ignore[arg-type]
    if kind == "either":
        return any(_takes_empty(option) for option in part[1])  # type: ignore[attr-defined]
    if kind == "repeated":
        return part[2] == 0 or _takes_empty(part[1])  # type: ignore[arg-type]
    return kind == "empty"


def _after(part: Expression, code: int) -> Expression:
    """The derivative: what may follow a character."""
    kind = part[0]
    if kind == "characters":
        return EMPTY if any(first <= code <= last for first, last in part[1]) else NOTHING  # type: ignore[attr-defined]
    if kind == "either":
        return _either(*(_after(option, code) for option in part[1]))  # type: ignore[attr-defined]
    if kind == "then":
        first, second = part[1], part[2]
        found = _then(_after(first, code), second)  # type: ignore[arg-type]
        return _either(found, _after(second, code)) if _takes_empty(first) else found  # type: ignore[arg-type]
    if kind == "repeated":
        again, least, most = part[1], part[2], part[3]
        rest = _repeated(again, max(least - 1, 0), None if most is None else most - 1)  # type: ignore[operator, arg-type]
        return _then(_after(again, code), rest)  # type: ignore[arg-type]
    return NOTHING


def _cuts(part: Expression) -> Iterator[int]:
    """Code points at which an expression begins to treat characters differently."""
    if part[0] == "characters":
        for first, last in part[1]:  # type: ignore[attr-defined]
            yield first
            yield last + 1
    for inner in part[1:]:
        if isinstance(inner, tuple):
            for option in inner if part[0] == "either" else (inner,):
                if option and isinstance(option[0], str):
                    yield from _cuts(option)


@dataclass(frozen=True, slots=True)
class Strings:
    """The strings of a pattern and bounds on the length.

    Attributes:
        pattern: as in JSON Schema, ECMA 262; `None`: any.
        most: longest, in characters; `None`: without limit.
    """

    pattern: str | None = None
    least: int = 0
    most: int | None = None

    def expression(self) -> Expression:
        """Raises `NotRegular` where the pattern is beyond what is read."""
        return _repeated(ANY, 0, None) if self.pattern is None else _body(self.pattern)

    def fits(self, length: int) -> bool:
        """Whether the bounds allow the length."""
        return self.least <= length and (self.most is None or length <= self.most)


class _State(NamedTuple):
    ours: Expression
    theirs: Expression
    length: int


def missing(ours: Strings, theirs: Strings, count: int = 1) -> list[str]:
    """The shortest strings of `ours` that are not in `theirs`, up to `count`; an empty list proves that all are.

    Raises:
        NotRegular: a pattern is beyond what is read, or the two are too large to be walked.
    """
    first, second = ours.expression(), theirs.expression()
    cuts = sorted({0, ord("a"), ord("b"), ord("0"), *_cuts(first), *_cuts(second)} - {CODE_MAX + 1})
    # Readable characters come first, so that a counter-example can be read.
    codes = [
        code for code in sorted(cuts, key=lambda code: (not chr(code).isalnum(), code)) if not 0xD800 <= code < 0xE000
    ]
    # Lengths beyond every bound are alike.
    horizon = max(ours.least, theirs.least, (ours.most or 0) + 1, (theirs.most or 0) + 1)
    found: list[str] = []
    begin = _State(first, second, 0)
    seen, waiting = {begin}, deque([(begin, "")])
    while waiting and len(found) < count:
        state, text = waiting.popleft()
        if (
            _takes_empty(state.ours)
            and ours.fits(len(text))
            and not (_takes_empty(state.theirs) and theirs.fits(len(text)))
        ):
            found.append(text)
        if ours.most is not None and len(text) >= ours.most:
            continue
        for code in codes:
            follow = _after(state.ours, code)
            if follow == NOTHING:
                continue
            next_state = _State(follow, _after(state.theirs, code), min(state.length + 1, horizon))
            if next_state not in seen:
                seen.add(next_state)
                waiting.append((next_state, text + chr(code)))
        if len(seen) > STATES_MAX:
            raise NotRegular("the patterns are too large to be compared")
    return found


def some(ours: Strings, count: int) -> list[str]:
    """The shortest strings of a set, one for each way through its pattern, up to `count`; empty: the set is empty.

    Raises:
        NotRegular: as `missing`.
    """
    return missing(ours, Strings(pattern="^[a-]$", least=1, most=0), count)

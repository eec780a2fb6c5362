"""Structs are made of the models alone, and only of models that msgspec can decode alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, Field

from shared.contracts import fast
from shared.contracts.envelope import encode
from shared.contracts.examples import EXAMPLES
from shared.contracts.fast_structs import WORDS_MAX, EventStruct, Structs, body_of, words_of
from shared.contracts.fields import OPEN, Payload
from shared.contracts.topics import TOPICS


@pytest.mark.parametrize("topic", TOPICS)
def test_a_struct_says_what_its_model_says(topic: str) -> None:
    model = EXAMPLES[topic].event
    struct: Any = fast.struct_of(model)
    assert isinstance(struct, EventStruct)
    for name in ("topic", "major", "source", "entity", "order", "entity_id", "entity_version", "city"):
        assert getattr(struct, name) == getattr(model, name)
    assert struct.type() == model.type()
    assert struct.model is type(model)
    with pytest.raises(AttributeError):
        setattr(struct, "city", "370700")  # noqa: B010  # mypy knows that it cannot be done


def test_an_instant_is_in_utc_and_of_the_plain_type() -> None:
    message = encode(EXAMPLES["shift-completed"])
    event: Any = fast.decode(message.topic, message.key, message.headers, message.value).event
    assert type(event.started_at) is datetime
    assert event.started_at.tzinfo is UTC


def _model(hint: Any, **config: Any) -> type[Payload]:
    """A payload with one field."""
    space: dict[str, Any] = {"__annotations__": {"part": hint}, "__module__": __name__}
    if config:
        space |= {"model_config": config}
    made: type[Payload] = type("Odd", (Payload,), space)
    return made


@pytest.mark.parametrize(
    "hint",
    [
        Annotated[str, OPEN],
        Annotated[str, Field(max_length=4), OPEN],
        Annotated[str, Field(pattern=r"[a-z]"), OPEN],
        Annotated[str, Field(pattern=r"^a|b$"), OPEN],
        Annotated[str, Field(pattern=r"^\d$"), OPEN],
        Annotated[str, Field(pattern=r"^[^a]$"), OPEN],
        Annotated[str, Field(pattern=r"^.$"), OPEN],
        Annotated[str, Field(pattern=r"^é$"), OPEN],
        Annotated[str, Field(pattern=r"^a b$"), OPEN],
        Annotated[str, Field(pattern=r"^a$"), AfterValidator(str.upper), OPEN],
        Annotated[int, Field(multiple_of=5), OPEN],
        Annotated[int, AfterValidator(abs), OPEN],
        Annotated[tuple[int, int], OPEN],
        Annotated[frozenset[int], OPEN],
        Annotated[int | bool, OPEN],
    ],
    ids=str,
)
def test_a_model_that_msgspec_might_decode_otherwise_is_no_model_of_an_event(hint: Any) -> None:
    with pytest.raises(TypeError, match=r"Odd\.part"):
        Structs().of(_model(hint))


def test_so_is_one_with_other_options() -> None:
    for option in ({"extra": "forbid"}, {"str_strip_whitespace": True}, {"allow_inf_nan": True}):
        with pytest.raises(TypeError, match=next(iter(option)).split("_")[0]):
            Structs().of(_model(Annotated[int, OPEN], **option))


def test_patterns_of_few_words_are_their_words() -> None:
    assert words_of(body_of(r"^(a|b[0-2]){1}x$")) == ["ax", "b0x", "b1x", "b2x"]
    assert words_of(body_of(r"^[0-7][0-7]$")) == [f"{n:02o}" for n in range(WORDS_MAX)]
    assert words_of(body_of(r"^[0-7][0-8]$")) is None
    assert words_of(body_of(r"^a?$")) is None
    assert words_of(body_of(r"^a*$")) is None

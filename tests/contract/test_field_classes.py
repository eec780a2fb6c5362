"""Promise 4 at the root: an event that holds a personal field, or one that nobody classed, cannot be defined."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional, Union

import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, computed_field, create_model
from typing_extensions import TypeAliasType, TypedDict

from services.registry.api.views import CommunityView
from services.registry.domain.people import Person
from shared.contracts.envelope import Envelope, encode
from shared.contracts.examples import EXAMPLES
from shared.contracts.fields import NEVER, OPEN, PERSONAL, PSEUDONYMOUS, Event, Payload, PseudonymId, Slug
from shared.contracts.topics import Topic

Name = Annotated[str, PERSONAL]
Renamed = Annotated[Name, Field(max_length=40)]


class Unchecked(BaseModel):
    """A model that is no payload: nobody looked at its fields."""

    phone: Name


class Typed(TypedDict):
    phone: Name


class Named(NamedTuple):
    phone: Name


@dataclass
class Data:
    phone: Name


class Colour(enum.StrEnum):
    RED = "red"


def define(hint: Any, base: type[Payload] = Event) -> None:
    create_model("Defined", __base__=base, __module__=__name__, it=(hint, ...))


@pytest.mark.parametrize("base", [Payload, Event])
@pytest.mark.parametrize(
    "hint",
    [
        Name,
        Renamed,
        Annotated[Name, OPEN],
        Annotated[str, OPEN, PERSONAL],
        Name | None,
        Optional[Name],  # noqa: UP045  # the old spellings are other objects to `typing`
        Union[None, Slug, Name],  # noqa: UP007
        Slug | Name,
        list[Name],
        tuple[Name, ...],
        tuple[Slug, Name],
        Sequence[Name],
        frozenset[Name],
        dict[Slug, Name],
        dict[Name, Slug],
        list[dict[Slug, tuple[Name | None, ...]]],
        Annotated[list[Name], OPEN],
        Annotated[dict[str, list[Name] | None], PSEUDONYMOUS],
    ],
    ids=str,
)
def test_a_personal_field(hint: Any, base: type[Payload]) -> None:
    with pytest.raises(TypeError, match=r"Defined\.it is personal"):
        define(hint, base)


@pytest.mark.parametrize(
    "hint",
    [
        str,
        int | None,
        date,
        AwareDatetime,
        Literal["a"],
        Colour,
        Annotated[str, Field(max_length=3)],
        Slug | str,
        Slug | Literal["other"],
        list[str],
        tuple[Slug, str],
        tuple[Slug | int, ...],
        dict[str, Slug],
        dict[Slug, int],
        list[list[str]],
    ],
    ids=str,
)
def test_a_field_without_class(hint: Any) -> None:
    with pytest.raises(TypeError, match=r"Defined\.it has no field class"):
        define(hint)


@pytest.mark.parametrize(
    "hint",
    [
        Annotated[Unchecked, OPEN],
        Annotated[Typed, OPEN],
        Annotated[Named, OPEN],
        Annotated[Data, OPEN],
        list[Unchecked],
        Annotated[Unchecked | None, OPEN],
        Annotated[Any, OPEN],
        Annotated[object, OPEN],
        Annotated[dict, OPEN],
        Annotated[dict[str, Any], OPEN],
        Annotated[list, OPEN],
        Annotated[TypeAliasType("Alias", Name), OPEN],
        Annotated[NewType("Fresh", str), OPEN],
        TypeAliasType("Alias", Slug),
    ],
    ids=str,
)
def test_a_field_whose_parts_nobody_classed(hint: Any) -> None:
    with pytest.raises(TypeError, match=r"Defined\.it is of a type whose parts have no field class"):
        define(hint)


@pytest.mark.parametrize(
    "hint",
    [
        Slug,
        PseudonymId | None,
        Annotated[int, OPEN],
        Annotated[Colour, OPEN],
        Annotated[datetime | date | None, PSEUDONYMOUS],
        Annotated[list[str], OPEN],
        Annotated[dict[str, int], OPEN],
        list[dict[Slug, tuple[Slug | None, ...]]],
    ],
    ids=str,
)
def test_a_classed_field_is_fine(hint: Any) -> None:
    define(hint)


def test_a_class_of_a_base_is_inherited_with_its_fields() -> None:
    with pytest.raises(TypeError, match=r"Defined\.more has no field class"):
        create_model("Defined", __base__=create_model("Base", __base__=Event, it=(Slug, ...)), more=(str, ...))


def test_a_payload_in_a_payload_is_checked_when_it_is_defined() -> None:
    with pytest.raises(TypeError, match=r"Inner\.phone is personal"):

        class Inner(Payload):
            phone: Name


def test_a_computed_field_is_published_too() -> None:
    with pytest.raises(TypeError, match=r"Computing\.label has no field class"):

        class Computing(Payload):
            it: Slug

            @computed_field  # type: ignore[prop-decorator]
            @property
            def label(self) -> str:
                return self.it


def publish(**fields: Any) -> Topic:
    """A topic whose event has these fields."""
    return Topic(create_model("Defined", __base__=Event, __module__=__name__, **fields), "open", -1, True)


@pytest.mark.parametrize("name", sorted(NEVER))
def test_a_field_named_for_personal_data_stands_on_no_topic_whatever_its_class(name: str) -> None:
    for spelled in (name, f"her_{name}"):
        with pytest.raises(TypeError, match=f"named for personal data: {spelled}"):
            publish(**{spelled: (Slug, ...)})
        part = create_model("Part", __base__=Payload, __module__=__name__, **{spelled: (Slug, ...)})  # type: ignore[call-overload]
        with pytest.raises(TypeError, match=rf"named for personal data: parts\.{spelled}"):
            publish(parts=(tuple[part, ...], ()))


def test_a_published_name_counts_as_the_name_of_its_field() -> None:
    with pytest.raises(TypeError, match="named for personal data: it"):
        publish(it=(Annotated[Slug, Field(alias="phone")], ...))


def test_a_model_made_from_an_event_is_not_published() -> None:
    """A view adds what the event leaves out, such as a name."""
    known = EXAMPLES["community-registered"]
    view = CommunityView(**dict(known.event), name="Wang Family Lane")
    with pytest.raises(TypeError, match="CommunityView is not in the catalogue"):
        encode(Envelope(known.id, known.time, view))


def test_what_the_registry_knows_of_a_person_is_on_the_list() -> None:
    known = {field.name for field in fields(Person)} - {"home"}
    assert known <= NEVER, "an exact home stands in the person, a rounded one on the event; the rest never leaves"


def test_undeclared_fields_are_not_let_through() -> None:
    with pytest.raises(TypeError, match="Open would publish fields that it does not declare"):

        class Open(Payload):
            model_config = ConfigDict(extra="allow")

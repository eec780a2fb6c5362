"""Tokens of some cities only: what a request says of a city is held against its holder's.

Held against are the city in a path, in a query, in a command and in the rows of an upload. A list that names none is
refused, and so is one that cannot be asked for a city, since both would show others. What is named by its id alone is
not looked up: ids are random, and who knows one was told it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, ClassVar

from fastapi import Request

from shared.kernel.errors import Fault
from shared.runtime.auth import Forbidden, Holder


class CityForbidden(Forbidden):
    """The token holds for other cities only, and this is of another one, or of all."""

    code: ClassVar[str] = "city-forbidden"


def hold_to(holder: Holder, cities: Iterable[tuple[str, object]]) -> None:
    """Let pass only what is of the holder's cities.

    Args:
        cities: each with the name of the field that it stands in.

    Raises:
        CityForbidden
    """
    if holder.cities is None:
        return
    wrong = [field for field, city in cities if not isinstance(city, str) or city not in holder.cities]
    if wrong:
        raise CityForbidden("this token holds for other cities", *(Fault(field, _wanted(holder)) for field in wrong))


async def check(request: Request, holder: Holder) -> None:
    """Hold a request to its holder's cities.

    Raises:
        CityForbidden
    """
    if holder.cities is None:
        return
    named = await _named(request)
    if not named and request.method == "GET" and not request.path_params:
        raise CityForbidden("this token holds for some cities, this shows others", Fault("city", _wanted(holder)))
    hold_to(holder, named)


async def _named(request: Request) -> list[tuple[str, object]]:
    """The cities that a request names where its route looks for them."""
    route: Any = request.scope["route"]
    named: list[tuple[str, object]] = []
    if "city" in request.path_params:
        named.append(("city", request.path_params["city"]))
    # Elsewhere a `city` would change nothing, and so be no limit.
    if any(parameter.alias == "city" for parameter in route.dependant.query_params):
        named += [("city", city) for city in request.query_params.getlist("city")]
    if route.body_field is not None:
        try:
            body = await request.json()
        except (json.JSONDecodeError, UnicodeDecodeError):
            body = None  # refused as no JSON, right after this
        if isinstance(body, dict) and "city" in body:
            named.append(("city", body["city"]))
    return named


def _wanted(holder: Holder) -> str:
    return f"one of {', '.join(sorted(holder.cities or ()))}"

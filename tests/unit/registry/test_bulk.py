"""An upload with a row of a city that the token is not for is refused whole, before anything is done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

import orjson
import pytest
from fastapi import Request

from services.registry.api.bulk import run_bulk
from services.registry.api.desk import Desk
from services.registry.api.uploads import NDJSON, SEEKER_COLUMNS
from services.registry.ports import RegistryStore
from services.registry.use_cases.commands import RegisterSeeker
from services.registry.use_cases.rows import Outcome
from shared.runtime.auth import Holder
from shared.runtime.cities import CityForbidden
from tests.unit.registry.city import seeker_body


def _upload(holder: Holder, cities: Sequence[str]) -> Request:
    body = b"\n".join(orjson.dumps(seeker_body(city=city, area=f"{city[:4]}02001")) for city in cities)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", NDJSON.encode())]
    return Request({"type": "http", "headers": headers, "state": {"holder": holder}}, receive)


async def _run(holder: Holder, cities: Sequence[str]) -> None:
    async def unused(_rows: Sequence[RegisterSeeker], _store: RegistryStore, _now: datetime) -> list[Outcome]:
        raise AssertionError("the command was run")

    await run_bulk(
        cast(Desk, None), _upload(holder, cities), "register-seekers", RegisterSeeker, SEEKER_COLUMNS, unused
    )


async def test_every_row_of_another_city_is_named() -> None:
    holder = Holder("yantai", frozenset({"write"}), cities=frozenset({"370600"}))
    with pytest.raises(CityForbidden) as refused:
        await _run(holder, ["370600", "370200", "370600", "110100"])
    assert [(fault.field, fault.expected) for fault in refused.value.faults] == [
        ("rows.2.city", "one of 370600"),
        ("rows.4.city", "one of 370600"),
    ]


@pytest.mark.parametrize("cities", [None, frozenset({"370600", "370200"})])
async def test_rows_of_its_cities_go_on_to_the_command(cities: frozenset[str] | None) -> None:
    with pytest.raises(AttributeError, match="answer"):  # there is no desk here, which is what comes next
        await _run(Holder("both", frozenset({"write"}), cities=cities), ["370600", "370200"])

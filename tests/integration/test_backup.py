"""A backup holds what the databases hold of one city; it comes back whole, once, and only where nothing of it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from mamapost.backup import city as backup
from mamapost.backup.city import CityThere, FileDamaged, NotCovered, ServicesRun, back_up, restore
from services.revenue.store.lines import place_of
from shared.runtime.settings import Settings

HERE, ELSEWHERE = "370600", "441200"
AT = datetime(2026, 3, 9)
Databases = dict[str, dict[str, list[dict[str, Any]]]]
"""Service to collection to documents."""


def of_city(city: str) -> Databases:
    seekers = [f"skr-{city}-{number}" for number in range(1200)]
    return {
        "registry": {
            "seekers": [{"_id": seeker, "city": city} for seeker in seekers],
            "persons": [{"_id": seeker, "ciphertext": b"\x00\xff"} for seeker in seekers],
            "events": [
                {
                    "_id": f"evt-{city}-{number}",
                    "city": city,
                    "published": 7,
                    "feed_round": 3,
                    "at": datetime(2026, 3, 9),
                }
                for number in range(3)
            ],
        },
        "matching": {"hands": [{"_id": seekers[0], "lock": 1}], "owners": [{"_id": f"own-{city}", "city": city}]},
        "revenue": {
            "heads": [{"_id": city, "seq": 5}],
            "entries": [{"_id": f"ent-{city}", "n": place_of(city, 5)}],
            "verifications": [{"_id": city, "findings": 0}],
            "reconciliations": [{"_id": city, "counts": {}}],
        },
    }


SHARED: Databases = {
    "registry": {
        "command_answers": [{"_id": "00", "status": 201}],
        "feed": [{"_id": "rounds", "last": 40, "topics": {"post-opened": 40}}],
        "migrations": [{"_id": "steps", "done": 2}],
    }
}


@pytest.fixture
def client(settings: Settings) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](settings.mongo) as connected:
        yield connected
        drop(connected, settings)


def drop(client: MongoClient[dict[str, Any]], settings: Settings) -> None:
    for name in client.list_database_names():
        if name.startswith(settings.db_prefix):
            client.drop_database(name)


def put(client: MongoClient[dict[str, Any]], settings: Settings, databases: Databases) -> None:
    for service, collections in databases.items():
        for collection, documents in collections.items():
            client[f"{settings.db_prefix}_{service}"][collection].insert_many(documents)


def held(client: MongoClient[dict[str, Any]], settings: Settings) -> Databases:
    found: Databases = {}
    for name in client.list_database_names():
        if name.startswith(settings.db_prefix):
            db = client[name]
            found[name.removeprefix(f"{settings.db_prefix}_")] = {
                collection: list(db[collection].find().sort("_id", 1))
                for collection in db.list_collection_names()
                if db[collection].find_one() is not None
            }
    return found


@pytest.fixture
def file(client: MongoClient[dict[str, Any]], settings: Settings, tmp_path: Path) -> Path:
    """A backup of the one city, taken while there was another; the databases are gone since."""
    for databases in (of_city(HERE), of_city(ELSEWHERE), SHARED):
        put(client, settings, databases)
    taken = back_up(settings, HERE, tmp_path / "city.backup")
    assert taken.documents["registry", "persons"] == 1200
    assert taken.documents.total() == 2 * 1200 + 3 + 1 + 2 + 1
    drop(client, settings)
    return tmp_path / "city.backup"


def expected() -> Databases:
    here = of_city(HERE)
    here["registry"]["events"] = [{**event, "published": 0} for event in here["registry"]["events"]]
    here["registry"]["seekers"].sort(key=lambda seeker: str(seeker["_id"]))
    here["registry"]["persons"].sort(key=lambda person: str(person["_id"]))
    for service, notes in (("matching", "owners"), ("revenue", "verifications"), ("revenue", "reconciliations")):
        del here[service][notes]
    here["registry"]["command_answers"] = SHARED["registry"]["command_answers"]
    here["registry"]["feed"] = SHARED["registry"]["feed"]
    return here


def test_a_city_comes_back_whole_and_nothing_else(
    client: MongoClient[dict[str, Any]], settings: Settings, file: Path
) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    restore(settings, file)
    assert held(client, settings) == expected()
    # A second time changes nothing.
    restore(settings, file)
    assert held(client, settings) == expected()


def test_a_city_comes_back_beside_another_that_has_gone_on(
    client: MongoClient[dict[str, Any]], settings: Settings, file: Path
) -> None:
    put(client, settings, of_city(ELSEWHERE))
    later = {"_id": "rounds", "last": 90, "topics": {"post-opened": 80}}
    put(client, settings, {"registry": {"feed": [later], "migrations": [{"_id": "steps", "done": 5}]}})
    restore(settings, file)
    registry = held(client, settings)["registry"]
    assert registry["feed"] == [later]
    assert registry["migrations"] == [{"_id": "steps", "done": 2}], "steps that the city has not seen come again"
    assert len(registry["seekers"]) == 2 * 1200
    assert [event["published"] for event in registry["events"] if event["city"] == ELSEWHERE] == [7] * 3


def test_what_was_broken_off_goes_on(
    client: MongoClient[dict[str, Any]], settings: Settings, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = backup._batches
    passes = 0

    def breaking(path: Path) -> Iterator[Any]:
        nonlocal passes
        passes += 1
        for number, batch in enumerate(lines(path)):
            if passes == 2 and number == 3:  # the first pass only looks
                raise OSError("the disk is gone")
            yield batch

    monkeypatch.setattr(backup, "_batches", breaking)
    with pytest.raises(OSError, match="the disk is gone"):
        restore(settings, file)
    assert 0 < sum(len(documents) for documents in held(client, settings).get("registry", {}).values()) < 2400
    restore(settings, file)
    assert held(client, settings) == expected()


@pytest.mark.parametrize(
    ("service", "collection", "document"),
    [
        ("registry", "seekers", {"_id": "skr-another", "city": HERE}),
        ("registry", "seekers", {"_id": f"skr-{HERE}-7", "city": HERE, "version": 2}),
        ("revenue", "heads", {"_id": HERE, "seq": 6}),
        ("revenue", "entries", {"_id": "ent-another", "n": place_of(HERE, 6)}),
    ],
)
def test_a_city_that_is_there_is_not_touched(
    client: MongoClient[dict[str, Any]],
    settings: Settings,
    file: Path,
    service: str,
    collection: str,
    document: dict[str, Any],
) -> None:
    put(client, settings, {service: {collection: [document]}})
    with pytest.raises(CityThere):
        restore(settings, file)
    assert held(client, settings) == {service: {collection: [document]}}


def test_nothing_is_restored_under_a_running_service(
    client: MongoClient[dict[str, Any]], settings: Settings, file: Path
) -> None:
    lease = {"_id": "lease", "owner": "one", "until": datetime.now(UTC) + timedelta(seconds=60)}
    put(client, settings, {"training": {"relay": [lease]}})
    with pytest.raises(ServicesRun, match="training"):
        restore(settings, file)


@pytest.mark.parametrize("harm", ["cut", "changed", "none"])
def test_a_damaged_file_is_refused_before_anything_is_written(
    client: MongoClient[dict[str, Any]], settings: Settings, file: Path, harm: str
) -> None:
    content = file.read_bytes()
    half = len(content) // 2
    harmed = {"cut": content[:half], "changed": content[:half] + b"\x00\x00\x00" + content[half + 3 :], "none": b""}
    file.write_bytes(harmed[harm])
    with pytest.raises(FileDamaged):
        restore(settings, file)
    assert held(client, settings) == {}


def test_what_belongs_to_no_city_is_told(
    client: MongoClient[dict[str, Any]], settings: Settings, tmp_path: Path
) -> None:
    put(client, settings, {"training": {"new": [{"_id": 1}]}})
    with pytest.raises(NotCovered, match="training"):
        back_up(settings, HERE, tmp_path / "none")
    assert not (tmp_path / "none").exists()

"""Figures of the programme, counted by MongoDB: the same as counted in Python from the same documents."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import pytest

from services.registry.store import STEPS
from services.registry.store import MongoFigures as RegistryFigures
from services.revenue.store import MongoFigures as RevenueFigures
from services.revenue.store.figures import COMMUNITIES_SHOWN
from shared.runtime.figures import Figure
from shared.runtime.migrations import Migrations
from shared.runtime.mongo import Document, Mongo

NOW = datetime(2026, 3, 9, 8, tzinfo=UTC)
CITIES = ("370600", "370700")
KINDS = ("elastic", "team", "mobile", "new-form")
ORDINARY_FEN = 3_000


def found(figures: list[Figure], name: str) -> dict[tuple[str, ...], tuple[int, int | None]]:
    return {figure.labels: (figure.value, figure.behind) for figure in figures if figure.name == name}


@pytest.fixture
def dice() -> random.Random:
    return random.Random(20251)


async def test_the_registry_counts_women_posts_placements_and_minutes(mongo: Mongo, dice: random.Random) -> None:
    await Migrations(mongo.db, STEPS).run()
    seekers: list[Document] = [{"_id": f"s{n}", "city": dice.choice(CITIES)} for n in range(40)]
    posts: list[Document] = [
        {
            "_id": f"p{n}",
            "city": dice.choice(CITIES),
            "kind": dice.choice(KINDS),
            "pay": {"expected_hourly_fen": dice.randrange(1_800, 3_600)},
            **dice.choice([{}, {"closed": "filled"}, {"closes_at": NOW - timedelta(minutes=1)}]),
            **dice.choice([{}, {"closes_at": NOW + timedelta(minutes=1)}]),
        }
        for n in range(60)
    ]
    placements: list[Document] = [
        {"_id": f"m{n}", "city": dice.choice(CITIES), "seeker_id": f"s{dice.randrange(20)}", "post_id": f"p{n}"}
        for n in range(50)
    ]
    shifts: list[Document] = [
        {
            "_id": f"h{n}",
            "city": dice.choice(CITIES),
            "seeker_id": f"s{dice.randrange(20)}",
            "month": dice.choice(["2026-03", "2026-02", "2026-01"]),
            "placement_id": f"m{n}",
            "started_at": NOW,
            "minutes": dice.choice([0, 90, 150]),
        }
        for n in range(80)
    ]
    for name, rows in {"seekers": seekers, "posts": posts, "placements": placements, "shifts": shifts}.items():
        await mongo.db[name].insert_many(rows)
    figures = await RegistryFigures(mongo.db, ORDINARY_FEN).read(NOW)

    women = Counter(row["city"] for row in seekers)
    assert found(figures, "women_registered") == {(city,): (n, n) for city, n in women.items()}

    persons: dict[str, set[str]] = defaultdict(set)
    for row in placements:
        persons[row["city"]].add(row["seeker_id"])
    times = Counter(row["city"] for row in placements)
    assert found(figures, "placed_persons") == {(c,): (len(held), len(held)) for c, held in persons.items()}
    assert found(figures, "placed_participations") == {(c,): (times[c], len(held)) for c, held in persons.items()}

    counted: Counter[tuple[str, ...]] = Counter()
    pay: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for row in posts:
        is_open = "closed" not in row and ("closes_at" not in row or row["closes_at"] > NOW)
        counted[row["city"], row["kind"], "open" if is_open else "closed"] += 1
        if is_open:
            pay[row["city"], row["kind"]].append(row["pay"]["expected_hourly_fen"])
    means = {key: sum(held) // len(held) for key, held in pay.items()}
    assert found(figures, "posts") == {key: (n, None) for key, n in counted.items()}
    assert found(figures, "post_hourly_pay") == {key: (mean, None) for key, mean in means.items()}
    gaps = {key: (10_000 - mean * 10_000 // ORDINARY_FEN, None) for key, mean in means.items()}
    assert found(figures, "pay_gap") == gaps
    assert not found(await RegistryFigures(mongo.db, None).read(NOW), "pay_gap")

    minutes: Counter[tuple[str, ...]] = Counter()
    worked: dict[tuple[str, ...], set[str]] = defaultdict(set)
    named = {"2026-03": "current", "2026-02": "previous"}
    for row in shifts:
        if row["minutes"] and row["month"] in named:
            key = (row["city"], named[row["month"]])
            minutes[key] += row["minutes"]
            worked[key].add(row["seeker_id"])
    assert found(figures, "minutes_worked") == {key: (n, len(worked[key])) for key, n in minutes.items()}


async def test_revenue_sums_up_rebates_books_and_funds(mongo: Mongo, dice: random.Random) -> None:
    books: list[Document] = [
        {
            "_id": f"b{n}",
            "pair": f"p{n}",
            "agreement_id": "agr-1",
            "city": CITIES[n % 2],
            "community_id": f"c{n % (COMMUNITIES_SHOWN + 7)}",
            "month": dice.choice(["2026-03", "2026-02"]),
            "settled": dice.random() < 0.5,
            "sum_fen_e4": dice.randrange(10**8),
            "entries": dice.randrange(1, 20),
        }
        for n in range(2 * (COMMUNITIES_SHOWN + 7))
    ]
    await mongo.db["books"].insert_many(books)
    await mongo.db["funds"].insert_many(
        [{"_id": f"c{n}", "city": CITIES[0], "income_fen": 700 + n, "spent_fen": 30 * n} for n in range(5)]
    )
    figures = await RevenueFigures(mongo.db).read(NOW)

    states: Counter[tuple[str, str]] = Counter()
    amounts: Counter[tuple[str, str]] = Counter()
    for row in books:
        state = "settled" if row["settled"] else "due" if row["month"] < "2026-03" else "open"
        states[row["city"], state] += 1
        amounts[row["city"], row["community_id"]] += row["sum_fen_e4"]
    expected = {(city, state): (states[city, state], None) for city in CITIES for state in ("open", "due", "settled")}
    assert found(figures, "books") == expected

    shown = {key: value for key, (value, _) in found(figures, "rebates").items()}
    own = {key: value for key, value in shown.items() if key[1] != "other"}
    assert own == dict(sorted(amounts.items(), key=lambda item: -item[1])[:COMMUNITIES_SHOWN])
    for city in CITIES:
        in_city = sum(value for key, value in amounts.items() if key[0] == city)
        assert sum(value for key, value in shown.items() if key[0] == city) == in_city
    assert found(figures, "funds") == {(CITIES[0], "income"): (3_510, None), (CITIES[0], "spent"): (300, None)}

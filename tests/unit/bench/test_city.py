"""The city of the benchmark: the same for a seed, as large as asked, and drawn as the scenario of Yantai draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.matching.city import CENTRE, COMMUTES_KM, PLACED_PERCENT, Generator
from bench.matching.geometry import coarse, metres, vectors_of
from bench.matching.mix import PER_THOUSAND, Change, Mix
from bench.matching.pairs import Columns
from bench.matching.patterns import FREE, HOURS, mask_of_words, words_of
from bench.matching.play import policy
from mamapost.scenario.yantai.women import KINDS
from shared.kernel import geo
from shared.kernel.week import FULL_WEEK, minutes_of
from tests.unit.bench.small import EVENTS, POSTS, SEEKERS, draw, drawn

LAT, LON = st.floats(18, 53), st.floats(74, 135)


@given(LAT, LON, LAT, LON)
def test_places_are_bit_for_bit_those_of_the_kernel(lat: float, lon: float, lat2: float, lon2: float) -> None:
    lats, lons = np.array([lat, lat2]), np.array([lon, lon2])
    x, y, z = vectors_of(lats, lons)
    one, other = geo.vector_of(geo.Place(lat, lon)), geo.vector_of(geo.Place(lat2, lon2))
    assert [*zip(x.tolist(), y.tolist(), z.tolist(), strict=True)] == [one, other]
    assert coarse(lats).tolist() == [geo.coarse(geo.Place(lat, lon)).lat, geo.coarse(geo.Place(lat2, lon2)).lat]
    [away] = metres(x[:1] - x[1:], y[:1] - y[1:], z[:1] - z[1:]).tolist()
    expected = geo.distance_m(one, other)
    assert away == expected if expected < 250_000 else away > 100_000


@given(st.integers(0, FULL_WEEK))
def test_masks_are_words_and_back(mask: int) -> None:
    assert mask_of_words(words_of(mask)) == mask


def test_tables_of_hours_agree_with_their_masks() -> None:
    for table in (FREE, HOURS):
        assert len(set(table.masks)) == len(table.masks)
        assert table.minutes.tolist() == [minutes_of(mask) for mask in table.masks]
    assert HOURS.masks[0] == 0


def test_a_seed_gives_one_city_and_another_seed_another() -> None:
    one, same, other = draw(11), draw(11), draw(12)
    for name in ("seekers", "posts", "employers", "stations", "placements", "shifts"):
        assert getattr(one.after, name).tobytes() == getattr(same.after, name).tobytes()
    assert one.stream.seekers.tobytes() == same.stream.seekers.tobytes()
    assert one.after.seekers.tobytes() != other.after.seekers.tobytes()


def test_a_city_is_as_large_as_asked_and_no_two_have_one_id() -> None:
    city = drawn().before
    assert city.seekers["alive"].sum() == SEEKERS
    assert city.posts["alive"].sum() == POSTS
    for table in (city.seekers[:SEEKERS], city.posts[:POSTS], city.placements, city.shifts):
        assert len(np.unique(table["key"], axis=0)) == len(table)


def test_women_are_drawn_as_in_the_scenario() -> None:
    seekers = Generator(5, 20_000, 1_000, policy()).city.seekers
    for commute_km, percent in COMMUTES_KM:
        assert (seekers["commute_km"] == commute_km).mean() * 100 == pytest.approx(percent, abs=1.2)
    for place, (_, percent) in enumerate(KINDS[1:], 1):  # who names no kind is taken for the first
        assert (seekers["kinds"] >> place & 1).mean() * 100 == pytest.approx(percent, abs=1.2)
    assert 0.005 < (seekers["eligible_until"] < np.datetime64("2026-03-09")).mean() < 0.02
    assert np.abs(seekers["lat"] - CENTRE[0]).max() < 1


def test_posts_have_a_place_and_hours_or_neither() -> None:
    posts = Generator(5, 6_000, 5_000, policy()).city.posts
    assert (posts["located"] == (posts["hours"] > 0)).all()
    assert (~posts["located"]).mean() == pytest.approx(0.34, abs=0.06)  # as the scenario's trades have it
    assert (posts["min_minutes"] <= HOURS.minutes[posts["hours"]]).all()


def test_placements_match_and_leave_seats() -> None:
    city = drawn().before
    assert len(city.placements) >= SEEKERS * PLACED_PERCENT // 100 // 2
    assert len(np.unique(city.placements["seeker"])) == len(city.placements)
    assert (city.posts["taken"] <= city.posts["seats"]).all()
    placed = city.copy()
    placed.seekers["placed_on"], placed.seekers["busy"] = -1, 0  # as she was before
    matched = Columns(placed, policy()).matched(
        city.placements["seeker"].astype(np.intp), city.placements["post"].astype(np.intp)
    )
    assert matched.all()


def test_larger_cities_are_wider_and_denser() -> None:
    small, large = (Generator(1, seekers, seekers // 10, policy()) for seekers in (12_000, 100_000))
    spans = [np.ptp(one.city.seekers["lat"]) for one in (small, large)]
    assert spans[1] > 1.4 * spans[0]
    density = [12_000 / spans[0] ** 2, 100_000 / spans[1] ** 2]
    assert density[1] > 1.5 * density[0]


def test_the_mix_is_what_it_says() -> None:
    mix = Mix(Generator(2, 12_000, 1_000, policy(), spare=1_000), 12_000, 1_000)
    stream = mix.draw(20_000)
    share = np.bincount(stream.change, minlength=5) / len(stream)
    expected = {
        Change.SHIFT: PER_THOUSAND["shift"],
        Change.SEEKER: PER_THOUSAND["seeker"] + PER_THOUSAND["new-seeker"],
        Change.POST: PER_THOUSAND["post"] + PER_THOUSAND["new-post"],
        Change.WITHDRAWN: PER_THOUSAND["withdrawn"],
        Change.CLOSED: PER_THOUSAND["closed"],
    }
    assert [expected[Change(n)] for n in range(5)] == [700, 200, 90, 7, 3]
    for change, per_thousand in expected.items():
        assert share[change] * 1000 == pytest.approx(per_thousand, abs=11)
    assert abs(int(mix.city.seekers["alive"].sum()) - 12_000) < 60
    assert abs(int(mix.city.posts["alive"].sum()) - 1_000) < 40


def test_versions_rise_by_one_and_the_last_row_is_the_citys() -> None:
    one = drawn()
    sides = (
        (one.before.seekers, one.after.seekers, one.stream.seekers, (Change.SEEKER, Change.WITHDRAWN)),
        (one.before.posts, one.after.posts, one.stream.posts, (Change.POST, Change.CLOSED)),
    )
    for before, after, said, changes in sides:
        version = before["version"].copy()
        for event in np.flatnonzero(np.isin(one.stream.change, changes)).tolist():
            row, told = one.stream.row[event], said[one.stream.place[event]]
            version[row] += 1
            assert told["version"] == version[row]
            assert told["alive"] == (one.stream.change[event] == min(changes))
        assert (version == after["version"]).all()
    assert len(one.stream) == EVENTS


def test_nobody_who_left_changes_again() -> None:
    one = drawn()
    gone: set[tuple[bool, int]] = set()
    for change, row in zip(one.stream.change.tolist(), one.stream.row.tolist(), strict=True):
        if change == Change.SHIFT:
            continue
        side = change in (Change.SEEKER, Change.WITHDRAWN), row
        assert side not in gone
        if change in (Change.WITHDRAWN, Change.CLOSED):
            gone.add(side)
    assert gone


def test_too_many_changes_for_a_city_are_refused() -> None:
    mix = Mix(Generator(2, 600, 60, policy(), spare=0), 600, 60)
    with pytest.raises(ValueError, match="spare"):
        mix.draw(3_000)
    mix = Mix(Generator(2, 600, 60, policy(), spare=10_000), 600, 60)
    with pytest.raises(ValueError, match="small a city"):
        mix.draw(60_000)

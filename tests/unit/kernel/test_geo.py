"""Distances against the textbook formula, and the grid on which homes are published."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.kernel.geo import EARTH_RADIUS_M, GRID_DEG, NEAR, Place, coarse, distance_m, vector_of

places = st.builds(Place, st.floats(-90, 90), st.floats(-180, 180))
# A city and what lies around it: the distances that decide about a commute.
near_yantai = st.builds(Place, st.floats(36.5, 38.5), st.floats(119.5, 122.5))
china = st.builds(Place, st.floats(18, 54), st.floats(73, 135))


def haversine_m(a: Place, b: Place) -> float:
    lat_a, lon_a, lat_b, lon_b = map(math.radians, (*a, *b))
    square = math.sin((lat_b - lat_a) / 2) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(square)))


def between(a: Place, b: Place) -> int:
    return distance_m(vector_of(a), vector_of(b))


@given(near_yantai, near_yantai)
def test_in_a_city_it_is_the_great_circle_within_a_metre(a: Place, b: Place) -> None:
    assert abs(between(a, b) - haversine_m(a, b)) <= 0.51


@given(china, china)
def test_in_the_country_it_is_the_great_circle_within_a_metre(a: Place, b: Place) -> None:
    assert abs(between(a, b) - haversine_m(a, b)) <= 1


@given(places, places)
def test_on_the_earth_it_is_the_great_circle_within_a_metre(a: Place, b: Place) -> None:
    """Antipodes aside, where the haversine itself loses its digits."""
    expected = haversine_m(a, b)
    assume(expected < 19_900_000)
    assert abs(between(a, b) - expected) <= 1


@given(st.floats(-1e-6, 1e-6), near_yantai)
def test_where_the_series_change_nothing_jumps(step: float, a: Place) -> None:
    """The arc sine has two forms, which meet at `NEAR`."""
    degrees = math.degrees(2 * math.asin(NEAR)) + step
    b = Place(a.lat - degrees, a.lon)
    assert abs(between(a, b) - haversine_m(a, b)) <= 0.51


@given(places, places)
def test_it_is_the_same_both_ways(a: Place, b: Place) -> None:
    assert between(a, b) == between(b, a)


@given(places)
def test_here_to_here_is_nothing(a: Place) -> None:
    assert between(a, a) == 0


@given(places, places, places)
def test_a_detour_is_not_shorter(a: Place, b: Place, c: Place) -> None:
    """Each of the three is rounded by up to half a metre."""
    assert between(a, c) <= between(a, b) + between(b, c) + 1.5


@pytest.mark.parametrize(
    ("a", "b", "metres"),
    [
        (Place(90, 0), Place(-90, 0), 20_015_114),  # half of 2 pi R1
        (Place(0, 179.5), Place(0, -179.5), 111_195),  # one degree, over the date line
        (Place(90, 10), Place(90, -100), 0),  # one pole, two longitudes
        (Place(37.5391, 121.3914), Place(37.535, 121.39), 472),  # a station and a home in Yantai
    ],
)
def test_known_distances(a: Place, b: Place, metres: int) -> None:
    assert between(a, b) == metres


@pytest.mark.parametrize(
    "place",
    [
        Place(90.000001, 0),
        Place(-91, 0),
        Place(0, 180.000001),
        Place(0, -181),
        Place(math.nan, 0),
        Place(0, math.nan),
        Place(math.inf, 0),
        Place(0, -math.inf),
    ],
)
def test_what_is_no_place(place: Place) -> None:
    with pytest.raises(ValueError, match=r"latitude.*longitude"):
        vector_of(place)


@given(places)
def test_a_vector_has_length_one(place: Place) -> None:
    x, y, z = vector_of(place)
    assert math.isclose(x * x + y * y + z * z, 1, abs_tol=1e-12)


@given(places)
def test_rounding_again_changes_nothing(place: Place) -> None:
    assert coarse(coarse(place)) == coarse(place)


@given(places)
def test_a_rounded_place_is_on_the_grid_nearby_and_still_on_the_earth(place: Place) -> None:
    rounded = coarse(place)
    for exact, on_grid in zip(place, rounded, strict=True):
        assert abs(exact - on_grid) <= GRID_DEG / 2 + 1e-9
        assert math.isclose(on_grid / GRID_DEG, round(on_grid / GRID_DEG), abs_tol=1e-6)
        assert len(str(abs(on_grid)).partition(".")[2]) <= 3
    vector_of(rounded)


@given(near_yantai, st.floats(-0.0024, 0.0024), st.floats(-0.0024, 0.0024))
def test_neighbours_are_published_alike(place: Place, north: float, east: float) -> None:
    """What is published of a home does not tell it from any other of its cell."""
    centre = coarse(place)
    assert coarse(Place(centre.lat + north, centre.lon + east)) == centre

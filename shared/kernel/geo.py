"""Great-circle distance that is the same integer on every machine.

`math.sin` and friends come from the C library and may differ in the last bit between machines, which could flip a
rank. Here only `+ - * /` and `sqrt` are used, which IEEE 754 rounds exactly, in a fixed order; so the same two places
give the same number of metres everywhere (promise 6).
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius R1 of the Earth (IUGG)."""

_HALF_PI = 1.5707963267948966
_RAD = 0.017453292519943295


class Place(NamedTuple):
    """A point on the Earth, in degrees (WGS 84)."""

    lat: float
    lon: float


class Vector(NamedTuple):
    """The same point as a unit vector; made once per place, so that a distance costs no trigonometry."""

    x: float
    y: float
    z: float


PLACES_KEPT = 1 << 16
"""Places whose vector is kept, 15 MB at most: published homes stand on a grid, of which a city has fewer cells."""


def _sin(a: float) -> float:
    """Taylor series, |a| <= pi; error below 1e-13 there (terms to a**27)."""
    square = a * a
    term = total = a
    for n in range(2, 28, 2):
        term = -term * square / (n * (n + 1))
        total = total + term
    return total


NEAR = 0.02
"""Half chords below this (255 km, any city) need only four terms of the series; the rest is below 1e-16."""


def _asin(x: float) -> float:
    """Series about 0 for x <= 0.5, reflected above it; 0 <= x <= 1."""
    if x < NEAR:
        square = x * x
        return x * (1.0 + square * (1.0 / 6.0 + square * (3.0 / 40.0 + square * (5.0 / 112.0))))
    if x > 0.5:
        return _HALF_PI - 2.0 * _asin(math.sqrt((1.0 - x) / 2.0))
    square = x * x
    power = total = x
    for n in range(1, 24):
        power = power * square * (2 * n - 1) / (2 * n)
        total = total + power / (2 * n + 1)
    return total


@functools.lru_cache(PLACES_KEPT)
def vector_of(place: Place) -> Vector:
    """Unit vector of a place.

    Raises:
        ValueError: latitude or longitude out of range or not finite.
    """
    if not (-90.0 <= place.lat <= 90.0 and -180.0 <= place.lon <= 180.0):
        raise ValueError("expected latitude -90..90 and longitude -180..180")
    lat, lon = place.lat * _RAD, place.lon * _RAD
    cos_lat = _sin(_HALF_PI - abs(lat))
    cos_lon = _sin(_HALF_PI - abs(lon))
    return Vector(cos_lat * cos_lon, cos_lat * _sin(lon), _sin(lat))


def distance_m(a: Vector, b: Vector) -> int:
    """Great-circle distance in whole metres, rounded half up (chord formula)."""
    dx, dy, dz = a.x - b.x, a.y - b.y, a.z - b.z
    half_chord = math.sqrt(dx * dx + dy * dy + dz * dz) / 2.0
    return int(2.0 * EARTH_RADIUS_M * _asin(min(half_chord, 1.0)) + 0.5)


GRID_DEG = 0.005
"""Published homes are rounded to this grid, about 500 m, so that no topic shows where a woman lives (promise 4)."""


def coarse(place: Place) -> Place:
    """A place rounded to the published grid, with the digits that the grid has."""
    return Place(round(round(place.lat / GRID_DEG) * GRID_DEG, 3), round(round(place.lon / GRID_DEG) * GRID_DEG, 3))

"""Places as unit vectors, whole columns at once; bit for bit what `shared.kernel.geo` gives one by one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shared.kernel.geo import EARTH_RADIUS_M, GRID_DEG, NEAR

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_HALF_PI = 1.5707963267948966
_RAD = 0.017453292519943295

KM_PER_DEG = 111.195


def _sin(a: Floats) -> Floats:
    square = a * a
    term = total = a
    for n in range(2, 28, 2):
        term = -term * square / (n * (n + 1))
        total = total + term
    return total


def vectors_of(lat: Floats, lon: Floats) -> tuple[Floats, Floats, Floats]:
    """x, y and z of places in degrees."""
    a, b = lat * _RAD, lon * _RAD
    cos_lat = _sin(_HALF_PI - np.abs(a))
    cos_lon = _sin(_HALF_PI - np.abs(b))
    return cos_lat * cos_lon, cos_lat * _sin(b), _sin(a)


def coarse(degrees: Floats) -> Floats:
    """Degrees on the published grid."""
    rounded: Floats = np.round(np.round(degrees / GRID_DEG) * GRID_DEG, 3)
    return rounded


def metres(dx: Floats, dy: Floats, dz: Floats) -> Ints:
    """Great-circle metres of chords; beyond 255 km a number that is too large for any commute, but not the distance."""
    half = np.sqrt(dx * dx + dy * dy + dz * dz) / 2.0
    square = half * half
    arc = half * (1.0 + square * (1.0 / 6.0 + square * (3.0 / 40.0 + square * (5.0 / 112.0))))
    return np.where(half < NEAR, 2.0 * EARTH_RADIUS_M * arc + 0.5, 1e9).astype(np.int64)

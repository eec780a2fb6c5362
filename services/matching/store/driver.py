"""What the stores of matching need of the driver: collections that exist, and errors that the service can tell of."""

from __future__ import annotations

from pymongo.errors import PyMongoError

from shared.runtime.mongo import is_unavailable, unavailable

NAMESPACE_EXISTS = 48
"""MongoDB's error code: the collection is there already."""

READ_BATCH = 5_000
"""Documents of one network batch while loading: about 3 MB."""


def told(error: PyMongoError) -> Exception:
    """The form in which the service tells of a driver's error."""
    return unavailable(error) if is_unavailable(error) else error

"""What the stores of matching need of the driver: collections that exist, and errors that the service can tell of."""

from __future__ import annotations

from collections.abc import Sequence

from pymongo.errors import CollectionInvalid, OperationFailure, PyMongoError

from shared.runtime.mongo import Mongo, is_unavailable, unavailable

NAMESPACE_EXISTS = 48
"""MongoDB's error code: the collection is there already."""

READ_BATCH = 5_000
"""Documents of one network batch while loading: about 3 MB."""


async def ensure_collections(mongo: Mongo, names: Sequence[str]) -> None:
    """Create the collections that are missing, since a transaction should not have to. Raises `StoreUnavailable`."""
    try:
        existing = set(await mongo.db.list_collection_names())
        for name in names:
            if name not in existing:
                await _create(mongo, name)
    except PyMongoError as error:
        raise told(error) from error


async def _create(mongo: Mongo, name: str) -> None:
    try:
        await mongo.db.create_collection(name)
    except CollectionInvalid:
        return  # another instance was faster
    except OperationFailure as error:
        if error.code != NAMESPACE_EXISTS:
            raise


def told(error: PyMongoError) -> Exception:
    """The form in which the service tells of a driver's error."""
    return unavailable(error) if is_unavailable(error) else error

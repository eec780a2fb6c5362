"""`mamapost backup` and `mamapost restore`: everything that the four databases hold of one city, at one moment.

The file is a gzip of BSON documents: a head, one `{service, collection, document}` for each document, and an end that
holds their number and digest. What was sealed in the database stays sealed: without the master key it tells nothing.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import groupby, islice
from pathlib import Path
from typing import IO, Any, ClassVar, Final, NamedTuple, cast

import bson
from bson.codec_options import CodecOptions
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.database import Database

from deploy.local.fleet import SERVICES
from services.revenue.store.lines import SEQ_MAX, until
from shared.runtime.settings import Settings

Key = tuple[str, str]
"""Service and collection."""

FORMAT: Final = 1
BATCH: Final = 500
"""Documents that are looked up and inserted at once; the largest kind, events, takes about 2 kB each."""

NOT_TAKEN: Final = frozenset({"relay", "feed", "migrations", "owners", "identity", "verifications", "reconciliations"})
"""What a service notes of its own work. Of `feed` and `migrations` the counters are taken, in the head."""

ANSWERS: Final = "command_answers"
"""They name no city, so all are taken: a command that is repeated after a restoration has one effect still."""

NAMED_BY: Final[dict[Key, tuple[str, str, str]]] = {
    ("registry", "persons"): ("registry", "seekers", "_id"),
    ("matching", "hands"): ("registry", "seekers", "_id"),
    ("revenue", "receipts"): ("revenue", "spendings", "receipt_hash"),
}
"""Collections whose documents have no city: their ids are what a field of the city's documents elsewhere holds."""

PLACED: Final[dict[Key, Callable[[str], dict[str, Any]]]] = {
    ("revenue", "heads"): lambda city: {"_id": city},
    ("revenue", "told"): lambda city: {"_id": city},
    ("revenue", "entries"): lambda city: {"n": until(city, SEQ_MAX)},
    ("revenue", "blocks"): lambda city: {"_id": until(city, SEQ_MAX)},
}
"""How a city's documents are asked for where they have no field `city`."""

_RAW: Final[CodecOptions[RawBSONDocument]] = CodecOptions(document_class=RawBSONDocument)
Client = MongoClient[RawBSONDocument]


class BackupError(Exception):
    """Root of this module's errors; the message is for the person at the terminal."""

    code: ClassVar[str] = "backup"
    retryable: ClassVar[bool] = False


class NotCovered(BackupError):
    """A collection holds documents of which nothing says which city they belong to; a defect."""

    code = "backup-not-covered"


class FileDamaged(BackupError):
    """The file is no backup, or not all of one."""

    code = "backup-damaged"


class ServicesRun(BackupError):
    """A service publishes from the databases that are to be restored."""

    code = "backup-services-run"
    retryable = True


class CityThere(BackupError):
    """The databases hold something of the city that is not in the file; nothing was written."""

    code = "backup-city-there"


class Done(NamedTuple):
    """What was taken or brought back: documents by service and collection, of which city, as of when."""

    city: str
    at: datetime
    documents: Counter[Key]


def back_up(settings: Settings, city: str, file: Path) -> Done:
    """Write a city's documents to a file, while the services go on. The file is there whole or not at all.

    Raises:
        NotCovered: a collection holds what cannot be told by city.
        OSError, PyMongoError: the file or the database; a read that takes longer than MongoDB keeps a moment is one.
    """
    part = file.with_name(file.name + ".part")
    with _client(settings) as client, client.start_session(snapshot=True) as session:
        head = _head(client, settings, session, city)
        counts: Counter[Key] = Counter()
        digest = hashlib.sha256()
        # For its owner only: pseudonyms and earnings stand in it in the clear.
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as raw:
            with gzip.GzipFile(fileobj=raw, mode="wb") as out:
                out.write(bson.encode(head))
                for (service, collection), document in _documents(client, settings, session, city):
                    line = bson.encode({"service": service, "collection": collection, "document": document})
                    digest.update(line)
                    out.write(line)
                    counts[service, collection] += 1
                out.write(bson.encode({"documents": counts.total(), "sha256": digest.hexdigest()}))
            raw.flush()
            os.fsync(raw.fileno())
    part.replace(file)
    return Done(city, head["at"], counts)


def restore(settings: Settings, file: Path) -> Done:
    """Bring a city back, into databases that hold nothing of it; broken off, it goes on when it is called again.

    The services must not run. Events are unpublished again, so that they refill the broker once they do.

    Raises:
        FileDamaged: the file is not a whole backup.
        CityThere: something of the city is there that is not in the file.
        ServicesRun: they do.
        OSError, PyMongoError
    """
    with _client(settings) as client:
        head, counts, missing = _inspect(client, settings, file)
        for (service, collection), documents in _batches(file):
            wanted = missing.get((service, collection), set())
            if fresh := [document for document in documents if document["_id"] in wanted]:
                _db(client, settings, service)[collection].insert_many(fresh, ordered=False)
        for service, feed in head["feeds"].items():
            # Rounds go on after the last one of before, so that every cursor keeps its place.
            newest = {f"topics.{topic}": number for topic, number in feed.get("topics", {}).items()}
            _db(client, settings, service)["feed"].update_one(
                {"_id": "rounds"}, {"$max": {"last": feed["last"], **newest}}, upsert=True
            )
        for service, done in head["steps"].items():
            # Steps that the documents have not seen are taken again when the service starts.
            _db(client, settings, service)["migrations"].update_one({"_id": "steps"}, {"$min": {"done": done}})
    return Done(head["city"], head["at"], counts)


def _client(settings: Settings) -> Client:
    return MongoClient(settings.mongo, appname="mamapost-backup", document_class=RawBSONDocument)


def _db(client: Client, settings: Settings, service: str) -> Database[RawBSONDocument]:
    name = f"{settings.db_prefix}_{service}"
    return client.get_database(name, codec_options=_RAW, write_concern=WriteConcern("majority", j=True))


def _head(client: Client, settings: Settings, session: ClientSession, city: str) -> dict[str, Any]:
    feeds, steps = {}, {}
    for service in SERVICES:
        db = _db(client, settings, service)
        if (feed := db["feed"].find_one({"_id": "rounds"}, session=session)) is not None:
            feeds[service] = bson.decode(feed.raw)
        if (taken := db["migrations"].find_one({"_id": "steps"}, session=session)) is not None:
            steps[service] = taken["done"]
    return {"format": FORMAT, "city": city, "at": datetime.now(UTC), "feeds": feeds, "steps": steps}


def _documents(
    client: Client, settings: Settings, session: ClientSession, city: str
) -> Iterator[tuple[Key, RawBSONDocument]]:
    for service in SERVICES:
        db = _db(client, settings, service)
        for collection in sorted(set(db.list_collection_names()) - NOT_TAKEN):
            for wanted in _wanted(client, settings, session, (service, collection), city):
                for document in db[collection].find(wanted, session=session):
                    yield (service, collection), document


def _wanted(
    client: Client, settings: Settings, session: ClientSession, key: Key, city: str
) -> Iterator[dict[str, Any]]:
    """What is asked of a collection for a city's documents."""
    if key in NAMED_BY:
        service, collection, field = NAMED_BY[key]
        naming = _db(client, settings, service)[collection].find({"city": city}, {field: 1}, session=session)
        names = (document[field] for document in naming)
        while batch := list(islice(names, BATCH)):
            yield {"_id": {"$in": batch}}
    elif key[1] == ANSWERS:
        yield {}
    else:
        without = {"city": {"$exists": False}}
        if key not in PLACED and _db(client, settings, key[0])[key[1]].find_one(without, session=session) is not None:
            raise NotCovered(f"{'.'.join(key)} holds documents without a city")
        yield _of_city(key, city)


def _of_city(key: Key, city: str) -> dict[str, Any]:
    return PLACED[key](city) if key in PLACED else {"city": city}


def _lines(file: Path) -> Iterator[Any]:
    """Head, documents, end; whole and unchanged when the last one has come.

    Raises:
        FileDamaged
    """
    number, digest = 0, hashlib.sha256()
    try:
        with gzip.open(file) as stream:
            lines = bson.decode_file_iter(cast(IO[bytes], stream), _RAW)
            head = next(lines, None)
            if head is None or head.get("format") != FORMAT:
                raise FileDamaged(f"{file} is no backup of format {FORMAT}")
            yield bson.decode(head.raw)
            for line in lines:
                if "sha256" in line:
                    if (line["documents"], line["sha256"]) == (number, digest.hexdigest()):
                        return
                    raise FileDamaged(f"{file} was changed: its digest is another one")
                number += 1
                digest.update(line.raw)
                yield line
    except (EOFError, gzip.BadGzipFile, BSONError) as error:
        raise FileDamaged(f"{file} is damaged after {number} documents: {error}") from error
    raise FileDamaged(f"{file} ends after {number} documents")


def _batches(file: Path) -> Iterator[tuple[Key, list[RawBSONDocument]]]:
    """Documents as they are to stand, some hundred of one collection at a time."""
    lines = _lines(file)
    next(lines)
    for key, group in groupby(lines, lambda line: (str(line["service"]), str(line["collection"]))):
        documents = (_unpublished(line["document"]) if key[1] == "events" else line["document"] for line in group)
        while batch := list(islice(documents, BATCH)):
            yield key, batch


def _unpublished(event: RawBSONDocument) -> RawBSONDocument:
    return RawBSONDocument(bson.encode({**bson.decode(event.raw), "published": 0}))


def _inspect(
    client: Client, settings: Settings, file: Path
) -> tuple[dict[str, Any], Counter[Key], dict[Key, set[Any]]]:
    """The head, what the file holds, and the ids of what is not there yet. Reads the whole file before any writing."""
    head = next(_lines(file))
    counts: Counter[Key] = Counter()
    there: Counter[Key] = Counter()
    missing: dict[Key, set[Any]] = {}
    for service in SERVICES:
        lease = {"_id": "lease", "until": {"$gt": datetime.now(UTC)}}
        if _db(client, settings, service)["relay"].find_one(lease) is not None:
            raise ServicesRun(f"{service} is running; stop the services first")
    for key, documents in _batches(file):
        ids = [document["_id"] for document in documents]
        standing = _db(client, settings, key[0])[key[1]].find({"_id": {"$in": ids}})
        found = {document["_id"]: document for document in standing}
        if key[1] != ANSWERS and any(
            document.raw != found.get(document["_id"], document).raw for document in documents
        ):
            raise CityThere(f"{'.'.join(key)} holds documents of the file with another content; nothing was written")
        counts[key] += len(ids)
        there[key] += len(found)
        missing.setdefault(key, set()).update(set(ids) - found.keys())
    for service in SERVICES:
        db = _db(client, settings, service)
        for collection in set(db.list_collection_names()) - NOT_TAKEN - {ANSWERS}:
            held = db[collection].count_documents(_of_city((service, collection), head["city"]))
            if held > there[service, collection]:
                raise CityThere(f"{service}.{collection} holds documents of {head['city']}; nothing was written")
    return head, counts, missing

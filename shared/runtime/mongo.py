"""MongoDB through Motor: the connection, and transactions that either happen whole or not at all.

Motor is past its end of life; nothing outside this file and the `store.py` rooms knows it (docs/decisions/0005).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC
from typing import Any, ClassVar, TypeVar

from bson.codec_options import CodecOptions
from motor.motor_asyncio import (
    AsyncIOMotorClient,
    AsyncIOMotorClientSession,
    AsyncIOMotorCollection,
    AsyncIOMotorDatabase,
)
from pymongo import ReadPreference, WriteConcern
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.read_concern import ReadConcern

from shared.kernel.errors import Kind, ServiceError
from shared.runtime.settings import Settings

Document = dict[str, Any]
Client = AsyncIOMotorClient[Document]
Database = AsyncIOMotorDatabase[Document]
Collection = AsyncIOMotorCollection[Document]
Session = AsyncIOMotorClientSession
T = TypeVar("T")

SERVER_SELECTION_TIMEOUT_MS = 3_000
"""How long a command waits for a primary before it answers 503; an election takes about this long."""

SOCKET_TIMEOUT_MS = 20_000
"""A statement that takes longer is lost; the largest (a bulk of 1,000 rows) takes under one second."""

TRANSACTION_ATTEMPTS = 12
"""Conflicts back off from 2 ms, doubled each time to 256 ms: under 2 s in all, then the caller is told to retry."""

POOL_MAX = 50
"""Connections to one server; more requests than this wait, since two cores gain nothing from more."""


class StoreUnavailable(ServiceError):
    """The database did not answer, or a transaction met conflicts until its attempts ran out. Nothing was stored."""

    code: ClassVar[str] = "store-unavailable"
    kind: ClassVar[Kind] = "unavailable"
    retryable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Mongo:
    """A service's connection and its own database."""

    client: Client
    db: Database

    @classmethod
    def connect(cls, settings: Settings, service: str) -> Mongo:
        """A lazy client: nothing is sent before the first use."""
        client: Client = AsyncIOMotorClient(
            settings.mongo,
            appname=f"mamapost-{service}",
            serverSelectionTimeoutMS=SERVER_SELECTION_TIMEOUT_MS,
            socketTimeoutMS=SOCKET_TIMEOUT_MS,
            maxPoolSize=POOL_MAX,
            w="majority",
            journal=True,
        )
        options: CodecOptions[Document] = CodecOptions(document_class=dict, tz_aware=True, tzinfo=UTC)
        return cls(client, client.get_database(f"{settings.db_prefix}_{service}", codec_options=options))

    def close(self) -> None:
        self.client.close()

    async def ping(self) -> None:
        """Raises `StoreUnavailable` when there is no primary."""
        try:
            await self.client.admin.command("ping", read_preference=ReadPreference.PRIMARY)
        except PyMongoError as error:
            raise unavailable(error) from error

    def at_one_moment(self) -> Session:
        """A session, for `async with`, whose reads all see what a majority had at the moment of the first."""
        return self._session(snapshot=True)

    def _session(self, **options: bool) -> Session:
        """Motor's own way would hop to a thread and back, although nothing is sent to the server here."""
        return Session(self.client.delegate.start_session(**options), self.client)

    async def transaction(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Run `work` in one majority transaction and commit it.

        `work` may run several times (write conflicts, elections), so it must do nothing but read and write through the
        session it is given. A duplicate key is not retried: it is the caller's answer.

        Raises:
            StoreUnavailable: no primary, or conflicts until the attempts ran out.
            Whatever `work` raises, after the transaction was aborted.
        """
        for attempt in range(TRANSACTION_ATTEMPTS):
            if attempt:
                await asyncio.sleep(min(0.001 * 2**attempt, 0.256))
            try:
                async with self._session() as session:
                    session.start_transaction(
                        read_concern=ReadConcern("snapshot"),
                        write_concern=WriteConcern("majority", j=True),
                        read_preference=ReadPreference.PRIMARY,
                    )
                    try:
                        result = await work(session)
                    except BaseException:
                        await _abort(session)
                        raise
                    await self._commit(session)
                    return result
            except PyMongoError as error:
                if error.has_error_label("TransientTransactionError"):
                    last = error
                    if isinstance(error, ServerSelectionTimeoutError):
                        raise unavailable(error) from error
                    continue
                if is_unavailable(error):
                    raise unavailable(error) from error
                raise
        raise StoreUnavailable(f"conflicts in {TRANSACTION_ATTEMPTS} attempts") from last

    async def _commit(self, session: Session) -> None:
        """Commit; an unknown result is asked for again, which MongoDB answers without a second effect.

        Where no server is left to ask, the caller is told at once to retry, and the retry finds out.
        """
        for attempt in range(TRANSACTION_ATTEMPTS):
            try:
                await session.commit_transaction()
                return
            except PyMongoError as error:
                unknown = error.has_error_label("UnknownTransactionCommitResult")
                is_gone = isinstance(error, ServerSelectionTimeoutError)
                if not unknown or is_gone or attempt == TRANSACTION_ATTEMPTS - 1:
                    raise
                await asyncio.sleep(min(0.001 * 2**attempt, 0.256))


async def _abort(session: Session) -> None:
    """Abort; where the server cannot be told, it aborts by itself when the session ends."""
    try:
        await session.abort_transaction()
    except PyMongoError:
        return


def unavailable(error: PyMongoError) -> StoreUnavailable:
    """The caller's form of a lost database; the driver's text names hosts, so only its class is told."""
    return StoreUnavailable(f"the database did not answer ({type(error).__name__})")


def is_too_slow(error: BaseException) -> bool:
    """Whether the database gave a read up because it took longer than it may (`maxTimeMS`)."""
    return isinstance(error, ExecutionTimeout)


_SNAPSHOT_GONE = (239, 246)
"""`SnapshotTooOld` and `SnapshotUnavailable`: a long read outlived the moment that it reads; a new one may succeed."""


_CHANGING = frozenset({6, 7, 64, 89, 91, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})
"""What servers answer while another one is elected, or one shuts down: HostUnreachable, HostNotFound,
WriteConcernFailed, NetworkTimeout, ShutdownInProgress, ReadConcernMajorityNotAvailableYet, PrimarySteppedDown,
ExceededTimeLimit, SocketException, NotWritablePrimary, InterruptedAtShutdown, InterruptedDueToReplStateChange,
NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary. The driver raises some of them not as a lost connection but as a write
that no majority acknowledged; it may have been stored all the same."""


_STARTING = "Sessions are not supported"
"""What the driver says, before it sends anything, on a connection that was made to a server that just started."""


def is_unavailable(error: BaseException) -> bool:
    """Whether a driver error means that the database is gone for now, not that the statement was wrong."""
    if isinstance(error, AutoReconnect | NetworkTimeout | ConnectionFailure | ServerSelectionTimeoutError):
        return True
    if isinstance(error, ConfigurationError):
        return _STARTING in str(error)
    if not isinstance(error, OperationFailure):
        return False
    labels = ("TransientTransactionError", "RetryableWriteError")
    return error.code in _CHANGING or error.code in _SNAPSHOT_GONE or any(map(error.has_error_label, labels))

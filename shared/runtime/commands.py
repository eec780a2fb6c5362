"""Commands over HTTP: exactly one effect for one Idempotency-Key, state and answer committed together.

Follows the IETF draft "The Idempotency-Key HTTP Header Field": same key and same input, the first answer; same key and
other input, 422. The input is kept as a keyed hash, since it may hold personal data.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated, Any, ClassVar, TypeVar

import orjson
from fastapi import Header, Request, Response
from prometheus_client import Counter
from pydantic import BaseModel, Field
from pymongo import ASCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from shared.contracts.envelope import Envelope
from shared.contracts.position import Position
from shared.kernel.clock import Clock
from shared.kernel.errors import Fault, Kind, ServiceError
from shared.messaging.events import EventLog
from shared.runtime.mongo import Mongo, Session

KEY_RETENTION = timedelta(days=30)
"""How long an answer is kept: longer than any client keeps retrying, short enough that the collection stays small."""

INDEXES = [IndexModel([("at", ASCENDING)], name="expiry", expireAfterSeconds=int(KEY_RETENTION.total_seconds()))]
"""Of the collection `command_answers`, in every service's first step (`shared.runtime.migrations`)."""

_KEY = re.compile(r"^[\x21-\x7e]{8,128}$")


class IdempotencyKeyMissing(ServiceError):
    """A command came without a usable Idempotency-Key header."""

    code: ClassVar[str] = "idempotency-key-missing"
    kind: ClassVar[Kind] = "invalid"


class IdempotencyKeyReused(ServiceError):
    """The key stands for another input."""

    code: ClassVar[str] = "idempotency-key-reused"
    kind: ClassVar[Kind] = "invalid"


class Accepted(BaseModel):
    """Answer to a command: it is stored, and its event will reach the topic.

    `position` can be given as `after=` to a reader that should have seen this command.
    """

    id: Annotated[str, Field(description="The entity that was made or changed.")]
    version: Annotated[int, Field(description="Its version after the command.")]
    topic: Annotated[str, Field(description="Where the event goes.")]
    event_id: Annotated[str, Field(description="The event's `ce_id`.")]
    position: Annotated[str, Field(description="`topic:entity id:version`")]

    @classmethod
    def of(cls, envelope: Envelope) -> Accepted:
        """The answer that names one event."""
        event = envelope.event
        return cls(
            id=event.entity_id,
            version=event.entity_version,
            topic=event.topic,
            event_id=envelope.id,
            position=str(Position.of(event)),
        )


IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Required. 8 to 128 visible ASCII characters, new for each command, the same for each retry of it.",
    ),
]
"""Declare it as a parameter of each command route, so that it stands in OpenAPI."""


Answer = TypeVar("Answer", bound=BaseModel)


class CommandRunner:
    """Runs commands of one service.

    Args:
        secret: key of the input hashes (32 bytes); the same in all instances of the service.
        outcomes: the service's counter of commands, with the labels `command` and `outcome`.
    """

    def __init__(self, mongo: Mongo, events: EventLog, clock: Clock, secret: bytes, outcomes: Counter) -> None:
        self._mongo = mongo
        self._events = events
        self._clock = clock
        self._secret = secret
        self._outcomes = outcomes
        self._answers = mongo.db["command_answers"]

    async def ensure_indexes(self) -> None:
        await self._answers.create_indexes(INDEXES)

    async def counted(
        self, request: Request, command: str, work: Callable[[Session], Awaitable[Answer]], status: int = 201
    ) -> tuple[Response, Answer | None]:
        """`run`, and count how it ended; the answer is `None` for a repetition, which does nothing anew.

        Args:
            command: the command's name, a label of the counter.
        """
        with self.counting(command) as count:
            response, answer = await self.run(request, work, status)
            count("repeated" if answer is None else "accepted")
        return response, answer

    @contextmanager
    def counting(self, command: str) -> Iterator[Callable[[str], None]]:
        """Count how a command ends: by the code of its error, or as told to the function that is given."""
        try:
            yield lambda outcome: self._outcomes.labels(command, outcome).inc()
        except ServiceError as error:
            self._outcomes.labels(command, error.code).inc()
            raise

    async def run(
        self, request: Request, work: Callable[[Session], Awaitable[Answer]], status: int = 201
    ) -> tuple[Response, Answer | None]:
        """Run a command once and answer it; a repetition gets the first answer, and `None` for what `work` returned.

        Args:
            request: the HTTP request; its key, method, path and body are what "the same command" means.
            work: the use case, given the session of the transaction; may run more than once.

        Raises:
            IdempotencyKeyMissing, IdempotencyKeyReused, StoreUnavailable, and what `work` raises; then nothing is
            stored, and the key may be used again.
        """
        key_hash, fingerprint = await self._named(request)

        async def once(session: Session) -> tuple[int, bytes, Answer | None]:
            known = await self._answers.find_one({"_id": key_hash}, session=session)
            if known is not None:
                return *_first_answer(known, fingerprint), None
            answer = await work(session)
            body = orjson.dumps(answer.model_dump(mode="json", exclude_none=True))
            await self._answers.insert_one(
                {"_id": key_hash, "input": fingerprint, "status": status, "body": body, "at": self._clock()},
                session=session,
            )
            return status, body, answer

        answer: Answer | None
        try:
            answered, body, answer = await self._mongo.transaction(once)
        except DuplicateKeyError:
            known = await self._answers.find_one({"_id": key_hash})
            if known is None:
                raise
            (answered, body), answer = _first_answer(known, fingerprint), None
        self._events.wake()
        return Response(body, status_code=answered, media_type="application/json"), answer

    async def first_answer(self, request: Request) -> Response | None:
        """The answer that this command was given before; `None` for one that has not been answered yet.

        For a command that has to do something before its transaction.

        Raises:
            IdempotencyKeyMissing, IdempotencyKeyReused
        """
        key_hash, fingerprint = await self._named(request)
        known = await self._answers.find_one({"_id": key_hash})
        if known is None:
            return None
        status, body = _first_answer(known, fingerprint)
        return Response(body, status_code=status, media_type="application/json")

    async def name_of(self, request: Request) -> str:
        """What tells this command from others: a keyed hash of its Idempotency-Key.

        Raises:
            IdempotencyKeyMissing
        """
        key_hash, _ = await self._named(request)
        return key_hash

    async def _named(self, request: Request) -> tuple[str, str]:
        """Hashes of a command's key and of its input."""
        key = request.headers.get("idempotency-key", "")
        if not _KEY.match(key):
            raise IdempotencyKeyMissing(
                "a command needs an Idempotency-Key",
                Fault("Idempotency-Key", "8 to 128 visible ASCII characters, new for each command"),
            )
        fingerprint = self._fingerprint(request.method, request.url.path, await request.body())
        return self._fingerprint("key", key, b""), fingerprint

    def _fingerprint(self, method: str, path: str, body: bytes) -> str:
        digest = hmac.new(self._secret, digestmod=hashlib.sha256)
        for part in (method.encode(), path.encode(), body):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
        return digest.hexdigest()


def _first_answer(known: dict[str, Any], fingerprint: str) -> tuple[int, bytes]:
    if not hmac.compare_digest(known["input"], fingerprint):
        raise IdempotencyKeyReused(
            "this Idempotency-Key was used for another command", Fault("Idempotency-Key", "a new key for a new input")
        )
    return known["status"], known["body"]

"""The other instances: who answers for what, and asking them."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

import httpx

from services.matching.errors import OwnerSilent
from services.matching.ports import Owner, Owners

FORWARDED = "x-mamapost-forwarded"
"""Header of a request that another instance has passed on; it is not passed on again."""

PARTITIONS_HEADER = "x-mamapost-partitions"
"""Header of an answer to another instance: the partitions that were owned there when it was made."""

PASSED_ON = frozenset({"authorization", "accept", "accept-encoding", "last-event-id", "if-none-match", "traceparent"})
"""Headers of a request that its answer can depend on."""

GIVEN_BACK = frozenset(
    {
        "content-type",
        "content-encoding",
        "retry-after",
        "www-authenticate",
        "cache-control",
        "etag",
        "x-accel-buffering",
        PARTITIONS_HEADER,
    }
)
"""Headers of an answer that belong to it and not to the connection."""

KNOWN_S = 0.2
"""How long the list of owners is good for: a partition changes hands within about a second."""

CONNECT_S = 0.5
"""Longest wait for a connection to an instance in the same data centre."""

PEERS_MAX = 200
"""Connections to the other instances together, for answers that end."""

STREAMS_MAX = 1_000
"""Connections to the other instances for streams, which stay open: as many as one instance serves."""


class Patience(NamedTuple):
    """How long another instance is waited for, seconds.

    Attributes:
        answer_s: until its answer begins.
        silence_s: between two pieces of it; longer than `answer_s` for a stream.
    """

    answer_s: float
    silence_s: float

    @property
    def is_for_stream(self) -> bool:
        """Whether the answer may go on for hours."""
        return self.silence_s > self.answer_s


@dataclass(frozen=True, slots=True)
class Answer:
    """What another instance answers, as it comes in.

    Attributes:
        body: may go on for long, as a stream of events does.
    """

    status: int
    headers: Mapping[str, str]
    body: AsyncIterator[bytes]


class Peers:
    """Asks other instances.

    Args:
        url: this instance's own, which is never asked.
    """

    def __init__(self, owners: Owners, url: str) -> None:
        self._owners = owners
        self._url = url
        self._known: Sequence[Owner] = ()
        self._known_until_s = 0.0
        # One for both, and only where the instances speak TLS: it reads all authorities' certificates.
        tls = httpx.create_ssl_context(trust_env=False) if url.startswith("https:") else False
        self._client = _client(PEERS_MAX, tls)
        self._streams = _client(STREAMS_MAX, tls)

    async def close(self) -> None:
        await self._client.aclose()
        await self._streams.aclose()

    async def owners(self) -> dict[int, str]:
        """URL of who answers for each partition; those that nobody answers for are left out.

        Raises:
            StoreUnavailable
        """
        if time.monotonic() >= self._known_until_s:
            self._known = await self._owners.all()
            self._known_until_s = time.monotonic() + KNOWN_S
        return {owner.partition: owner.url for owner in self._known}

    def is_me(self, url: str) -> bool:
        """Whether a URL is this instance's own."""
        return url == self._url

    @asynccontextmanager
    async def ask(
        self, url: str, path: str, query: str, headers: Mapping[str, str], patience: Patience
    ) -> AsyncIterator[Answer]:
        """Pass a reading request on to another instance.

        Args:
            query: without its question mark.

        Raises:
            OwnerSilent: it cannot be reached, or does not answer in time.
        """
        given = {"accept-encoding": "identity", FORWARDED: "1"}
        given |= {name: value for name, value in headers.items() if name in PASSED_ON}
        client = self._streams if patience.is_for_stream else self._client
        request = client.build_request(
            "GET",
            f"{url}{path}" + (f"?{query}" if query else ""),
            headers=given,
            timeout=httpx.Timeout(patience.silence_s, connect=CONNECT_S, pool=patience.answer_s),
        )
        try:
            async with asyncio.timeout(patience.answer_s):
                response = await client.send(request, stream=True)
        except (httpx.HTTPError, TimeoutError):
            raise OwnerSilent from None
        try:
            kept = {name: value for name, value in response.headers.items() if name in GIVEN_BACK}
            yield Answer(response.status_code, kept, _pieces(response))
        finally:
            await response.aclose()


def _client(most: int, tls: ssl.SSLContext | bool) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=most)
    return httpx.AsyncClient(limits=limits, verify=tls, trust_env=False, follow_redirects=False)


async def _pieces(response: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in response.aiter_raw():
            yield piece
    except httpx.HTTPError:
        raise OwnerSilent from None

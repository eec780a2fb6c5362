"""The registry over HTTP: the single authority on seats."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import orjson

from services.matching.domain.offers import Offer
from services.matching.errors import RegistryUnavailable
from services.matching.ports import Declined, Placed
from shared.kernel.errors import Fault
from shared.kernel.week import hours_of
from shared.runtime import tracing

END_REASON = "employer"
"""Why the placement of a woman who never came ends: the employer's seat is given on, she did not ask for it."""

DECISIVE = frozenset({404, 409, 422})
"""Statuses with which the registry refuses what was asked; any other error says nothing about it."""

UNDECIDED = frozenset({"idempotency-key-reused", "idempotency-key-missing", "no-such-route"})
"""Codes of those statuses that come of a mistake of ours or of the set-up, and say nothing about a seat."""

DETAIL_MAX = 300
"""Characters of the registry's own words that are passed on."""


class HttpRegistry:
    """Implements `ports.Registry`.

    Args:
        url: base URL of the registry.
        token_file: holds the bearer token, with the scope `write`; `None` where the registry trusts loopback.
        timeout_ms: longest wait for an answer.

    Raises:
        OSError: the token file cannot be read.
    """

    def __init__(
        self,
        url: str,
        token_file: Path | None,
        timeout_ms: int,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        headers = {"Content-Type": "application/json"}
        if token_file is not None:
            headers["Authorization"] = f"Bearer {token_file.read_text(encoding='ascii').strip()}"
        self._http = httpx.AsyncClient(
            base_url=url,
            headers=headers,
            timeout=timeout_ms / 1000,
            trust_env=False,  # a proxy configured for the outside must not see the registry's traffic
            transport=transport,
            verify=url.startswith("https:"),  # else all authorities' certificates are read at each start, for nothing
        )

    async def __aenter__(self) -> HttpRegistry:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def place(self, offer: Offer) -> Placed | Declined:
        """`POST /placements`, with the offer's id as Idempotency-Key.

        Raises:
            RegistryUnavailable
        """
        if offer.terms is None:
            raise ValueError("expected an offer that she has accepted")
        terms = offer.terms
        body: dict[str, Any] = {
            "post_id": offer.post_id,
            "seeker_id": offer.seeker_id,
            "starts_on": terms.starts_on.isoformat(),
        }
        if terms.hours:
            body["hours"] = [{"day": day, "from": start, "to": to} for day, start, to in hours_of(terms.hours)]
        if terms.child_care:
            body["child_care"] = True
        if terms.child_care_station_id is not None:
            body["child_care_station_id"] = terms.child_care_station_id
        if terms.shuttle_id is not None:
            body["shuttle_id"] = terms.shuttle_id
        answer = await self._post("/placements", body, offer.id)
        return answer if isinstance(answer, Declined) else Placed(_placement_id(answer))

    async def release(self, offer: Offer, last_day: date) -> Declined | None:
        """`POST /placements/{id}/end`; one that has ended already needs nothing more.

        Raises:
            RegistryUnavailable
        """
        body = {"reason": END_REASON, "ends_on": last_day.isoformat()}
        answer = await self._post(f"/placements/{offer.placement_id}/end", body, f"{offer.id}-release")
        if isinstance(answer, Declined) and answer.code != "placement-ended":
            return answer
        return None

    async def _post(self, path: str, body: dict[str, Any], key: str) -> dict[str, Any] | Declined:
        headers = {"Idempotency-Key": key}
        if (trace := tracing.traceparent()) is not None:
            headers["traceparent"] = trace
        try:
            # The same bytes each time: they are part of what the registry takes for the same command.
            response = await self._http.post(
                path, content=orjson.dumps(body, option=orjson.OPT_SORT_KEYS), headers=headers
            )
        except httpx.ConnectError as error:
            raise RegistryUnavailable(type(error).__name__, is_reached=False) from error
        except httpx.HTTPError as error:
            raise RegistryUnavailable(type(error).__name__) from error
        answer = _object(response)
        if response.status_code == httpx.codes.CREATED and answer is not None:
            return answer
        code = None if answer is None else answer.get("code")
        if (
            answer is None
            or response.status_code not in DECISIVE
            or not isinstance(code, str)
            or code in UNDECIDED
            or answer.get("retryable") is True
        ):
            raise RegistryUnavailable(f"HTTP {response.status_code}")
        return Declined(code, str(answer.get("detail", ""))[:DETAIL_MAX], tuple(_faults(answer.get("errors"))))


def _object(response: httpx.Response) -> dict[str, Any] | None:
    try:
        found = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _placement_id(answer: dict[str, Any]) -> str:
    id_ = answer.get("id")
    if not isinstance(id_, str):
        raise RegistryUnavailable("an answer without an id")
    return id_


def _faults(errors: Any) -> list[Fault]:
    if not isinstance(errors, list):
        return []
    return [
        Fault(str(item["field"]), str(item["expected"]))
        for item in errors
        if isinstance(item, dict) and "field" in item and "expected" in item
    ]

"""Commands of training, matching and revenue for the search for personal data: each accepted where it can be, and each
with every field spoilt. What a desk writes for the public has its place in one collection of revenue and none on a
topic (docs/decisions/0023)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx

from deploy.local.fleet import SERVICES
from tests.conftest import eventually
from tests.events import YANTAI
from tests.integration.canaries import Text
from tests.integration.forms import Forms, spoilt
from tests.integration.registry_desk import TODAY

if TYPE_CHECKING:
    from tests.integration.test_canaries import City


class Step(NamedTuple):
    """One command.

    Attributes:
        becomes: what the answer's id is from then on.
        given: fields that are not as everywhere; what is `None` is left out.
    """

    service: str
    path: str
    becomes: str | None = None
    given: Mapping[str, Any] = {}


def steps() -> list[Step]:
    """In an order in which each is accepted, once the service has heard of the seeker, the post and the parties."""
    now = datetime.now(UTC)
    course = {"starts_at": now.isoformat(), "ends_at": (now + timedelta(hours=2)).isoformat()}
    weights = ("time_fit", "distance", "skills", "pay", "facilities", "reliability", "waiting")
    policy = {
        "weights": dict(zip(weights, (40, 10, 10, 10, 10, 10, 10), strict=True)),
        "limits": {"commute_max_m": 50_000, "waiting_full_weeks": 52},
    }
    until = {"valid_from": str(TODAY), "valid_until": str(TODAY + timedelta(days=300))}
    asked = "/communities/{community_id}/spending-requests"
    return [
        Step("training", "/courses", "course_id", course),
        Step("training", "/courses/{course_id}/enrolments", "enrolment_id"),
        Step("training", "/enrolments/{enrolment_id}/assess", None, {"result": "passed"}),
        Step("training", "/certificates", "certificate_id", {"valid_until": None}),
        Step("training", "/certificates/{certificate_id}/revoke"),
        Step("matching", "/cities/{city}/policies", None, policy | {"valid_from": str(TODAY + timedelta(days=3))}),
        Step("matching", "/posts/{post_id}/offers", None, {"offers_per_seat": 1, "expires_in_minutes": 60}),
        Step("revenue", "/agreements", None, until | {"rate_bp": 800, "tiers": None, "signed_on": None}),
        Step("revenue", "/funding-sources", "source_id", until | {"kind": "donation", "limit_fen": 90_000}),
        Step("revenue", "/funding-sources/{source_id}/grants", None, {"employer_id": None, "granted_on": str(TODAY)}),
        Step("revenue", asked, "spending_id", {"category": "lighting"}),
        Step("revenue", "/spending-requests/{spending_id}/decline"),
        Step("revenue", asked, "spending_id", {"category": "lighting"}),
    ]


ONLY_REFUSED = {
    "/offers/{offer_id}/accept",
    "/offers/{offer_id}/refuse",
    "/settlements",
    "/settlements/dry-run",
    "/settlements/{settlement_id}/reverse",
    "/payout-batches",
    "/cities/{city}/payout-confirmations",
    "/spending-requests/{spending_id}/approve",
}
"""Commands for which nothing is there, or (the last) another person would be needed."""


async def plant_by_other_services(city: City) -> None:
    """Every command of training, matching and revenue, with canaries in what can tell of a person."""
    forms = {service: await city.forms(service) for service in ("training", "matching", "revenue")}
    city.ids["city"] = YANTAI
    planned = steps()
    known = {path for one in forms.values() for path in one.commands}
    assert known == {step.path for step in planned} | ONLY_REFUSED, "each command is tried, or can only be refused"
    for step in planned:
        form = forms[step.service].commands[step.path]
        assert form is not None, step.path
        body = _body(forms[step.service], form, city.ids, step.given)
        await _refused(city, step.service, step.path, body)
        answer = await _accepted(city, step, body)
        if step.becomes is not None:
            city.ids[step.becomes] = answer["id"]
    for service, one in forms.items():
        for path in sorted(one.commands.keys() & ONLY_REFUSED):
            form = one.commands[path]
            await _refused(city, service, path, _body(one, form, city.ids, {}) if form else {})


def _body(forms: Forms, form: str, ids: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, Any]:
    whole = {**forms.body(form, {**ids, **dict.fromkeys(given, "")}), **given}
    return {name: value for name, value in whole.items() if value is not None}


async def _refused(city: City, service: str, path: str, body: Mapping[str, Any]) -> None:
    """The command with each field spoilt, torn, and as no object."""
    bodies = [json.dumps(one).encode() for one in spoilt(body, city.aviary, path)]
    bodies += [json.dumps(body).encode()[:-2] or b"{", json.dumps([city.aviary.text("no object")]).encode()]
    for one in bodies:
        answer = await city.ask("POST", path.format_map(_Ids(city.ids)), one, service=service)
        assert answer.status_code >= 400 or path in ONLY_REFUSED, f"{path}: {answer.text}"


class _Ids(dict[str, str]):
    """Ids by name; what is not known is the id of nothing."""

    def __missing__(self, name: str) -> str:
        return f"{name[:3]}-{'0' * 32}"


async def _accepted(city: City, step: Step, body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer, as soon as the service knows what the command names."""
    answers: list[httpx.Response] = []

    async def accepted() -> bool:
        path = step.path.format_map(_Ids(city.ids))
        answers.append(await city.ask("POST", path, json.dumps(body).encode(), service=step.service))
        return answers[-1].status_code == 201

    try:
        await eventually(accepted, f"{step.path} is accepted")
    except BaseException as error:
        raise AssertionError(f"{step.path}: {answers[-1].text}") from error
    told: dict[str, Any] = answers[-1].json()
    return told


async def streamed(city: City) -> list[Text]:
    """What Server-Sent Events say: every feed as far as it goes, and the live stream of one ranking."""
    texts: list[Text] = []
    for service in SERVICES:
        for listed in (await city.ask("GET", "/feeds", service=service)).json():
            path = f"/feeds/{listed['topic']}"
            written = (await city.ask("GET", f"{path}?limit=2000", service=service)).content.count(b"\n")
            if written:
                texts.append(Text("stream", listed["topic"], await _said(city, service, path, written)))
    ranking = f"/posts/{city.ids['post_id']}/ranking"
    texts.append(Text("stream", "ranking", await _said(city, "matching", ranking, 1)))
    return texts


async def _said(city: City, service: str, path: str, events: int) -> bytes:
    """A stream until so many events have come."""
    said: list[str] = []
    async with city.http.stream("GET", f"{city.fleet.url(service)}{path}/stream", timeout=20) as answer:
        assert answer.status_code == 200, path
        async for line in answer.aiter_lines():
            said.append(line)
            events -= line.startswith("data:")
            if not events:
                break
    return "\n".join(said).encode()

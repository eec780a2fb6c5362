"""The driver: every command has its outcome exactly once, whatever the network does."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest

from mamapost.scenario.drive import Accepted, Undelivered, drive
from mamapost.scenario.drive.rebates import Rebates, Told
from mamapost.scenario.model import Command, Refusal, Scenario, Stage
from tests.unit.mamapost.fake import Body, FakeService, Network, id_of

URLS = {"registry": "http://registry", "revenue": "http://revenue"}
BAD_NAME = Refusal("invalid", "name", 422)


def scenario(*stages: Stage) -> Scenario:
    return Scenario("test", 1, 1.0, date(2026, 10, 1), stages)


EMPLOYERS = Stage(
    "employers",
    "registry",
    (
        *(Command(f"employer:{n}", "/employers", {"name": f"e{n}"}) for n in range(1, 21)),
        Command("bad:1", "/employers", {"name": ""}, refusal=BAD_NAME),
    ),
)
POSTS = Stage(
    "posts",
    "registry",
    (
        *(
            Command(f"post:{n}", "/posts/bulk", {"employer_id": f"@employer:{n}", "n": n}, upload="posts-1.ndjson")
            for n in range(1, 6)
        ),
        Command("bad:2", "/posts/bulk", {"name": ""}, upload="posts-1.ndjson", refusal=Refusal("invalid", "name")),
        *(
            Command(f"post:{n}", "/posts/bulk", {"employer_id": f"@employer:{n}", "n": n}, upload="posts-2.csv")
            for n in range(6, 11)
        ),
    ),
)
CLOSINGS = Stage(
    "closed-posts",
    "registry",
    tuple(
        Command(f"post:{n}/close", f"/posts/@post:{n}/close", {"because": [f"@employer:{n}", "x@employer:1"]})
        for n in range(1, 11)
    ),
)
ALL = scenario(EMPLOYERS, POSTS, CLOSINGS)


def blank_names(_path: str, body: Body) -> tuple[int, str, list[str], bool] | None:
    return (422, "invalid", ["name"], False) if body.get("name") == "" else None


@pytest.fixture
def service() -> FakeService:
    made = FakeService()
    made.refuse = blank_names
    return made


def effects(service: FakeService) -> Counter[str]:
    return Counter(f"{path} {sorted(map(str, body.items()))}" for path, body in service.done)


async def test_everything_is_sent_and_noted(service: FakeService) -> None:
    seen: list[tuple[str, int, int]] = []
    journal = await drive(ALL, URLS, "secret", lambda *step: seen.append(step), transport=Network(service))
    assert journal.ok
    assert len(journal.accepted) == 40
    assert [(one.ref, one.status, one.fields) for one in journal.refused] == [
        ("bad:1", 422, ("name",)),
        ("bad:2", None, ("name",)),
    ]
    assert journal.ids.keys() == {f"employer:{n}" for n in range(1, 21)} | {f"post:{n}" for n in range(1, 11)}
    assert journal.retries == 0
    assert service.authorizations == {"Bearer secret"}
    assert set(service.media_types) == {"application/json", "application/x-ndjson", "text/csv"}
    for stage in ALL.stages:
        steps = [step[1:] for step in seen if step[0] == stage.name]
        assert steps[0] == (0, len(stage.commands))
        assert steps[-1] == (len(stage.commands), len(stage.commands))
    report = journal.stages["posts"]
    assert (report.accepted, report.refused, report.requests, report.mismatches) == (10, 1, 2, 0)


async def test_references_are_resolved_in_paths_and_whole_texts_only(service: FakeService) -> None:
    journal = await drive(ALL, URLS, None, transport=Network(service))
    by_ref = {entry.ref: entry for entry in journal.accepted}
    [body] = [body for path, body in service.done if path == f"/posts/{by_ref['post:3'].id}/close"]
    assert body == {"because": [by_ref["employer:3"].id, "x@employer:1"]}
    opened = {body["employer_id"] for path, body in service.done if path == "/posts/bulk"}
    assert opened == {by_ref[f"employer:{n}"].id for n in range(1, 11)}
    assert service.authorizations == {None}


@pytest.mark.parametrize("trouble", ["before", "after", "late", 503, 502])
async def test_nothing_is_lost_or_doubled_when_answers_fail(service: FakeService, trouble: str | int) -> None:
    calm = FakeService()
    calm.refuse = blank_names
    await drive(ALL, URLS, None, transport=Network(calm))
    network = Network(service, lambda attempt: trouble if attempt < 3 else None)
    journal = await drive(ALL, URLS, None, transport=network)
    assert journal.ok
    assert effects(service) == effects(calm)
    assert max(effects(service).values()) == 1
    assert journal.retries == sum(stage.retries for stage in journal.stages.values()) == 2 * len(network.attempts)
    assert len({entry.event_id for entry in journal.accepted}) == len(journal.accepted) == 40


async def test_a_second_drive_gets_the_first_answers(service: FakeService) -> None:
    first = await drive(ALL, URLS, None, transport=Network(service))
    second = await drive(ALL, URLS, None, transport=Network(service))
    assert answers(second.accepted) == answers(first.accepted)
    assert len(service.done) == 40
    other = await drive(ALL, URLS, None, transport=Network(service), run="another")
    assert len(service.done) == 80
    assert not {entry.id for entry in other.accepted} & {entry.id for entry in first.accepted}


def answers(entries: list[Accepted]) -> set[tuple[str, str, str]]:
    return {(entry.ref, entry.event_id, entry.position) for entry in entries}


async def test_what_is_not_known_yet_is_asked_again(service: FakeService) -> None:
    asked: Counter[str] = Counter()

    def later(_path: str, body: Body) -> tuple[int, str, list[str], bool] | None:
        asked[body["name"]] += 1
        return (422, "party-unknown", ["employer_id"], True) if asked[body["name"]] < 4 else None

    service.refuse = later
    stage = Stage("s", "registry", (Command("a:1", "/a", {"name": "x"}), Command("a:2", "/a", {"name": "y"})))
    journal = await drive(scenario(stage), URLS, None, transport=Network(service))
    assert journal.ok
    assert journal.stages["s"].retries == 6


async def test_an_expected_refusal_is_final_even_if_retryable(service: FakeService) -> None:
    service.refuse = lambda _path, _body: (422, "party-unknown", ["employer_id"], True)
    command = Command("bad:1", "/a", {}, refusal=Refusal("party-unknown", "employer_id", 422))
    journal = await drive(scenario(Stage("s", "revenue", (command,))), URLS, None, transport=Network(service))
    assert journal.ok
    assert journal.retries == 0


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (Command("a:1", "/a", {"name": ""}), "expected to be accepted, found 422 invalid: name"),
        (Command("bad:1", "/a", {"name": "x"}, refusal=BAD_NAME), "expected 422 invalid: name, found accepted"),
        (Command("bad:1", "/a", {"name": ""}, refusal=Refusal("invalid", "age", 422)), "found 422 invalid: name"),
        (Command("bad:1", "/a", {"name": ""}, refusal=Refusal("other", "name", 422)), "expected 422 other: name"),
        (Command("bad:1", "/a", {"name": ""}, refusal=Refusal("invalid", "name", 409)), "expected 409 invalid"),
        (
            Command("b:1", "/b/bulk", {"name": ""}, upload="b-1.ndjson"),
            "expected to be accepted, found row invalid: name",
        ),
    ],
)
async def test_what_was_not_expected_is_noted(service: FakeService, command: Command, found: str) -> None:
    journal = await drive(scenario(Stage("s", "registry", (command,))), URLS, None, transport=Network(service))
    assert not journal.ok
    [mismatch] = journal.mismatches
    assert found in str(mismatch)
    assert journal.stages["s"].mismatches == 1


async def test_an_upload_that_is_refused_whole_is_noted_row_by_row(service: FakeService) -> None:
    network = Network(service, lambda _attempt: 413)
    stage = Stage("s", "registry", tuple(Command(f"b:{n}", "/b/bulk", {}, upload="b-1.ndjson") for n in range(3)))
    journal = await drive(scenario(stage), URLS, None, transport=network)
    assert [mismatch.ref for mismatch in journal.mismatches] == ["b:0", "b:1", "b:2"]


async def test_what_depends_on_a_refused_command_is_not_sent(service: FakeService) -> None:
    first = Stage("first", "registry", (Command("a:1", "/a", {"name": ""}), Command("a:2", "/a", {"name": "x"})))
    rows = tuple(Command(f"b:{n}", "/b/bulk", {"a": f"@a:{n}"}, upload="b-1.ndjson") for n in (1, 2))
    then = Stage("then", "registry", (*rows, Command("a:1/change", "/a/@a:1/change", {})))
    journal = await drive(scenario(first, then), URLS, None, transport=Network(service))
    assert [(mismatch.ref, mismatch.found) for mismatch in journal.mismatches[1:]] == [
        ("b:1", "nothing was made as a:1"),
        ("a:1/change", "nothing was made as a:1"),
    ]
    assert [entry.ref for entry in journal.accepted] == ["a:2", "b:2"]


async def test_a_service_that_stays_away_ends_the_drive(service: FakeService) -> None:
    network = Network(service, lambda _attempt: "before")
    with pytest.raises(Undelivered, match=r"registry: POST /employers had no final answer within 0 s.*ConnectError"):
        await drive(ALL, URLS, None, transport=network, deadline_s=0.3)


SHIFTS = Stage(
    "shifts",
    "registry",
    tuple(Command(f"shift:{n}", "/shifts", {"n": n}, accrues=n != 3) for n in range(1, 6)),
)
CORRECTIONS = Stage(
    "corrections",
    "registry",
    (
        Command("shift:1/correct-1", "/shifts/@shift:1/correct", {"revision": 1}, accrues=True),
        Command("shift:2/correct-1", "/shifts/@shift:2/correct", {"revision": 1}),
        Command("shift:3/correct-1", "/shifts/@shift:3/correct", {"revision": 1}),
    ),
)
SETTLEMENT = Stage("settlements", "revenue", (Command("settlement:1", "/settlements", {}),), awaits="rebates")


async def test_settlements_wait_for_the_ledger(service: FakeService) -> None:
    polls = 0

    def entries() -> list[Body]:
        """One more line at each reading; the last of what is awaited comes as the sixth."""
        nonlocal polls
        polls += 1
        ids = {n: id_of(f"waiting:shift:{n}") for n in range(1, 6)}
        kinds = [
            ("accrual", 1, 1),
            ("accrual", 2, 1),
            ("reversal", 1, 1),
            ("accrual", 1, 2),
            ("accrual", 4, 1),
            ("accrual", 5, 1),
            ("reversal", 2, 1),
        ]
        assert not any(path == "/settlements" for path, _ in service.done)
        return [{"kind": kind, "shift_id": ids[n], "revision": revision} for kind, n, revision in kinds][:polls]

    service.entries = entries
    played = scenario(SHIFTS, CORRECTIONS, SETTLEMENT)
    journal = await drive(played, URLS, None, transport=Network(service), run="waiting")
    assert journal.ok
    assert polls >= 7
    assert journal.stages["settlements"].waited_s > 0


async def test_lines_of_another_city_do_not_hide_those_that_come_late(service: FakeService) -> None:
    """The ledger is read by city and number: a line of this city comes before what was read of the next one."""
    polls = 0

    def entries() -> list[Body]:
        nonlocal polls
        polls += 1
        own: list[Body] = [
            {"kind": "accrual", "shift_id": id_of(f"cities:shift:{n}"), "revision": 1, "city": "370600"}
            for n in (1, 2, 4, 5)
        ]
        others = [{"kind": "accrual", "shift_id": f"other-{n}", "revision": 1, "city": "370700"} for n in range(9)]
        return own[: polls // 3] + others

    service.entries = entries
    community = Stage("communities", "registry", (Command("community:1", "/communities", {"city": "370600"}),))
    played = scenario(community, SHIFTS, SETTLEMENT)
    assert (await drive(played, URLS, None, transport=Network(service), run="cities", deadline_s=5)).ok


async def test_a_ledger_that_stands_still_ends_the_drive(service: FakeService) -> None:
    with pytest.raises(Undelivered, match="revenue: 4 of 4 rebates"):
        await drive(scenario(SHIFTS, SETTLEMENT), URLS, None, transport=Network(service), deadline_s=0.3)


def test_a_shift_before_its_agreement_is_awaited_in_suspense_and_then_in_the_ledger() -> None:
    rebates = Rebates()
    rebates.add("waits", 1, Told(accrues=True, suspended=True))
    rebates.add("corrected", 1, Told(accrues=True, suspended=True))
    rebates.add("corrected", 2, Told(accrues=True, suspended=True))
    rebates.add("no-show", 1, Told(accrues=True, suspended=True))
    rebates.add("no-show", 2, Told(accrues=False, suspended=True))
    rebates.add("nothing", 1, Told(accrues=False, suspended=True))
    rebates.add("late", 1, Told(accrues=True, suspended=True))
    assert rebates.held() == {
        ("suspense", "waits", 1),
        ("suspense", "corrected", 2),
        ("suspense-reversal", "no-show", 1),
        ("suspense", "late", 1),
    }
    rebates.add("late", 2, Told(accrues=False, suspended=False))
    assert rebates.lines() == {("accrual", "waits", 1), ("accrual", "corrected", 2), ("reversal", "late", 1)}
    assert ("suspense-reversal", "late", 1) not in rebates.held()

"""The whole path at increasing load until it saturates: latency at each rate, processor time at rest and of a command.

Commands come at a fixed rate whether or not the earlier ones were answered, as from many desks at once. Every latency
counts from the moment a command was due, so that a queue in front of the services is part of it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal, cast

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition

from mamapost.demo.report import percentiles
from mamapost.local import Running, running
from mamapost.scenario.drive import Journal, drive
from mamapost.scenario.model import Body, Command, Scenario
from mamapost.scenario.references import resolve
from mamapost.scenario.yantai import generate
from shared.contracts.envelope import decode
from shared.contracts.revenue import RebateAccrued
from shared.contracts.topics import PARTITIONS
from shared.kernel.clock import civil_day, system_clock
from shared.messaging.connection import Connection
from shared.runtime.settings import Settings
from shared.runtime.supervised import end

SEED: Final = 20_251
SCALE: Final = 0.4
"""Of the scenario: 2,000 women, 1,280 posts, 400 placements with some 8,000 shifts to report."""

FIRST_RATE_PER_S: Final = 20.0
GROWTH: Final = 1.4
STEPS_MAX: Final = 16
"""Ends at 20 × 1.4^15 = 3,100 commands/s, more than four services on one machine take one by one."""

REST_S: Final = 10.0
"""How long the parts are watched while nothing comes in, before the first step and after as long a pause."""

STEP_S: Final = 8.0
FRESH_EVERY: Final = 5
"""One of so many changed seekers is followed by a read of a ranking; more of them would measure the reads."""

ANSWER_P99_MAX_MS: Final = 1_000.0
EFFECT_P99_MAX_MS: Final = 2_000.0
"""Beyond these a rate is not sustained: a queue in front of the services, or between them, grows."""

DRAIN_S: Final = 60.0
"""Longest wait for what a step caused."""

CONNECTIONS: Final = 256
HTTP_TIMEOUT_S: Final = 60.0

Kind = Literal["shift", "seeker", "post"]
MIX: Final[tuple[Kind, ...]] = (*("shift", "seeker", "shift") * 3, "post")
"""Of ten commands six shifts that end, three profiles that change, one post that opens."""

PARTS: Final = {
    "serve registry": "registry",
    "serve matching": "matching",
    "serve training": "training",
    "serve revenue": "revenue",
    "mongod": "database",
    "tansu": "broker",
}
"""What a command line holds, and what it is."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one rate did.

    Attributes:
        offered_per_s: commands that were due each second.
        answered_per_s: commands over the time until the last one was answered.
        answer_ms, accrued_ms, fresh_ms: p50 and p99 from when a command was due until its answer; until the rebate of
            a shift stood on its topic; until a ranking was read that knew of a changed seeker.
        busy: answers 503, which ask to come again; the command did, and its latency has it all.
        cpu_ms: processor time of a command by part, beyond what the part spends at rest in the same time.
    """

    offered_per_s: float
    answered_per_s: float
    answer_ms: Mapping[str, float]
    accrued_ms: Mapping[str, float]
    fresh_ms: Mapping[str, float]
    busy: int
    cpu_ms: Mapping[str, float]

    @property
    def sustained(self) -> bool:
        """Whether no queue grew."""
        effect_p99_ms = max(self.accrued_ms["p99"], self.fresh_ms["p99"])
        return self.answer_ms["p99"] <= ANSWER_P99_MAX_MS and effect_p99_ms <= EFFECT_P99_MAX_MS


@dataclass(frozen=True, slots=True)
class Found:
    """What a run found.

    Attributes:
        rest_ms_per_s: processor time each second, by part, while nothing comes in.
        steps: the rates that were offered; the last one was not sustained, unless the run ended before.
    """

    rest_ms_per_s: Mapping[str, float]
    steps: Sequence[Step]

    @property
    def best(self) -> Step | None:
        """The highest rate that was sustained."""
        sustained = (step for step in self.steps if step.sustained)
        return max(sustained, key=lambda step: step.offered_per_s, default=None)


@dataclass(frozen=True, slots=True)
class _Due:
    """A command to send to the registry."""

    kind: Kind
    path: str
    body: Body
    accrues: bool = False


@dataclass(slots=True)
class _Times:
    """Latencies of one step in ms, when the accrual of each shift was due (`time.monotonic`), and answers that asked to
    come again."""

    answers: list[float] = field(default_factory=list)
    fresh: list[float] = field(default_factory=list)
    shifts: dict[str, float] = field(default_factory=dict)
    busy: int = 0


def run_saturation() -> Found:
    """Start engines and services, watch them at rest, and load them step by step until a step is not sustained."""
    first_of_month = civil_day(system_clock()).replace(day=1)
    scenario = generate(SEED, SCALE, first_of_month - timedelta(days=1))
    with tempfile.TemporaryDirectory(prefix="mamapost-bench-") as name, running(Path(name), with_token=True) as local:
        print(f"\nthe whole path at increasing load: setting up a city ({SCALE:g} of the scenario) …", flush=True)
        found = asyncio.run(_climb(scenario, local))
    _conclude(found)
    return found


async def _climb(scenario: Scenario, local: Running) -> Found:
    stages = {stage.name: stage.commands for stage in scenario.stages}
    until = list(stages).index("shifts")
    journal = await drive(replace(scenario, stages=scenario.stages[:until]), local.urls, local.token)
    steps: list[Step] = []
    async with _connected(local) as (registry, matching, accruals):
        rest_ms_per_s = await _at_rest()
        print(f"at rest, processor ms a second: {_by_part(rest_ms_per_s)}", flush=True)
        load = _Load(registry, matching, accruals, _mixed(stages, journal), journal.ids["post:1"], rest_ms_per_s)
        print(
            f"{'offered/s':>9} {'answered/s':>10} {'answer ms p50':>14} {'p99':>6} {'rebate ms p50':>14} {'p99':>6} "
            f"{'fresh ms p50':>13} {'p99':>6} {'busy':>5}  processor ms a command, beyond the rest"
        )
        for number in range(STEPS_MAX):
            step = await load.step(FIRST_RATE_PER_S * GROWTH**number)
            if step is None:
                break
            steps.append(step)
            _line(step)
            if not step.sustained:
                break
    return Found(rest_ms_per_s, steps)


async def _at_rest() -> dict[str, float]:
    """Processor time each second, by part, while nothing comes in; watched once what came before has died away."""
    await asyncio.sleep(REST_S)
    started, before_s = time.monotonic(), _processor_s()
    await asyncio.sleep(REST_S)
    return _spent_ms(before_s, 1 / (time.monotonic() - started))


def _spent_ms(before_s: Mapping[str, float], share: float = 1.0) -> dict[str, float]:
    """Processor time by part since then, times a share."""
    return {part: (spent_s - before_s[part]) * 1000 * share for part, spent_s in _processor_s().items()}


@asynccontextmanager
async def _connected(local: Running) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient, _Accruals]]:
    headers = {"Authorization": f"Bearer {local.token}"}
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)

    def client(service: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=local.urls[service], headers=headers, timeout=HTTP_TIMEOUT_S, limits=limits, trust_env=False
        )

    async with (
        client("registry") as registry,
        client("matching") as matching,
        _Accruals(Connection(Settings(kafka=local.engines.urls.kafka))) as accruals,
    ):
        yield registry, matching, accruals


def _mixed(stages: Mapping[str, tuple[Command, ...]], journal: Journal) -> Iterator[_Due]:
    """Commands until there are no more shifts to report, in the order in which these ended."""
    ids = journal.ids
    seekers = itertools.cycle(id_ for ref, id_ in ids.items() if ref.startswith("seeker:"))
    posts = itertools.cycle(command.body for command in stages["posts"] if command.refusal is None)
    reported = [command for command in stages["shifts"] if command.refusal is None]
    shifts = iter(sorted(reported, key=lambda command: str(command.body["ended_at"])))
    for number, kind in enumerate(itertools.cycle(MIX)):
        if kind == "seeker":
            yield _Due(kind, f"/seekers/{next(seekers)}/change", {"commute_km": 4 + number % 13})
        elif kind == "post":
            yield _Due(kind, "/posts", resolve(next(posts), ids))
        elif (shift := next(shifts, None)) is not None:
            yield _Due(kind, "/shifts", resolve(shift.body, ids), shift.accrues and not shift.suspended)
        else:
            return


class _Accruals:
    """Reads `rebate-accrued` and notes when each shift's came (`time.monotonic`)."""

    def __init__(self, broker: Connection) -> None:
        self._consumer = AIOKafkaConsumer(
            **broker.arguments(), auto_offset_reset="earliest", enable_auto_commit=False, fetch_max_wait_ms=20
        )
        self._came = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self.at: dict[str, float] = {}

    async def __aenter__(self) -> _Accruals:
        await self._consumer.start()
        self._consumer.assign([TopicPartition(RebateAccrued.topic, partition) for partition in range(PARTITIONS)])
        self._task = asyncio.create_task(self._read(), name="accruals")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            await end(self._task)
        await self._consumer.stop()

    async def _read(self) -> None:
        try:
            while True:
                polled = await self._consumer.getmany(timeout_ms=50)
                now = time.monotonic()
                for record in itertools.chain.from_iterable(polled.values()):
                    event = cast(RebateAccrued, decode(record.topic, record.key, record.headers, record.value).event)
                    self.at.setdefault(event.shift_id, now)
                await self._notify()
        finally:
            await self._notify()  # whoever waits is told why nothing comes any more

    async def _notify(self) -> None:
        async with self._came:
            self._came.notify_all()

    async def wait_for(self, shift_ids: set[str]) -> None:
        """Raises:
        TimeoutError: some have not come within `DRAIN_S`.
        """
        async with asyncio.timeout(DRAIN_S), self._came:
            await self._came.wait_for(lambda: shift_ids <= self.at.keys() or self._failed())

    def _failed(self) -> bool:
        """Raises what ended the reading, if anything did."""
        if self._task is not None and self._task.done():
            self._task.result()
        return False


class _Load:
    """Sends commands at a rate and watches what they cause."""

    def __init__(
        self,
        registry: httpx.AsyncClient,
        matching: httpx.AsyncClient,
        accruals: _Accruals,
        commands: Iterator[_Due],
        post_id: str,
        rest_ms_per_s: Mapping[str, float],
    ) -> None:
        self._registry = registry
        self._matching = matching
        self._accruals = accruals
        self._commands = commands
        self._post_id = post_id
        self._rest_ms_per_s = rest_ms_per_s
        self._sent = 0
        self._changed = 0

    async def step(self, rate_per_s: float) -> Step | None:
        """Offer one rate for `STEP_S` and wait until all of it has taken effect; `None`: too little is left to send."""
        commands = list(itertools.islice(self._commands, round(rate_per_s * STEP_S)))
        if len(commands) < round(rate_per_s * STEP_S):
            return None
        times = _Times()
        before_s = _processor_s()
        started = time.monotonic()
        async with asyncio.TaskGroup() as sending:
            for number, command in enumerate(commands):
                due = started + number / rate_per_s
                await asyncio.sleep(due - time.monotonic())  # a rate is kept by the clock; nothing is awaited here
                sending.create_task(self._send(command, due, times))
        answered_s = time.monotonic() - started
        await self._accruals.wait_for(set(times.shifts))
        spent_ms, took_s = _spent_ms(before_s), time.monotonic() - started
        accrued = [(self._accruals.at[shift_id] - due) * 1000 for shift_id, due in times.shifts.items()]
        return Step(
            offered_per_s=rate_per_s,
            answered_per_s=len(times.answers) / answered_s,
            answer_ms=percentiles(times.answers),
            accrued_ms=percentiles(accrued),
            fresh_ms=percentiles(times.fresh),
            busy=times.busy,
            cpu_ms={part: (ms - self._rest_ms_per_s[part] * took_s) / len(commands) for part, ms in spent_ms.items()},
        )

    async def _send(self, command: _Due, due: float, times: _Times) -> None:
        self._sent += 1
        key = {"Idempotency-Key": f"saturation-{self._sent:012d}"}
        while (
            answer := await self._registry.post(command.path, json=command.body, headers=key)
        ).status_code == httpx.codes.SERVICE_UNAVAILABLE and time.monotonic() < due + DRAIN_S:
            times.busy += 1
            await asyncio.sleep(float(answer.headers["Retry-After"]))
        answer.raise_for_status()
        times.answers.append((time.monotonic() - due) * 1000)
        accepted: dict[str, Any] = answer.json()
        if command.accrues:
            times.shifts[accepted["id"]] = due
        if command.kind == "seeker":
            self._changed += 1
            if self._changed % FRESH_EVERY == 0:
                query = {"after": accepted["position"], "timeout_ms": "10000", "limit": "10"}
                fresh = await self._matching.get(f"/posts/{self._post_id}/ranking", params=query)
                fresh.raise_for_status()
                times.fresh.append((time.monotonic() - due) * 1000)


def _processor_s() -> dict[str, float]:
    """Processor time so far of every part that this process started, and its own as `client`."""
    spent = dict.fromkeys(PARTS.values(), 0.0)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            stat = (process / "stat").read_text().rpartition(")")[2].split()
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            continue
        parent, ticks = int(stat[1]), int(stat[11]) + int(stat[12])
        part = next((name for mark, name in PARTS.items() if mark in line), None)
        if part is not None and parent == os.getpid():
            spent[part] += ticks / os.sysconf("SC_CLK_TCK")
    return spent | {"client": time.process_time()}


def _line(step: Step) -> None:
    def pair(found: Mapping[str, float], width: int) -> str:
        return f"{found['p50']:{width},.0f} {found['p99']:6,.0f}"

    print(
        f"{step.offered_per_s:9,.0f} {step.answered_per_s:10,.0f} {pair(step.answer_ms, 14)} "
        f"{pair(step.accrued_ms, 14)} {pair(step.fresh_ms, 13)} {step.busy:5}  {_by_part(step.cpu_ms)}",
        flush=True,
    )


def _by_part(cpu_ms: Mapping[str, float]) -> str:
    parts = sorted(cpu_ms.items(), key=lambda item: -item[1])
    return " · ".join(f"{name} {spent_ms:.1f}" for name, spent_ms in parts if spent_ms >= 0.05)


def _conclude(found: Found) -> None:
    best = found.best
    if best is None:
        print("no rate was sustained")
        return
    print(
        f"sustained: {best.answered_per_s:,.0f} commands/s on {os.cpu_count()} cores, the client that sends them "
        f"included; without it {_without_client(best.cpu_ms):.1f} ms of processor time a command, beside "
        f"{_without_client(found.rest_ms_per_s):.0f} ms a second at rest"
    )
    if found.steps[-1].sustained:
        print("it did not saturate: the last step is not the limit")


def _without_client(cpu_ms: Mapping[str, float]) -> float:
    return sum(spent_ms for part, spent_ms in cpu_ms.items() if part != "client")

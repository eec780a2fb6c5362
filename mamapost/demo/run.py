"""Runs the demo: start, play, kill, verify, print."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from deploy.local.errors import LocalRunError
from deploy.local.fleet import SERVICES
from mamapost.demo.bank import play_bank
from mamapost.demo.commands import Accepted, Answered, check_commands, check_privacy
from mamapost.demo.freshness import PROBES, Freshness, probe
from mamapost.demo.rankings import await_all, check_rankings
from mamapost.demo.reader import Reader
from mamapost.demo.rebates import check_rebates
from mamapost.demo.report import Check, Result, percentiles
from mamapost.local import Running, running
from mamapost.scenario.drive import Journal, drive
from mamapost.scenario.files import ScenarioFileError, export
from mamapost.scenario.model import Scenario
from mamapost.scenario.yantai import generate
from shared.contracts.registry import SeekerWithdrawn
from shared.kernel.clock import civil_day, month_of, system_clock
from shared.messaging.connection import Connection
from shared.runtime.settings import Settings

KILL_AT = {
    "registry": ("seekers", 0.4),
    "matching": ("posts", 0.4),
    "training": ("enrolments", 0.5),
    "revenue": ("shifts", 0.3),
}
"""When each service is killed: its stage, and the share of the stage that is done by then."""

PERSONAL_MARKERS = {"测试": "a name", "+000-": "a telephone number", "示例路": "an address"}
"""Text that stands in every personal text of the scenario and nowhere else in it."""

HTTP_TIMEOUT_S = 60.0

RATE_FROM = 100
"""Stages with fewer commands are over too soon for a rate."""


class DemoError(LocalRunError):
    """The demo was asked for something that cannot be done."""

    code = "demo-impossible"


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the demo is asked for; see `mamapost demo --help`."""

    seed: int
    scale: float
    month: date
    kill: bool
    keep: Path | None
    json_file: Path | None


def run_export(options: DemoOptions, directory: Path) -> None:
    """Write the scenario to files, for others to replay."""
    scenario = generate(options.seed, options.scale, options.month)
    try:
        export(scenario, directory)
    except ScenarioFileError as error:
        raise DemoError(str(error)) from error
    Console(highlight=False).print(
        f"{sum(scenario.counts.values()):,} commands in {len(scenario.stages)} stages written to {directory}"
    )


def run_demo(options: DemoOptions) -> bool:
    """Play and verify the scenario; answers whether every check holds.

    Raises:
        LocalRunError: engines or services cannot run here.
    """
    console = Console(highlight=False)
    root = options.keep or Path(tempfile.mkdtemp(prefix="mamapost-demo-"))
    started = time.monotonic()
    try:
        console.print(f"scenario yantai · seed {options.seed} · scale {options.scale:g} · {month_of(options.month)}")
        scenario = generate(options.seed, options.scale, options.month)
        today = civil_day(system_clock())
        if not scenario.usable_from <= today <= scenario.usable_until:
            raise DemoError(
                f"--month: the scenario of {month_of(options.month)} can only be played in the month after it"
            )
        with console.status("starting broker, database and four services"):
            local_run = running(root, with_token=True)
            local = local_run.__enter__()
        try:
            result = asyncio.run(_play(scenario, local, options, console, root / "log"))
        finally:
            with console.status("stopping"):
                local_run.__exit__(None, None, None)
        result.duration_s = round(time.monotonic() - started, 1)
        result.print(console)
        if options.json_file is not None:
            result.write(options.json_file)
        return result.ok
    finally:
        if options.keep is None:
            shutil.rmtree(root)


class Killer:
    """Kills each service once in mid-stream with SIGKILL, and starts it again."""

    def __init__(self, local: Running) -> None:
        self._local = local
        self._threads: list[threading.Thread] = []
        self.killed: list[str] = []

    def note(self, stage: str, done: int, total: int) -> None:
        """Told of every progress; acts at the moments of `KILL_AT`."""
        for service, (at_stage, share) in KILL_AT.items():
            if service not in self.killed and stage == at_stage and done >= total * share:
                self.killed.append(service)
                thread = threading.Thread(target=self._kill, args=(service,), name=f"kill {service}")
                self._threads.append(thread)
                thread.start()

    def _kill(self, service: str) -> None:
        self._local.fleet.kill(service)
        self._local.fleet.restart(service, wait_ready=False)

    async def wait(self) -> None:
        """Wait until every killed service is ready again.

        Raises:
            ServiceStartFailed: one is not.
        """
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        for service in self.killed:
            await asyncio.to_thread(self._local.fleet.wait_ready, service)


async def _play(scenario: Scenario, local: Running, options: DemoOptions, console: Console, log_dir: Path) -> Result:
    headers = {"Authorization": f"Bearer {local.token}"}
    killer = Killer(local)
    async with AsyncExitStack() as stack:
        clients = {
            service: await stack.enter_async_context(
                httpx.AsyncClient(base_url=local.urls[service], headers=headers, timeout=HTTP_TIMEOUT_S)
            )
            for service in SERVICES
        }
        reader = await stack.enter_async_context(Reader(Connection(Settings(kafka=local.engines.urls.kafka))))
        bars = stack.enter_context(_progress(console))
        journal = await _drive(scenario, local, killer if options.kill else None, bars)
        if options.kill:
            await killer.wait()
        missing = await reader.wait_for((command.event_id for command in journal.accepted), 60)
        if missing:
            console.print(f"[red]{len(missing)} events did not arrive on their topics[/]")
        freshness, probes = await _probe(journal, clients, reader, bars)
        bank, orders = await play_bank(clients["revenue"], reader)
        commands: list[Accepted] = [*journal.accepted, *probes, *orders]
        await await_all(clients["matching"], reader)
        bar = bars.add_task("verifying", total=None)
        checks = check_commands(commands, reader)
        rankings, rebates = await asyncio.gather(
            check_rankings(clients["matching"], list(reader.events.values()), datetime.now(UTC)),
            check_rebates(clients["registry"], clients["revenue"], reader, month_of(scenario.month)),
        )
        checks += [*rankings, *rebates, bank]
        bars.update(bar, total=1, completed=1, description="verified")
        checks.append(freshness.check)
        checks.append(_as_expected(journal))
        checks.append(check_privacy(PERSONAL_MARKERS, reader, log_dir))
        if options.kill:
            checks.append(_all_killed(killer))
    return _result(scenario, journal, reader, checks, freshness, killer.killed)


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


async def _drive(scenario: Scenario, local: Running, killer: Killer | None, bars: Progress) -> Journal:
    """Send the whole scenario, a bar a stage."""
    tasks: dict[str, TaskID] = {}

    def on_progress(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            tasks[stage] = bars.add_task(stage, total=total)
        bars.update(tasks[stage], completed=done)
        if killer is not None:
            killer.note(stage, done, total)

    return await drive(scenario, local.urls, local.token, on_progress, approver_token=local.approver_token)


async def _probe(
    journal: Journal, clients: dict[str, httpx.AsyncClient], reader: Reader, bars: Progress
) -> tuple[Freshness, list[Answered]]:
    gone = {envelope.event.entity_id for envelope in reader.of(SeekerWithdrawn)}
    seekers = [id_ for ref, id_ in journal.ids.items() if ref.startswith("seeker:") and id_ not in gone]
    post_id = next(id_ for ref, id_ in journal.ids.items() if ref.startswith("post:"))
    bar = bars.add_task("measuring freshness", total=min(PROBES, len(seekers)))
    return await probe(
        clients["registry"],
        clients["matching"],
        reader,
        seekers,
        post_id,
        lambda number: f"freshness-{number:06d}",
        lambda: bars.advance(bar),
    )


def _as_expected(journal: Journal) -> Check:
    check = Check("answers as expected, bad input refused by field")
    check.count = len(journal.accepted) + len(journal.refused)
    for mismatch in journal.mismatches:
        check.fail(str(mismatch))
    return check


def _all_killed(killer: Killer) -> Check:
    check = Check("each service killed in mid-stream came back")
    for service in SERVICES:
        check.compare(service, service in killer.killed, True)
    return check


def _result(
    scenario: Scenario,
    journal: Journal,
    reader: Reader,
    checks: list[Check],
    freshness: Freshness,
    killed: list[str],
) -> Result:
    played_s = sum(stage.seconds for stage in journal.stages.values())
    distinct = len(reader.events)
    redelivered = sum(reader.deliveries.values()) - distinct
    counts = {
        **{name: count for name, count in scenario.counts.items() if name != "refused"},
        "commands accepted": len(journal.accepted),
        "commands refused, as expected": len(journal.refused) - len(journal.mismatches),
        "requests repeated": journal.retries,
        "events on topics": distinct,
        "events delivered twice": redelivered,
    }
    rates = {
        name: stage.accepted / stage.seconds
        for name, stage in journal.stages.items()
        if stage.accepted >= RATE_FROM and stage.seconds > 0
    }
    return Result(
        scenario=scenario.name,
        seed=scenario.seed,
        scale=scenario.scale,
        month=month_of(scenario.month),
        counts=counts,
        checks=checks,
        freshness_ms=percentiles(freshness.fresh_ms),
        stages_ms={
            "its answer (HTTP, from sending)": percentiles(freshness.answer_ms),
            "its event sent to the topic": percentiles(freshness.topic_ms),
        },
        events_per_s=round(distinct / played_s, 1) if played_s else 0.0,
        stage_events_per_s={name: round(rate, 1) for name, rate in rates.items()},
        killed=killed,
        duration_s=0.0,
    )

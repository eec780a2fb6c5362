"""Runs the demo: start, play, kill, verify, print."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from deploy.local.errors import LocalRunError
from deploy.local.fleet import SERVICES
from mamapost.demo.commands import check_commands, check_privacy
from mamapost.demo.freshness import PROBES, Freshness, probe
from mamapost.demo.rankings import await_all, check_rankings
from mamapost.demo.reader import Reader
from mamapost.demo.rebates import check_rebates
from mamapost.demo.report import Check, Result, percentiles
from mamapost.local import Running, running
from mamapost.scenario.drive import Journal, drive
from mamapost.scenario.files import export
from mamapost.scenario.model import Scenario
from mamapost.scenario.yantai import generate
from shared.contracts.registry import PostOpened, SeekerRegistered
from shared.kernel.clock import month_of

KILL_AT = {"registry": ("seekers", 0.5), "matching": ("posts", 0.5), "training": ("enrolments", 0.5), "revenue": ("shifts", 0.5)}
"""When each service is killed: its stage, and the share of the stage that is done by then."""

PERSONAL_MARKERS = {"测试": "a name", "000-0": "a telephone number", "示例路": "an address"}
"""Text that stands in every personal text of the scenario and nowhere else in it."""

HTTP_TIMEOUT_S = 30.0


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
    export(scenario, directory)
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


async def _play(
    scenario: Scenario, local: Running, options: DemoOptions, console: Console, log_dir: Path
) -> Result:
    headers = {"Authorization": f"Bearer {local.token}"}
    killer = Killer(local)
    async with AsyncExitStack() as stack:
        clients = {
            service: await stack.enter_async_context(
                httpx.AsyncClient(base_url=local.urls[service], headers=headers, timeout=HTTP_TIMEOUT_S)
            )
            for service in SERVICES
        }
        reader = await stack.enter_async_context(Reader(local.engines.urls.kafka))
        bars = stack.enter_context(_progress(console))
        journal = await _drive(scenario, local, killer if options.kill else None, bars)
        if options.kill:
            await killer.wait()
        missing = await reader.wait_for((command.event_id for command in journal.accepted), 60)
        if missing:
            console.print(f"[red]{len(missing)} events did not arrive on their topics[/]")
        freshness, probes = await _probe(scenario, clients, reader, bars)
        journal_and_probes = [*journal.accepted, *probes]
        await await_all(clients["matching"], reader)
        bar = bars.add_task("verifying rankings", total=None)
        checks = check_commands(journal_and_probes, reader)
        checks += await check_rankings(clients["matching"], list(reader.events.values()), datetime.now(UTC))
        bars.update(bar, description="verifying rebates")
        checks += await check_rebates(clients["registry"], clients["revenue"], month_of(scenario.month))
        bars.update(bar, total=1, completed=1, description="verified")
        checks.append(freshness.check)
        checks.append(_as_expected(journal))
        checks.append(check_privacy(PERSONAL_MARKERS, reader, log_dir))
        if options.kill:
            checks.append(_all_killed(killer))
    return _result(scenario, journal, reader, checks, freshness, killer.killed)

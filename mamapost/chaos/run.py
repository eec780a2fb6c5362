"""Runs chaos: start, play under faults, come to rest, judge, tell."""

from __future__ import annotations

import asyncio
import logging
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from deploy.local.cluster import has_parts
from deploy.local.errors import LocalRunError
from mamapost.chaos import stores, traffic
from mamapost.chaos.checker import Verdict, judge
from mamapost.chaos.evidence import Evidence
from mamapost.chaos.faults import Injector, timelines
from mamapost.chaos.history import Answered, FaultBegan, History, Ranking, Unknown
from mamapost.chaos.messages import PERSONAL
from mamapost.chaos.options import ChaosOptions, EngineKind
from mamapost.chaos.plan import plan
from mamapost.chaos.recorder import Recorder
from mamapost.chaos.report import Report
from mamapost.chaos.world import World, world
from mamapost.demo.rankings import check_rankings
from mamapost.demo.report import Check
from mamapost.demo.run import PERSONAL_MARKERS

TICK_S: Final = 0.5
"""Pause between two pictures of the progress."""

PARTS_TIMEOUT_S: Final = 600.0
"""How long the fetching of a cluster's parts may take."""

TOLD_S: Final = 15.0
"""Where nobody watches a terminal: pause between two lines of progress."""


def run_chaos(options: ChaosOptions) -> bool:
    """Hurt a running programme for a while, and prove that nothing came of it. Answers whether every check holds.

    Raises:
        LocalRunError: engines or services cannot run here.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it repeats itself while a broker is away
    console = Console(highlight=False, soft_wrap=True)
    root = options.keep or Path(tempfile.mkdtemp(prefix="mamapost-chaos-"))
    root.mkdir(parents=True, exist_ok=True)
    engine = options.engine or _engine(console)
    console.print(f"chaos · {engine} · seed {options.seed} · {options.minutes:g} min · history: {root}/history.jsonl")
    history = History(root / "history.jsonl")
    held = False
    try:
        with console.status(f"starting the {engine} engines and two instances of each service"):
            running = world(engine, root)
            started = running.__enter__()
        try:
            report = asyncio.run(_play(started, history, options, console))
        finally:
            with console.status("stopping"):
                running.__exit__(None, None, None)
        report.print(console)
        if options.json_file is not None:
            report.write(options.json_file)
        held = report.ok
        return held
    finally:
        history.close()
        if options.keep is None and held:
            shutil.rmtree(root)
        elif not held:
            console.print(f"history, data and logs stay in {root}")


def _engine(console: Console) -> EngineKind:
    """The cluster where its parts are there or can be fetched; otherwise the embedded engines, and why."""
    if shutil.which("java") is None:
        console.print("no cluster: there is no Java here; the embedded engines are used")
        return EngineKind.EMBEDDED
    shell = shutil.which("sh")
    if not has_parts() and shell is not None and shutil.which("mvn") is not None:
        with console.status("fetching Apache Kafka"):
            subprocess.run([shell, "deploy/parts.sh"], stdout=subprocess.DEVNULL, timeout=PARTS_TIMEOUT_S, check=False)
    if not has_parts():
        console.print("no cluster: Apache Kafka is not there (`make parts`); the embedded engines are used")
        return EngineKind.EMBEDDED
    return EngineKind.CLUSTER


async def _play(running: World, history: History, options: ChaosOptions, console: Console) -> Report:
    recorder = Recorder(running.urls.kafka)
    await recorder.begin()
    injector = Injector(running, recorder, history, options.seed)
    faults = plan(options.seed, options.minutes * 60, timelines(running))
    waves, over, spread = traffic.Waves(), asyncio.Event(), traffic.Spread(running, history)
    history.begin()
    with _progress(console) as bars:
        bar = bars.add_task("", total=options.minutes * 60)

        told = [0.0]

        def tell() -> None:
            now = ", ".join(injector.active.values()) or "quiet"
            text = f"faults {len(injector.injected)} · accepted {waves.accepted:,} · {now}"
            bars.update(bar, completed=min(history.now_s, options.minutes * 60), description=text)
            if not console.is_terminal and history.now_s >= told[-1] + TOLD_S:
                told.append(history.now_s)
                console.print(f"{history.now_s:5.0f} s  {text}")

        async def clock() -> None:
            while not over.is_set():
                tell()
                history.flush()
                with suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), TICK_S)

        async def hurt() -> None:
            await injector.run(faults, options.minutes * 60, tell)
            await asyncio.sleep(max(options.minutes * 60 - history.now_s, 0))
            over.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(traffic.play(running, history, options.seed, options.month, over, waves, spread))
            group.create_task(traffic.read(running, history, options.seed, over, waves))
            group.create_task(hurt())
            group.create_task(clock())
        bars.update(bar, description="coming to rest")
        for part in running.parts.values():
            try:
                await asyncio.to_thread(part.wait_ready)
            except LocalRunError as error:
                injector.failures.append(str(error))
        is_at_rest = await stores.rest(running, recorder)
        bars.update(bar, description="verifying")
        await recorder.end()
        verdict = await _judge(running, history, recorder, _served(waves, is_at_rest, injector.failures))
    await spread.close()
    return Report(
        engine=running.engine,
        minutes=options.minutes,
        seed=options.seed,
        faults=injector.injected,
        counts=_counts(history, recorder, waves, verdict),
        verdict=verdict,
        skipped=running.skipped,
    )


async def _judge(running: World, history: History, recorder: Recorder, served: Check) -> Verdict:
    """The checker's verdict, with what only the running services can be asked."""
    topics = recorder.topics()
    log = await asyncio.to_thread(stores.event_logs, running.urls.mongo)
    logs = {f"log of {file.stem}": [file.read_bytes()] for file in sorted(running.log_dir.glob("*.log"))}
    evidence = Evidence(
        topics=topics,
        log=log,
        money=await stores.money(running),
        consumers=stores.CONSUMERS,
        raw=recorder.raw | logs,
        personal=PERSONAL_MARKERS | {PERSONAL: "poison"},
    )
    verdict = await asyncio.to_thread(judge, history, evidence)
    async with stores.client(running, "matching") as matching:
        envelopes = [envelope for _, envelope in topics.events()]
        rankings, lists = await check_rankings(matching, envelopes, datetime.now(UTC))
    return replace(
        verdict, checks=[*verdict.checks, ("wrong_ranks", rankings), ("wrong_ranks", lists), ("other", served)]
    )


def _served(waves: traffic.Waves, is_at_rest: bool, failures: Sequence[str]) -> Check:
    """Whether the services did all that was asked of them in the end."""
    check = Check("answered as expected, all came to rest")
    check.compare("programmes finished", waves.finished, len(waves.journals))
    check.compare("all published and consumed", is_at_rest, True)
    for text in (*failures, *waves.unanswered):
        check.fail(text)
    for journal in waves.journals:
        check.count += len(journal.accepted) + len(journal.refused)
        for mismatch in journal.mismatches:
            check.fail(str(mismatch))
    return check


def _counts(history: History, recorder: Recorder, waves: traffic.Waves, verdict: Verdict) -> dict[str, int]:
    unknown = list(history.of(Unknown))
    answered = {answer.key for answer in history.of(Answered)}
    events = {envelope.id for _, envelope in recorder.topics().events()}
    valid = sum(1 for message in recorder.messages if message.envelope is not None)
    return {
        "programmes played, each in a city": len(waves.journals),
        "commands accepted": waves.accepted,
        "commands refused, as expected": sum(len(j.refused) - len(j.mismatches) for j in waves.journals),
        "requests without an answer, repeated": len(unknown),
        "commands answered after that": len({entry.key for entry in unknown} & answered),
        "rankings read": sum(1 for _ in history.of(Ranking)),
        "rankings not verifiable, of a lost broker": verdict.unverified,
        "events on topics": len(events),
        "messages that came again": valid - len(events),
        "dead letters": len(recorder.letters),
        "brokers that began empty": len(recorder.generations),
        "faults": sum(1 for _ in history.of(FaultBegan)),
    }


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(), BarColumn(bar_width=20), TimeElapsedColumn(), TextColumn("{task.description}"), console=console
    )

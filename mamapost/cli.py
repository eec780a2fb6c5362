"""The console command `mamapost`."""

from __future__ import annotations

import difflib
import importlib
import json
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from deploy.local.errors import LocalRunError
from mamapost.backup.command import backup, restore
from mamapost.chaos.options import ChaosOptions, EngineKind
from mamapost.contracts.command import app as contracts
from mamapost.dlq.command import app as dlq
from mamapost.kit.cli import kit
from services.revenue.domain.statements import exact_yuan
from shared.contracts.topics import TOPICS
from shared.runtime import logs, server, tracing
from shared.runtime.loading import loading
from shared.runtime.settings import Settings, unreadable

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

KEEP_ALIVE_S = 30
"""Idle HTTP connections are closed after this long; longer than the pauses of a client that works through a list."""

STOP_TIMEOUT_S = 10
"""How long a stopping service waits for requests under way; the slowest (a bulk) takes about a second."""


class Service(StrEnum):
    """The four services."""

    REGISTRY = "registry"
    MATCHING = "matching"
    TRAINING = "training"
    REVENUE = "revenue"


@app.callback()
def mamapost() -> None:
    """mamapost: the event backbone of a city's 妈妈岗 ("mama post") programme."""


@app.command()
def serve(
    service: Annotated[Service, typer.Argument(help="Which service.")],
    port: Annotated[int | None, typer.Option(help="Port to listen on; default MAMAPOST_PORT or 8000.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; default MAMAPOST_HOST or loopback.")] = None,
) -> None:
    """Run one service until it is stopped. Settings come from MAMAPOST_* variables (docs/configuration.md)."""
    given = {name: value for name, value in (("port", port), ("host", host)) if value is not None}
    try:
        settings = Settings.model_validate({**Settings().model_dump(), **given})
        logs.configure(service.value, settings.log_level)
        tracing.start(service.value, settings)
        with loading():
            served = importlib.import_module(f"services.{service.value}.app").create(settings)
    except (ValidationError, ValueError, OSError) as error:
        _fail(f"{service.value} cannot start: {unreadable(error)}")
    config = uvicorn.Config(
        served,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_TIMEOUT_S,
    )
    try:
        if not server.serve(served, config):
            raise typer.Exit(1)
    finally:
        tracing.stop()


@app.command()
def topics(
    name: Annotated[str | None, typer.Argument(help="One topic, shown whole with its fields and an example.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """List every topic: owner, key, access, how long it is kept, meaning. With a name: all that is promised of it."""
    from mamapost.topics import show_all, show_one

    if name is None:
        show_all(as_json)
    elif name in TOPICS:
        show_one(TOPICS[name], as_json)
    else:
        near = difflib.get_close_matches(name, TOPICS, n=3) or sorted(TOPICS)
        _fail(f"no topic {name}; perhaps {', '.join(near)}")


app.add_typer(contracts, name="contracts")
app.add_typer(dlq, name="dlq")
app.add_typer(kit, name="kit")

rank = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Rankings, from the topics alone.")
app.add_typer(rank, name="rank")


@rank.command("replay")
def rank_replay(
    city: Annotated[str, typer.Option(help="Division code, e.g. 370600.")],
    until: Annotated[str, typer.Option(help="An instant (2026-03-02T08:00:00Z), or the `position` of an answer.")],
    at: Annotated[datetime | None, typer.Option(help="With a position: the `at` of that answer.")] = None,
    post: Annotated[str | None, typer.Option(help="Only this post; default: all that are open.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=50, help="Places of each ranking.")] = 10,
    kafka: Annotated[str | None, typer.Option(help="Broker; default MAMAPOST_KAFKA.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for other programs.")] = False,
) -> None:
    """Rebuild a city's rankings as of a past moment, identical to what was served then."""
    from aiokafka.errors import KafkaError

    from mamapost.broker import reached_broker
    from mamapost.replay import replay
    from services.matching.position import StreamPosition

    aware = None if at is None else at.replace(tzinfo=at.tzinfo or UTC)
    try:
        moment = datetime.fromisoformat(until)
        target: StreamPosition | datetime = moment.replace(tzinfo=moment.tzinfo or UTC)
    except ValueError:
        try:
            target = StreamPosition.parse(until)
        except ValueError as error:
            _fail(f"until: expected {error}, or an instant such as 2026-03-02T08:00:00Z")
    screen = Console(stderr=True)
    try:
        broker = reached_broker(kafka)
        with screen.status("reading the topics") as status:
            engine = replay(broker, city, target, aware, lambda n: status.update(f"{n:,} events read"))
        posts = [post] if post is not None else sorted(engine.ids("post", city))
        rankings = {post_id: engine.ranking(post_id, limit) for post_id in posts}
    except KeyError:
        _fail(f"post: {city} had no such post then")
    except (LocalRunError, KafkaError, OSError) as error:
        _fail(str(error))
    if as_json:
        rows = [
            {
                "post_id": post_id,
                "top": [{"seeker_id": r.seeker_id, "score": r.score, "parts": r.parts._asdict()} for r in places],
            }
            for post_id, places in rankings.items()
        ]
        print(json.dumps(rows, indent=2))
        return
    for post_id, places in rankings.items():
        table = Table("#", "seeker", "score", title=post_id, title_justify="left", box=None, pad_edge=False)
        for number, place in enumerate(places, 1):
            table.add_row(str(number), place.seeker_id, f"{place.score:,}")
        Console().print(table)


cluster = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Three Apache Kafka brokers and three mongod on this machine (`make parts` fetches Kafka; needs Java 17).",
)
app.add_typer(cluster, name="cluster")


@cluster.command("up")
def cluster_up(
    data_dir: Annotated[Path, typer.Option(help="Where data and logs are kept across restarts.")] = Path("var/cluster"),
) -> None:
    """Run the cluster until Ctrl-C, and print the variables that point everything at it."""
    from mamapost.cluster import run_cluster

    try:
        run_cluster(data_dir)
    except LocalRunError as error:
        _fail(str(error))


@cluster.command("run")
def cluster_run(command: Annotated[list[str], typer.Argument(help="Program and arguments, after `--`.")]) -> None:
    """Run one command on a fresh cluster, which goes afterwards; ends with the command's exit code."""
    from mamapost.cluster import run_on_cluster

    try:
        code = run_on_cluster(command)
    except LocalRunError as error:
        _fail(str(error))
    raise typer.Exit(code)


ledger = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The ledger of rebates.")
app.add_typer(ledger, name="ledger")


@ledger.command("verify")
def ledger_verify(
    city: Annotated[str | None, typer.Option(help="Division code; default: every city that has a ledger.")] = None,
    mongo: Annotated[str | None, typer.Option(help="Database; default MAMAPOST_MONGO.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for other programs.")] = False,
) -> None:
    """Read the ledger again from its first entry: chain, debits = credits, balances, agreements, settlements, events.

    Ends with 1 when something is wrong.
    """
    from pymongo.errors import PyMongoError

    from mamapost.ledger import verify

    settings = Settings() if mongo is None else Settings(mongo=mongo)
    screen = Console(stderr=True)
    try:
        with screen.status("reading the ledger") as status:
            done = verify(
                settings, city, lambda at, read, total: status.update(f"{at}: {read:,} of {total:,} entries read")
            )
    except PyMongoError as error:
        _fail(f"the database did not answer ({type(error).__name__})")
    wrong = sum(len(audit.findings) for audit in done.audits)
    if as_json:
        rows = [
            {
                "city": audit.city,
                "entries": audit.entries,
                "head_hash": audit.kept.head.hash,
                "debits_fen_e4": audit.debits_fen_e4,
                "credits_fen_e4": audit.credits_fen_e4,
                "findings": [finding._asdict() for finding in audit.findings],
            }
            for audit in done.audits
        ]
        print(json.dumps({"ok": not wrong, "seconds": round(done.seconds, 3), "cities": rows}, indent=2))
    else:
        table = Table("city", "entries", "debits, yuan", "credits, yuan", "findings", box=None, pad_edge=False)
        for audit in done.audits:
            sums = (exact_yuan(amount) for amount in (audit.debits_fen_e4, audit.credits_fen_e4))
            table.add_row(audit.city, f"{audit.entries:,}", *sums, str(len(audit.findings) or "none"))
        Console().print(table)
        for audit in done.audits:
            for finding in audit.findings:
                print(f"{audit.city}: {finding.rule} at {finding.where}")
    if wrong:
        raise typer.Exit(1)


@ledger.command("reconcile")
def ledger_reconcile(
    city: Annotated[str | None, typer.Option(help="Division code; default: every city.")] = None,
    from_topics: Annotated[bool, typer.Option(help="Read `shift-completed` from its beginning, too.")] = False,
    kafka: Annotated[str | None, typer.Option(help="Broker; default MAMAPOST_KAFKA.")] = None,
    mongo: Annotated[str | None, typer.Option(help="Database; default MAMAPOST_MONGO.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for other programs.")] = False,
) -> None:
    """Hold every shift against its lines, suspense, settlements and payouts, and name each one that differs.

    Ends with 1 when something differs.
    """
    from aiokafka.errors import KafkaError
    from pymongo.errors import PyMongoError

    from mamapost.broker import reached_broker
    from mamapost.reconcile import reconcile, show

    screen = Console(stderr=True)
    try:
        broker = reached_broker(kafka) if from_topics else None
        settings = Settings() if mongo is None else Settings(mongo=mongo)
        with screen.status("reading") as status:
            done = reconcile(settings, broker, city, status.update)
    except PyMongoError as error:
        _fail(f"the database did not answer ({type(error).__name__})")
    except (LocalRunError, KafkaError, OSError) as error:
        _fail(str(error))
    show(done, as_json=as_json)
    if done.report.differences:
        raise typer.Exit(1)


app.command()(backup)
app.command()(restore)


@app.command()
def up(
    data_dir: Annotated[Path, typer.Option(help="Where data, keys and logs are kept across restarts.")] = Path("var"),
) -> None:
    """Run the engines and the four services until Ctrl-C; data is kept."""
    from mamapost.up import run_up

    try:
        run_up(data_dir)
    except LocalRunError as error:
        _fail(str(error))


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="Seed of the scenario; the same seed gives the same programme.")] = 20251,
    scale: Annotated[float, typer.Option(min=0.01, max=5.0, help="Size; 1 is Yantai's programme.")] = 1.0,
    month: Annotated[str | None, typer.Option(help="Month of the shifts, YYYY-MM; default: the last full one.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the machine-readable result here.")] = None,
    export: Annotated[Path | None, typer.Option(help="Only write the scenario's commands to this folder.")] = None,
    kill: Annotated[bool, typer.Option(help="Kill each service once in mid-stream.")] = True,
    keep: Annotated[Path | None, typer.Option(help="Keep data and logs of the run in this folder.")] = None,
) -> None:
    """Run the scenario `yantai` through real engines and services, verify the result, and print it."""
    from mamapost.demo.run import DemoOptions, run_demo, run_export

    options = DemoOptions(seed=seed, scale=scale, month=_month(month), kill=kill, keep=keep, json_file=json_file)
    try:
        if export is not None:
            run_export(options, export)
            return
        passed = run_demo(options)
    except LocalRunError as error:
        _fail(str(error))
    if not passed:
        raise typer.Exit(1)


@app.command()
def chaos(
    minutes: Annotated[float, typer.Option(min=0.2, max=600, help="How long faults are injected.")] = 5.0,
    seed: Annotated[int, typer.Option(help="Seed of faults and programmes; the same seed plans the same.")] = 1,
    engine: Annotated[
        EngineKind | None, typer.Option(help="Default: the cluster where its parts are there, else the embedded one.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the machine-readable result here.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Keep history, data and logs of the run in this folder.")] = None,
) -> None:
    """Play programmes while services, brokers and databases are hurt, and prove that nothing was lost or doubled.

    Ends with 1 when a check does not hold.
    """
    from mamapost.chaos.run import run_chaos

    options = ChaosOptions(minutes, seed, engine, _month(None), json_file, keep)
    try:
        passed = run_chaos(options)
    except LocalRunError as error:
        _fail(str(error))
    if not passed:
        raise typer.Exit(1)


def _month(text: str | None) -> date:
    """The month to play, as its first day; by default the last one that is over."""
    if text is None:
        first_of_this = date.today().replace(day=1)
        return (first_of_this.replace(day=1) - date.resolution).replace(day=1)
    try:
        return datetime.strptime(text, "%Y-%m").date()
    except ValueError:
        raise typer.BadParameter("expected YYYY-MM", param_hint="--month") from None


def _fail(message: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(f"error: {message}")
    raise typer.Exit(2)


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="mamapost")

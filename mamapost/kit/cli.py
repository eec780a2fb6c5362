"""The commands `mamapost kit …`."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer
from aiokafka.errors import KafkaError
from rich.console import Console

from deploy.local.errors import LocalRunError

kit = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="For integrators: a recorded stream, and a checker."
)


@kit.command()
def check(
    table: Annotated[Path, typer.Option(help="Your table: SQLite, CSV or JSON with post_id, version, sequence, top.")],
    brokers: Annotated[
        str | None, typer.Option(help="Broker to play the stream to first, host:port; without it, it only compares.")
    ] = None,
    prefix: Annotated[str, typer.Option(help="Put before the topics' names; without it, the real ones.")] = "",
    name: Annotated[str, typer.Option(help="Name of the table or view in SQLite.")] = "open_posts",
    wait_s: Annotated[float, typer.Option(min=0, help="How long your table may take to become right.")] = 60.0,
) -> None:
    """Play the golden stream to a broker, and say whether your table of open posts is right, and where not."""
    from mamapost.broker import reached_broker
    from mamapost.kit.check import run_check

    try:
        passed = run_check(None if brokers is None else reached_broker(brokers), prefix, table, name, wait_s)
    except (LocalRunError, KafkaError) as error:
        _fail(str(error))
    if not passed:
        raise typer.Exit(1)


@kit.command("play")
def play_alone(
    brokers: Annotated[str, typer.Option(help="Broker, host:port.")],
    prefix: Annotated[str, typer.Option(help="Put before the topics' names; without it, the real ones.")] = "",
) -> None:
    """Play the golden stream to a broker, and leave the checking for later."""
    from mamapost.broker import reached_broker
    from mamapost.kit.check import run_play

    try:
        run_play(reached_broker(brokers), prefix)
    except (LocalRunError, KafkaError) as error:
        _fail(str(error))


@kit.command()
def record(
    file: Annotated[Path, typer.Argument(help="Where to write the stream (.ndjson.gz).")],
    month: Annotated[str, typer.Option(help="Month of the scenario, YYYY-MM: the one before this.")],
) -> None:
    """Record the golden stream anew, from the scenario on real engines (for maintainers)."""
    from mamapost.kit.record import record as run

    try:
        first: date = datetime.strptime(month, "%Y-%m").date()
        Console().print(f"{run(file, first)} messages written to {file}")
    except ValueError:
        raise typer.BadParameter("expected YYYY-MM", param_hint="--month") from None
    except LocalRunError as error:
        _fail(str(error))


def _fail(message: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(f"error: {message}")
    raise typer.Exit(2)

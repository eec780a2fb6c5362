"""`mamapost backup` and `mamapost restore` on the terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from pymongo.errors import PyMongoError
from rich.console import Console
from rich.table import Table

from mamapost.backup import city as city_file
from mamapost.backup.city import BackupError, Done
from shared.runtime.settings import Settings


def backup(
    city: Annotated[str, typer.Argument(help="Division code.")],
    to: Annotated[Path, typer.Option(help="The file; it is replaced when the new one is whole.")],
    mongo: Annotated[str | None, typer.Option(help="Database; default MAMAPOST_MONGO.")] = None,
) -> None:
    """Write all that the four databases hold of a city, at one moment, to a file. The services go on meanwhile."""
    _move(lambda settings: city_file.back_up(settings, city, to), mongo, f"written to {to}")


def restore(
    file: Annotated[Path, typer.Argument(help="What `mamapost backup` wrote.")],
    mongo: Annotated[str | None, typer.Option(help="Database; default MAMAPOST_MONGO.")] = None,
) -> None:
    """Bring a city back into databases that hold nothing of it. The services must be stopped."""
    _move(
        lambda settings: city_file.restore(settings, file),
        mongo,
        "restored; start the services, they refill the broker",
    )


def _move(work: Callable[[Settings], Done], mongo: str | None, outcome: str) -> None:
    """Take or bring back a city, and tell what it was."""
    try:
        with Console(stderr=True).status("copying"):
            done = work(Settings() if mongo is None else Settings(mongo=mongo))
    except (PyMongoError, BackupError, OSError) as error:
        told = f"the database did not answer ({type(error).__name__})" if isinstance(error, PyMongoError) else error
        Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(f"error: {told}")
        raise typer.Exit(2) from None
    table = Table("service", "collection", "documents", box=None, pad_edge=False)
    for (service, collection), number in sorted(done.documents.items()):
        table.add_row(service, collection, f"{number:,}")
    Console().print(table)
    print(f"{done.city} as of {done.at:%Y-%m-%d %H:%M:%S} UTC, {done.documents.total():,} documents {outcome}")

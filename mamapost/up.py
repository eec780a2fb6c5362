"""`mamapost up`: engines and services until Ctrl-C."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy.local.fleet import SERVICES
from mamapost.local import Running, running

LOOK_S = 1.0
"""How often it is looked whether a service has died."""


def run_up(data_dir: Path) -> None:
    """Run until SIGINT or SIGTERM; a service that dies is started again and told of.

    Raises:
        LocalRunError: something does not start.
    """
    console = Console(highlight=False)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with console.status("starting broker, database and four services"):
        started = running(data_dir, with_token=False)
        local = started.__enter__()
    try:
        _print_urls(console, local, data_dir)
        while not stop.wait(LOOK_S):
            for service in SERVICES:
                if not local.fleet.alive(service):
                    console.print(f"{service} died; its log is {local.fleet.log_path(service)}; starting it again")
                    local.fleet.restart(service, wait_ready=False)
    finally:
        with console.status("stopping"):
            started.__exit__(None, None, None)
        console.print("stopped; data is kept in", str(data_dir))


def _print_urls(console: Console, local: Running, data_dir: Path) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("part", no_wrap=True)
    table.add_column("where", overflow="fold")
    for service in SERVICES:
        table.add_row(service, f"{local.fleet.url(service)}/docs")
    table.add_row("broker", local.engines.urls.kafka)
    table.add_row("database", local.engines.urls.mongo)
    table.add_row("data and logs", str(data_dir))
    console.print(table)
    console.print("`mamapost topics` lists what can be subscribed to. Ctrl-C stops all; data is kept.")

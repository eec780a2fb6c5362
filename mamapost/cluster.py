"""`mamapost cluster`: three Kafka brokers and three mongod on this machine, alone or around a command."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from deploy.local.cluster import Cluster


def run_cluster(data_dir: Path) -> None:
    """Run until SIGINT or SIGTERM; data is kept.

    Raises:
        LocalRunError: something does not start.
    """
    console = Console(highlight=False, soft_wrap=True)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with console.status("starting three brokers and three databases"):
        cluster = Cluster.start(data_dir, data_dir / "log")
    with cluster:
        for name, value in cluster.environment.items():
            console.print(f"export {name}='{value}'")
        console.print("With these variables everything of mamapost uses the cluster. Ctrl-C stops it; data is kept.")
        stop.wait()


def run_on_cluster(command: Sequence[str]) -> int:
    """Run a command on a fresh cluster that goes afterwards.

    Returns:
        The command's exit code.

    Raises:
        LocalRunError: something does not start.
    """
    with (
        tempfile.TemporaryDirectory(prefix="mamapost-cluster-") as folder,
        Cluster.start(Path(folder), Path(folder) / "log") as cluster,
    ):
        return subprocess.run(command, env={**os.environ, **cluster.environment}, check=False).returncode

"""Matching as it is served, but its clock starts at the city's present, and `/empty` answers nothing."""

from __future__ import annotations

import argparse
import importlib
import os
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from bench.matching.tables import AT
from shared.runtime import logs
from shared.runtime.loading import loading
from shared.runtime.settings import Settings

EMPTY = "/empty"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.matching.served", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--since", type=float, required=True, help="Unix time at which the city's present was")
    parser.add_argument("--pid", type=Path, required=True, help="file that the process id is written to")
    arguments = parser.parse_args()
    arguments.pid.write_text(str(os.getpid()))
    offset = AT - datetime.fromtimestamp(arguments.since, UTC)

    def clock() -> datetime:
        now = datetime.now(UTC) + offset
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    settings = Settings.model_validate({**Settings().model_dump(), "port": arguments.port})
    logs.configure("matching", settings.log_level)
    with loading():  # as `mamapost serve` does
        app: FastAPI = importlib.import_module("services.matching.app").create(settings, clock)

    @app.get(EMPTY)
    async def empty() -> None:
        """What the framework costs."""

    uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_config=None, access_log=False)


if __name__ == "__main__":
    main()

"""The rooms of DESIGN §3, and what each may import. Edges between packages are import-linter's (pyproject.toml)."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.architecture.source import PRODUCT, ROOT, SERVICES, Module, is_stdlib, modules_of


@dataclass(frozen=True)
class Door:
    """What a room may import beside the standard library and itself.

    Attributes:
        own: rooms of the same service.
        shared: packages of `shared`.
        others: third-party packages.
    """

    own: frozenset[str]
    shared: frozenset[str]
    others: frozenset[str]


def _door(own: str = "", shared: str = "", others: str = "") -> Door:
    return Door(*(frozenset(names.split()) for names in (own, shared, others)))


ROOMS = {
    "domain": _door(shared="kernel", others="numpy msgspec"),
    # Ports speak of entities, and of the events that are saved with them.
    "ports": _door(own="domain", shared="kernel contracts", others="msgspec"),
    # A command is a pydantic model; a use case answers with events, which are contracts.
    "use_cases": _door(own="domain ports errors metrics engine position", shared="kernel contracts", others="pydantic"),
    "store": _door(
        own="domain ports errors vault",
        shared="kernel contracts messaging runtime",
        others="pymongo bson orjson",
    ),
    "handlers": _door(
        own="use_cases hiring ownership checkpoint position domain ports errors metrics facts",
        shared="kernel contracts messaging runtime",
    ),
    # Routes read through ports and show what they find, so they see entities; they do not reach the store.
    "api": _door(
        own="use_cases hiring ownership paper position domain ports errors metrics facts",
        shared="kernel contracts runtime",
        others="fastapi starlette pydantic orjson",
    ),
    "errors": _door(shared="kernel"),
    # How ages are counted stands beside the metrics that all services have.
    "metrics": _door(shared="runtime", others="prometheus_client"),
    "config": _door(shared="kernel runtime", others="pydantic"),
}
"""Of every service. `app`, the composition root, may import all."""

MORE_ROOMS = {
    # Translates events into what the domain knows, for the handlers.
    ("matching", "facts"): _door(own="domain", shared="kernel contracts"),
    # The domain's rankings again, compiled and incremental; equal to it by property tests.
    ("matching", "engine"): _door(own="domain", shared="kernel", others="llvmlite msgspec numba numpy"),
    # Where a partition's rankings stand, as text: the topics that they are made of, in an order.
    ("matching", "position"): _door(own="facts", shared="contracts"),
    # Files that hold a partition's arrays, and the forked child that writes them.
    ("matching", "checkpoint"): _door(others="numpy"),
    # Leases on partitions, and the other instances over HTTP.
    ("matching", "ownership"): _door(
        own="use_cases ports errors metrics position", shared="kernel runtime", others="httpx"
    ),
    # Use cases of instant hiring, and the loop that repeats them.
    ("matching", "hiring"): _door(own="domain ports errors metrics", shared="kernel contracts runtime"),
    # The registry over HTTP: the single authority on seats. No other room speaks to another service.
    ("matching", "registry"): _door(own="domain ports errors", shared="kernel runtime", others="httpx orjson"),
    # Statements and funds as people read them: pages, PDF, pictures. The font is data of its package.
    ("revenue", "paper"): _door(own="domain", shared="kernel", others="jinja2 markupsafe reportlab"),
    # Personal data at rest: cryptography stands nowhere else.
    ("registry", "vault"): _door(others="cryptography"),
}
"""Rooms that one service has for a reason of its own."""

CONSUMES_NOTHING = {"registry"}
"""Services without events of others, and therefore without `handlers`."""

services = pytest.mark.parametrize("service", SERVICES)


def rooms_of(service: str) -> dict[str, list[Module]]:
    rooms: dict[str, list[Module]] = {}
    for module in modules_of("services"):
        if module.service == service and module.room:
            rooms.setdefault(module.room, []).append(module)
    return rooms


def test_there_are_these_services() -> None:
    assert {path.parent.name for path in (ROOT / "services").glob("*/__init__.py")} == set(SERVICES)


@services
def test_a_service_has_the_rooms_of_all(service: str) -> None:
    wanted = {"app", *ROOMS} - ({"handlers"} if service in CONSUMES_NOTHING else set())
    own = {room for owner, room in MORE_ROOMS if owner == service}
    assert set(rooms_of(service)) == wanted | own


@services
def test_a_room_is_a_file_or_a_folder(service: str) -> None:
    folder = ROOT / "services" / service
    assert not [room for room in rooms_of(service) if (folder / room).is_dir() and (folder / f"{room}.py").exists()]


@services
def test_a_room_imports_what_it_may(service: str) -> None:
    faults: list[str] = []
    for room, modules in rooms_of(service).items():
        door = ROOMS.get(room) or MORE_ROOMS.get((service, room))
        if door is None:  # app; a room that nobody knows is the matter of another test
            continue
        for module in modules:
            faults += [f"{module}: {name}" for name in module.imports() if not _may(door, service, room, name)]
    assert faults == []


def _may(door: Door, service: str, room: str, name: str) -> bool:
    parts = name.split(".")
    if parts[0] == "services":
        return parts[1] == service and len(parts) > 2 and parts[2] in door.own | {room}
    if parts[0] == "shared":
        return len(parts) > 1 and parts[1] in door.shared
    return is_stdlib(name) or parts[0] in door.others


def test_the_driver_stands_behind_a_few_doors() -> None:
    """Motor is past its end of life: PyMongo Async must be able to replace it in a day (DESIGN §8)."""
    motor = {module.name for module in modules_of(*PRODUCT) if _uses(module, "motor")}
    assert motor == {"shared.runtime.mongo"}
    driver = {module for module in modules_of("services", "shared") if _uses(module, "pymongo", "bson")}
    exceptions = {
        # It tells a command that lost a race for its key (DuplicateKeyError) from any other failure.
        "shared.runtime.commands",
        # It makes a 503 of whatever the driver says when the database is gone.
        "shared.runtime.http",
        # It makes the indexes that the stores' steps describe in the driver's form.
        "shared.runtime.migrations",
        # It waits for a database that is not there yet, which only the driver can say.
        "shared.runtime.readiness",
    }
    outside = {
        module.name
        for module in driver
        if module.room != "store" and not module.name.startswith(("shared.messaging.", "shared.runtime.mongo"))
    }
    assert outside - exceptions == set()


def test_the_web_framework_stands_behind_a_few_doors() -> None:
    users = {module for module in modules_of("services", "shared") if _uses(module, "fastapi", "starlette")}
    outside = {m.name for m in users if m.room not in ("api", "app") and not m.name.startswith("shared.runtime.")}
    assert outside == set()


def test_the_broker_stands_behind_one_door() -> None:
    users = {module for module in modules_of("services", "shared") if _uses(module, "aiokafka", "faststream")}
    # The catalogue takes Kafka's own hash from the client library.
    outside = {module.name for module in users if not module.name.startswith("shared.messaging.")}
    assert outside == {"shared.contracts.topics"}


def test_the_compiler_stands_behind_one_door() -> None:
    """What is compiled must equal the definition; so it is one room, beside the definition."""
    users = {module for module in modules_of(*PRODUCT) if _uses(module, "numba", "llvmlite")}
    assert {(module.service, module.room) for module in users} == {("matching", "engine")}


def _uses(module: Module, *packages: str) -> bool:
    return any(name.partition(".")[0] in packages for name in module.imports())


def test_no_drawer_for_odds_and_ends() -> None:
    named = re.compile(r"(^|_)(utils?|commons?|helpers?|misc|lib|base)$")
    assert [str(m) for m in modules_of(*PRODUCT) if any(named.search(part) for part in m.name.split("."))] == []


def test_nothing_connects_or_runs_at_import() -> None:
    """Every module can be imported where there is no broker, no database and no setting."""
    names = [module.name for module in modules_of("services", "shared") if not module.name.endswith("__main__")]
    script = f"import importlib\nfor name in {names!r}: importlib.import_module(name)"
    environment = {"MAMAPOST_KAFKA": "256.0.0.1:1", "MAMAPOST_MONGO": "mongodb://256.0.0.1:1", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_import_contracts_hold() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [command, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

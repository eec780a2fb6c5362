"""A scenario as files, so that other programs can replay it: one NDJSON a stage, a manifest, a README."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mamapost.scenario.model import (
    REF_PATTERN,
    ROWS_MAX,
    Awaits,
    Command,
    Holder,
    Refusal,
    Scenario,
    Service,
    Stage,
    line_of,
)
from mamapost.scenario.references import references
from mamapost.scenario.uploads import media_type_of
from shared.kernel.clock import month_of

FORMAT: Literal[1] = 1
MANIFEST = "manifest.json"
README = "README.md"

FILE_MAX_BYTES = 1 << 30
"""Largest stage that is read: at scale 5 the shifts take about 40 MB."""

_FILE_NAME = r"^[0-9]{2}-[a-z0-9-]{1,60}\.ndjson$"


class ScenarioFileError(Exception):
    """Files that are not an export, or were changed; the message says which file, which line, and what is expected."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class _Refusal(_Strict):
    code: Annotated[str, Field(min_length=1)]
    field: Annotated[str, Field(min_length=1)]
    status: Annotated[int, Field(ge=400, le=499)] | None = None


class _Line(_Strict):
    ref: Annotated[str, Field(pattern=rf"^{REF_PATTERN}(/[a-z0-9-]+)?$")]
    method: Literal["POST"]
    path: Annotated[str, Field(pattern=r"^/[a-z/@:0-9-]+$")]
    body: dict[str, Any]
    upload: Annotated[str, Field(pattern=r"^[a-z0-9-]+\.(ndjson|csv)$")] | None = None
    refusal: _Refusal | None = None
    accrues: bool = False
    suspended: bool = False


class _Stage(_Strict):
    name: str
    service: Service
    awaits: Awaits | None = None
    holder: Holder = "desk"
    file: Annotated[str, Field(pattern=_FILE_NAME)]
    commands: int
    sha256: str


class _Manifest(_Strict):
    format: Literal[1]
    scenario: str
    seed: int
    scale: float
    month: Annotated[str, Field(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$")]
    usable_from: str
    usable_until: str
    fingerprint: str
    counts: dict[str, int]
    stages: tuple[_Stage, ...]


_Model = TypeVar("_Model", bound=BaseModel)


def export(scenario: Scenario, directory: Path) -> None:
    """Write a scenario to a folder; the same scenario gives the same bytes.

    The manifest comes last, so that an export that was cut short is not taken for a whole one.

    Args:
        directory: is created; an earlier export in it is replaced.

    Raises:
        ScenarioFileError: the folder holds other things, or cannot be written.
    """
    try:
        _make_room(directory)
        stages = []
        for number, stage in enumerate(scenario.stages, 1):
            content = b"".join(line_of(command) for command in stage.commands)
            file = f"{number:02d}-{stage.name}.ndjson"
            (directory / file).write_bytes(content)
            stages.append(
                _Stage(
                    name=stage.name,
                    service=stage.service,
                    awaits=stage.awaits,
                    holder=stage.holder,
                    file=file,
                    commands=len(stage.commands),
                    sha256=hashlib.sha256(content).hexdigest(),
                )
            )
        manifest = _Manifest(
            format=FORMAT,
            scenario=scenario.name,
            seed=scenario.seed,
            scale=scenario.scale,
            month=month_of(scenario.month),
            usable_from=scenario.usable_from.isoformat(),
            usable_until=scenario.usable_until.isoformat(),
            fingerprint=scenario.fingerprint,
            counts=scenario.counts,
            stages=tuple(stages),
        )
        (directory / README).write_text(_README, encoding="utf-8", newline="\n")
        document = orjson.dumps(manifest.model_dump(exclude_none=True), option=orjson.OPT_INDENT_2) + b"\n"
        (directory / MANIFEST).write_bytes(document)
    except OSError as error:
        raise ScenarioFileError(f"{error.filename or directory}: {error.strerror}") from error


def _make_room(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    present = {entry.name for entry in directory.iterdir()}
    if not present:
        return
    if MANIFEST not in present:
        raise ScenarioFileError(f"{directory}: expected an empty folder, or an earlier export")
    for stage in _manifest(directory).stages:
        (directory / stage.file).unlink(missing_ok=True)
    (directory / MANIFEST).unlink()


def load(directory: Path) -> Scenario:
    """Read an export back: equal to the scenario that was written.

    Raises:
        ScenarioFileError: a file is missing, malformed or changed, or a command names what no earlier stage makes.
    """
    manifest = _manifest(directory)
    year, month = map(int, manifest.month.split("-"))
    scenario = Scenario(
        name=manifest.scenario,
        seed=manifest.seed,
        scale=manifest.scale,
        month=date(year, month, 1),
        stages=tuple(_stage(directory, described) for described in manifest.stages),
    )
    _check_references(scenario, manifest)
    return scenario


def _manifest(directory: Path) -> _Manifest:
    return _parsed(_Manifest, _read(directory / MANIFEST), str(directory / MANIFEST))


def _stage(directory: Path, described: _Stage) -> Stage:
    file = directory / described.file
    content = _read(file)
    commands: list[Command] = []
    for number, line in enumerate(content.splitlines(), 1):
        parsed = _parsed(_Line, line, f"{file}:{number}")
        refusal = None if parsed.refusal is None else Refusal(**parsed.refusal.model_dump())
        if parsed.upload is not None:
            media_type_of(parsed.upload)
        commands.append(
            Command(
                parsed.ref, parsed.path, parsed.body, parsed.upload, refusal, parsed.accrues, suspended=parsed.suspended
            )
        )
    if len(commands) != described.commands:
        raise ScenarioFileError(f"{file}: expected {described.commands} lines, found {len(commands)}")
    if hashlib.sha256(content).hexdigest() != described.sha256:
        raise ScenarioFileError(f"{file}: expected the SHA-256 that {MANIFEST} names; the file was changed")
    stage = Stage(described.name, described.service, tuple(commands), described.awaits, described.holder)
    for together in stage.requests():
        if len(together) > ROWS_MAX or len({command.path for command in together}) > 1:
            raise ScenarioFileError(f"{file}: {together[0].upload}: expected at most {ROWS_MAX} rows of one path")
    return stage


def _check_references(scenario: Scenario, manifest: _Manifest) -> None:
    made: set[str] = set()
    seen: set[str] = set()
    for stage, described in zip(scenario.stages, manifest.stages, strict=True):
        for number, command in enumerate(stage.commands, 1):
            if command.ref in seen:
                raise ScenarioFileError(f"{described.file}:{number}: ref: expected one that no other command has")
            seen.add(command.ref)
            for ref in references(command):
                if ref not in made:
                    raise ScenarioFileError(f"{described.file}:{number}: @{ref}: no earlier stage makes it")
        made |= {command.ref for command in stage.commands if command.makes_entity}


def _parsed(model: type[_Model], content: bytes, where: str) -> _Model:
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        path = ".".join(map(str, fault["loc"])) or "content"
        raise ScenarioFileError(f"{where}: {path}: {fault['msg']}") from None


def _read(file: Path) -> bytes:
    try:
        if file.stat().st_size > FILE_MAX_BYTES:
            raise ScenarioFileError(f"{file}: expected at most {FILE_MAX_BYTES} bytes")
        return file.read_bytes()
    except OSError as error:
        raise ScenarioFileError(f"{file}: {error.strerror}") from None


_README = """\
# A scenario of mamapost, as files

Everything here is made up: names, telephone numbers and addresses belong to nobody.

`manifest.json` names the stages in their order, the service that each is posted to, and the SHA-256 of each file.
`usable_from` and `usable_until` are the civil days (China) between which it can be played: before, the month of the
shifts is not over; after, posts have expired and children are too old. `fingerprint` identifies the whole.

Each stage is an NDJSON file, UTF-8, one command a line:

| field | meaning |
|---|---|
| `ref` | unique name of the command. Without `/` it names the entity that the command makes, e.g. `seeker:17` |
| `method`, `path` | always `POST`; the path below the service's base URL |
| `body` | the JSON body of a single command, or one row of an upload |
| `upload` | lines of the same upload stand together and are sent as one body to `path`, at most 1,000 rows |
| `refusal` | wrong on purpose: the expected problem `code`, a `field` it names, `status` (single commands) |
| `accrues` | the ledger must get an accrual for this revision of a shift |
| `suspended` | its community has no agreement yet: it waits in suspense until one is signed |

How to replay it:

1. Take the stages in order. Commands of one stage do not depend on each other and may be sent all at once.
2. The text `@employer:17`, in a path or as a whole value in a body, stands for the `id` that the command with that
   `ref` was answered. Replace it before sending.
3. Send each single command, and each upload, with an `Idempotency-Key` of its own, and repeat it with the same key and
   body when there is no answer, on 503, and on a problem that says `retryable` (another service may not have heard of
   an entity yet). All commands without `refusal` are accepted.
4. An upload whose name ends in `.ndjson` is sent as `application/x-ndjson`, one row a line; one that ends in `.csv` as
   `text/csv`: the header holds field paths (`person.phone`), an absent field is an empty cell, and in a cell `;` joins
   words, weekly hours (`1 09:00-11:30`) and children's birth dates. The report lists the rows from 1.
5. Stages with `"holder": "approver"` go with the token of another holder: nobody approves their own request.
6. Before a stage with `"awaits": "rebates"`, wait until `GET /ledger/entries` of revenue lists an accrual for the last
   revision of every shift whose last command says `accrues` (and, where only an earlier revision does, the reversal of
   that one). A month is closed by its settlement: what comes later belongs to the next.
   Before one with `"awaits": "suspense"`, wait until `GET /ledger/entries?kinds=all` lists the same for the shifts
   whose last command says `suspended`, as `suspense` and `suspense-reversal`; the stage then signs their agreements.
   Before one with `"awaits": "settlements"`, wait until `GET /settlements/{id}/progress` of each says `settled`, or
   `reversed`.
7. The stage `payout-batches` orders the bank's file (`GET /payout-batches/{id}/file`). What the bank answers is no
   command of the scenario: play the bank, and post its confirmation to `/cities/{city}/payout-confirmations`.
"""

"""Plays the stages of a scenario, one after the other, and judges every answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson

from mamapost.scenario.drive.journal import Accepted, Journal, Refused, StageReport
from mamapost.scenario.drive.rebates import Rebates, Told, await_lines, await_settlements
from mamapost.scenario.drive.sending import DEADLINE_S, TIMEOUT, Answer, Lanes, Sender, Undelivered, fields_of
from mamapost.scenario.model import Command, Refusal, Scenario, Stage
from mamapost.scenario.references import Unresolved, resolve, resolve_path
from mamapost.scenario.uploads import content_of, media_type_of

CONCURRENCY = 16
"""Commands on their way at once. A command waits mostly for the journal of the database, which takes those of one
moment together: on two cores a tenth less processor time a command than with 8, and nothing gained beyond 16."""

UPLOADS_AT_ONCE = 2
"""Uploads keep a service busy by themselves; a second one hides the time on the wire."""

OnProgress = Callable[[str, int, int], None]
"""Told of each final answer: stage, commands done, commands in all."""


def _silent(_stage: str, _done: int, _total: int) -> None:
    """Nobody watches."""


async def drive(
    scenario: Scenario,
    urls: Mapping[str, str],
    token: str | None,
    on_progress: OnProgress = _silent,
    *,
    approver_token: str | None = None,
    run: str | None = None,
    concurrency: int = CONCURRENCY,
    deadline_s: float = DEADLINE_S,
    journal: Journal | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Journal:
    """Send all commands and note what became of each.

    Services may be killed and restarted meanwhile. A second call with the same `run` on the same data gets the first
    answers again, so a drive that was broken off can be taken up.

    Args:
        urls: base URL of each service by name.
        token: bearer token with the scopes `read` and `write`; `None` where loopback is trusted.
        approver_token: of another holder, for the stages that need a second person.
        on_progress: must not block: nothing is sent meanwhile.
        run: goes into the Idempotency-Keys; another run on the same data does everything once more. By default the
            scenario's fingerprint.
        concurrency: single commands on their way at once.
        deadline_s: how long each request is repeated.
        journal: to be filled, for those who want to watch it grow.
        transport: in the place of the network, for tests.

    Raises:
        Undelivered: a request had no final answer within the deadline.
    """
    run_key = f"{scenario.name}-{scenario.fingerprint[:16]}" if run is None else run
    filled = Journal() if journal is None else journal
    async with AsyncExitStack() as stack:
        lanes: dict[tuple[str, str], Lanes] = {}
        for service, holder in dict.fromkeys((stage.service, stage.holder) for stage in scenario.stages):
            own_token = approver_token if holder == "approver" else token
            lanes[service, holder] = Lanes(_connecting(urls[service], own_token, transport))
            stack.push_async_callback(lanes[service, holder].aclose)
        rebates = Rebates()
        for stage in scenario.stages:
            report = StageReport(stage.name, stage.service)
            filled.stages[stage.name] = report
            sender = Sender(stage.service, lanes[stage.service, stage.holder], deadline_s, _counting(report))
            started = time.monotonic()
            if stage.awaits == "suspense":
                await await_lines(sender, rebates.held(), scenario.city, deadline_s)
            elif stage.awaits == "rebates":
                await await_lines(sender, rebates.lines(), scenario.city, deadline_s)
            elif stage.awaits == "settlements":
                await await_settlements(sender, _settlements(filled), deadline_s)
            report.waited_s = time.monotonic() - started if stage.awaits is not None else 0.0
            await _Play(stage, run_key, sender, filled, rebates, on_progress).play(concurrency)
    return filled


def _settlements(journal: Journal) -> list[str]:
    """Ids of the settlements that were ordered."""
    return [entity_id for ref, entity_id in journal.ids.items() if ref.startswith("settlement:")]


def _connecting(
    url: str, token: str | None, transport: httpx.AsyncBaseTransport | None
) -> Callable[[], httpx.AsyncClient]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    tls = httpx.create_ssl_context()

    def connect() -> httpx.AsyncClient:
        # trust_env: a proxy configured for the outside must not be asked for loopback.
        return httpx.AsyncClient(
            base_url=url, headers=headers, timeout=TIMEOUT, verify=tls, trust_env=False, transport=transport
        )

    return connect


def _counting(report: StageReport) -> Callable[[], None]:
    def count() -> None:
        report.retries += 1

    return count


class _Play:
    """One stage."""

    def __init__(
        self, stage: Stage, run: str, sender: Sender, journal: Journal, rebates: Rebates, on_progress: OnProgress
    ) -> None:
        self._stage = stage
        self._run = run
        self._sender = sender
        self._journal = journal
        self._rebates = rebates
        self._on_progress = on_progress
        self._report = journal.stages[stage.name]
        self._done = 0

    async def play(self, concurrency: int) -> None:
        """Send all requests of the stage; return when each has its answer.

        Raises:
            Undelivered: one had none; the others are cancelled.
        """
        started = time.monotonic()
        self._on_progress(self._stage.name, 0, len(self._stage.commands))
        requests = self._stage.requests()
        has_uploads = any(command.upload is not None for command in self._stage.commands)
        workers = min(concurrency, UPLOADS_AT_ONCE) if has_uploads else concurrency
        lost: list[Undelivered] = []
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work(requests))
        except* Undelivered as undelivered:
            # Raised below: what an except* clause itself raises comes out as a group with some releases of Python.
            lost += [error for error in undelivered.exceptions if isinstance(error, Undelivered)]
        finally:
            self._report.seconds = time.monotonic() - started
        if lost:
            raise lost[0]

    async def _work(self, requests: Iterator[tuple[Command, ...]]) -> None:
        for commands in requests:
            if commands[0].upload is None:
                await self._send_single(commands[0])
            else:
                await self._send_upload(commands[0].upload, commands)
            self._report.requests += 1
            self._done += len(commands)
            self._on_progress(self._stage.name, self._done, len(self._stage.commands))

    async def _send_single(self, command: Command) -> None:
        try:
            path = resolve_path(command.path, self._journal.ids)
            body = orjson.dumps(resolve(command.body, self._journal.ids))
        except Unresolved as error:
            self._not_sent(command, error)
            return

        def is_expected(answer: Answer) -> bool:
            return command.refusal is not None and _is(command.refusal, answer.status, answer.code, answer.fields)

        answer = await self._sender.post(path, self._key(command.ref), body, "application/json", is_expected)
        if answer.status == 201:
            self._accepted(command, answer.document)
        else:
            self._refused(command, answer.status, answer.code, answer.fields)

    async def _send_upload(self, upload: str, commands: Sequence[Command]) -> None:
        sent: list[Command] = []
        rows: list[Any] = []
        for command in commands:
            try:
                rows.append(resolve(command.body, self._journal.ids))
            except Unresolved as error:
                self._not_sent(command, error)
            else:
                sent.append(command)
        if not sent:
            return
        answer = await self._sender.post(
            sent[0].path, self._key(upload), content_of(upload, rows), media_type_of(upload), lambda _answer: False
        )
        reported = answer.document.get("rows") if answer.status == 200 else None
        if not isinstance(reported, list):
            for command in sent:
                self._refused(command, answer.status, answer.code, answer.fields)
            return
        self._read_report(sent, {row["row"]: row for row in reported})

    def _read_report(self, sent: Sequence[Command], reported: dict[int, dict[str, Any]]) -> None:
        for number, command in enumerate(sent, 1):
            row = reported.get(number)
            if row is None:
                self._journal.mismatch(self._stage.name, command.ref, f"row {number} in the report", "no such row")
            elif "event_id" in row:
                self._accepted(command, row)
            else:
                self._refused(command, None, str(row.get("code", "")), fields_of(row))

    def _key(self, name: str) -> str:
        return f"{self._run}:{name}"

    def _not_sent(self, command: Command, error: Unresolved) -> None:
        self._journal.mismatch(self._stage.name, command.ref, "to be sent", str(error))

    def _accepted(self, command: Command, document: Mapping[str, Any]) -> None:
        entry = Accepted(
            stage=self._stage.name,
            service=self._stage.service,
            ref=command.ref,
            id=str(document["id"]),
            version=int(document["version"]),
            topic=str(document["topic"]),
            event_id=str(document["event_id"]),
            position=str(document["position"]),
            answered_at=datetime.now(UTC),
        )
        self._journal.accept(entry, makes_entity=command.makes_entity)
        if entry.topic == "shift-completed":
            self._rebates.add(entry.id, entry.version, Told(command.accrues, command.suspended))
        if command.refusal is not None:
            self._journal.mismatch(self._stage.name, command.ref, _words(command.refusal), "accepted")

    def _refused(self, command: Command, status: int | None, code: str, fields: tuple[str, ...]) -> None:
        entry = Refused(self._stage.name, self._stage.service, command.ref, status, code, fields, datetime.now(UTC))
        self._journal.refuse(entry)
        if command.refusal is None or not _is(command.refusal, status, code, fields):
            expected = "to be accepted" if command.refusal is None else _words(command.refusal)
            found = f"{status or 'row'} {code}: {', '.join(fields) or 'no field'}"
            self._journal.mismatch(self._stage.name, command.ref, expected, found)


def _is(refusal: Refusal, status: int | None, code: str, fields: Sequence[str]) -> bool:
    return refusal.status == status and refusal.code == code and refusal.field in fields


def _words(refusal: Refusal) -> str:
    return f"{refusal.status or 'row'} {refusal.code}: {refusal.field}"

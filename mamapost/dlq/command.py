"""`mamapost dlq`: look at dead letters, and send their messages again once the cause is mended."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections import Counter
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NoReturn, TypeVar, get_args

import typer
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from deploy.local.errors import LocalRunError
from mamapost.broker import reached_broker
from mamapost.dlq.letters import Filter, Letter, read_letters
from mamapost.dlq.replay import Outcome, Plan, message_at, plan, replay
from shared.contracts.envelope import Reason, Undecodable, decode
from shared.contracts.topics import TOPICS
from shared.messaging.connection import Connection

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Dead letters: list, show, replay.")

REPLAYS_MAX = 3
"""Sent again so often and still set aside: sending is not the cure."""

_SINCE = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_T = TypeVar("_T")

Topics = Annotated[list[str] | None, typer.Option("--topic", help="Only of this topic; may be given several times.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Only with this reason, e.g. handler-failed.")]
Consumer = Annotated[str | None, typer.Option("--consumer", help="Only set aside by this service.")]
Since = Annotated[str | None, typer.Option("--since", help="Only younger: an instant, or 30m, 12h, 7d.")]
Kafka = Annotated[str | None, typer.Option("--kafka", help="Broker; default MAMAPOST_KAFKA.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable.")]


@app.command("list")
def list_letters(
    topic: Topics = None,
    reason: ReasonOption = None,
    consumer: Consumer = None,
    since: Since = None,
    replayed: Annotated[bool, typer.Option("--all", help="Those that were sent again, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Letters shown, the latest; all are counted.")] = 50,
    kafka: Kafka = None,
    as_json: AsJson = False,
) -> None:
    """What was set aside: by whom, why, and where the message stands."""
    found = _answered(read_letters(_broker(kafka), _filter(topic, reason, consumer, since)))
    letters = [letter for letter in found if replayed or not letter.is_replayed]
    shown = letters[-limit:]
    if as_json:
        print(json.dumps([_as_data(letter) for letter in shown], indent=2))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("topic", "letter", "reason", "consumer", "attempts", "replays", "origin", "rejected at", "state"):
        table.add_column(column, no_wrap=True)
    for letter in shown:
        at = f"{letter.rejected_at:%Y-%m-%d %H:%M:%S}Z"
        place = f"{letter.origin.partition}:{letter.origin.offset}"
        counts = (str(letter.attempts), str(letter.replays))
        state = "replayed" if letter.is_replayed else "open"
        table.add_row(
            letter.origin.topic, str(letter.offset), letter.reason, letter.consumer, *counts, place, at, state
        )
    screen = Console()
    if shown:
        screen.print(table)
    reasons = Counter(letter.reason for letter in letters)
    counted = ", ".join(f"{count} {name}" for name, count in reasons.most_common())
    screen.print(f"{len(letters)} dead letters{f': {counted}' if counted else ''}", highlight=False)


@app.command()
def show(
    topic: Annotated[str, typer.Argument(help="Topic of the message, without .dlq.")],
    letter: Annotated[int, typer.Argument(min=0, help="Number of the letter, as `list` shows it.")],
    content: Annotated[
        bool, typer.Option(help="The message too. It may hold personal data: look, do not keep.")
    ] = False,
    kafka: Kafka = None,
) -> None:
    """One dead letter, and what has become of its message."""
    broker = _broker(kafka)
    letters = _answered(read_letters(broker, _filter([topic], None, None, None)))
    found = next((each for each in letters if each.offset == letter), None)
    if found is None:
        _fail(f"{topic}: no dead letter {letter}")
    record = _answered(message_at(broker, found.origin))
    told = _as_data(found)
    if record is None:
        told["message"] = Outcome.GONE.told
    elif hashlib.sha256(record.value or b"").hexdigest() != found.sha256:
        told["message"] = Outcome.CHANGED.told
    else:
        try:
            decode(record.topic, record.key, record.headers, record.value)
            told["message"] = "a valid event"
        except Undecodable as error:
            told["message"] = f"no event: {error}"
        if content:
            told["content"] = {
                "key": _text(record.key),
                "headers": {name: _text(value) for name, value in record.headers},
                "value": _text(record.value),
            }
    print(json.dumps(told, indent=2, ensure_ascii=False))


@app.command("replay")
def replay_letters(
    topic: Topics = None,
    reason: ReasonOption = None,
    consumer: Consumer = None,
    since: Since = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many messages.")] = None,
    replays_max: Annotated[
        int, typer.Option(min=1, max=100, help="Leave alone what was sent again so often: no loops.")
    ] = REPLAYS_MAX,
    kafka: Kafka = None,
    as_json: AsJson = False,
) -> None:
    """Send the messages of open letters to their topics again. Broken off, it goes on where it stopped.

    Every consumer of the topic gets them; who had them ignores them. Exit code 1 when a message was left out.
    """
    broker = _broker(kafka)
    wanted = _filter(topic, reason, consumer, since)
    screen = Console(stderr=True)

    async def run() -> tuple[Plan, int]:
        planned = await plan(broker, await read_letters(broker, wanted), replays_max, limit)
        if dry_run:
            return planned, 0
        with screen.status("sending") as status:
            sent = await replay(broker, planned.ready, lambda n: status.update(f"{n:,} of {len(planned.ready):,} sent"))
        return planned, sent

    planned, sent = _answered(run())
    counts = planned.counts
    if as_json:
        print(
            json.dumps({"dry_run": dry_run, "sent": sent, **{o.value: count for o, count in counts.items()}}, indent=2)
        )
    else:
        for outcome, count in counts.items():
            told = "would be sent again" if dry_run and outcome is Outcome.READY else outcome.told
            print(f"{count:>7,}  {outcome.value:<10}  {told}")
        print(f"{len(planned.outcomes):,} messages looked at, {sent:,} sent")
    if set(counts) - {Outcome.READY}:
        raise typer.Exit(1)


def _filter(topics: Sequence[str] | None, reason: str | None, consumer: str | None, since: str | None) -> Filter:
    unknown = [name for name in topics or () if name not in TOPICS]
    if unknown:
        _fail(f"no topic {unknown[0]}")
    if reason is not None and reason not in get_args(Reason):
        _fail(f"reason: expected one of {', '.join(get_args(Reason))}")
    return Filter(tuple(topics or ()), reason, consumer, None if since is None else _instant(since))


def _instant(text: str) -> datetime:
    if match := _SINCE.fullmatch(text):
        unit = {"m": "minutes", "h": "hours", "d": "days"}[match[2]]
        return datetime.now(UTC) - timedelta(**{unit: int(match[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        _fail("since: expected an instant such as 2026-03-02T08:00:00Z, or 30m, 12h, 7d")
    return moment.replace(tzinfo=moment.tzinfo or UTC)


def _answered(work: Coroutine[Any, Any, _T]) -> _T:
    try:
        return asyncio.run(work)
    except (LocalRunError, KafkaError, OSError) as error:
        _fail(str(error) or type(error).__name__)


def _broker(given: str | None) -> Connection:
    try:
        return reached_broker(given)
    except LocalRunError as error:
        _fail(str(error))


def _as_data(letter: Letter) -> dict[str, Any]:
    return {
        "letter": letter.offset,
        "consumer": letter.consumer,
        "reason": letter.reason,
        "detail": letter.detail,
        "attempts": letter.attempts,
        "replays": letter.replays,
        "origin": letter.origin._asdict(),
        "size_bytes": letter.size_bytes,
        "sha256": letter.sha256,
        "rejected_at": letter.rejected_at.isoformat(timespec="milliseconds"),
        "state": "replayed" if letter.is_replayed else "open",
    }


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode("utf-8", "backslashreplace")


def _fail(message: str) -> NoReturn:
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(f"error: {message}")
    raise typer.Exit(2)

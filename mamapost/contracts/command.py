"""`mamapost contracts`: is a change of the event schemas compatible, and why."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from mamapost.contracts import released
from mamapost.contracts.compatibility import Breach, Verdict, compare
from shared.contracts.topics import TOPICS

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Event schemas: compatibility and releases.")

_SAID = {
    "backward": "written by the released version, rejected by the new one",
    "forward": "written by the new version, rejected by the released one",
}

_screen = Console(soft_wrap=True, highlight=False, markup=False)


@app.command()
def check(
    topic: Annotated[list[str] | None, typer.Argument(help="Only these topics; default: all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Hold today's schemas against every released one, both ways. Exit code 1 when one of them is broken.

    A change that breaks somebody is shown by an event that one side writes and the other rejects; for any other the
    rule is named by which it is harmless.
    """
    unknown = sorted(set(topic or ()) - TOPICS.keys())
    if unknown:
        _screen.print(f"no topic {', '.join(unknown)}")
        raise typer.Exit(2)
    judged = [(release.name, verdict) for release, verdict in released.verdicts(topic or list(TOPICS))]
    _show(judged, as_json)


@app.command()
def diff(
    old: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="JSON Schema that was released.")],
    new: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="JSON Schema that shall take its place.")],
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Judge the change from one schema file to another, like `check`."""
    loaded = []
    for path in (old, new):
        try:
            loaded.append(json.loads(path.read_text(encoding="utf-8")))
        except ValueError:
            _screen.print(f"{path}: expected JSON in UTF-8")
            raise typer.Exit(2) from None
    _show([(f"{old} → {new}", compare(*loaded))], as_json)


@app.command()
def release() -> None:
    """Add today's schemas to the released ones, from then on held against every change. Refused when one is broken."""
    judged = [(each.name, verdict) for each, verdict in released.verdicts(list(TOPICS))]
    if not all(verdict.is_compatible for _, verdict in judged):
        _show(judged, as_json=False)
    added = released.release()
    for each in added:
        _screen.print(f"released  {each.name}")
    _screen.print(f"{len(added)} schemas released; {len(TOPICS) - len(added)} had not changed")


def _show(judged: Sequence[tuple[str, Verdict]], as_json: bool) -> None:
    """Print what was found; exits with 1 when something is broken."""
    broken = [name for name, verdict in judged if not verdict.is_compatible]
    if as_json:
        print(json.dumps([_as_data(name, verdict) for name, verdict in judged], ensure_ascii=False, indent=2))
    else:
        for name, verdict in judged:
            _show_one(name, verdict)
        kept = len(judged) - len(broken)
        _screen.print(f"{len(judged)} released schemas: {kept} compatible both ways, {len(broken)} broken")
        if broken:
            _screen.print("Publish a new version beside the old one instead: docs/events.md, New versions")
    if broken:
        raise typer.Exit(1)


def _show_one(name: str, verdict: Verdict) -> None:
    if not verdict.breaches and not verdict.changes:
        return
    _screen.print(f"{name}: {'compatible' if verdict.is_compatible else 'BROKEN'}")
    for change in verdict.changes:
        _screen.print(f"  {change.path or '(event)'}  {change.told}: {change.rule}")
    for breach in verdict.breaches:
        _screen.print(f"  {breach.path or '(event)'}  {breach.told}")
        if breach.event is not None:
            _screen.print(f"    {_SAID[breach.direction]}:")
            _screen.print(f"    {json.dumps(breach.event, ensure_ascii=False)}")
        elif breach.direction != "promise":
            _screen.print(f"    {breach.direction}: it could not be shown to be harmless")


def _as_data(name: str, verdict: Verdict) -> dict[str, Any]:
    def breach_data(breach: Breach) -> dict[str, Any]:
        return {"direction": breach.direction, "path": breach.path, "told": breach.told, "event": breach.event}

    return {
        "released": name,
        "compatible": verdict.is_compatible,
        "breaches": [breach_data(breach) for breach in verdict.breaches],
        "changes": [{"path": c.path, "told": c.told, "rule": c.rule} for c in verdict.changes],
    }

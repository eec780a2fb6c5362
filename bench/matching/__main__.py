"""`make bench-matching`: measure matching at three sizes of city, beside what could be used instead.

Every comparison is of one run, on the same city and changes; the figures are medians of rounds. Lists of both sides are
compared with the pure function after each run: one that differs fails the benchmark.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from bench.matching.alone import Scale, engine, memory, shards
from bench.matching.check import ListsDiffer
from bench.matching.goals import QUICK, SIZES, Figures, Size
from bench.matching.peers.peer import Missing
from bench.matching.peers.race import peers, race
from bench.matching.play import Play
from bench.matching.serve import measure
from bench.matching.show import step
from deploy.local.engines import Engines

PARTS = ("engine", "memory", "shards", "loop", "fresh", "read", "restart", "peers")
SERVICE = {"loop", "fresh", "read", "restart"}

QUICK_SCALE = {
    "12k": Scale(2, 0.5, 30_000, 0.4, 300, 600, 10, reads=500, probes=100),
    "100k": Scale(2, 0.5, 20_000, 0.4, 60, 200, 0, reads=500, probes=100),
    "1m": Scale(1, 1.0, 10_000, 1.0, 10, 50, 0, reads=500, probes=100),
}
QUICK_ONCE = {"shards", "loop", "fresh", "read", "restart"}
"""Parts that a quick run measures at the smallest of its sizes only: the service takes ten seconds to start."""

FULL_SCALE = {
    "12k": Scale(5, 2.0, 100_000, 2.0, 20_000, 100_000, 50),
    "100k": Scale(5, 2.0, 60_000, 2.0, 500, 2_000, 3),
    "1m": Scale(3, 4.0, 40_000, 3.0, 100, 400, 2),
}
PEER_SIZES = ("12k", "100k")


def main() -> None:
    """Parse the arguments, measure, print the table.

    Ends with 1 when a list differs from the pure function's, or when a part could not be measured.
    """
    arguments = _arguments()
    # Ended from outside it still stops what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    chosen = {name: QUICK_SCALE[name] if arguments.quick else FULL_SCALE[name] for name in arguments.sizes}
    if arguments.rounds:
        chosen = {name: _with_rounds(scale, arguments.rounds) for name, scale in chosen.items()}
    figures = Figures()
    try:
        for name, scale in chosen.items():
            try:
                _measure(figures, SIZES[name], arguments, scale)
            except ListsDiffer as error:
                figures.add("lists-wrong", name, 1.0)
                raise SystemExit(f"lists differ from the pure function: {error}") from None
    finally:
        print(figures.table() if figures.ours else "nothing was measured", flush=True)
        if arguments.json is not None:
            figures.write(arguments.json)
        if arguments.markdown is not None:
            arguments.markdown.write_text(figures.markdown())


def _measure(figures: Figures, size: Size, arguments: argparse.Namespace, scale: Scale) -> None:
    """All chosen parts at one size."""
    only, seed = set(arguments.only), arguments.seed
    if arguments.quick and size.name != arguments.sizes[0]:
        only -= QUICK_ONCE
    if "engine" in only or "peers" in only:
        engine(figures, size, seed, scale)
    if "shards" in only:
        shards(figures, size, seed, scale)
    with contextlib.ExitStack() as stack:
        if "memory" in only:
            stack.enter_context(memory(figures, size, seed))
            if not arguments.quick:
                stack.close()  # nothing beside it; in a quick run it fills the seconds in which the service starts
        race_here = "peers" in only and size.name in PEER_SIZES
        if only & SERVICE or race_here:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mamapost-bench-")))
            # The broker keeps everything in memory: each size has its own.
            engines = stack.enter_context(Engines.start(root / "data", root / "log"))
            if only & SERVICE:
                measure(figures, size, seed, scale, engines, only)
            if race_here:
                _race(figures, size, seed, scale, engines.urls.mongo)


def _race(figures: Figures, size: Size, seed: int, scale: Scale, mongo_url: str) -> None:
    """Each peer's fresh top 50 beside our fresh rankings, which took one event's time each."""
    rate = figures.median("engine", size.name)
    assert rate is not None
    play = Play(size, seed)
    before = play.city.copy()
    stream = play.mix.draw(10_000)
    for goal, make in peers(mongo_url).items():
        try:
            peer = make()
        except Missing as missing:
            figures.skip(str(missing))
            continue
        with contextlib.closing(peer), step(f"{size.name}: {peer.name} {peer.how}"):
            taken_s = race(peer, before, stream, seed, max(scale.reference_s, 2.0), scale.rounds)
        figures.add(goal, size.name, *(one * rate for one in taken_s))
        figures.compare(goal, size.name, "ms of theirs:", *(one * 1000 for one in taken_s))


def _with_rounds(scale: Scale, rounds: int) -> Scale:
    return dataclasses.replace(scale, rounds=rounds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-matching",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='Through make: make bench-matching BENCH_ARGS="--quick --json out.json"',
    )
    parser.add_argument("--quick", action="store_true", help="12k and 100k, without the peers, within 50 seconds")
    parser.add_argument("--sizes", type=_list_of(SIZES), help=f"of {','.join(SIZES)}; default all")
    parser.add_argument("--only", type=_list_of(PARTS), help=f"of {','.join(PARTS)}; default all (--quick: no peers)")
    parser.add_argument("--rounds", type=int, help="rounds of each measurement, whose median is told")
    parser.add_argument("--seed", type=int, default=1, help="of the cities and changes (default 1)")
    parser.add_argument("--peers", action="store_true", help="with --quick: measure the peers too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the goals and what was measured here")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the table here, as docs/performance.md has it"
    )
    arguments = parser.parse_args()
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error("--rounds: expected a number from 1")
    if arguments.sizes is None:
        arguments.sizes = list(QUICK) if arguments.quick else list(SIZES)
    if arguments.only is None:
        arguments.only = [part for part in PARTS if part != "peers" or not arguments.quick or arguments.peers]
    return arguments


def _list_of(names: Iterable[str]) -> Callable[[str], list[str]]:
    known = tuple(names)

    def parse(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := [name for name in chosen if name not in known]:
            raise argparse.ArgumentTypeError(f"expected some of {','.join(known)}, got {','.join(unknown)}")
        return [name for name in known if name in chosen]

    return parse


if __name__ == "__main__":
    main()

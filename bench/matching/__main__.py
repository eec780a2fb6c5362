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
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from bench.matching import kept
from bench.matching.alone import Scale, engine, memory, shards
from bench.matching.check import ListsDiffer
from bench.matching.goals import QUICK, SIZES, Figures, Size
from bench.matching.peers.peer import Missing
from bench.matching.peers.race import peers, race
from bench.matching.play import Play
from bench.matching.running import Running, running
from bench.matching.serve import measure
from bench.matching.show import step
from deploy.local.engines import Engines
from shared.runtime import logs

PARTS = ("engine", "memory", "shards", "loop", "fresh", "loads", "read", "restart", "peers")
SERVICE = {"loop", "fresh", "loads", "read", "restart"}
ASKED_FOR = {"loads"}
"""Parts that are measured only if they are named: they have no goal."""

QUICK_SCALE = {
    "12k": Scale(2, 0.5, 10_000, 0.3, 100, 200, 5, reads=500, probes=100, service_rounds=1),
    "100k": Scale(2, 0.5, 3_000, 0.3, 30, 100, 0, reads=500, probes=100, service_rounds=1),
    "1m": Scale(1, 1.0, 3_000, 1.0, 10, 50, 0, reads=500, probes=100, service_rounds=1),
}
QUICK_ONCE = {"memory", "shards"} | SERVICE
"""Parts that a quick run measures at the smallest of its sizes only: each takes ten seconds or more at a larger one."""

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
    logs.configure("bench", "warning")  # what is measured would print a line an event
    # Ended from outside it still stops what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    chosen = {name: QUICK_SCALE[name] if arguments.quick else FULL_SCALE[name] for name in arguments.sizes}
    if arguments.rounds:
        chosen = {name: _with_rounds(scale, arguments.rounds) for name, scale in chosen.items()}
    if arguments.quick:
        _set_up(arguments)
    figures = Figures()
    try:
        for name, scale in chosen.items():
            try:
                _measure(figures, SIZES[name], arguments, scale)
            except ListsDiffer as error:
                figures.add("lists-wrong", name, 1.0)
                raise SystemExit(f"lists differ from the pure function: {error}") from None
    finally:
        print(figures.table() if figures.ours else "no goal was measured", flush=True)
        if arguments.json is not None:
            figures.write(arguments.json)
        if arguments.markdown is not None:
            arguments.markdown.write_text(figures.markdown())


def _set_up(arguments: argparse.Namespace) -> None:
    """Make the files of the cities that a quick run takes from disk."""
    smallest, *larger = arguments.sizes
    if "shards" in arguments.only:
        for seed in (arguments.seed, arguments.seed + 1):
            kept.prepare(SIZES[smallest], seed)
    if "engine" in arguments.only:
        for name in larger:
            kept.prepare(SIZES[name], arguments.seed)


def _measure(figures: Figures, size: Size, arguments: argparse.Namespace, scale: Scale) -> None:
    """All chosen parts at one size."""
    only, seed = set(arguments.only), arguments.seed
    if arguments.quick and size.name != arguments.sizes[0]:
        only -= QUICK_ONCE
    growth = memory(figures, size, seed) if "memory" in only else contextlib.nullcontext()
    race_here = "peers" in only and size.name in PEER_SIZES
    with ThreadPoolExecutor(1) as pool, contextlib.ExitStack() as stack:
        started = _Started(pool, with_service=bool(only & SERVICE)) if only & SERVICE or race_here else None
        if started is not None:
            stack.callback(started.stop)
            if arguments.quick:
                started.begin()  # it takes ten seconds, mostly of waiting; a full run has nothing beside the engine
        if "engine" in only or "peers" in only:
            engine(figures, size, seed, scale, beside=growth, load=kept.load if arguments.quick else Play.load)
        else:
            with growth:
                pass
        if "shards" in only:
            shards(figures, size, seed, scale)
        if started is not None:
            engines, service = started.result()
            if service is not None:
                measure(figures, size, seed, scale, service, only)
            if race_here:
                _race(figures, size, seed, scale, engines.urls.mongo)


class _Started:
    """Engines, and the service on them, that start in the background. The broker keeps everything in memory, so each
    size has its own.

    Args:
        pool: its thread must outlive them: they end with the thread that started them.
    """

    def __init__(self, pool: ThreadPoolExecutor, with_service: bool) -> None:
        self._pool = pool
        self._with_service = with_service
        self._stack = contextlib.ExitStack()
        self._begun: Future[tuple[Engines, Running | None]] | None = None

    def begin(self) -> None:
        """Begin to start them."""
        self._begun = self._pool.submit(self._start)

    def result(self) -> tuple[Engines, Running | None]:
        """The running ones."""
        if self._begun is None:
            self.begin()
        assert self._begun is not None
        return self._begun.result()

    def stop(self) -> None:
        """End whatever has started."""
        if self._begun is not None:
            wait([self._begun])
        self._stack.close()

    def _start(self) -> tuple[Engines, Running | None]:
        root = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="mamapost-bench-")))
        engines = self._stack.enter_context(Engines.start(root / "data", root / "log"))
        return engines, self._stack.enter_context(running(engines)) if self._with_service else None


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
    parser.add_argument(
        "--only", type=_list_of(PARTS), help=f"of {','.join(PARTS)}; default all but loads (--quick: and peers)"
    )
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
        left_out = ASKED_FOR if not arguments.quick or arguments.peers else ASKED_FOR | {"peers"}
        arguments.only = [part for part in PARTS if part not in left_out]
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

"""How a city grows to a country: the arithmetic of docs/scaling.md, from measured figures given as arguments."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

from shared.contracts.topics import PARTITIONS

WORK_DAYS = 22
"""Of a month, on which shifts are worked."""

BUSY_HOURS = 4
"""Of a work day, in which nearly all commands come: shifts end before the school run, and desks open in the morning."""

HEADROOM = 0.5
"""Share of a measured rate that is planned with; the other half is for the catch-up after a loss."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures of one machine, as our commands print them.

    Attributes:
        events: on topics, of one month of `women` (`make demo`: events on topics).
        women: of that month (`make demo`: seekers).
        events_per_s: commands through HTTP, store, relay, broker and consumers on that machine (`make demo`: all).
        engine_events_per_s: rankings alone, at the largest city measured (`make bench-matching`).
        memory_kb: of matching, a seeker (`make bench-matching`).
    """

    events: int
    women: int
    events_per_s: float
    engine_events_per_s: float
    memory_kb: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What an installation of so many women needs, machines like the measured one.

    Attributes:
        peak_per_s: events a second in the busy hours.
        machines: for commands and the bus.
        engines: instances of matching, by their rate.
        memory_gb: of matching, over all instances.
    """

    women: int
    events_a_month: int
    mean_per_s: float
    peak_per_s: float
    machines: int
    engines: int
    memory_gb: float

    @property
    def fits(self) -> bool:
        """Whether it is one installation: no more instances of a consumer than partitions can work."""
        return max(self.machines, self.engines) <= PARTITIONS


def plan(women: int, measured: Measured) -> Plan:
    """The needs of one installation."""
    events = math.ceil(women * measured.events / measured.women)
    peak = events / (WORK_DAYS * BUSY_HOURS * 3600)
    return Plan(
        women=women,
        events_a_month=events,
        mean_per_s=events / (30 * 86_400),
        peak_per_s=peak,
        machines=max(1, math.ceil(peak / (measured.events_per_s * HEADROOM))),
        engines=max(1, math.ceil(peak / (measured.engine_events_per_s * HEADROOM))),
        memory_gb=women * measured.memory_kb / 1e6,
    )


def main() -> None:
    """Parse the arguments, and print a table of sizes."""
    parser = argparse.ArgumentParser(prog="python -m bench.capacity", description=__doc__)
    parser.add_argument("--events", type=int, required=True, help="`make demo`: events on topics")
    parser.add_argument("--women", type=int, required=True, help="`make demo`: seekers")
    parser.add_argument("--events-per-s", type=float, required=True, help="`make demo`: events/s, all stages")
    parser.add_argument("--engine-events-per-s", type=float, required=True, help="`make bench-matching`, largest city")
    parser.add_argument("--memory-kb", type=float, required=True, help="`make bench-matching`: memory per seeker")
    parser.add_argument("--country", type=int, default=10_000_000, help="women of the country (default 10 million)")
    parser.add_argument("--counties", type=int, default=2_800, help="counties of the country (default 2,800)")
    parser.add_argument("--provinces", type=int, default=31, help="provinces of the country (default 31)")
    given = parser.parse_args()
    measured = Measured(given.events, given.women, given.events_per_s, given.engine_events_per_s, given.memory_kb)
    columns = ("women", "events/month", "mean/s", "peak/s", "machines", "engines", "matching GB", "one installation")
    print(f"{'':10}" + "".join(f"{column:>17}" for column in columns))
    for name, parts in (("county", given.counties), ("province", given.provinces), ("country", 1)):
        one = plan(math.ceil(given.country / parts), measured)
        cells = (
            f"{one.women:,}",
            f"{one.events_a_month:,}",
            f"{one.mean_per_s:,.2f}",
            f"{one.peak_per_s:,.1f}",
            f"{one.machines:,}",
            f"{one.engines:,}",
            f"{one.memory_gb:,.2f}",
            "yes" if one.fits else "no",
        )
        print(f"{name:10}" + "".join(f"{cell:>17}" for cell in cells))


if __name__ == "__main__":
    main()

"""What people read of a settlement: the month in groups, and its lines as far as paper goes.

The form that is hashed and proves the settlement is the CSV (`settlements`); everything here is derived from the same
entries and only shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from services.revenue.domain.ledger import Entry
from services.revenue.domain.settlements import Settlement
from shared.kernel.clock import month_of
from shared.kernel.money import yuan

LINES_SHOWN_MAX = 2_000
"""Lines that a page or a PDF lists: some forty sheets, a second to make. The CSV holds them all."""

GROUP_LINES_MIN = 5
"""Lines of the smallest group that the public form shows by itself; fewer could be the shifts of one woman."""


@dataclass(frozen=True, slots=True)
class Group:
    """Lines of a statement under one version of the agreement, worked in one month.

    Attributes:
        agreement_version: 0 for several versions together.
        worked_month: empty for several months together.
    """

    agreement_version: int
    worked_month: str
    lines: int
    base_fen: int
    amount_fen_e4: int


@dataclass
class Summary:
    """A month as its entries go by; memory grows with agreements and months, not with entries."""

    _groups: dict[tuple[int, str], Group] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Count one accrual or reversal.

        Raises:
            ValueError: another kind of entry.
        """
        rebate = entry.rebate
        if rebate is None:
            raise ValueError(f"{entry.entry_id} is no rebate")
        key = (rebate.agreement_version, month_of(rebate.worked_day))
        old = self._groups.get(key, Group(*key, 0, 0, 0))
        self._groups[key] = replace(
            old,
            lines=old.lines + 1,
            base_fen=old.base_fen + rebate.base_fen,
            amount_fen_e4=old.amount_fen_e4 + entry.amount_fen_e4,
        )

    def groups(self) -> list[Group]:
        """By agreement version and month worked."""
        return [self._groups[key] for key in sorted(self._groups)]

    def public_groups(self) -> list[Group]:
        """The same, with groups of fewer than `GROUP_LINES_MIN` lines put together.

        If the small ones are still too few together, the smallest of the others joins them, as their sum could be
        found by subtraction otherwise. A statement that has so few lines in all is one group; its sums are on the open
        topic `rebate-settled` anyway.
        """
        by_size = sorted(self.groups(), key=lambda group: group.lines)
        small = [group for group in by_size if group.lines < GROUP_LINES_MIN]
        rest = by_size[len(small) :]
        while small and rest and sum(group.lines for group in small) < GROUP_LINES_MIN:
            small.append(rest.pop(0))
        shown = sorted(rest, key=lambda group: (group.agreement_version, group.worked_month))
        return [*shown, _together(small)] if small else shown


def _together(groups: Sequence[Group]) -> Group:
    if len(groups) == 1:
        return groups[0]
    return Group(
        0,
        "",
        sum(group.lines for group in groups),
        sum(group.base_fen for group in groups),
        sum(group.amount_fen_e4 for group in groups),
    )


@dataclass(frozen=True, slots=True)
class Statement:
    """A settlement as people read it.

    Attributes:
        employer: name of the office that signed for the employer; likewise `community`.
        lines: the first `LINES_SHOWN_MAX`, in ledger order; none in the public form.
        is_public: without lines: no id, no day and no single amount that leads to a woman.
    """

    settlement: Settlement
    employer: str
    community: str
    groups: Sequence[Group]
    lines: Sequence[Entry]
    is_public: bool

    @property
    def lines_left(self) -> int:
        """Lines that stand in the CSV only."""
        return 0 if self.is_public else self.settlement.entries - len(self.lines)


def exact_yuan(amount_fen_e4: int) -> str:
    """`960_5000` → `"9.605000"`: an exact amount, for people who compare; six places are all there are."""
    sign = "-" if amount_fen_e4 < 0 else ""
    fen, rest = divmod(abs(amount_fen_e4), 10_000)
    return f"{sign}{yuan(fen)}{rest:04d}"


def percent(rate_bp: int) -> str:
    """`825` → `"8.25 %"`."""
    return f"{rate_bp // 100}.{rate_bp % 100:02d} %"

"""All checks together, and what they say of each promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mamapost.chaos.checker import commands, letters, money, ranks
from mamapost.chaos.evidence import Evidence
from mamapost.chaos.history import History, Ranking
from mamapost.demo.report import Check

Violation = Literal["lost", "doubled", "wrong_ranks", "imbalance", "other"]
"""What a check that does not hold means."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was proved.

    Attributes:
        checks: with what a mismatch of each means.
        imbalance_fen_e4: fen × 10 000 that the ledger is off, all differences added up.
        unverified: rankings that nothing could be held against (`ranks.Ranks`).
    """

    checks: Sequence[tuple[Violation, Check]]
    imbalance_fen_e4: int
    unverified: int

    @property
    def ok(self) -> bool:
        """Whether no check found a mismatch, and each one of the counted kinds had something to compare."""
        return all(check.ok or (kind == "other" and not check.mismatches_found) for kind, check in self.checks)

    def count(self, violation: Violation) -> int:
        """Mismatches of one kind."""
        return sum(check.mismatches_found for kind, check in self.checks if kind == violation)


def judge(history: History, evidence: Evidence) -> Verdict:
    """Hold the history against topics and stores."""
    topics, log = evidence.topics, evidence.log
    facts = ranks.Facts(topics)
    read = ranks.rankings_are_right("rankings read meanwhile equal the rules", history.of(Ranking), facts)
    told = ranks.rankings_are_right("rankings published equal the rules", ranks.published_rankings(topics), facts)
    exact = money.rebates_are_exact(topics, evidence.money)
    balanced = money.debits_equal_credits(evidence.money)
    return Verdict(
        checks=[
            ("lost", commands.accepted_are_logged(history, log)),
            ("lost", commands.logged_are_published(log, topics)),
            ("lost", money.revisions_are_accrued(topics, evidence.money)),
            ("doubled", commands.repeated_are_answered_alike(history)),
            ("doubled", commands.kept_have_commands(history, log)),
            ("doubled", commands.positions_are_unique(topics)),
            ("doubled", commands.published_are_kept(log, topics)),
            ("doubled", money.revisions_are_accrued_once(evidence.money)),
            ("doubled", money.rebates_are_told(topics, evidence.money)),
            ("other", commands.versions_are_in_order(topics)),
            ("other", letters.poison_is_set_aside(topics, evidence.consumers)),
            ("other", letters.only_poison_is_set_aside(topics)),
            ("other", letters.nothing_personal(evidence.raw, evidence.personal)),
            ("wrong_ranks", read.check),
            ("wrong_ranks", told.check),
            ("imbalance", exact.check),
            ("imbalance", balanced.check),
        ],
        imbalance_fen_e4=exact.imbalance_fen_e4 + balanced.imbalance_fen_e4,
        unverified=read.unverified + told.unverified,
    )

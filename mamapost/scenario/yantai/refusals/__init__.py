"""Commands that are wrong on purpose, each with the refusal that is expected (issue 2, "Bad input")."""

from mamapost.scenario.yantai.refusals.making import Refusals
from mamapost.scenario.yantai.refusals.others import (
    agreement_singles,
    gift_singles,
    payout_singles,
    settlement_singles,
    training_singles,
    undone_singles,
)
from mamapost.scenario.yantai.refusals.registry import After, registry_singles
from mamapost.scenario.yantai.refusals.rows import post_rows, seeker_rows, shift_rows

__all__ = [
    "After",
    "Refusals",
    "agreement_singles",
    "gift_singles",
    "payout_singles",
    "post_rows",
    "registry_singles",
    "seeker_rows",
    "settlement_singles",
    "shift_rows",
    "training_singles",
    "undone_singles",
]

"""The checker: from the history, the topics and the stores to a verdict on the promises. Pure, and reads nothing."""

from mamapost.chaos.checker.verdict import Verdict, judge

__all__ = ["Verdict", "judge"]

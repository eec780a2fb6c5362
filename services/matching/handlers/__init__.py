"""What drives matching beside its readers: slices of events, checkpoints, and the tick that publishes rankings."""

from services.matching.handlers.checkpoints import Checkpoints
from services.matching.handlers.holdings import COLLECT_AFTER, Holdings
from services.matching.handlers.ticker import Ticker

__all__ = ["COLLECT_AFTER", "Checkpoints", "Holdings", "Ticker"]

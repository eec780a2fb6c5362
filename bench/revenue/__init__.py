"""`make bench-revenue`: how fast money is accrued, settled and verified."""

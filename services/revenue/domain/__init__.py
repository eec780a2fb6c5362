"""The rules of the rebate: pure, exact, and the same for whoever recomputes them (DESIGN.md §6)."""

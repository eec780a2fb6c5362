"""Tools that keep the contracts: is a change compatible, and releasing schemas."""

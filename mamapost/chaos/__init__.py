"""Chaos: the scenario under seeded faults, and a checker that proves the promises from what was seen."""

"""Pure building blocks: money, week, geography, ids, clock. Standard library only, no I/O."""

"""The registry's entities and rules: pure, no clock, no I/O. A rule answers the faults it found, none being good."""

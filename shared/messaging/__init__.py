"""What every service speaks to the bus with: the event log, the relay, batch consumption, dead letters."""

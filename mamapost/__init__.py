"""The console command, the built-in scenario, and the demo that proves the system with it."""

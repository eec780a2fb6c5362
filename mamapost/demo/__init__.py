"""The demo: the scenario through real engines and services, and the proof of what came out."""

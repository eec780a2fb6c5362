"""The kit for integrators: a recorded stream with everything that can come, and a checker of what they made of it."""

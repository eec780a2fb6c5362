"""A city's programme as HTTP commands: generated from a seed, written to files, and driven through the services."""

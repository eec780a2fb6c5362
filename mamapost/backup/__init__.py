"""A city out of the databases into a file, and back."""

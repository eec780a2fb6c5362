"""One function per command: load, judge by the domain, save with the events. A bulk command is the same function."""

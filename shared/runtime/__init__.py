"""What every service runs on: settings, database, HTTP, commands, pages, logs, metrics."""

"""One machine: engines (`engines`) and the four services (`fleet`) as child processes."""

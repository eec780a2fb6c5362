"""What the benchmark's own processes are started with."""

from __future__ import annotations

import os
import sys

PYTHONPATH = os.pathsep.join(path or "." for path in sys.path)
"""A child imports from where this process does, wherever it was started from."""

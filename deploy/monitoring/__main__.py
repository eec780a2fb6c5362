"""`python -m deploy.monitoring --write`: the dashboards' JSON anew from `panels`."""

from __future__ import annotations

import argparse
import sys

from deploy.monitoring.grafana import FOLDER, files


def main() -> None:
    """Write what differs, and remove what no dashboard has any more."""
    parser = argparse.ArgumentParser(prog="python -m deploy.monitoring", description=__doc__)
    parser.add_argument("--write", action="store_true", required=True, help="write deploy/grafana/dashboards anew")
    parser.parse_args()
    made = files()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in set(FOLDER.glob("*.json")) - made.keys():
        old.unlink()
    for path, text in made.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"written  {path}\n")


if __name__ == "__main__":
    main()

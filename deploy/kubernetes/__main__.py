"""`python -m deploy.kubernetes --write`: manifests and ACLs anew."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deploy.kubernetes.acls import script
from deploy.kubernetes.manifests import files

DEPLOY = Path(__file__).parents[1]


def rendered() -> dict[Path, str]:
    """Every file with its text."""
    manifests = {DEPLOY / "kubernetes" / "base" / name: text for name, text in files().items()}
    return {**manifests, DEPLOY / "kafka" / "acls.sh": script()}


def main() -> None:
    """Write what differs."""
    parser = argparse.ArgumentParser(prog="python -m deploy.kubernetes", description=__doc__)
    parser.add_argument(
        "--write", action="store_true", required=True, help="write deploy/kubernetes/base and deploy/kafka"
    )
    parser.parse_args()
    for path, text in rendered().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"written  {path}\n")


if __name__ == "__main__":
    main()

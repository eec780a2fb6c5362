"""The house as it is written: every module with its syntax tree, read once."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SERVICES = ("matching", "registry", "revenue", "training")
PRODUCT = ("services", "shared", "deploy", "mamapost")
"""The packages that are delivered."""


@dataclass(frozen=True)
class Module:
    """One file.

    Attributes:
        name: dotted, e.g. `services.registry.store.read`; a package's is that of its folder.
    """

    path: Path
    name: str
    text: str
    tree: ast.Module

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def service(self) -> str | None:
        parts = self.name.split(".")
        return parts[1] if parts[0] == "services" and len(parts) > 1 else None

    @property
    def room(self) -> str | None:
        """`store` for `services.registry.store.read`."""
        parts = self.name.split(".")
        return parts[2] if self.service and len(parts) > 2 else None

    def imports(self) -> Iterator[str]:
        """What it imports, also inside functions and for type checking only: dotted names of modules.

        `from services.registry import errors` counts as `services.registry.errors`.
        """
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                package = self._absolute(node)
                if package.startswith("services.") and package.count(".") == 1:
                    yield from (f"{package}.{alias.name}" for alias in node.names)
                else:
                    yield package

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        depth = node.level - (1 if self.path.name == "__init__.py" else 0)
        return ".".join([*parts[: len(parts) - depth], *([node.module] if node.module else [])])


@cache
def modules_of(*packages: str) -> tuple[Module, ...]:
    """All modules of top-level packages, in the order of their paths."""
    return tuple(_read(path) for package in packages for path in sorted((ROOT / package).rglob("*.py")))


def _read(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    text = path.read_text(encoding="utf-8")
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(path, name, text, ast.parse(text))


def is_stdlib(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names

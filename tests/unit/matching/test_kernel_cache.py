"""What is compiled is kept by the state of its source."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.matching.engine import bits, warm


def test_every_module_that_is_compiled_counts_for_the_cache() -> None:
    sources = Path(bits.__file__).parent.glob("*.py")
    decorated = {
        path.stem for path in sources if re.search(r"^@(compiled|compiled_fast|woven)$", path.read_text(), re.M)
    }
    assert decorated | {"layout"} == set(bits.COMPILED)


def test_what_an_installation_ships_is_taken_once_and_replaces_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[int] = []
    monkeypatch.setattr(warm, "forget_old", forgotten.append)
    shipped, kept = tmp_path / "shipped", tmp_path / "kept"
    warm.take_shipped(shipped, kept)
    assert not kept.exists()

    (shipped / "engine").mkdir(parents=True)
    for name in ("one.nbi", "one.1.nbc", "two.nbi"):
        (shipped / "engine" / name).write_text("shipped")
    (kept / "engine").mkdir(parents=True)
    (kept / "engine/two.nbi").write_text("own")
    for _ in range(2):
        warm.take_shipped(shipped, kept)
    held = {path.name: path.read_text() for path in (kept / "engine").iterdir()}
    assert held == {"one.nbi": "shipped", "one.1.nbc": "shipped", "two.nbi": "own"}
    assert forgotten == [warm.OTHERS_KEPT] * 2

    warm.take_shipped(kept, kept)
    assert len(forgotten) == 2

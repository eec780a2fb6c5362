"""What is compiled is kept by the state of its source."""

from __future__ import annotations

import re
from pathlib import Path

from services.matching.engine import bits


def test_every_module_that_is_compiled_counts_for_the_cache() -> None:
    sources = Path(bits.__file__).parent.glob("*.py")
    decorated = {
        path.stem for path in sources if re.search(r"^@(compiled|compiled_fast|woven)$", path.read_text(), re.M)
    }
    assert decorated | {"layout"} == set(bits.COMPILED)

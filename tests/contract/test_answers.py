"""What OpenAPI says of answers is what is sent: a field without a value is left out, so none that may lack one is
required."""

from __future__ import annotations

import importlib
import secrets
from pathlib import Path

import pytest

from shared.runtime.settings import Settings
from tests.architecture.source import SERVICES


@pytest.mark.parametrize("service", SERVICES)
def test_no_field_that_may_be_absent_is_required(service: str, tmp_path: Path) -> None:
    key = tmp_path / "master.key"
    key.write_text(secrets.token_hex(32))
    document = importlib.import_module(f"services.{service}.app").create(Settings(master_key_file=key)).openapi()
    schemas = document["components"]["schemas"]
    assert schemas
    assert [
        f"{name}.{field}"
        for name, schema in schemas.items()
        for field in schema.get("required", [])
        if {"type": "null"} in schema["properties"][field].get("anyOf", [])
    ] == []

"""Settings: from the environment, frozen, with an error that names the variable."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from shared.runtime.settings import Settings


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"MAMAPOST_{name.upper()}", raising=False)


def test_the_defaults_are_those_of_one_machine() -> None:
    settings = Settings()
    assert settings.host == "127.0.0.1"
    assert settings.kafka.startswith("127.0.0.1:")
    assert settings.tokens_file is None


def test_a_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAMAPOST_PORT", "9123")
    monkeypatch.setenv("MAMAPOST_KAFKA", "a:1,b:2")
    monkeypatch.setenv("MAMAPOST_UNKNOWN", "x")
    monkeypatch.setenv("PORT", "1")
    settings = Settings()
    assert (settings.port, settings.kafka) == (9123, "a:1,b:2")


def test_they_cannot_be_changed() -> None:
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1  # type: ignore[misc]  # what is tested


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("DB_PREFIX", ""),
        ("DB_PREFIX", "Mama"),
        ("DB_PREFIX", "a$b"),
        ("DB_PREFIX", "a" * 32),
        ("BATCH_MAX_RECORDS", "0"),
        ("FETCH_MAX_WAIT_MS", "-1"),
        ("REPLICATION_FACTOR", "0"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_bad_value_names_its_field(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"MAMAPOST_{name}", value)
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert [error["loc"][-1] for error in refused.value.errors()] == [name.lower()]


def test_every_setting_is_described_or_says_it_all_by_its_name() -> None:
    undescribed = {name for name, field in Settings.model_fields.items() if not field.description}
    assert undescribed <= {"log_level"}

"""Tokens: only hashes are kept, a bad file is named by line, and no message repeats what stands in it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.runtime.auth import TOKENS_MAX, Holder, TokenExpired, Tokens, Unauthorized, hash_of

SECRET = "s3cret-9f2b7c"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


def test_a_holder_has_the_scopes_of_the_line(file: Path) -> None:
    file.write_text(
        f"# who, what\n\n{hash_of(SECRET)} hr-system read,write\n   \n{hash_of('other')}   county\tpersonal  \n"
    )
    tokens = Tokens(file, host="0.0.0.0")  # noqa: S104  # a service in a container
    holder = tokens.holder(f"Bearer {SECRET}")
    assert holder == Holder("hr-system", frozenset({"read", "write"}))
    assert tokens.holder("bearer other").scopes == {"personal"}


def test_a_token_of_some_cities_names_them_last(file: Path) -> None:
    file.write_text(
        f"{hash_of(SECRET)} county read cities=370600\n"
        f"{hash_of('other')} county read 2999-01-01T00:00:00Z cities=370600,370700\n"
    )
    tokens = Tokens(file, host="127.0.0.1")
    assert tokens.holder(f"Bearer {SECRET}").cities == frozenset({"370600"})
    other = tokens.holder("Bearer other")
    assert other.cities == frozenset({"370600", "370700"})
    assert other.expires_at is not None


@pytest.mark.parametrize(
    "line",
    [
        SECRET,
        f"{SECRET} hr-system read",  # the token itself where its hash belongs
        f"{hash_of(SECRET)} hr-system",
        f"{hash_of(SECRET)} hr-system read write",
        f"{hash_of(SECRET)} hr-system read 2027-01-01T00:00:00",  # midnight of which place?
        f"{hash_of(SECRET)} hr-system read 2027-01-01T00:00:00Z more",
        f"{hash_of(SECRET)} hr-system admin",
        f"{hash_of(SECRET)} hr-system read,admin",
        f"{hash_of(SECRET)} hr-system READ",
        f"{hash_of(SECRET)} hr-system read,",
        f"{hash_of(SECRET)} hr-system ,",
        f"{hash_of(SECRET)[:-1]} hr-system read",
        f"{hash_of(SECRET)[:-1]}g hr-system read",
        f"{hash_of(SECRET).upper()} hr-system read",
        f"{hash_of(SECRET)} hr-system cities=370600",
        f"{hash_of(SECRET)} hr-system read cities=",
        f"{hash_of(SECRET)} hr-system read cities=yantai",
        f"{hash_of(SECRET)} hr-system read cities=370600,",
        f"{hash_of(SECRET)} hr-system read cities=070600",
        f"{hash_of(SECRET)} hr-system read cities=370600 2027-01-01T00:00:00Z",
    ],
)
def test_a_bad_line_is_named_and_not_repeated(file: Path, line: str) -> None:
    file.write_text(f"# first\n{hash_of('good')} county read\n{line}\n")
    with pytest.raises(ValueError, match=r"tokens:3: expected") as refused:
        Tokens(file, host="127.0.0.1")
    told = str(refused.value)
    assert SECRET not in told
    assert hash_of(SECRET)[:16] not in told.lower()
    assert "hr-system" not in told


def test_a_file_that_is_no_text_or_too_long_is_refused(file: Path) -> None:
    file.write_text(f"{hash_of(SECRET)} a read\n" * (TOKENS_MAX + 1))
    with pytest.raises(ValueError, match=f"at most {TOKENS_MAX} lines"):
        Tokens(file, host="127.0.0.1")


def test_a_file_that_is_not_there_is_said_so(file: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Tokens(file, host="127.0.0.1")


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.7", "::", "registry"])  # noqa: S104
def test_without_a_file_a_service_serves_nobody_but_this_machine(host: str) -> None:
    with pytest.raises(ValueError, match="MAMAPOST_TOKENS_FILE"):
        Tokens(None, host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_on_loopback_everyone_is_let_in(host: str) -> None:
    assert Tokens(None, host=host).holder(None).scopes == {"read", "write", "personal", "restricted"}


def test_an_empty_file_lets_nobody_in(file: Path) -> None:
    file.write_text("")
    with pytest.raises(Unauthorized):
        Tokens(file, host="127.0.0.1").holder("Bearer x")


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", f"Basic {SECRET}", SECRET, f"Bearer {SECRET}x", f"Bearer{SECRET}"]
)
def test_what_is_no_known_token_is_not_repeated(file: Path, authorization: str | None) -> None:
    file.write_text(f"{hash_of(SECRET)} hr-system read\n")
    with pytest.raises(Unauthorized) as refused:
        Tokens(file, host="127.0.0.1").holder(authorization)
    assert SECRET not in str(refused.value)


def test_the_hash_of_a_token_is_sha_256() -> None:
    assert hash_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_token_is_good_until_the_moment_of_its_line(file: Path) -> None:
    file.write_text(
        f"{hash_of('over')} county read 2020-01-01T00:00:00+08:00\n{hash_of(SECRET)} county read 2999-01-01T00:00:00Z\n"
    )
    tokens = Tokens(file, host="127.0.0.1")
    with pytest.raises(TokenExpired, match="expired at 2020-01-01"):
        tokens.holder("Bearer over")
    assert tokens.holder(f"Bearer {SECRET}").expires_at == datetime(2999, 1, 1, tzinfo=UTC)

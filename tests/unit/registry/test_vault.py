"""Promise 4 at rest: what was sealed opens for its person, unchanged, under its master key, and for nobody else."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.vault import MasterKeyInvalid, SealBroken, Sealed, Vault

HER, ANOTHER = "skr-" + "1" * 32, "skr-" + "2" * 32


@pytest.fixture(scope="module")
def vault() -> Vault:
    return Vault(secrets.token_bytes(32))


@given(data=st.binary(max_size=2000))
def test_what_was_sealed_opens(vault: Vault, data: bytes) -> None:
    assert vault.open(HER, vault.seal(HER, data)) == data


def test_nothing_of_the_text_shows_and_each_seal_has_its_own_key(vault: Vault) -> None:
    first, second = vault.seal(HER, b"Wang Fang" * 3), vault.seal(HER, b"Wang Fang" * 3)
    assert b"Wang" not in first.ciphertext + first.wrapped_key
    assert first.wrapped_key != second.wrapped_key
    assert first.ciphertext != second.ciphertext


@given(place=st.integers(min_value=0), bit=st.integers(min_value=0, max_value=7), in_key=st.booleans())
def test_one_flipped_bit_is_noticed(vault: Vault, place: int, bit: int, in_key: bool) -> None:
    sealed = vault.seal(HER, b"personal")
    text = bytearray(sealed.wrapped_key if in_key else sealed.ciphertext)
    text[place % len(text)] ^= 1 << bit
    broken = Sealed(bytes(text), sealed.ciphertext) if in_key else Sealed(sealed.wrapped_key, bytes(text))
    with pytest.raises(SealBroken):
        vault.open(HER, broken)


@pytest.mark.parametrize("length", [0, 5, 12, 20])
def test_a_record_cut_short_is_noticed(vault: Vault, length: int) -> None:
    sealed = vault.seal(HER, b"personal")
    for broken in (
        Sealed(sealed.wrapped_key[:length], sealed.ciphertext),
        Sealed(sealed.wrapped_key, sealed.ciphertext[:length]),
    ):
        with pytest.raises(SealBroken):
            vault.open(HER, broken)


def test_a_record_of_another_person_is_noticed(vault: Vault) -> None:
    hers, anothers = vault.seal(HER, b"hers"), vault.seal(ANOTHER, b"another's")
    with pytest.raises(SealBroken):
        vault.open(ANOTHER, hers)
    with pytest.raises(SealBroken):
        vault.open(HER, Sealed(hers.wrapped_key, anothers.ciphertext))


def test_another_master_key_opens_nothing(vault: Vault) -> None:
    with pytest.raises(SealBroken):
        Vault(secrets.token_bytes(32)).open(HER, vault.seal(HER, b"personal"))


def test_keys_for_purposes_differ_and_stay(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(secrets.token_hex(32) + "\n")
    assert Vault.from_file(file).derive("a") == Vault.from_file(file).derive("a") != Vault.from_file(file).derive("b")


@pytest.mark.parametrize("content", ["", "ab" * 31, "ab" * 33, "zz" * 32, "ab " * 32, "王" * 64])
def test_a_file_that_holds_no_key_is_refused_without_showing_it(tmp_path: Path, content: str) -> None:
    file = tmp_path / "key"
    file.write_text(content)
    with pytest.raises(MasterKeyInvalid) as caught:
        Vault.from_file(file)
    assert not content or content not in str(caught.value)

"""Personal data at rest: one AES-256-GCM key a person, wrapped by the service's master key.

To erase a person is to destroy her wrapped key: what backups still hold of the ciphertext is noise from then on.
Each ciphertext is bound to the seeker's id (as additional data), so that swapped records are noticed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
NONCE_BYTES = 12
"""Random 96-bit nonces, as AES-GCM wants. A person's key seals one text; under the wrapping key some million random
nonces (each seal is one) stay far below the 2**32 that NIST SP 800-38D allows."""

_MASTER_HEX = KEY_BYTES * 2


class MasterKeyInvalid(ValueError):
    """The master key file does not hold 32 bytes in hex."""


class SealBroken(Exception):
    """A record was tampered with, belongs to another person, or was sealed under another master key."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """Personal data as it is stored. Both texts begin with their nonce.

    Attributes:
        wrapped_key: the person's key, under the wrapping key.
        ciphertext: her data, under her key.
    """

    wrapped_key: bytes
    ciphertext: bytes


class Vault:
    """Seals and opens the data of persons.

    Args:
        master_key: 32 random bytes; the same in all instances of the service.
    """

    def __init__(self, master_key: bytes) -> None:
        if len(master_key) != KEY_BYTES:
            raise MasterKeyInvalid(f"expected {KEY_BYTES} bytes")
        self._master_key = master_key
        self._wrapping = AESGCM(self.derive("wrap persons"))

    @classmethod
    def from_file(cls, file: Path) -> Self:
        """The vault of a master key file: 64 hexadecimal digits.

        Raises:
            MasterKeyInvalid: anything else is in it; the message does not repeat it.
        """
        text = file.read_text(encoding="ascii", errors="replace").strip()
        try:
            key = bytes.fromhex(text)
        except ValueError:
            key = b""
        if len(text) != _MASTER_HEX or len(key) != KEY_BYTES:
            raise MasterKeyInvalid(f"{file}: expected {_MASTER_HEX} hexadecimal digits")
        return cls(key)

    def derive(self, purpose: str) -> bytes:
        """A 32-byte key for one purpose (HKDF-SHA-256), so that no key serves two."""
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=f"mamapost registry: {purpose}".encode()).derive(
            self._master_key
        )

    def seal(self, seeker_id: str, data: bytes) -> Sealed:
        """Encrypt a person's data under a key of her own, made now."""
        bound_to = seeker_id.encode()
        key, nonces = AESGCM.generate_key(KEY_BYTES * 8), os.urandom(NONCE_BYTES * 2)
        wrap_nonce, data_nonce = nonces[:NONCE_BYTES], nonces[NONCE_BYTES:]
        return Sealed(
            wrapped_key=wrap_nonce + self._wrapping.encrypt(wrap_nonce, key, bound_to),
            ciphertext=data_nonce + AESGCM(key).encrypt(data_nonce, data, bound_to),
        )

    def open(self, seeker_id: str, sealed: Sealed) -> bytes:
        """The data of a person.

        Raises:
            SealBroken: the record is not hers, or not as it was sealed.
        """
        bound_to = seeker_id.encode()
        try:
            key = self._wrapping.decrypt(*_split(sealed.wrapped_key), bound_to)
            return AESGCM(key).decrypt(*_split(sealed.ciphertext), bound_to)
        except (InvalidTag, ValueError):
            # ValueError: cut short below a nonce and a tag.
            raise SealBroken(f"the personal data of {seeker_id} cannot be opened") from None


def _split(text: bytes) -> tuple[bytes, bytes]:
    return text[:NONCE_BYTES], text[NONCE_BYTES:]

"""Secrets at rest: AES-256-GCM, bound to where they are kept, so that a sealed value moved elsewhere cannot be opened.

A sealed value is a random 96-bit nonce followed by the ciphertext and its tag (NIST SP 800-38D). The first key seals, every
key opens: to change keys put the new one first, open and seal everything again, and take the old one out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.errors import ConfigurationError, SwitchboardError
from app.settings import Settings

KEY_BYTES = 32
NONCE_BYTES = 12
KEY_FILE = "secret.key"
SETTING = "SWITCHBOARD_SECRET_KEY"


class SealBroken(SwitchboardError):
    """A sealed value that no key here opens."""


@dataclass(frozen=True, slots=True)
class Sealed:
    key_id: str
    value: bytes


class Sealer:
    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {_key_id(key): AESGCM(key) for key in keys}
        self._first = _key_id(keys[0])

    def __repr__(self) -> str:
        return f"Sealer({', '.join(self._keys)})"

    @property
    def key_id(self) -> str:
        """Of the key that seals."""
        return self._first

    def seal(self, value: str, *place: str) -> Sealed:
        """`place` names where it is kept: the owner's id and the field."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._keys[self._first].encrypt(nonce, value.encode(), _bound(place))
        return Sealed(self._first, nonce + sealed)

    def open(self, sealed: Sealed, *place: str) -> str:
        """Raises SealBroken for another key, another place or a changed value."""
        key = self._keys.get(sealed.key_id)
        if key is None:
            raise SealBroken(
                "A stored secret was sealed with a key that is not here.",
                fix=f"Put the former key back into {SETTING}, or enter the secret again.",
            )
        try:
            nonce, rest = sealed.value[:NONCE_BYTES], sealed.value[NONCE_BYTES:]
            return key.decrypt(nonce, rest, _bound(place)).decode()
        except (InvalidTag, ValueError):
            raise SealBroken(
                "A stored secret is damaged or was moved.", fix="Enter the secret again."
            ) from None


def open_sealer(settings: Settings) -> Sealer:
    """The keys of the settings, else one in the data folder, made at first use and readable by its owner only.

    Raises ConfigurationError.
    """
    given = settings.secret_key.get_secret_value().strip()
    if given:
        return Sealer([_decoded(part, SETTING) for part in given.split(",")])
    path = settings.data_dir / KEY_FILE
    try:
        return Sealer([_decoded(path.read_text(), str(path))])
    except FileNotFoundError:
        return Sealer([_made(path)])
    except OSError as error:
        raise ConfigurationError(
            f"The key file {path} cannot be read ({error.strerror}).",
            fix="Give Switchboard's user the right to read it.",
        ) from None


def _made(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    key = os.urandom(KEY_BYTES)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:  # another process was first
        return _decoded(path.read_text(), str(path))
    with os.fdopen(descriptor, "w") as file:
        file.write(base64.b64encode(key).decode())
    return key


def _decoded(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigurationError(
            f"{where} holds no key.",
            fix=f"It is the base64 of {KEY_BYTES} random bytes: openssl rand -base64 {KEY_BYTES}",
        )
    return key


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"switchboard key id" + key).hexdigest()[:12]


def _bound(place: Sequence[str]) -> bytes:
    """Each part with its length, so that no two places read alike."""
    return b"".join(f"{len(part.encode())}:{part}".encode() for part in place)

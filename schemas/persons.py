"""Persons inside: a keyed pseudonym in the place of a number, sealed texts in the place of names and addresses.

The pseudonym is an HMAC under the installation's secret: without that secret nobody can try numbers until one
fits. A person's texts are sealed under a key of that person's own; when the key is destroyed they are erased
wherever they stand, in ledger, facts and backups. Sealing is deterministic (AES-SIV, RFC 5297), so that a
decision can compare a name with the register without opening either.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from schemas.errors import VerificationError
from schemas.identifiers import compare, looks_personal

SEALED: Final = "sealed:"
SECRET_LENGTH: Final = 32  # bytes of the installation's secret
KEY_LENGTH: Final = 64  # bytes of a person's key: AES-256-SIV takes two halves
_TAG_LENGTH: Final = 8


class Persons(Protocol):
    """The operations on persons that stages may use; `infra.persons.keys` keeps the keys."""

    def pseudonym(self, compared_id: str) -> str:
        """Return the ledger key of a person: `p:` and 32 hex digits. `compared_id` is the compared form."""
        ...

    def seal(self, pseudonym: str, text: str) -> str:
        """Return the sealed text, the same each time for the same person and text; a blank one stays as it is."""
        ...

    def open(self, pseudonym: str, sealed: str) -> str | None:
        """Return the text again, None when the person was erased; what is not sealed is given back as it is."""
        ...

    def open_object(self, pseudonym: str, stored: bytes) -> bytes | None:
        """Return an object of the store as it was issued, None when the person was erased; others as they are."""
        ...


PSEUDONYM: Final = "p:"  # the ledger key of every person begins so, and no compared USCC does


def is_pseudonym(key: str) -> bool:
    """Tell whether a ledger key stands for a person."""
    return key.startswith(PSEUDONYM)


def holder_key(number: str, kind: str, persons: Persons) -> str:
    """Return the ledger key of a holder: a compared USCC, or the pseudonym of a person."""
    compared = compare(number)
    if kind == "person" or looks_personal(compared):
        return persons.pseudonym(compared)
    return compared


def keys_of(number: str, persons: Persons) -> tuple[str, ...]:
    """Return the ledger keys under which a holder may stand whom a query names by number."""
    compared = compare(number)
    return tuple(dict.fromkeys((holder_key(number, "enterprise", persons), persons.pseudonym(compared))))


def pseudonym(secret: bytes, compared_id: str) -> str:
    """Return the keyed pseudonym of a person's number."""
    digest = hmac.digest(secret, b"zhengzhao pseudonym\0" + compared_id.encode(), "sha256")
    return f"{PSEUDONYM}{digest.hex()[:32]}"


def subkey(secret: bytes, purpose: str, length: int = KEY_LENGTH) -> bytes:
    """Return a key of at most 64 bytes for one purpose, derived from the secret."""
    return hmac.digest(secret, b"zhengzhao key\0" + purpose.encode(), "sha512")[:length]


def is_sealed(text: str) -> bool:
    """Tell whether a text is the result of `seal`."""
    return text.startswith(SEALED)


_SEALED_OBJECT: Final = b"zhengzhao sealed object 1\n"


class Sealer:
    """Sealing and opening over a lookup of keys.

    `key_of(pseudonym, create)` gives a person's key; None where there is none and none is to be made.
    """

    def __init__(self, key_of: Callable[[str, bool], bytes | None]) -> None:
        self._key_of = key_of

    def seal(self, pseudonym: str, text: str) -> str:
        """Seal a text as `Persons.seal` says."""
        if not text.strip():
            return text
        key = self._key_of(pseudonym, True)
        assert key is not None  # it was to be made
        sealed = _tag(key) + AESSIV(key).encrypt(text.encode(), [pseudonym.encode()])
        return SEALED + base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")

    def open(self, pseudonym: str, sealed: str) -> str | None:
        """Open a text as `Persons.open` says. Raises VerificationError for one that was changed, or is another person's."""
        if not is_sealed(sealed):
            return sealed
        try:
            raw = base64.b64decode(_padded(sealed.removeprefix(SEALED)), b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise VerificationError("a sealed text that is no base64url") from None
        key = self._key_of(pseudonym, False)
        if key is None or raw[:_TAG_LENGTH] != _tag(key):
            return None  # erased; a person who came back has another key
        try:
            return AESSIV(key).decrypt(raw[_TAG_LENGTH:], [pseudonym.encode()]).decode()
        except (InvalidTag, ValueError):
            raise VerificationError("a sealed text that was changed") from None

    def seal_object(self, pseudonym: str, content: bytes) -> bytes:
        """Return an object of a person as it lies in the store; the same content gives the same bytes."""
        key = self._key_of(pseudonym, True)
        assert key is not None  # it was to be made
        sealed = AESSIV(_object_key(key)).encrypt(content, [pseudonym.encode()])
        return _SEALED_OBJECT + _tag(key) + sealed

    def open_object(self, pseudonym: str, stored: bytes) -> bytes | None:
        """Return an object again, None when the person was erased; what is not sealed is given back as it is.

        Raises VerificationError for a sealed object that was changed, or is another person's.
        """
        if not is_sealed_object(stored):
            return stored
        raw = stored.removeprefix(_SEALED_OBJECT)
        key = self._key_of(pseudonym, False)
        if key is None or raw[:_TAG_LENGTH] != _tag(key):
            return None
        try:
            return AESSIV(_object_key(key)).decrypt(raw[_TAG_LENGTH:], [pseudonym.encode()])
        except (InvalidTag, ValueError):
            raise VerificationError("封存的对象被改动 / a sealed object was changed") from None


def is_sealed_object(stored: bytes) -> bool:
    """Tell if the bytes of an object are the result of `seal_object`."""
    return stored.startswith(_SEALED_OBJECT)


def _object_key(key: bytes) -> bytes:
    return hmac.digest(key, b"zhengzhao objects", "sha512")


def _tag(key: bytes) -> bytes:
    """Return what tells a person's keys before and after an erasure apart."""
    return hashlib.sha256(b"zhengzhao key tag\0" + key).digest()[:_TAG_LENGTH]


def _padded(text: str) -> str:
    return text + "=" * (-len(text) % 4)

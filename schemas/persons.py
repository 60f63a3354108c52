"""Persons inside: a keyed pseudonym in the place of a number, sealed texts in the place of names and addresses.

The pseudonym is an HMAC under the installation's secret: without that secret nobody can try numbers until one
fits. A person's texts are sealed under a key of that person's own; when the key is destroyed they are erased
wherever they stand, in ledger, facts and backups. Sealing is deterministic (AES-SIV, RFC 5297), so that a
decision can compare a name with the register without opening either.

What law obliges an authority to keep of a decision (its grounds, findings) is *evidence*: sealed under an evidence key
of that person, which an erasure does not destroy. Queries open it as long as the person was not erased; afterwards only
a recorded look at the evidence does.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from schemas.errors import VerificationError
from schemas.identifiers import compare, looks_personal

SEALED: Final = "sealed:"
EVIDENCE: Final = "evidence:"
_PART: Final = re.compile(rf"(?:{SEALED}|{EVIDENCE})[A-Za-z0-9_-]{{32,}}")  # 8 bytes of tag, 16 of SIV
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

    def seal_evidence(self, pseudonym: str, text: str) -> str:
        """Return a text sealed as evidence, the same each time; a blank one stays as it is."""
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


def has_sealed(text: str) -> bool:
    """Tell whether a text holds a sealed part."""
    return _PART.search(text) is not None


def open_parts(text: str, open_one: Callable[[str], str | None], absent: str) -> str:
    """Return a text with its sealed parts opened; `absent` stands in the place of one that cannot be opened."""

    def opened(part: re.Match[str]) -> str:
        try:
            found = open_one(part[0])
        except VerificationError:  # a sender wrote something that looks sealed
            return part[0]
        return absent if found is None else found

    return _PART.sub(opened, text)


_SEALED_OBJECT: Final = b"zhengzhao sealed object 1\n"


class Sealer:
    """Sealing and opening over a lookup of keys.

    `key_of(pseudonym, create)` gives a person's key; None where there is none and none is to be made. `evidence` is
    the key (64 bytes) from which the persons' evidence keys derive.
    """

    def __init__(self, key_of: Callable[[str, bool], bytes | None], evidence: bytes) -> None:
        self._key_of = key_of
        self._evidence = evidence

    def seal(self, pseudonym: str, text: str) -> str:
        """Seal a text as `Persons.seal` says."""
        return self._sealed(pseudonym, text, SEALED)

    def seal_evidence(self, pseudonym: str, text: str) -> str:
        """Seal a text as `Persons.seal_evidence` says."""
        return self._sealed(pseudonym, text, EVIDENCE)

    def open(self, pseudonym: str, sealed: str) -> str | None:
        """Open a text as `Persons.open` says. Raises VerificationError for one that was changed, or is another person's."""
        kind = next((kind for kind in (SEALED, EVIDENCE) if sealed.startswith(kind)), "")
        if not kind:
            return sealed
        raw = _raw(sealed.removeprefix(kind))
        key = self._key_of(pseudonym, False)
        if key is None or raw[:_TAG_LENGTH] != _tag(key):
            return None  # erased; a person who came back has another key
        return _opened(key if kind == SEALED else self._evidence_key(pseudonym), raw, pseudonym)

    def open_evidence(self, pseudonym: str, sealed: str) -> str | None:
        """Open evidence, also of a person who was erased; None for a text of another kind.

        Raises VerificationError for one that was changed, or is another person's.
        """
        if not sealed.startswith(EVIDENCE):
            return None
        return _opened(self._evidence_key(pseudonym), _raw(sealed.removeprefix(EVIDENCE)), pseudonym)

    def _sealed(self, pseudonym: str, text: str, kind: str) -> str:
        if not text.strip():
            return text
        own = self._key_of(pseudonym, True)
        assert own is not None  # it was to be made
        key = own if kind == SEALED else self._evidence_key(pseudonym)
        sealed = _tag(own) + AESSIV(key).encrypt(text.encode(), [pseudonym.encode()])
        return kind + base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")

    def _evidence_key(self, pseudonym: str) -> bytes:
        return hmac.digest(self._evidence, pseudonym.encode(), "sha512")

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


def _raw(text: str) -> bytes:
    try:
        return base64.b64decode(_padded(text), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise VerificationError("a sealed text that is no base64url") from None


def _opened(key: bytes, raw: bytes, pseudonym: str) -> str:
    try:
        return AESSIV(key).decrypt(raw[_TAG_LENGTH:], [pseudonym.encode()]).decode()
    except (InvalidTag, ValueError):
        raise VerificationError("a sealed text that was changed") from None


def _object_key(key: bytes) -> bytes:
    return hmac.digest(key, b"zhengzhao objects", "sha512")


def _tag(key: bytes) -> bytes:
    """Return what tells a person's keys before and after an erasure apart."""
    return hashlib.sha256(b"zhengzhao key tag\0" + key).digest()[:_TAG_LENGTH]


def _padded(text: str) -> str:
    return text + "=" * (-len(text) % 4)

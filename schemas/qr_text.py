"""The text in the QR of a licence: `HTTPS://<HOST>/#` and a decimal number.

The number's big-endian bytes are 0x01 (the version of this form) and the credential. Upper-case letters
and digits keep the symbol in its alphanumeric and numeric modes, so that it stays readable at 150 dpi. What
follows `#` never leaves the reader's browser.
"""

from __future__ import annotations

import re

from schemas.errors import VerificationError

VERSION = b"\x01"
MAX_CREDENTIAL = 700  # bytes
MAX_TEXT = 2_048  # characters: 701 bytes are at most 1,689 digits
HOST = re.compile(r"[A-Z0-9](?:[A-Z0-9.-]*[A-Z0-9])?(?::[1-9][0-9]{0,4})?")
_TEXT = re.compile(rf"HTTPS://({HOST.pattern})/#([1-9][0-9]*)")


def qr_text(host: str, credential: bytes) -> str:
    """The text to print; ValueError for a host with other characters or too long a credential."""
    if not HOST.fullmatch(host) or len(credential) > MAX_CREDENTIAL:
        raise ValueError("no host in upper case, or a credential over 700 bytes")
    return f"HTTPS://{host}/#{int.from_bytes(VERSION + credential)}"


def read_qr_text(text: str) -> tuple[str, bytes]:
    """Host and credential; VerificationError for any other text."""
    found = _TEXT.fullmatch(text) if len(text) <= MAX_TEXT else None
    if found is None:
        raise VerificationError(
            "二维码不是证照 / no licence: the QR does not read HTTPS://HOST/# and a number"
        )
    number = int(found[2])
    raw = number.to_bytes((number.bit_length() + 7) // 8)
    if raw[:1] != VERSION or len(raw) > 1 + MAX_CREDENTIAL:
        raise VerificationError(
            "二维码中没有凭证 / no licence: the number in the QR is not 0x01 and a credential"
        )
    return found[1], raw[1:]

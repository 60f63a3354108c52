"""The trust folder in one download, as browsers read it (`verification/browser/trust.js`).

Its bytes are canonical JSON (RFC 8785) of::

    {"format": "zhengzhao-trust-bundle-1",
     "root": base64 of the root certificate in DER,
     "trust": the text of trust.json, byte for byte,
     "certificates": {kid: base64 of the certificate in DER, …},
     "earlier": [{"sequence", "issued", "sha256"}, …],
     "lists": [names of status lists, …]}

The same folder gives the same bytes. A reader believes `trust` by the root's signature in it and each certificate by
the SHA-256 that `trust` names. `earlier` tells earlier editions by their digests, newest first; they lie at
`/trust/editions/`. `lists` is a hint of nobody: which lists to keep for a time without a network.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from schemas.canonical_json import canonical
from schemas.errors import TrustError
from schemas.trust import ROOT_FILE, TRUST_FILE, read_trust_list

FORMAT: Final = "zhengzhao-trust-bundle-1"
MEDIA_TYPE: Final = "application/json"
_EDITION = re.compile(r"editions/trust-(\d{6,})\.json")
_HINT = "take the trust folder anew from the issuing authority"


def trust_files(folder: Path) -> dict[str, bytes]:
    """Return the files of a trust folder as `trust_bundle` takes them; none where there is no such folder."""
    found = (path for path in folder.rglob("*") if path.suffix in (".pem", ".json") and path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def trust_bundle(files: Mapping[str, bytes], lists: Iterable[str] = ()) -> bytes:
    """Return the bundle of a trust folder.

    `files` maps names within the folder (`root.pem`, `trust.json`, `<kid>.pem`, `editions/trust-000001.json`) to their
    bytes; `lists` are names of published status lists. Raises TrustError where a file is absent or is not what the
    root signed.
    """
    root = _root(files)
    listing = read_trust_list(_file(files, TRUST_FILE), root)
    certificates = {}
    for key in listing.keys:
        der = _certificate(files, key.certificate).public_bytes(Encoding.DER)
        if hashlib.sha256(der).hexdigest() != key.certificate_sha256:
            raise TrustError("not the certificate that trust.json names", where=key.certificate, hint=_HINT)
        certificates[key.kid] = base64.b64encode(der).decode()
    return canonical(
        {
            "format": FORMAT,
            "root": base64.b64encode(root.public_bytes(Encoding.DER)).decode(),
            "trust": files[TRUST_FILE].decode(),
            "certificates": certificates,
            "earlier": _earlier(files, root, listing.sequence),
            "lists": sorted(lists),
        }
    )


def _earlier(files: Mapping[str, bytes], root: x509.Certificate, newest: int) -> list[dict[str, Any]]:
    """Return a row for each edition before the newest; each is verified before it is named."""
    rows = []
    for name in filter(_EDITION.fullmatch, files):
        edition = read_trust_list(files[name], root)
        if edition.sequence < newest:
            digest = hashlib.sha256(files[name]).hexdigest()
            rows.append({"sequence": edition.sequence, "issued": edition.issued, "sha256": digest})
    return sorted(rows, key=lambda row: -int(row["sequence"]))


def _root(files: Mapping[str, bytes]) -> x509.Certificate:
    root = _certificate(files, ROOT_FILE)
    try:
        root.verify_directly_issued_by(root)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        raise TrustError("not signed by itself", where=ROOT_FILE, hint=_HINT) from None
    return root


def _certificate(files: Mapping[str, bytes], name: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(_file(files, name))
    except (ValueError, x509.InvalidVersion):
        raise TrustError("no certificate in PEM", where=name, hint=_HINT) from None


def _file(files: Mapping[str, bytes], name: str) -> bytes:
    try:
        return files[name]
    except KeyError:
        raise TrustError("there is no such file in the trust folder", where=name, hint=_HINT) from None

"""Reading and writing of what lies in the store: artefacts of a licence version, uploads, published status lists.

An upload is stored sealed, under the hash of its content. Only `store:` addresses name it, never a URL.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final, Literal

from infra.persons.keys import PersonsStore
from infra.stores import Erasing
from processors.queries.find import Queries, shown
from processors.queries.views import ERASED
from schemas.errors import NotFound, UsageError, VerificationError
from schemas.ports import Store
from verification.pdf import attachments
from verification.status_sources import Stored

Form = Literal["pdf", "cwt", "json", "manifest"]
FILES: Final[dict[Form, str]] = {"pdf": "licence.pdf", "cwt": "credential.cwt", "json": "licence.json"}


def artefact(
    ask: Queries, store: Store, number: str, version: int | None, form: Form, waits: str = ""
) -> bytes:
    """Return the bytes of an artefact; `manifest` lists keys and digests. `waits` says when what waits is issued.

    Raises NotFound for a version without artefacts, or an erased holder: an erased person's licence stays sealed in
    the store, so that replay can compare its digest, and nobody can open it.
    """
    row = ask.version(number, version)
    if form != "manifest" and row["holder_name"] == ERASED and "*" in row["holder_id"]:
        raise NotFound(
            "持证人信息已删除 / the holder was erased",
            where=shown(number),
            hint="--format manifest 列出摘要 / lists digests",
        )
    key = row["objects"].get("licence.pdf")
    if key is None:
        raise NotFound(
            "这一版没有证照文件 / this version has no artefacts",
            where=shown(number),
            hint=f"尚未发证 / not issued yet: {waits}；导入的证照在下一版之前没有文件 / an imported licence has none before its next version",
        )
    stored = store.get(key)
    pdf = ask.opened(number, stored)
    if pdf is None:  # sealed for a person who was erased: only the digest of what is stored is left
        return _manifest(row, key, {"licence.pdf": stored})
    parts = {"licence.pdf": pdf, **attachments(pdf)} if form != "pdf" else {"licence.pdf": pdf}
    return _manifest(row, key, parts) if form == "manifest" else parts[FILES[form]]


def digest(data: bytes) -> dict[str, Any]:
    """Return SHA-256 (hex) and size in bytes."""
    return {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


def _manifest(row: dict[str, Any], key: str, parts: dict[str, bytes]) -> bytes:
    manifest = {
        **{name: row[name] for name in ("number", "version", "identifier", "status")},
        "objects": [{"name": "licence.pdf", "key": key, **digest(parts["licence.pdf"])}],
        "attached": [
            {"name": n, "in": "licence.pdf", **digest(d)} for n, d in parts.items() if n != "licence.pdf"
        ],
    }
    return (json.dumps(manifest, ensure_ascii=False, indent=2) + "\n").encode()


MAX_UPLOAD = 50 * 1024 * 1024  # bytes


def put_upload(store: Store, persons: PersonsStore, content: bytes) -> str:
    """Keep a file and return its `uri`, `store:uploads/<sha256>`. Raises UsageError for an empty or too large one."""
    if not content or len(content) > MAX_UPLOAD:
        raise UsageError(
            "文件为空或超过 50 MiB / the file is empty or over 50 MiB",
            hint="压缩后重试 / reduce it and try again",
        )
    digest = hashlib.sha256(content).hexdigest()
    key, sealed = f"uploads/{digest}", persons.seal_file(content)
    known = store.exists(key)
    store.put(key, sealed)
    if known and isinstance(store, Erasing):
        store.refresh(key, sealed)  # else it could be collected before the case that names it this time
    return f"store:uploads/{digest}"


def upload_state(store: Store, persons: PersonsStore, uri: str) -> str:
    """Return `verified`, `mismatched` or `absent` for the file that a `store:uploads/…` address names."""
    digest = uri.rpartition("/")[2]
    try:
        content = persons.open_file(store.get(f"uploads/{digest}"))
    except NotFound:
        return "absent"
    except VerificationError:
        return "mismatched"
    return "verified" if hashlib.sha256(content).hexdigest() == digest else "mismatched"


def published_lists(store: Store) -> Stored:
    """Return the published lists of a store as a source for `verify`."""

    def get(key: str) -> bytes | None:
        try:
            return store.get(key)
        except NotFound:
            return None

    return Stored(store.list, get)

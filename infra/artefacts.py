"""Artefacts of a licence version: the stored PDF, and what is attached to it."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final, Literal

from infra.queries import Queries, shown
from processors.views import ERASED
from schemas.errors import NotFound
from schemas.ports import Store
from verification.pdf import attachments

Form = Literal["pdf", "cwt", "json", "manifest"]
FILES: Final[dict[Form, str]] = {"pdf": "licence.pdf", "cwt": "credential.cwt", "json": "licence.json"}


def artefact(ask: Queries, store: Store, number: str, version: int | None, form: Form) -> bytes:
    """The bytes of an artefact (`manifest`: what lies where). NotFound for a version without one, or an erased holder.

    An erased person's licence stays in the store as it was signed, for replay; nobody is handed the name again.
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
            "这一版没有证照文件 / this version has no artefacts", where=shown(number),
            hint="not issued yet: `zhengzhao drain`; an imported licence has none before its next version",
        )  # fmt: skip
    pdf = store.get(key)
    parts = {"licence.pdf": pdf, **attachments(pdf)} if form != "pdf" else {"licence.pdf": pdf}
    return _manifest(row, key, parts) if form == "manifest" else parts[FILES[form]]


def digest(data: bytes) -> dict[str, Any]:
    """SHA-256 and size."""
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

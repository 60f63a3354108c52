"""Uploaded files: stored sealed, under the hash of what they are. Only `store:` addresses name them, never a URL."""

from __future__ import annotations

import hashlib

from infra.persons_store import PersonsStore
from schemas.errors import UsageError
from schemas.ports import Store

MAX_UPLOAD = 50 * 1024 * 1024  # bytes


def put_upload(store: Store, persons: PersonsStore, content: bytes) -> str:
    """Keeps a file and returns its `uri`, `store:uploads/<sha256>`. UsageError for one that is empty or too large."""
    if not content or len(content) > MAX_UPLOAD:
        raise UsageError(
            "文件为空或超过 50 MiB / the file is empty or over 50 MiB",
            hint="压缩后重试 / reduce it and try again",
        )
    digest = hashlib.sha256(content).hexdigest()
    store.put(f"uploads/{digest}", persons.seal_file(content))
    return f"store:uploads/{digest}"

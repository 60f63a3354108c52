"""The status lists that an installation has published, read from its store."""

from __future__ import annotations

from infra.settings import Settings
from infra.stores import open_store
from schemas.errors import NotFound
from verification.status_sources import Stored


def published_lists(settings: Settings) -> Stored | None:
    """The published lists as a source for `verify`; None where the data folder has none."""
    if settings.store is None and not (settings.objects / "status").is_dir():
        return None
    store = open_store(settings.store, settings.objects)

    def get(key: str) -> bytes | None:
        try:
            return store.get(key)
        except NotFound:
            return None

    return Stored(store.list, get)

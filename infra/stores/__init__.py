"""Where objects lie: a folder, an S3 bucket, or memory (for tests). The port is `schemas.ports.Store`."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from infra.stores.folder import FolderStore
from schemas.ports import Store


@runtime_checkable
class Erasing(Protocol):
    """A store that can delete: only the files of a person who is erased are ever deleted."""

    def erase(self, key: str) -> bool:
        """Deletes an object for good; False where there is none."""
        ...


def open_store(address: str | None, objects: Path) -> Store:
    """The store at `address` (`s3://…`); without one the folder `objects`."""
    if address is None:
        return FolderStore(objects)
    from infra.stores.s3 import S3Store

    return S3Store(address)

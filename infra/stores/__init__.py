"""Stores of objects: a folder or an S3 bucket. The port is `schemas.ports.Store`."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from infra.stores.folder import FolderStore
from schemas.ports import Store


@runtime_checkable
class Erasing(Protocol):
    """A store that can delete: files of a person who is erased, and uploads that no case names; nothing else."""

    def written_at(self, key: str) -> float:
        """Return the moment at which an object was written, in Unix seconds. Raises NotFound."""
        ...

    def refresh(self, key: str, data: bytes) -> None:
        """Write an object anew, its bytes as they are, so that it counts as written now."""
        ...

    def erase(self, key: str) -> bool:
        """Delete an object for good; return False where there is none."""
        ...


@runtime_checkable
class Conditional(Protocol):
    """A store that can say whether it refuses to overwrite an object by itself."""

    def conditional(self) -> bool:
        """Tell if the store writes an object only where there is none."""
        ...


def open_store(address: str | None, objects: Path) -> Store:
    """Open the store at `address` (`s3://…`), or the folder `objects` where it is None. Raises UsageError."""
    if address is None:
        return FolderStore(objects)
    from infra.stores.s3 import S3Store

    return S3Store(address)

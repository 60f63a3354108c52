"""Persons of an installation: their keys, and the record of every access to what is kept about them."""

from __future__ import annotations

from pathlib import Path

from infra.persons.keys import PersonsStore


def open_persons(data: Path, shared: str | None = None) -> PersonsStore:
    """Open the persons of an installation.

    `data` is the data folder with the secret; `shared` the address of the S3 store in which several machines
    share the keys (on Kafka), None where the keys lie in the data folder. Raises KeysMissing where the secret
    does not open the keys.
    """
    if shared is None:
        return PersonsStore(data)
    from infra.persons.shared_keys import SharedPersons

    return SharedPersons(data, shared)

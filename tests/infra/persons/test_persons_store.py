"""Persons: pseudonyms, sealed texts, erasure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.persons.keys import DATABASE, SECRET, PersonsStore
from schemas.errors import KeysMissing, VerificationError

PERSON = "63010219900101001X"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PersonsStore]:
    opened = PersonsStore(tmp_path)
    yield opened
    opened.close()


def test_pseudonym_is_stable_and_keyed(store: PersonsStore, tmp_path: Path) -> None:
    """The same in every process of an installation, another one in another installation."""
    again, other = PersonsStore(tmp_path), PersonsStore(tmp_path / "other")
    name = store.pseudonym(PERSON)
    assert name == again.pseudonym(PERSON)
    assert name != other.pseudonym(PERSON)
    assert (len(name), name[:2]) == (34, "p:")


def test_sealing_is_deterministic_and_opens_again(store: PersonsStore, tmp_path: Path) -> None:
    """The same text seals to the same bytes for one person, in any process, to others for another person."""
    one, two = store.pseudonym(PERSON), store.pseudonym("other")
    sealed = store.seal(one, "李四")
    assert sealed == PersonsStore(tmp_path).seal(one, "李四")
    assert sealed != store.seal(two, "李四")
    assert store.open(one, sealed) == "李四"
    assert (store.seal(one, " "), store.seal(one, ""), store.open(one, "clear")) == (" ", "", "clear")


def test_erased_person_stays_erased(store: PersonsStore, tmp_path: Path) -> None:
    """After an erasure nothing opens, in no process, not even when the person comes back."""
    name = store.pseudonym(PERSON)
    sealed = store.seal(name, "李四")
    elsewhere = PersonsStore(tmp_path)
    assert elsewhere.open(name, sealed) == "李四"
    key_bytes = _wrapped(store, name)
    assert store.erase(name)
    assert [store.open(name, sealed), elsewhere.open(name, sealed)] == [None, None]
    assert not any(key_bytes in path.read_bytes() for path in tmp_path.glob(f"{DATABASE}*"))
    fresh = store.seal(name, "李四")
    assert fresh != sealed
    assert (store.open(name, sealed), elsewhere.open(name, fresh)) == (None, "李四")
    assert not store.erase(store.pseudonym("nobody"))


def test_changed_text_and_wrong_secret_are_noticed(store: PersonsStore, tmp_path: Path) -> None:
    """A sealed text that was changed raises; so does a database without its secret, or with another one."""
    name = store.pseudonym(PERSON)
    sealed = store.seal(name, "李四")
    flipped = sealed[:-3] + ("A" if sealed[-3] != "A" else "B") + sealed[-2:]
    with pytest.raises(VerificationError):
        store.open(name, flipped)
    (tmp_path / SECRET).write_bytes(bytes(32))
    with pytest.raises(KeysMissing):
        PersonsStore(tmp_path).open(name, sealed)
    (tmp_path / SECRET).unlink()
    with pytest.raises(KeysMissing):
        PersonsStore(tmp_path)


def test_files_are_sealed(store: PersonsStore) -> None:
    """An uploaded file lies in the store unreadable, and the same each time."""
    sealed = store.seal_file(b"scan of an id card")
    assert sealed == store.seal_file(b"scan of an id card")
    assert b"card" not in sealed
    assert store.open_file(sealed) == b"scan of an id card"
    with pytest.raises(VerificationError):
        store.open_file(sealed[:-1] + bytes((sealed[-1] ^ 1,)))


def test_secret_and_database_are_the_owner_s_alone(store: PersonsStore, tmp_path: Path) -> None:
    """Nobody else may read them, and the secret is not under `keys/`."""
    store.seal(store.pseudonym(PERSON), "李四")
    modes = {path.name: path.stat().st_mode & 0o077 for path in (tmp_path / SECRET, tmp_path / DATABASE)}
    assert modes == {"installation.key": 0, "persons.db": 0}
    assert not (tmp_path / "keys").exists()


def _wrapped(store: PersonsStore, name: str) -> bytes:
    row = store._db.execute("SELECT wrapped FROM keys WHERE pseudonym = ?", (name,)).fetchone()
    return bytes(row[0])


def test_an_object_of_a_person_is_sealed(store: PersonsStore, tmp_path: Path) -> None:
    """The same bytes for the same content, in any process; nobody else's key opens it; erased with its person."""
    one, two = store.pseudonym(PERSON), store.pseudonym("other")
    sealed = store.seal_object(one, b"%PDF-1.7 page")
    assert sealed == PersonsStore(tmp_path).seal_object(one, b"%PDF-1.7 page")
    assert sealed != store.seal_object(two, b"%PDF-1.7 page")
    assert b"PDF" not in sealed
    assert (b"%PDF-1.7 page", b"%PDF of before") == (
        store.open_object(one, sealed),
        store.open_object(one, b"%PDF of before"),
    )
    assert store.open_object(two, sealed) is None
    with pytest.raises(VerificationError):
        store.open_object(one, sealed[:-1] + bytes([sealed[-1] ^ 1]))
    store.erase(one)
    assert store.open_object(one, sealed) is None

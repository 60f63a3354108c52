"""Tasks of the worker processes: issue a licence, or rebuild one from what is recorded of it.

A task is built once in its process, from plain values that travel to it (`infra.pool.Recipe`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import msgspec

from infra.failpoints import failpoint
from infra.persons.keys import PersonsStore
from infra.pool import Recipe, Task
from infra.settings import Settings
from infra.stores.folder import FolderStore
from issuance.issue import Issuer
from issuance.page import RendererMissing
from issuance.signer import Signer
from schemas.errors import LintError, NotFound, ObjectDiffers, VerificationError
from schemas.licence import Grant, IssuanceItem, Issued, Numbered, Product, decode_issuance_item, decode_job
from schemas.persons import is_pseudonym, is_sealed, is_sealed_object
from schemas.ports import Store
from schemas.trust import TrustStore
from verification.page_text import check_page
from verification.pdf import attachments, read_layout


class Rebuild(msgspec.Struct, frozen=True, array_like=True):
    """The input that a worker needs to rebuild an object."""

    numbered: Numbered
    item: bytes
    issued: Issued


class Rebuilt(msgspec.Struct, frozen=True, array_like=True):
    """The comparison of a rebuilt object with the stored one. `verdict` is `same` or says what is wrong.

    `unproved` tells why the object could only be compared with its recorded digest.
    """

    key: str
    verdict: str
    unproved: str = ""


_encode = msgspec.msgpack.Encoder().encode
_rebuild = msgspec.msgpack.Decoder(Rebuild).decode
_rebuilt = msgspec.msgpack.Decoder(Rebuilt).decode
_issued = msgspec.msgpack.Decoder(Issued).decode


@lru_cache(maxsize=256)
def _item(raw: bytes) -> IssuanceItem:
    return decode_issuance_item(raw)


def recipe(settings: Settings) -> Recipe:
    """Return the recipe by which a worker builds the task of issuing."""
    return Recipe(
        "infra.bootstrap:issue_task",
        (str(settings.data), settings.store, settings.passphrase, settings.shared_persons),
    )


def decode_issued(raw: bytes) -> Issued:
    """Return the answer to a job."""
    return _issued(raw)


def issue_task(trust: TrustStore, signer: Signer, persons: PersonsStore, store: Store) -> Task:
    """Return the task that lints, builds, signs and stores a licence, and answers with what is recorded of it."""
    items: dict[str, IssuanceItem] = {}
    issuer = Issuer(trust, lambda grant: items[grant.item_digest].on(grant.issued_on), proofread=check_page)

    def task(raw: bytes) -> bytes:
        job = decode_job(raw)
        grant = job.numbered.grant
        items[grant.item_digest] = _item(job.item)
        name, address = clear_texts(grant, persons.open)
        numbered = with_products(job.numbered, persons.open)
        issued, pdf = issuer.issue(numbered, name, address, signer)
        issued, content = stored_form(issued, grant.holder, pdf, persons.seal_object)
        failpoint("issue-before-store")
        try:
            store.put(issued.object_key, content)
        except ObjectDiffers:
            issued = adopt(issuer, numbered, issued, store, name, address, persons.open_object)
        failpoint("issue-after-store")
        return _encode(issued)

    return task


SealObject = Callable[[str, bytes], bytes]
OpenObject = Callable[[str, bytes], bytes | None]


def stored_form(issued: Issued, holder: str, pdf: bytes, seal: SealObject) -> tuple[Issued, bytes]:
    """Return the bytes of a licence for the store, with what is recorded of them: a person's are sealed."""
    if not is_pseudonym(holder):
        return issued, pdf
    content = seal(holder, pdf)
    return msgspec.structs.replace(issued, stored_sha256=hashlib.sha256(content).hexdigest()), content


def clear_texts(grant: Grant, opened: Callable[[str, str], str | None]) -> tuple[str, str]:
    """Return the holder's name and address in clear; LintError where the person was erased."""
    texts = [opened(grant.holder, text) for text in (grant.holder_name, grant.address)]
    if None in texts:
        raise Erased(
            "the person was erased: there is nothing left to put on a licence", where=grant.holder_id
        )
    return texts[0] or "", texts[1] or ""


def with_products(numbered: Numbered, opened: Callable[[str, str], str | None]) -> Numbered:
    """Return the grant with its products in clear, for what is printed and signed; call `clear_texts` first."""
    grant = numbered.grant
    if not any(is_sealed(text) for p in grant.products for text in (p.site, p.detail)):
        return numbered
    clear = tuple(
        Product(p.category, opened(grant.holder, p.site) or "", opened(grant.holder, p.detail) or "")
        for p in grant.products
    )
    return msgspec.structs.replace(numbered, grant=msgspec.structs.replace(grant, products=clear))


class Erased(LintError):
    """The person whose licence this is was erased."""


def adopt(
    issuer: Issuer,
    numbered: Numbered,
    issued: Issued,
    store: Store,
    name: str,
    address: str,
    open_object: OpenObject,
) -> Issued:
    """Return the record of an object that stands under the key already.

    A signer with random signatures may have crashed between writing and recording: the stored object then
    differs only by its signatures. They are read out of it; if the object can be rebuilt with them, it is ours.
    """
    content = store.get(issued.object_key)
    stored = open_object(numbered.grant.holder, content)
    if stored is None:
        raise ObjectDiffers(
            "该键下是已删除人员的对象 / the key holds an object of an erased person", where=issued.object_key
        )
    credential, seal = _signatures(stored)
    found = msgspec.structs.replace(
        issued,
        credential_signature=credential[-64:].hex(),
        credential_sha256=hashlib.sha256(credential).hexdigest(),
        seal_signature=seal.hex(),
        object_sha256=hashlib.sha256(stored).hexdigest(),
        stored_sha256=hashlib.sha256(content).hexdigest() if is_sealed_object(content) else "",
    )
    try:
        same = issuer.rebuild(numbered, found, name, address) == stored
    except VerificationError:
        same = False
    if not same:
        raise ObjectDiffers("the key holds another object", where=issued.object_key)
    return found


def _signatures(pdf: bytes) -> tuple[bytes, bytes]:
    """Return the credential, which ends in its raw signature, and the DER of the seal's signature."""
    try:
        cms = read_layout(pdf).cms
        credential = attachments(pdf)["credential.cwt"]
    except (VerificationError, KeyError):
        raise ObjectDiffers("the key holds what is no licence of ours") from None
    return credential, seal_signature(cms)


def seal_signature(cms: bytes) -> bytes:
    """Return the DER of the signature that ends a seal's CMS; empty where there is none."""
    for size in range(8, 73):
        if cms[-size - 2 : -size] == bytes((0x04, size)) and cms[-size] == 0x30:
            return cms[-size:]
    return b""


def rebuild_recipe(settings: Settings, into: Path, *, opens: bool) -> Recipe:
    """Return the recipe of a worker that rebuilds below `into`; `opens` says that the persons' keys can be opened."""
    return Recipe(
        "infra.bootstrap:rebuild_task",
        (str(settings.data), settings.store, settings.shared_persons, str(into), opens),
    )


def rebuild_task(trust: TrustStore, persons: PersonsStore | None, store: Store, into: Path) -> Task:
    """Return the task that rebuilds an object without private keys, writes it below `into`, and compares it.

    `persons` is None where the installation's secret is not there: then sealed texts stay sealed.
    """
    opened = persons.open if persons else _sealed
    seal = persons.seal_object if persons else _unsealable
    target = FolderStore(into / "objects")
    items: dict[str, IssuanceItem] = {}
    issuer = Issuer(trust, lambda grant: items[grant.item_digest].on(grant.issued_on))

    def task(raw: bytes) -> bytes:
        job = _rebuild(raw)
        items[job.numbered.grant.item_digest] = _item(job.item)
        return _encode(_compare(issuer, job, store, target, opened, seal))

    return task


def decode_rebuilt(raw: bytes) -> Rebuilt:
    """Return the answer to a job of rebuilding."""
    return _rebuilt(raw)


def encode_rebuild(numbered: Numbered, item: bytes, issued: Issued) -> bytes:
    """Return a job of rebuilding as it travels."""
    return _encode(Rebuild(numbered, item, issued))


def _sealed(_pseudonym: str, text: str) -> str | None:
    return None if is_sealed(text) else text


def _unsealable(_pseudonym: str, content: bytes) -> bytes:
    return content  # never reached: without the secret no text of a person opens, and nothing is built


def _compare(
    issuer: Issuer,
    job: Rebuild,
    store: Store,
    target: Store,
    opened: Callable[[str, str], str | None],
    seal: SealObject,
) -> Rebuilt:
    key = job.issued.object_key
    try:
        stored: bytes | None = store.get(key)
    except NotFound:
        stored = None
    intact = stored is not None and hashlib.sha256(stored).hexdigest() == job.issued.stored_digest
    try:
        name, address = clear_texts(job.numbered.grant, opened)
        built = issuer.rebuild(with_products(job.numbered, opened), job.issued, name, address)
    except (Erased, RendererMissing) as error:
        if stored is not None and intact:
            target.put(key, stored)
        return Rebuilt(key, _verdict(stored, intact, None), error.message)
    except (VerificationError, LintError) as error:
        return Rebuilt(key, f"cannot be rebuilt: {error}")
    if job.issued.stored_sha256:
        built = seal(job.numbered.grant.holder, built)
    target.put(key, built)
    return Rebuilt(key, _verdict(stored, intact, built))


def _verdict(stored: bytes | None, intact: bool, built: bytes | None) -> str:
    if stored is None:
        return "missing: there is no such object in the store"
    if not intact:
        return "differs: the stored object has another digest than was recorded"
    if built is not None and built != stored:
        return "differs: what is rebuilt has other bytes"
    return "same"

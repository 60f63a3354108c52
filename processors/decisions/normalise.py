"""Content of an event in the form in which cases keep it."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from typing import Any

import msgspec

from schemas.calendar import day_of
from schemas.event_types import ApplicationSubmitted, Material, ProductIn
from schemas.facts import ApplicantSeen, ChangeSeen, MaterialSeen
from schemas.identifiers import compare, same_text
from schemas.licence import Product
from schemas.persons import is_sealed

_encode = msgspec.json.Encoder(order="sorted").encode
_NOT_CONTENT = frozenset(("application_id", "window", "channel"))
_IDS = ("licence_number", "licence_numbers", "granted_by")
_EVIDENCE = ("text_sha256", "signatory")  # of a commitment letter: what a later 撤销 needs


def content(data: dict[str, Any]) -> str:
    """Return the digest by which two applications under one id are the same: all but the way they came, ids compared."""
    kept = {key: value for key, value in data.items() if key not in _NOT_CONTENT}
    for key in _IDS:
        if key in kept:
            named = kept[key]
            kept[key] = compare(named) if isinstance(named, str) else [compare(one) for one in named]
    return hashlib.sha256(_encode(kept)).hexdigest()


def applicant_seen(applicant: Any, payload: dict[str, Any]) -> ApplicantSeen:
    """Return the applicant of an event, as cases keep it."""
    return ApplicantSeen(
        applicant.kind,
        payload["who"]["display"],
        (applicant.name or "").strip(),
        (applicant.address or "").strip(),
        division(applicant.division),
        folds(payload),
    )


def division(code: str | None) -> str:
    """Return a division's code as it is compared: full-width digits and blanks around it do not count."""
    return unicodedata.normalize("NFKC", code or "").strip()


def folds(payload: dict[str, Any]) -> dict[str, str]:
    """Return the sealed folded forms of a person's sealed texts, as `route` made them."""
    found: dict[str, str] = payload.get("folds", {})
    return found


def same(folds: dict[str, str], one: str, other: str) -> bool:
    """Tell whether two names or addresses say the same; a person's are compared by their sealed folded forms."""
    if is_sealed(one) or is_sealed(other):
        return folds.get(one, one) == folds.get(other, other)
    return same_text(one, other)


def unprintable(payload: dict[str, Any]) -> dict[str, str]:
    """Return the characters that no font has, by the name of what is then missing, as `route` found them."""
    found: dict[str, str] = payload.get("unprintable", {})
    return found


def products(sent: Sequence[ProductIn] | None) -> tuple[Product, ...]:
    """Return the products of an event, trimmed."""
    return tuple(
        Product(p.category.strip(), (p.site or "").strip(), (p.detail or "").strip()) for p in sent or ()
    )


def materials_seen(sent: Sequence[Material] | None, payload: dict[str, Any]) -> tuple[MaterialSeen, ...]:
    """Return the materials of an event, with what became of their files and what they prove later."""
    files: dict[str, str] = payload.get("files", {})
    raw = payload["data"].get("materials") or []
    day = day_of(payload["time"]).isoformat()
    seen = []
    for material, source in zip(sent or (), raw, strict=True):
        evidence = {key: str(source[key]) for key in _EVIDENCE if isinstance(source.get(key), str)}
        if material.uri:
            evidence["file"] = files.get(material.uri, "absent")
            if material.sha256 and material.sha256.lower() != material.uri.rsplit("/", 1)[-1]:
                evidence["file"] = "mismatched"
        seen.append(
            MaterialSeen(
                material.kind,
                material.uri or "",
                material.sha256 or "",
                material.signed_on.isoformat() if material.signed_on else "",
                material.deferred_until.isoformat() if material.deferred_until else "",
                evidence,
                day,
            )
        )
    return tuple(seen)


def change(data: ApplicationSubmitted, payload: dict[str, Any]) -> ChangeSeen | None:
    """Return what the holder becomes, None for any other action than `change`."""
    change = data.change
    if change is None or data.action != "change":
        return None
    return ChangeSeen(
        change.name,
        change.address,
        division(change.division) if change.division is not None else None,
        products(change.products) if change.products is not None else None,
        folds(payload),
    )

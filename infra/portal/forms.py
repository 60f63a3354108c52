"""Forms of applications: from what somebody typed to the data of an event, with the fields that are wrong.

Fields of a form are named as the event's: `applicant.name`, `products.0.category`, `fields.<name>`, and for the
commitment `signatory` and `signed_on`. A blank field is an absent one, which intake asks for; a field that is filled
in wrongly is told at once, and nothing is sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Final, NamedTuple

from processors.decisions.intake import needed
from producers.forms import text_digest
from schemas.authorities import find
from schemas.facts import Reason
from schemas.item_types import ServiceItem

FORM: Final = "application-form"
LETTER: Final = "commitment-letter"
MOST_PRODUCTS: Final = 200
LETTER_DAYS: Final = 365
ACTIONS: Final = ("new", "extend", "change", "renew", "reissue", "surrender")
_PRODUCT: Final = re.compile(r"products\.(\d{1,3})\.(category|site|detail)")
_CHANGED: Final = re.compile(r"change\.products\.(\d{1,3})\.(category|site|detail)")
_PLACE: Final = re.compile(r"\[(\d+)\]")

Typed = Mapping[str, str]
Errors = dict[str, Reason]
"""Name of a field → what is wrong with it."""


class Upload(NamedTuple):
    """A file that came with a form and lies in the store."""

    uri: str
    sha256: str


class KnownApplicant(NamedTuple):
    """The applicant as the account knows it; `number` in clear."""

    kind: str
    number: str


def products_of(typed: Typed, pattern: re.Pattern[str] = _PRODUCT) -> list[dict[str, str]]:
    """Return the rows of products that are not blank, in their order."""
    rows: dict[int, dict[str, str]] = {}
    for name, value in typed.items():
        if (found := pattern.fullmatch(name)) and value.strip():
            rows.setdefault(int(found[1]), {})[found[2]] = value.strip()
    return [{"category": "", **rows[n]} for n in sorted(rows)][:MOST_PRODUCTS]


def fields_of(typed: Typed) -> dict[str, str]:
    """Return the answers to the item's own fields."""
    return {
        name.removeprefix("fields."): value.strip()
        for name, value in typed.items()
        if name.startswith("fields.") and value.strip()
    }


def letter_of(typed: Typed, today: date, errors: Errors) -> dict[str, Any] | None:
    """Return the commitment letter that was signed with the form; None where a part of it is missing."""
    signatory, day = typed.get("signatory", "").strip(), typed.get("signed_on", "").strip()
    signed = _day(day)
    if day and signed is None:
        errors["signed_on"] = Reason("不是日期，例如 2018-09-10", "no date; for example 2018-09-10")
    elif signed is not None and signed > today:
        errors["signed_on"] = Reason("签署日期在今天之后", "the day of signature lies in the future")
    elif signed is not None and (today - signed).days > LETTER_DAYS:
        errors["signed_on"] = Reason("签署已逾一年，请重新签署", "signed more than a year ago: sign it again")
    if len(signatory) > 200:
        errors["signatory"] = Reason("超过 200 个字符", "more than 200 characters")
    if not signatory or signed is None or {"signed_on", "signatory"} & errors.keys():
        return None
    return {
        "kind": LETTER,
        "signed_on": signed.isoformat(),
        "signatory": signatory,
        "text_sha256": text_digest(),
    }


def attached_materials(
    item: ServiceItem,
    kinds: tuple[str, ...],
    typed: Typed,
    uploads: Mapping[str, Upload],
    today: date,
    errors: Errors,
) -> list[dict[str, Any]]:
    """Return the materials of these kinds that came: the form itself, the letter, files, and promises to bring later."""
    found: list[dict[str, Any]] = []
    for kind in kinds:
        promised = typed.get(f"deferred_until.{kind}", "").strip()
        if kind == LETTER:
            letter = letter_of(typed, today, errors)
            found += [letter] if letter else []
        elif kind in uploads:
            material = {"kind": kind, "uri": uploads[kind].uri, "sha256": uploads[kind].sha256}
            rule = item.material(kind)
            if rule is not None and rule.signed and typed.get("signed_on", "").strip():
                material["signed_on"] = typed["signed_on"].strip()
            found.append(material)
        elif kind == FORM:
            found.append({"kind": FORM})
        elif promised:
            if _day(promised) is None:
                errors[f"deferred_until.{kind}"] = Reason("不是日期", "no date")
            else:
                found.append({"kind": kind, "deferred_until": promised})
    return found


def application_data(
    item: ServiceItem,
    action: str,
    typed: Typed,
    uploads: Mapping[str, Upload],
    applicant: KnownApplicant,
    known: Mapping[str, str],
    *,
    application_id: str,
    licence_number: str,
    window: str,
    channel: str,
    today: date,
) -> tuple[dict[str, Any], Errors]:
    """Return the data of an application and what is wrong in it; `known` particulars stand as the register has them."""
    errors: Errors = {}
    who = _applicant_of(typed, applicant, known, errors)
    data: dict[str, Any] = {
        "application_id": application_id,
        "item": item.code,
        "action": action,
        "applicant": who,
        "materials": attached_materials(item, needed(item, action), typed, uploads, today, errors),
        "channel": channel,
        "window": window or who.get("division") or "",
    }
    if action != "new":
        data["licence_number"] = licence_number
    if item.products and action in ("new", "extend"):
        data["products"] = products_of(typed)
        _check_categories(item, "products", data["products"], typed, errors)
    if answers := fields_of(typed):
        data["shared"] = answers
    if action == "change":
        data["change"] = _change(item, typed, errors)
    return data, errors


def _applicant_of(
    typed: Typed, applicant: KnownApplicant, known: Mapping[str, str], errors: Errors
) -> dict[str, Any]:
    """Return the applicant of an event; particulars that the register has come before what was typed."""
    who: dict[str, Any] = {"kind": applicant.kind, "id": applicant.number}
    for field in ("name", "address", "division"):
        if value := known.get(field) or typed.get(f"applicant.{field}", "").strip():
            who[field] = value
    if who.get("division") and find(who["division"]) is None:
        errors["applicant.division"] = Reason("没有这个区划", "there is no such division")
    return who


def _change(item: ServiceItem, typed: Typed, errors: Errors) -> dict[str, Any]:
    change: dict[str, Any] = {
        field: value
        for field in ("name", "address", "division")
        if (value := typed.get(f"change.{field}", "").strip())
    }
    if change.get("division") and find(change["division"]) is None:
        errors["change.division"] = Reason("没有这个区划", "there is no such division")
    products = products_of(typed, _CHANGED)
    if item.products and products:
        change["products"] = products
        _check_categories(item, "change.products", products, typed, errors)
    if not change:
        errors["change"] = Reason("请至少填写一项变更", "fill in at least one change")
    return change


def _check_categories(
    item: ServiceItem, prefix: str, products: list[dict[str, str]], typed: Typed, errors: Errors
) -> None:
    for n in range(MOST_PRODUCTS):
        named = typed.get(f"{prefix}.{n}.category", "").strip()
        if named and item.category(named) is None:
            errors[f"{prefix}.{n}.category"] = Reason("本事项没有这个类别", "no category of this item")


def supplied_data(
    item: ServiceItem,
    missing: tuple[str, ...],
    typed: Typed,
    uploads: Mapping[str, Upload],
    *,
    application_id: str,
    holder_id: str,
    today: date,
) -> tuple[dict[str, Any], Errors]:
    """Return the data that supply what was missing, and what is wrong in them; nothing else of the form counts."""
    errors: Errors = {}
    kinds = tuple(kind for kind in missing if item.material(kind) is not None)
    data: dict[str, Any] = {"application_id": application_id, "holder_id": holder_id}
    if materials := attached_materials(item, kinds, typed, uploads, today, errors):
        data["materials"] = materials
    if "products" in missing and (products := products_of(typed)):
        data["products"] = products
        _check_categories(item, "products", products, typed, errors)
    part = {
        name.removeprefix("applicant."): typed[name].strip()
        for name in missing
        if name.startswith("applicant.") and typed.get(name, "").strip()
    }
    if part:
        data["applicant"] = part
    answers = {name: value for name, value in fields_of(typed).items() if f"fields.{name}" in missing}
    if answers:
        data["shared"] = answers
    if not errors and data.keys() <= {"application_id", "holder_id"}:
        errors["missing"] = Reason("没有填写任何所缺内容", "nothing of what is missing was filled in")
    return data, errors


def registration_data(
    item: ServiceItem,
    chosen: Mapping[str, ServiceItem],
    typed: Typed,
    uploads: Mapping[str, Upload],
    applicant: KnownApplicant,
    *,
    application_id: str,
    today: date,
) -> tuple[dict[str, Any], Errors]:
    """Return the data of a registration with the filings that it chooses, and what is wrong in them."""
    errors: Errors = {}
    who = _applicant_of(typed, applicant, {}, errors)
    data = {
        "application_id": application_id,
        "applicant": who,
        "items": [{"item": code} for code in chosen],
        "materials": attached_materials(item, item.kinds, typed, uploads, today, errors),
        "shared": fields_of(typed),
    }
    return data, errors


def field_of(where: str) -> str:
    """Return the name of the form's field that an event's rule refused."""
    return _PLACE.sub(r".\1", where).removeprefix("data.").replace("shared.", "fields.") or "do"


def reason_of(text: str) -> Reason:
    """Return a message of both languages as a reason."""
    zh, _, en = text.partition(" / ")
    return Reason(zh, en or zh)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None

"""The rules for values that types cannot say: ids, lengths, control characters, what belongs together.

`checker(struct)` reads the markers of a struct's annotations once and gives the function that checks its
values: first fault first, as :class:`~schemas.errors.Rejected` with the path of the field.
"""

from __future__ import annotations

import re
import types
import typing
import unicodedata
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Final

import msgspec

from schemas import event_types as t
from schemas.canonical_json import shown
from schemas.errors import Rejected
from schemas.event_types import official_results
from schemas.identifiers import shows_nothing

MAX_ID: Final = 64
MAX_TEXT: Final = 200
MAX_PRODUCTS: Final = 200
FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 2999

Check = Callable[[Any], None]

_ID: Final = re.compile(r"[A-Za-z0-9(][A-Za-z0-9._\-:()]{0,63}")
_ID_MARKS: Final = frozenset("._-:()（）〔〕")
_OPENING: Final = frozenset("(（〔")
_FILING: Final = re.compile(r"(.{1,64}):[a-z0-9-]{1,64}", re.IGNORECASE)
_CHECK: Final = re.compile(r"(.{1,64}):check", re.IGNORECASE)
_WINDOW: Final = re.compile(r"[0-9]{6}(?:[0-9]{3}(?:[0-9]{3})?)?")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_URI: Final = re.compile(r"store:uploads/[0-9a-f]{64}")
_FORBIDDEN: Final = "\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_CONTROL: Final = re.compile(f"[{_FORBIDDEN}]")
_LINE_MARKS: Final = re.compile(r"\r\n|[\n\t]")


def check_controls(text: str, where: str = "") -> None:
    """Refuse a control character (category Cc), a bidirectional control, or a lone surrogate."""
    if found := _CONTROL.search(text):
        code = f"U+{ord(found[0]):04X}"
        raise Rejected(
            f"含控制字符 {code} / a control character {code}",
            where=where,
            hint="删去该字符；换行仅可用于 reason、grounds、findings / "
            "remove it; line feeds are free in reason, grounds, findings only",
        )


def check_id(text: str) -> None:
    """Check an id other than an event's own, after NFKC and trimming."""
    if _ID.fullmatch(text):
        return
    plain = unicodedata.normalize("NFKC", text).strip()
    if not plain:
        raise Rejected("编号为空 / an empty id", hint="填写编号 / give the id")
    if len(plain) > MAX_ID:
        raise Rejected(
            f"编号超过 {MAX_ID} 个字符 / an id of more than {MAX_ID} characters",
            hint="使用较短的编号 / use a shorter one",
        )
    if not (plain[0].isalnum() or plain[0] in _OPENING):
        _refuse_id(plain, plain[0])
    for character in plain:
        if not (character.isalnum() or character in _ID_MARKS):
            _refuse_id(plain, character)


def _check_made(made_by: re.Pattern[str]) -> Check:
    """Return the rule for an id that may be made here of an application's id, which alone keeps the limit then."""

    def check(text: str) -> None:
        if len(text) > MAX_ID and (made := made_by.fullmatch(unicodedata.normalize("NFKC", text).strip())):
            text = made[1]
        check_id(text)

    return check


def _refuse_id(text: str, character: str) -> None:
    raise Rejected(
        f"编号 {shown(text)} 中的 {character!a} 不允许 / {character!a} has no place in the id {shown(text)}",
        hint="仅限文字、数字和 . _ - : ( ) 〔 〕，首位为文字、数字或左括号 / "
        "letters, digits and . _ - : ( ) 〔 〕 only, the first a letter, a digit or an opening bracket",
    )


def _check_short(text: str) -> None:
    if len(text) > MAX_TEXT:
        raise Rejected(
            f"超过 {MAX_TEXT} 个字符（{len(text)}） / more than {MAX_TEXT} characters ({len(text)})",
            hint="缩短该文字 / shorten the text",
        )


def _check_name(text: str) -> None:
    """Check a name; a blank one is no fault here, since intake asks for it."""
    _check_short(text)
    if text.strip():
        _check_visible(text)


def _check_full_name(text: str) -> None:
    """Check a name that nobody will be asked to correct."""
    _check_short(text)
    _check_visible(text)


def _check_visible(text: str) -> None:
    if shows_nothing(text):
        raise Rejected(
            "名称中没有可见的文字 / a name that shows nothing",
            hint="填写持证人的名称或姓名 / give the name of the holder",
        )


def _check_date(day: date, hint: str = "更正此日期 / correct this date") -> None:
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise Rejected(
            f"日期不在 {FIRST_YEAR} 至 {LAST_YEAR} 年之间：{day} / not from {FIRST_YEAR} to {LAST_YEAR}: {day}",
            hint=hint,
        )


def _check_end(day: date) -> None:
    """Check the end of a licence, which a licence may lack."""
    _check_date(
        day,
        "长期有效的 valid_until 写 null 或不写，不写 9999-12-31 / "
        "for no end leave valid_until out or null, and do not write 9999-12-31",
    )


def _check_free(text: str) -> None:
    check_controls(_LINE_MARKS.sub("", text))


def _check_window(text: str) -> None:
    if not _WINDOW.fullmatch(text):
        raise Rejected(
            f"窗口代码不是 6、9 或 12 位数字：{shown(text)} / not 6, 9 or 12 digits: {shown(text)}",
            hint="县 6 位、乡镇 9 位、村 12 位 / 6 digits for a county, 9 for a township, 12 for a village",
        )


def _check_digest(text: str) -> None:
    if not _DIGEST.fullmatch(text):
        raise Rejected(
            f"不是 SHA-256 摘要：{shown(text)} / no SHA-256 in lower-case hex: {shown(text)}",
            hint="抽查公告的 announcement_digest / the announcement_digest of the draw",
        )


def _check_target(text: str) -> None:
    if not text.strip():
        raise Rejected("检查对象为空 / an empty target", hint="填写抽中的编号 / give the id that was drawn")


def _check_uri(text: str) -> None:
    if not _URI.fullmatch(text):
        raise Rejected(
            f"附件地址不符：{shown(text)} / no address of an upload: {shown(text)}",
            hint="先用 zhengzhao material put 上传，地址形如 store:uploads/<sha256> / "
            "upload it with zhengzhao material put, which prints store:uploads/<sha256>",
        )


def _check_products(products: tuple[Any, ...]) -> None:
    if len(products) > MAX_PRODUCTS:
        raise Rejected(
            f"产品超过 {MAX_PRODUCTS} 个（{len(products)}） / more than {MAX_PRODUCTS} products ({len(products)})",
            hint="分开申请 / apply in parts",
        )


_RULES: Final[dict[str, Check]] = {
    "id": check_id,
    "filing-id": _check_made(_FILING),
    "inspection-id": _check_made(_CHECK),
    "short": _check_short,
    "name": _check_name,
    "full-name": _check_full_name,
    "window": _check_window,
    "uri": _check_uri,
    "digest": _check_digest,
    "target": _check_target,
    "products": _check_products,
}


def checker(struct: type[Any], *, controls: bool) -> Check:
    """Return the function that checks values of a struct; with `controls` also every text for control characters.

    Without them for events whose raw text has neither an unprintable character nor an escape: most.
    """
    return _of_struct(struct, controls) or _nothing


def _nothing(_: Any) -> None:
    """Nothing to check."""


def _of_struct(struct: type[Any], controls: bool) -> Check | None:
    hints = typing.get_type_hints(struct, include_extras=True)
    fields = [(name, _of_hint(hints[name], controls)) for name in struct.__struct_fields__]
    fields = [(name, _check_end if name == "valid_until" else check) for name, check in fields]
    checks = [(name, check) for name, check in fields if check is not None]
    together = _TOGETHER.get(struct)
    if not checks:
        return together

    def check_struct(value: Any) -> None:
        for name, check in checks:
            field = getattr(value, name)
            if field is not None:
                try:
                    check(field)
                except Rejected as fault:
                    raise _at(name, fault) from None
        if together is not None:
            together(value)

    return check_struct


def _of_hint(hint: Any, controls: bool) -> Check | None:
    """Return the check of one annotation, or None where there is nothing to check."""
    origin = typing.get_origin(hint)
    if origin is Annotated:
        return _of_annotated(hint, controls)
    if origin in (typing.Union, types.UnionType):
        return _of_union(typing.get_args(hint), controls)
    if origin is tuple:
        inner = _of_hint(typing.get_args(hint)[0], controls)
        return None if inner is None else _each(inner)
    if origin is dict:
        return _check_map if controls else None
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _of_struct(hint, controls)
    if hint is date:
        return _check_date
    return check_controls if hint is str and controls else None


def _of_annotated(hint: Any, controls: bool) -> Check | None:
    base, *metas = typing.get_args(hint)
    rule = next(m.extra["rule"] for m in metas if m.extra)
    own = _RULES.get(rule)
    if base is not str:
        return _both(own, _of_hint(base, controls))
    if not controls:
        return own
    return _check_free if rule == "free" else _both(check_controls, own)


def _of_union(parts: tuple[Any, ...], controls: bool) -> Check | None:
    checks = [c for c in (_of_hint(p, controls) for p in parts) if c is not None]
    if len(checks) < 2:
        return checks[0] if checks else None
    one, several = checks  # of ids: the one union of two kinds is "an id, or a list of ids"

    def check_either(value: Any) -> None:
        (several if isinstance(value, tuple) else one)(value)

    return check_either


def _both(first: Check | None, second: Check | None) -> Check | None:
    if first is None or second is None:
        return first or second

    def check_both(value: Any) -> None:
        first(value)
        second(value)

    return check_both


def _each(inner: Check) -> Check:
    def check_each(values: tuple[Any, ...]) -> None:
        for n, value in enumerate(values):
            try:
                inner(value)
            except Rejected as fault:
                raise _at(f"[{n}]", fault) from None

    return check_each


def _check_map(answers: dict[str, Any]) -> None:
    for key, value in answers.items():
        check_controls(key)
        if isinstance(value, str):
            check_controls(value, shown(key))


def _at(step: str, fault: Rejected) -> Rejected:
    if not fault.where:
        where = step
    elif fault.where.startswith("["):
        where = step + fault.where
    else:
        where = f"{step}.{fault.where}"
    return Rejected(fault.message, hint=fault.hint, where=where)


def absent_field(where: str, instead: str = "") -> Rejected:
    """Return the error for a required field that is absent or null."""
    return Rejected(
        "缺少必填项 / a required field is absent or null",
        where=where,
        hint=instead
        or "补上该字段，见 schema export / add the field; zhengzhao schema export DIR describes it",
    )


def _names_a_licence(data: Any) -> None:
    if data.licence_number is None and data.granted_by is None:
        raise absent_field("licence_number", _INSTEAD)


def _application(data: t.ApplicationSubmitted) -> None:
    """Check that all actions but `new` name the licence, `merge` several, and that `change` says what changes."""
    merge = data.action == "merge"
    if data.granted_by is not None and isinstance(data.granted_by, str) is merge:
        raise Rejected(
            "JSON 类型不符 / of another JSON type",
            where="granted_by",
            hint="merge 用编号列表，其他用一个编号 / a list of ids for merge, one id for every other action",
        )
    if data.action == "new":
        return
    named = data.licence_numbers if merge else data.licence_number
    if not named and not data.granted_by:
        raise absent_field("licence_numbers" if merge else "licence_number", _INSTEAD)
    if data.action == "change":
        _check_change(data.change)


def _check_change(change: t.Change | None) -> None:
    if change is None:
        raise absent_field("change")
    texts = (change.name, change.address, change.division)
    if not change.products and not any(text and text.strip() for text in texts):
        raise Rejected(
            "change 中没有任何变更 / a change with nothing in it",
            where="change",
            hint="填写 name、address、division 或 products / give name, address, division or products",
        )


def _inspection(data: t.InspectionRecorded) -> None:
    """Check that a licence and its holder are named, or a draw and its target; a draw orders random inspections."""
    if data.draw is None or data.target is None:
        _names_a_licence(data)
    if (data.licence_number or data.granted_by) and data.holder_id is None:
        raise absent_field("holder_id")
    if data.draw is not None and data.kind != "random":
        raise Rejected(
            f"抽查任务的种类应为 random：{data.kind} / a visit of a draw is of kind random, not {data.kind}",
            where="kind",
            hint="去掉 draw，或改为 random / leave draw out, or write random",
        )
    if data.kind == "random" and data.result not in official_results():
        raise Rejected(
            f"随机抽查结果不是规定用语：{shown(data.result)} / no official text for a random inspection: {shown(data.result)}",
            where="result",
            hint="例如 / for example: 未发现问题",
        )


_INSTEAD: Final = "写明证书编号，或以 granted_by 写明批准它的申请 / name the licence, or the application that led to it as granted_by"
_TOGETHER: Final[dict[type[Any], Check]] = {
    t.ApplicationSubmitted: _application,
    t.InspectionRecorded: _inspection,
    t.LicenceOrder: _names_a_licence,
    t.LicenceRescinded: _names_a_licence,
    t.LicenceSuspended: _names_a_licence,
    t.DecisionAnnulled: _names_a_licence,
}

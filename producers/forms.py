"""Forms of the papers of an application: application form (申请单), commitment letter (告知承诺书), correction, withdrawal.

A form is drawn by Typst from a service item's row (the one that `items list` prints). The drawing gives the place of each
blank, so that fields can be laid over it (`producers.form_fields`) and text found in it again. Given values, the same
drawing shows them as plain text: the flattened form, as a print or a PDF printer leaves it.

The mark at the foot of each page names the form, the item and the version of the layout. Version 1 (no contact, no part
in which the authority informs the applicant) is drawn only to read what was printed of it before.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import typst

from schemas.authorities import everything, full_name
from schemas.errors import UsageError
from schemas.identifiers import fold

FORM: Final = "application-form"
LETTER: Final = "commitment-letter"
CORRECTION: Final = "correction-form"
WITHDRAWAL: Final = "withdrawal-form"
PRODUCT_ROWS: Final = 8
VERSION: Final = "2"
_MARK: Final = re.compile(
    rf"zhengzhao/({FORM}|{LETTER}|{CORRECTION}|{WITHDRAWAL})/([a-z0-9-]{{1,64}})/([12])(?:/([0-9a-f]{{1,16}})/)?"
)
_TITLES: Final = {
    FORM: ("申请单", "Application form"),
    LETTER: ("告知承诺书", "Notification and commitment letter"),
    CORRECTION: ("补正单", "Correction form"),
    WITHDRAWAL: ("撤回申请书", "Withdrawal of an application"),
}

NOTICE_TITLE: Final = "一、行政机关告知 / What the authority informs of"
COMMITMENT_TITLE: Final = "二、申请人承诺 / What the applicant commits to"
COMMITMENT: Final = (
    "本申请人现就所申请事项郑重承诺：一、已经知晓行政机关告知的许可条件、标准和要求，并保证符合；"
    "二、所填写的信息和提交的材料真实、合法、有效；三、取得证照后接受后置现场核查和随机抽查，并持续符合法定条件；"
    "四、如承诺不实或者核查不合格，自愿接受撤销证照，并承担由此产生的法律责任和经济损失。",
    "The applicant declares: (1) it knows the conditions of this licence and meets them; (2) what it states and submits "
    "is true, lawful and valid; (3) after the grant it accepts the on-site check and random inspections and keeps "
    "meeting the conditions; (4) should this commitment prove false or a check fail, the licence may be rescinded "
    "(撤销), and it bears the consequences.",
)


class FormMark(NamedTuple):
    """The mark of a form: its kind, its item, the version of its layout, and a further part that tells forms apart.

    `more` says in hex which rows a correction form asks for; for a letter it begins the digest of what it informs of.
    """

    kind: str
    item: str
    version: str = VERSION
    more: str = ""

    def __str__(self) -> str:
        more = f"/{self.more}/" if self.more else ""
        return f"zhengzhao/{self.kind}/{self.item}/{self.version}{more}"


def mark_of(row: Mapping[str, Any], kind: str) -> FormMark:
    """Return the mark of an item's form."""
    more = (
        text_digest("".join(part for parts in notice_lines(row) for part in parts))[:16]
        if kind == LETTER
        else ""
    )
    return FormMark(kind, row["code"], more=more)


def marks(text: str) -> Iterator[FormMark]:
    """Return the marks that stand in a page's text."""
    for match in _MARK.finditer(text):
        yield FormMark(match[1], match[2], match[3], match[4] or "")


class Blank(msgspec.Struct, frozen=True):
    """A blank of a form: page from 1, box in points from the top left corner (x0, top, x1, bottom)."""

    name: str
    page: int
    box: tuple[float, float, float, float]


class Form(msgspec.Struct, frozen=True):
    """A drawn form: the PDF with the places of its blanks, and what may be chosen in some of them."""

    mark: FormMark
    pdf: bytes
    blanks: tuple[Blank, ...]
    choices: Mapping[str, tuple[str, ...]] = {}


class Faces(NamedTuple):
    """The fonts of a form: the folders of their files, and the families in order of preference."""

    folders: Sequence[Path]
    families: Sequence[str]


def text_digest(text: str = "".join(COMMITMENT)) -> str:
    """Return the hex SHA-256 of a letter's text without white space: the evidence of what was promised or informed of."""
    return hashlib.sha256(re.sub(r"\s+", "", text).encode()).hexdigest()


def askable(row: Mapping[str, Any]) -> list[str]:
    """Return what a correction form of an item can ask for, in the order of its page: names as in `missing`."""
    products = ["products"] if row["products"] else []
    fields = [f"fields.{field['name']}" for field in row["fields"]]
    return ["applicant.name", "applicant.address", "applicant.division", *fields, *products]


def correction_mark(row: Mapping[str, Any], missing: Sequence[str]) -> FormMark:
    """Return the mark of the correction form that asks for just what is missing."""
    bits = sum(1 << n for n, name in enumerate(askable(row)) if name in missing)
    return FormMark(CORRECTION, row["code"], more=f"{bits:x}")


def _asked(row: Mapping[str, Any], mark: FormMark) -> set[str]:
    bits = int(mark.more or "0", 16)
    return {name for n, name in enumerate(askable(row)) if bits >> n & 1}


def field_names(row: Mapping[str, Any], mark: FormMark) -> list[str]:
    """Return the names of a form's blanks, in the order of the page."""
    names = [entry["name"] for entry in _rows(row, mark)]
    for n in range(1, _product_rows(row, mark) + 1):
        names += [f"products.{n}.{part}" for part in ("category", "site", "detail")]
    return names


def draw(
    row: Mapping[str, Any],
    mark: FormMark,
    faces: Faces,
    values: Mapping[str, str] | None = None,
    papers: Sequence[str] = (),
) -> Form:
    """Draw a form of an item, blank or with `values` as plain text; `papers` are named as still missing.

    Raises UsageError for a kind that the item does not ask for, or a value whose name is no blank of it.
    """
    if mark.kind in (FORM, LETTER) and mark.kind not in row["materials"]:
        raise UsageError(
            f"事项 {row['code']} 没有 {mark.kind} / the item {row['code']} has no {mark.kind}",
            hint="zhengzhao items list",
        )
    check_names(row, mark, values or {})
    compiler = typst.Compiler(
        input=str(files("producers") / "templates" / "form.typ"),
        font_paths=[str(p) for p in faces.folders],
        ignore_system_fonts=True,
        sys_inputs={
            "data": json.dumps(_data(row, mark, faces.families, values or {}, papers), ensure_ascii=False)
        },
    )
    pdf = compiler.compile(format="pdf", timestamp=0)
    places = json.loads(compiler.query("<field>", field="value"))
    assert isinstance(pdf, bytes)  # one document, one file
    blanks = tuple(map(_blank, places))
    return Form(mark, pdf, blanks, _choices(row, [blank.name for blank in blanks]))


def check_names(row: Mapping[str, Any], mark: FormMark, values: Mapping[str, str]) -> None:
    """Refuse a value whose name is no blank of the form. Raises UsageError that names the blanks."""
    known = field_names(row, mark)
    unknown = set(values) - set(known)
    if unknown:
        raise UsageError(
            f"表中没有此栏 / no such blank in the form: {min(unknown)}",
            hint=f"栏目 / blanks: {', '.join(known[:12])} …",
        )


def _blank(place: Mapping[str, Any]) -> Blank:
    x, y = place["x"], place["y"]
    return Blank(place["name"], place["page"], (x, y, x + place["width"], y + place["height"]))


def _choices(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return what a blank lets the applicant choose: a category of the item, a division by its name with its code."""
    divisions = tuple(f"{one.code} {full_name(one.code)}" for one in everything())
    categories = tuple(row.get("categories") or ())
    found: dict[str, tuple[str, ...]] = {}
    for name in names:
        if name in ("applicant.division", "window"):
            found[name] = divisions
        elif name.endswith(".category") and categories:
            found[name] = categories
    return found


def division_named(text: str) -> str:
    """Return the code of the division whose name, or whose names from the province down, a text is; empty for none."""
    wanted = fold(text)
    found = [one.code for one in everything() if wanted in (fold(one.name), fold(full_name(one.code)))]
    return found[0] if len(found) == 1 else ""


def _product_rows(row: Mapping[str, Any], mark: FormMark) -> int:
    wanted = mark.kind == FORM or (mark.kind == CORRECTION and "products" in _asked(row, mark))
    return PRODUCT_ROWS if row["products"] and wanted else 0


def _entry(name: str, label: str, english: str, height: int = 24) -> dict[str, Any]:
    return {"name": name, "label": label, "english": english, "height": height}


def _rows(row: Mapping[str, Any], mark: FormMark) -> list[dict[str, Any]]:
    person, letter_too = row["holder"] == "person", LETTER in row["materials"]
    name = _entry("applicant.name", "姓名" if person else "名称", "Name")
    number = _entry(
        "applicant.id", *(("公民身份号码", "Citizen id") if person else ("统一社会信用代码", "USCC"))
    )
    address = _entry("applicant.address", "住所", "Address", 34)
    old = mark.version == "1"
    division = _entry(
        "applicant.division",
        *(
            ("所在地区划代码（6 位）", "Division (6 digits)")
            if old
            else ("所在地区划", "Division: choose, or write its name or code")
        ),
    )
    window = _entry(
        "window",
        *(
            ("受理窗口代码（6、9 或 12 位）", "Window (6, 9 or 12 digits)")
            if old
            else ("受理窗口", "Window: division, or its code")
        ),
    )
    fields = [_entry(f"fields.{f['name']}", f["name"], f"e.g. {f['example']}") for f in row["fields"]]
    case = _entry("application_id", "申请编号", "Application id, as on the notice")
    signed = _entry("signed_on", "签署日期（年-月-日）", "Signed on (YYYY-MM-DD)")
    if mark.kind == LETTER:
        signatory = _entry("signatory", "签署人（法定代表人或申请人）", "Signed by")
        return [name, number, signatory, signed]
    if mark.kind == WITHDRAWAL:
        return [case, number, name, _entry("reason", "撤回原因", "Reason", 34), window, signed]
    if mark.kind == CORRECTION:
        asked = _asked(row, mark)
        return [case, number, window, *(e for e in (name, address, division, *fields) if e["name"] in asked)]
    same_day = _entry("signed_on", "签署日期（与承诺书相同）", "Signed on (as the letter)")
    contact = [
        _entry("contact.name", "联系人", "Contact"),
        _entry("contact.telephone", "联系电话", "Telephone"),
    ]
    return [
        name,
        number,
        address,
        division,
        *([] if old else contact),
        window,
        *([same_day] if letter_too else []),
        *fields,
    ]


def _data(
    row: Mapping[str, Any],
    mark: FormMark,
    families: Sequence[str],
    values: Mapping[str, str],
    papers: Sequence[str],
) -> dict[str, Any]:
    letter, old = mark.kind == LETTER, mark.version == "1"
    title, english = _TITLES[mark.kind]
    return {
        "title": f"{row['name']}{title}",
        "subtitle": english,
        "mark": str(mark),
        "fonts": list(families),
        "values": dict(values),
        "notice": list(notice_lines(row)) if letter and not old else [],
        "notice_title": NOTICE_TITLE,
        "commitment_title": COMMITMENT_TITLE if letter and not old else "",
        "paragraphs": list(COMMITMENT) if letter else [],
        "rows": _rows(row, mark),
        "seal": "申请人盖章处（个人签名） / Seal of the applicant (a person signs)"
        if mark.kind in (LETTER, WITHDRAWAL) and not old
        else "",
        "products": _product_rows(row, mark),
        "products_title": "产品 / Products",
        "product_labels": ["类别 / Category", "生产地址 / Site", "产品明细 / Detail"],
        "categories": "类别 / Categories: " + "、".join(row.get("categories") or []),
        "papers": [f"还须随本单提交 / To be handed in with this form: {'、'.join(papers)}"] if papers else [],
        "note": "除申请单、承诺书和营业执照外，不得要求其他材料。"
        "Nothing but the form, the commitment letter and the business licence may be demanded.",
    }


def notice_lines(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Return the paragraphs of the letter's first part, Chinese and English: demands, limits, checks, consequences."""
    limits, basis = row.get("limits") or {}, row.get("legal_basis") or ""
    yield (
        f"1. 事项：{row['name']}。" + (f"法律依据：{basis}。" if basis else ""),
        "The item that is applied for, and its legal basis.",
    )
    conditions = row.get("conditions") or ()
    yield (
        "2. 许可条件："
        + ("；".join(conditions) if conditions else "法律、法规、规章和强制性标准对本事项规定的条件")
        + "。申请时须已具备，取得证照后须持续具备。",
        "The conditions above are met when applying and for as long as the licence is held.",
    )
    names = row.get("material_names") or row["materials"]
    yield (
        f"3. 须提交的材料：{'、'.join(names)}。材料不齐的，一次告知补正，期限 {limits.get('correction', '—')} 个工作日。",
        "The papers to hand in; whatever is missing is asked for once.",
    )
    years = row.get("validity_years")
    validity = f"证照有效期 {years} 年。" if years else "证照没有规定有效期的，长期有效。"
    yield (
        f"4. 办理期限：承诺 {limits.get('promised', '—')} 个工作日，法定 {limits.get('statutory', '—')} 个工作日。{validity}"
        "收到本承诺书和齐全的材料后当场作出决定，不再进行发证前的现场审查。",
        "Limits and validity. The decision follows at once on this commitment and complete papers.",
    )
    days = row.get("check_days")
    yield (
        "5. 事后核查："
        + (f"发证后 {days} 日内进行现场核查，" if days else "发证后进行核查，")
        + "此后列入“双随机、一公开”抽查。申请人应当配合，不得拒绝、阻挠。",
        "On-site check after the grant, random inspections afterwards.",
    )
    yield (
        "6. 承诺不实的后果：承诺与事实不符，或者核查不合格的，由发证机关撤销许可，证照自撤销之日起失效，撤销决定向社会公布；"
        "以欺骗手段取得许可的，三年内不得再次申请本事项；申请时提供虚假材料的，不予许可，一年内不得再次申请；"
        "有关情况记入信用记录，依法实施惩戒；已经生产、销售的，依法处理；给他人造成损失的，依法承担赔偿责任；"
        "构成犯罪的，依法追究刑事责任。",
        "A false commitment or a failed check: the licence is rescinded and the decision published; after deceit no new "
        "application for three years, after false material for one; the record of credit shows it; liability for damage, "
        "and under criminal law where it is a crime.",
    )

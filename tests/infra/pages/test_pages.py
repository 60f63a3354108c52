"""Pages for people: no network, everything escaped, the same again from a replay; guides and registration forms."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pdfplumber
import pytest
from story import Events, uscc
from world import World

from infra.cli import main
from infra.pages.guide import guide_html, guide_of, guide_pdf
from infra.pages.holder import holder_page
from infra.pages.promises import promises_page
from issuance import fonts
from processors.queries.promises import figures, fold
from schemas.items import fields_once, load_catalogue

PAGES = Path(__file__).parents[3] / "infra" / "pages"
HAINAN = Path(__file__).parents[3] / "schemas" / "catalogues" / "hainan-41"
VOID = {"meta", "br", "rect"}
HALL = "urn:agency:630225:service-hall"


class Checked(HTMLParser):
    """Reads a page: its text, what it fetches, and whether its tags are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.fetches, self.open = "", [], []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.fetches += [v for k, v in attrs if k in ("src", "href", "data") and "//" in (v or "")]
        if tag in ("script", "link", "img", "iframe"):
            self.fetches.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def good(page: str) -> str:
    """The text of a page that is well formed and asks the network for nothing."""
    checked = Checked(page)
    assert (checked.open, checked.fetches) == ([], [])
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    return checked.text


def story(name: str = "青海五店") -> World:
    """A registration with three filings, and a licence."""
    e = Events()
    applicant = {"kind": "enterprise", "id": uscc(5), "name": name, "address": "积石镇", "division": "630225"}
    chosen = ["recycling-filing", "seal-engraving-filing", "weather-service-filing"]
    catalogue = load_catalogue()
    items = [item for code in chosen if (item := catalogue.get(code))]
    shared = {field.name: field.example for field, _ in fields_once(items)}
    data = {
        "application_id": "R",
        "applicant": applicant,
        "items": [{"item": code} for code in chosen],
        "shared": shared,
        "materials": [{"kind": "application-form"}],
    }
    e.add("registration.submitted", "2018-09-10T09:00:00+08:00", data, HALL)
    claim = {"filing_id": "R:recycling-filing", "holder_id": uscc(5), "department": "commerce"}
    e.add("filing.claimed", "2018-09-11T09:00:00+08:00", claim, "urn:agency:630225:commerce")
    e.apply("2018-09-12T10:00:00+08:00", "A", uscc(5), applicant=applicant)
    return World().tell(e.lines)


def test_the_page_of_promises() -> None:
    """It shows each item with its authority and limits, has a chart, and asks nobody for anything."""
    world = story()
    page = promises_page(figures(fold(world.facts, world.catalogue), world.catalogue))
    shown = good(page)
    for expected in (
        "全国工业产品生产许可证",
        "青海省市场监督管理局",
        "95.0 %",
        "循化撒拉族自治县商务局",
        "截至",
    ):
        assert expected in shown
    assert page.count('class="statutory"') == len(world.catalogue.items)  # a bar for each


def test_the_page_of_a_holder() -> None:
    """Certificate, filings with their departments, checks: everything, in words."""
    world = story()
    shown = good(holder_page(world.holder(uscc(5)), world.catalogue))
    for expected in (
        uscc(5),
        "青海五店",
        "已认领",
        "已推送",
        "再生资源回收经营者备案",
        "待核查",
        "XK13-001-00001",
    ):
        assert expected in shown


def test_a_late_department_is_seen_on_the_page_of_a_holder() -> None:
    """A filing past its red day, one that came back with its reason, and the particulars of the certificate."""
    world = story()
    e = Events()
    back = {
        "filing_id": "R:weather-service-filing",
        "holder_id": uscc(5),
        "department": "meteorology",
        "reason": "资质不清",
    }
    e.add("filing.returned", "2018-09-13T09:00:00+08:00", back, "urn:agency:630225:meteorology", id="back")
    e.add("clock.ticked", "2018-12-01T00:00:00+08:00", {}, "urn:agency:630000:clock", id="tick")
    world.tell(e.lines)
    shown = good(holder_page(world.holder(uscc(5)), world.catalogue))
    for expected in ("红灯", "red: overdue", "资质不清", "法定代表人", "Legal representative"):
        assert expected in shown
    assert shown.count("red: overdue") == 1


def test_a_guide_says_where_its_data_come_from() -> None:
    """A row by memory, or an example, says so to whoever reads the guide."""
    items = load_catalogue((HAINAN,)).items
    assert "by memory" in good(guide_html(guide_of(items["recycling-filing"])))
    assert "this row is an example" in good(guide_html(guide_of(items["tea-house-filing"])))


def test_a_name_is_never_markup() -> None:
    """A holder who is called like a script appears as text."""
    world = story("<script>alert(1)</script>&amp;")
    page = holder_page(world.holder(uscc(5)), world.catalogue)
    assert "<script>" not in page
    assert "<script>alert(1)</script>&amp;" in good(page)


@pytest.mark.parametrize("code", sorted(load_catalogue((HAINAN,)).items))
def test_every_item_has_a_guide(code: str) -> None:
    """Materials, limits, no fees, who decides, how to follow: for each item of both catalogues."""
    item = load_catalogue((HAINAN,)).get(code)
    assert item is not None
    shown = good(guide_html(guide_of(item)))
    for expected in (
        *item.titles, item.name.zh, "不收费", "决定机关", "承诺时限", *(m.name.zh for m in item.materials),
        *(f.label.zh for f in item.fields), *(c.name for c in item.categories),
    ):  # fmt: skip
        assert expected in shown


def test_a_guide_in_tibetan_and_mongolian() -> None:
    """Where the item has its name in a language, limits, fees, validity and papers follow in it."""
    items = load_catalogue().items
    shown = good(guide_html(guide_of(items["business-licence"], "630225")))
    without = good(guide_html(guide_of(items["food-workshop-licence"])))
    for language in ("bo", "mn"):
        words = tomllib.loads((PAGES / "languages.toml").read_text("utf-8"))[language]
        promised = items["business-licence"].limits.promised
        assert words["working-days"].format(n=promised) in shown
        assert words["kinds"]["application-form"] in shown
        assert words["title"] not in without
    assert words["title"] not in good(
        guide_html(guide_of(items["industrial-product-licence"]))
    )  # Tibetan alone


@pytest.mark.parametrize("code", sorted(load_catalogue((HAINAN,)).items))
def test_every_character_of_a_guide_has_its_glyph(code: str) -> None:
    """Tibetan and Mongolian names too: no guide shows an empty box."""
    guide = guide_of(load_catalogue((HAINAN,)).items[code], "630225")
    assert fonts.missing("".join(_texts(guide)).replace("\n", "")) == ""


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    else:
        for part in value:
            yield from _texts(part)


def test_a_guide_as_pdf(tmp_path: Path) -> None:
    """The PDF says the same as the page, names the deciding authority, and is the same again."""
    item = load_catalogue().get("industrial-product-licence")
    assert item is not None
    guide = guide_of(item, "630225")
    made = guide_pdf(guide)
    assert guide_pdf(guide) == made
    path = tmp_path / "guide.pdf"
    path.write_bytes(made)
    with pdfplumber.open(path) as pdf:
        text = "".join(page.extract_text() for page in pdf.pages)
    for expected in (
        "全国工业产品生产许可证",
        "承诺书",
        "青海省市场监督管理局",
        "不收费",
        "Commitment letter",
    ):
        assert expected in text


def test_guide_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Writes page and PDF for the items named; an unknown item is exit 1, an unknown format exit 2."""
    folder = str(tmp_path / "guides")
    assert main(["guide", "business-licence", "recycling-filing", "-o", folder, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["item"] for row in rows] == ["business-licence", "recycling-filing"]
    assert all(Path(row[kind]).stat().st_size for row in rows for kind in ("html", "pdf"))
    assert (tmp_path / "guides" / "index.html").is_file()
    assert main(["guide", "no-such-item", "-o", folder]) == 1
    assert main(["guide", "business-licence", "--format", "doc", "-o", folder]) == 2


def test_registration_form_asks_each_field_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is chosen, a field appears once; one that any item requires is required."""
    assert main(["registration", "form", "--all", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    names = [row["name"] for row in rows]
    assert len(names) == len(set(names))
    needed = {
        field.name
        for item in load_catalogue().items.values()
        for field in item.fields
        if field.required and item.mode in ("filing", "consolidated")
    }
    assert {row["name"] for row in rows if row["required"]} == needed
    assert any(len(row["items"]) > 1 for row in rows)
    assert main(["registration", "form", "no-such-item"]) == 1
    assert main(["registration", "form", "industrial-product-licence"]) == 2


def test_a_registration_filled_from_its_form_misses_nothing() -> None:
    """The examples of the form, given once, are enough for every filing of the 41-item catalogue."""
    catalogue = load_catalogue((HAINAN,))
    filings = [item for item in catalogue.items.values() if item.mode == "filing"]
    applicant = {
        "kind": "enterprise",
        "id": uscc(6),
        "name": "海南州一店",
        "address": "恰卜恰镇",
        "division": "632521",
    }
    data = {
        "application_id": "H",
        "applicant": applicant,
        "items": [{"item": item.code} for item in filings],
        "shared": {field.name: field.example for field, _ in fields_once(filings)},
        "materials": [{"kind": "application-form"}],
    }
    e = Events()
    e.add("registration.submitted", "2018-09-10T09:00:00+08:00", data, "urn:agency:632521:market-regulation")
    world = World(catalogue=catalogue).tell(e.lines)
    found = world.holder(uscc(6))
    assert [case["state"] for case in found["cases"]] == ["issued"]
    assert len(found["filings"]) == 41
    assert {row["state"] for row in found["filings"]} == {"pushed"}


def test_promises_command_over_a_data_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Table, JSON and page from the recorded facts; a replayed folder gives the same page."""
    data, again = str(tmp_path / "data"), tmp_path / "again"
    events = Events()
    for n in range(3):
        events.apply(f"2018-09-1{n}T10:00:00+08:00", f"A{n}", uscc(n))
    (tmp_path / "e.jsonl").write_text("\n".join(map(json.dumps, events.lines)), "utf-8")
    assert main(["keys", "init", "--valid-from", "2018-01-01", "--data", data]) == 0
    assert main(["submit", str(tmp_path / "e.jsonl"), "--data", data]) == 0
    assert main(["drain", "--data", data]) == 0
    capsys.readouterr()
    first = tmp_path / "first.html"
    assert main(["promises", "--data", data, "--html", str(first), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    row = next(r for r in found["rows"] if r["item"] == "industrial-product-licence")
    assert (row["kept"], row["measured"], row["median_days"]) == (3, 3, 0.0)
    assert main(["replay", "--into", str(again), "--data", data]) == 0
    second = tmp_path / "second.html"
    assert main(["promises", "--data", str(again), "--html", str(second)]) == 0
    assert second.read_text("utf-8") == first.read_text("utf-8")
    assert main(["promises", "--data", data, "--division", "110000"]) == 2
    assert main(["promises", "--data", data, "--from", "yesterday"]) == 2
    assert main(["promises", "--data", data, "--from", "2018-09-02", "--to", "2018-09-01"]) == 2

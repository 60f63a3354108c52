"""Authorities and competence, row by row of the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.authorities import (
    authority,
    competent_as_authority,
    competent_for_application,
    competent_for_review,
    competent_in_division,
    issuing_authorities,
    issuing_authority,
    load_directory,
    named_on,
    source_of,
)
from schemas.errors import UsageError
from schemas.item_types import ServiceItem
from schemas.items import from_record, load_catalogue, to_record, with_directory

INDUSTRIAL, OPERATOR, LICENCE, CHEMICALS = (
    item
    for code in (
        "industrial-product-licence",
        "special-equipment-operator",
        "business-licence",
        "hazardous-chemicals-operation",
    )
    if (item := load_catalogue().get(code))
)


@pytest.mark.parametrize(
    ("item", "division", "code", "name"),
    [
        (INDUSTRIAL, "630225", "urn:agency:630000:market-regulation", "青海省市场监督管理局"),
        (INDUSTRIAL, "630000", "urn:agency:630000:market-regulation", "青海省市场监督管理局"),
        (OPERATOR, "630225", "urn:agency:630200:market-regulation", "海东市市场监督管理局"),
        (LICENCE, "630122", "urn:agency:630106:market-regulation", "西宁市湟中区市场监督管理局"),
        (CHEMICALS, "630225", "urn:agency:630200:emergency-management", "海东市应急管理局"),
    ],
)
def test_who_issues(item: ServiceItem, division: str, code: str, name: str) -> None:
    """The item's department at the item's level above the applicant's division."""
    found = issuing_authority(item, division)
    assert found is not None
    assert (found.code, found.name) == (code, name)
    assert found in issuing_authorities(load_catalogue())


@pytest.mark.parametrize(
    ("item", "day", "name"),
    [
        (INDUSTRIAL, "2018-09-12", "青海省质量技术监督局"),
        (INDUSTRIAL, "2018-10-31", "青海省质量技术监督局"),
        (INDUSTRIAL, "2018-11-01", "青海省市场监督管理局"),
        (OPERATOR, "2018-12-31", "海东市质量技术监督局"),
        (LICENCE, "2018-09-12", "循化撒拉族自治县市场监督管理局"),
    ],
)
def test_an_authority_has_the_name_of_the_day(item: ServiceItem, day: str, name: str) -> None:
    """Its code stays; names with their last day are data of the item."""
    found, now = issuing_authority(item, "630225", day), issuing_authority(item, "630225")
    assert found is not None
    assert now is not None
    assert (found.name, found.code) == (name, now.code)
    assert now == named_on(found, item, "2020-01-01")


@pytest.mark.parametrize(
    ("day", "name"), [("2020-06-18", "湟中县市场监督管理局"), ("2020-06-19", "西宁市湟中区市场监督管理局")]
)
def test_an_authority_follows_its_division(day: str, name: str) -> None:
    """湟中 was a county before it became a district of 西宁."""
    found = issuing_authority(LICENCE, "630122", day)
    assert found is not None
    assert (found.name, found.division) == (name, "630106")


def test_nobody_issues_where_there_is_no_such_level() -> None:
    """A province has no county above it; an unknown division has no authority."""
    assert issuing_authority(LICENCE, "630000") is None
    assert issuing_authority(INDUSTRIAL, "110000") is None


@pytest.mark.parametrize(
    ("source", "competent"),
    [
        ("urn:agency:630225:market-regulation", True),
        ("urn:agency:630200:market-regulation", True),
        ("urn:agency:630000:market-regulation", True),
        ("urn:agency:630225:service-hall", True),
        ("urn:agency:630222:market-regulation", False),
        ("urn:agency:630100:service-hall", False),
        ("urn:agency:630225:agriculture", False),
        ("urn:agency:110000:market-regulation", False),
        ("urn:agency:63022:market-regulation", False),
        ("urn:agency:630225:", False),
        ("https://example.org", False),
        ("", False),
    ],
)
def test_windows(source: str, competent: bool) -> None:
    """One of the item's departments or a service hall, in the applicant's division or above it."""
    assert competent_for_application(source, INDUSTRIAL, "630225") == competent


def test_either_department_of_a_joint_review_takes_in_and_reviews() -> None:
    """Each department of the item is a window, and reviews under its own name alone."""
    issuer = issuing_authority(CHEMICALS, "630225")
    assert issuer is not None
    fire = "urn:agency:630200:fire-rescue"
    assert competent_for_application("urn:agency:630225:fire-rescue", CHEMICALS, "630225")
    assert competent_for_review(fire, "fire-rescue", CHEMICALS, issuer)
    assert not competent_for_review(fire, "emergency-management", CHEMICALS, issuer)
    assert not competent_for_review("urn:agency:630225:fire-rescue", "fire-rescue", CHEMICALS, issuer)
    assert not competent_for_review("urn:agency:630200:service-hall", "service-hall", CHEMICALS, issuer)


def test_orders_come_from_the_authority_or_the_same_department_above() -> None:
    """Not from a lower one, another department or a neighbour."""
    issuer = authority("630200", "market-regulation")
    assert competent_as_authority("urn:agency:630200:market-regulation", issuer)
    assert competent_as_authority("urn:agency:630000:market-regulation", issuer)
    assert not competent_as_authority("urn:agency:630225:market-regulation", issuer)
    assert not competent_as_authority("urn:agency:630000:finance", issuer)
    assert not competent_as_authority("urn:agency:630100:market-regulation", issuer)


@pytest.mark.parametrize(
    ("source", "division", "competent"),
    [
        ("urn:agency:630225:finance", "630225", True),
        ("urn:agency:630000:finance", "630225", True),
        ("urn:agency:630222:finance", "630225", False),
        ("urn:agency:630225:commerce", "630225", False),
        ("urn:agency:630000:finance", "", True),
        ("urn:agency:630225:finance", "", False),
    ],
)
def test_a_department_acts_in_its_division(source: str, division: str, competent: bool) -> None:
    """In the holder's division or above it; for a holder without one, the province."""
    assert competent_in_division(source, "finance", division) == competent


def test_sources() -> None:
    """A source is division and department; other forms are none."""
    assert source_of("urn:agency:630225:market-regulation") == ("630225", "market-regulation")
    assert source_of("urn:agency:630225:Market") is None
    assert source_of("urn:agency:630225:market-regulation\n") is None


def test_names_by_level() -> None:
    """A province's department is called otherwise than a county's; an unknown one shows its code."""
    assert authority("630000", "finance").name == "青海省财政厅"
    assert authority("630225", "finance").name == "循化撒拉族自治县财政局"
    assert authority("630225", "archives").name == "循化撒拉族自治县（archives）"


PROVINCE = "urn:agency:630000:market-regulation"


def test_installation_describes_its_authorities(tmp_path: Path) -> None:
    """Name and host of an authority, or the host of a province, count for new licences; later files before earlier."""
    folder = tmp_path / "authorities"
    folder.mkdir()
    (folder / "a.toml").write_text(
        f'["{PROVINCE}"]\nname = "青海省市监局"\nhost = "a.example.org"\n[provinces.63]\nhost = "qh.example.org:8443"\n'
    )
    (folder / "b.toml").write_text(f'["{PROVINCE}"]\nhost = "b.example.org"\ntelephone = "12345"\n')
    directory = load_directory(folder, {PROVINCE: {"host": "c.example.org"}})
    assert INDUSTRIAL is not None
    assert OPERATOR is not None
    found = issuing_authority(INDUSTRIAL, "630225", "", load_directory(folder))
    assert found is not None
    assert ("B.EXAMPLE.ORG", "青海省市场监督管理局") == (found.host, found.name)
    other = issuing_authority(OPERATOR, "630225", "", directory)
    assert other is not None
    assert "QH.EXAMPLE.ORG:8443" == other.host
    assert "C.EXAMPLE.ORG" == getattr(issuing_authority(INDUSTRIAL, "630225", "", directory), "host", "")


def test_what_decides_of_authorities_travels_with_the_catalogue(tmp_path: Path) -> None:
    """Names and hosts change its digest and are read back from the ledger; a telephone number does neither."""
    folder = tmp_path / "authorities"
    folder.mkdir()
    plain = load_catalogue()
    (folder / "a.toml").write_text(f'["{PROVINCE}"]\ntelephone = "12345"\n')
    assert plain.digest == with_directory(plain, load_directory(folder)).digest
    (folder / "a.toml").write_text(f'["{PROVINCE}"]\nhost = "a.example.org"\ntelephone = "12345"\n')
    mine = with_directory(plain, load_directory(folder))
    assert plain.digest != mine.digest
    again = from_record(to_record(mine))
    assert (mine.digest, mine.directory.decisive()) == (again.digest, again.directory)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (f'["{PROVINCE}"]\nhots = "a.example.org"\n', "hots"),
        (f'["{PROVINCE}"]\nhost = "no host"\n', "host"),
        (f'["{PROVINCE}"]\nhost = 7\n', "host"),
        ('["urn:agency:999999:market-regulation"]\nhost = "a.example.org"\n', "999999"),
        ('["market-regulation"]\nhost = "a.example.org"\n', "market-regulation"),
        ('[provinces.99]\nshort = "x"\n', "provinces.99"),
        ('[provinces.63]\nlong = "x"\n', "long"),
        ('host = "a.example.org"\n', "host"),
        ("[", ""),
    ],
)
def test_unusable_description_is_refused_with_file_and_key(tmp_path: Path, text: str, key: str) -> None:
    """Nothing is read past: the error names the file and what is wrong in it."""
    folder = tmp_path / "authorities"
    folder.mkdir()
    (folder / "x.toml").write_text(text)
    with pytest.raises(UsageError) as wrong:
        load_directory(folder)
    assert "x.toml" in wrong.value.where
    assert key in f"{wrong.value.where} {wrong.value.message}"
    assert wrong.value.hint

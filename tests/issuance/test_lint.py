"""What lint refuses, and that nothing is signed then."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from bureau import AUTHORITY
from papers import PERSON, Office, item_of, licence

from issuance import lint
from schemas.errors import LintError
from schemas.identifiers import make_identifier
from schemas.licence import MAX_BODY, Numbered, Product, licence_body

TYPE = "11100000000013338W011"


def around(**changes: Any) -> Numbered:
    """A numbered grant with changes to what `number` gave."""
    return msgspec.structs.replace(licence(), **changes)


def identifier(
    *, type_code: str = TYPE, issuer: str = "630000", serial: str = "XK1620400001", version: int = 1
) -> str:
    return make_identifier(type_code, issuer, serial, version)


CASES: list[tuple[str, Numbered, str]] = [
    ("wrong check character", around(identifier=identifier()[:-1] + "?"), "check character"),
    ("no identifier", around(identifier="1.2.3"), "identifier"),
    ("identifier of another type", around(identifier=identifier(type_code="2" * 21)), "type"),
    ("identifier of another issuer", around(identifier=identifier(issuer="630200")), "issuer"),
    ("identifier of another number", around(identifier=identifier(serial="XK1620400002")), "serial"),
    ("identifier of another version", around(identifier=identifier(version=2)), "version"),
    ("no number", around(number=" "), "no number"),
    ("number of another series", licence(series="(青)XK13-001"), "series"),
    (
        "number of another licence",
        around(grant=msgspec.structs.replace(licence().grant, number="(青)XK16-204-00009")),
        "licence's own",
    ),
    ("no place in a list", around(status_index=-1), "status list"),
    ("ends before it begins", licence(valid_until="2018-09-09"), "before it is valid"),
    ("begins before it is issued", licence(valid_from="2018-09-09"), "before it was issued"),
    ("no date", licence(issued_on="2018-02-30"), "no date"),
    ("no name", licence(holder_name="　 "), "no name"),
    ("still sealed", licence(holder_name="sealed:AAAA"), "sealed"),
    ("a sealed site", licence(products=(Product("化肥", "sealed:AAAA"),)), "sealed"),
    ("a person in clear", licence(**PERSON | {"holder_id": "11010519491231002X"}), "in clear"),
    ("a citizen id of an enterprise", licence(holder_id="11010519491231002X"), "in clear"),
    ("a person without a mask", licence(**PERSON | {"holder_id": "马木沙"}), "not masked"),
    ("a long name", licence(holder_name="长" * 201), "over 200"),
    ("a control character", licence(holder_name="青\x07海"), "U\\+0007 in the holder's name"),
    ("a turned text", licence(address="青\u202e海"), "U\\+202E in the address"),
    ("a lone surrogate", licence(holder_name="青\ud800海"), "no form in JSON"),
    ("a loose sign", licence(address="青\u0f72海"), "Tibetan sign without its letter in the address"),
    ("an emoji", licence(holder_name="青海😀公司"), "no font has '😀' \\(U\\+1F600\\) in the holder's name"),
    ("a rare character", licence(products=(Product("化肥", "𪛖村"),)), "no font has '𪛖'"),
    (
        "a host in lower case",
        licence(authority=msgspec.structs.replace(AUTHORITY, host="a.example")),
        "no host",
    ),
    (
        "an authority without a name",
        licence(authority=msgspec.structs.replace(AUTHORITY, name="")),
        "no name",
    ),
    ("before the keys", licence(decided_at="2017-12-31T23:59:59+08:00"), "no credential key"),
    (
        "of an unknown authority",
        licence(authority=msgspec.structs.replace(AUTHORITY, code="urn:x")),
        "no credential key",
    ),
]


class Pen:
    """A signer that must not be used."""

    def sign(self, kid: str, alg: str, data: bytes) -> bytes:
        raise AssertionError("something was signed")


@pytest.mark.parametrize(("numbered", "fault"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_refused_before_anything_is_signed(office: Office, numbered: Numbered, fault: str) -> None:
    """Each broken rule is named, with a hint, and no key is touched."""
    grant = numbered.grant
    with pytest.raises(LintError, match=fault) as caught:
        office.issuer.issue(numbered, grant.holder_name, grant.address, Pen())
    assert caught.value.hint != ""


def test_a_good_licence_passes(office: Office) -> None:
    """The grant that the cases are made of breaks no rule."""
    assert office.issue(licence())[0].number == "(青)XK16-204-00001"


def test_all_faults_are_named_at_once() -> None:
    """Who corrects a licence learns everything in one go."""
    numbered = licence(holder_name="", valid_until="2001-01-01")
    body = licence_body(numbered, "", numbered.grant.address, item_of(numbered.grant))
    with pytest.raises(LintError, match=r"(?s)valid until.*no name.*licence\.json has"):
        lint.lint(numbered, body, MAX_BODY + 1)


def test_missing_font_names_the_way_out() -> None:
    """A character without a font is answered with what to do about it."""
    numbered = licence()
    body = licence_body(numbered, "😀", "", item_of(numbered.grant))
    with pytest.raises(LintError) as caught:
        lint.lint(numbered, body, 100)
    assert "font" in caught.value.hint

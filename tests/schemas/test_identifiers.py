"""Identifiers: published examples, check digits, what counts as a person's number."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum.cn import ric, uscc
from stdnum.iso7064 import mod_37_36

from schemas.identifiers import (
    ELICENCE_ROOT,
    check_character,
    compare,
    contacts_masked,
    has_organisation_code,
    is_citizen_id,
    is_uscc,
    looks_personal,
    make_identifier,
    mask,
    masked,
    parse_identifier,
    serial_text,
)

CODE = "0123456789ABCDEFGHJKLMNPQRTUWXY"
REAL = ("11100000000013338W", "11100000MB0143028R", "9163000071040638XJ", "914403001922038216")
CITIZENS = ("11010519491231002X", "440524188001010014")
FEW = settings(max_examples=60, deadline=None)


@pytest.mark.parametrize("code", REAL)
def test_published_codes_are_good(code: str) -> None:
    """Codes of real organisations pass, with the organisation code inside them."""
    assert is_uscc(code)
    assert has_organisation_code(code)


@pytest.mark.parametrize(
    "code",
    [
        "91440300699067670Y",
        "",
        "9163000071040638X",
        "9163000071040638XJ0",
        "9163000071040638xJ",
        "９163000071040638XJ",
    ],
)
def test_other_codes_are_not(code: str) -> None:
    """An altered check, another length, lower case or full-width digits are no compared USCC."""
    assert not is_uscc(code)


@FEW
@given(st.text("0123456789", min_size=8, max_size=8), st.text(CODE, min_size=9, max_size=9))
def test_check_of_a_uscc_is_that_of_another_author(head: str, tail: str) -> None:
    """The one good last character is the one that python-stdnum computes."""
    good = [c for c in CODE if is_uscc(head + tail + c)]
    assert good == [uscc.calc_check_digit(head + tail)]


@FEW
@given(st.sampled_from(REAL), st.integers(0, 17), st.sampled_from(CODE))
def test_one_wrong_character_is_noticed(code: str, place: int, other: str) -> None:
    """Whatever single character of a USCC is changed, the check fails."""
    changed = code[:place] + other + code[place + 1 :]
    assert is_uscc(changed) == (changed == code)


@pytest.mark.parametrize("number", CITIZENS)
def test_citizen_ids(number: str) -> None:
    """Published citizen ids pass, also by python-stdnum, and each look-alike fails."""
    assert is_citizen_id(number)
    assert number[-1] == ric.calc_check_digit(number)
    assert not is_citizen_id(number[:-1] + ("1" if number[-1] != "1" else "2"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  9163000071040638xj ", "9163000071040638XJ"),
        ("９１６３000071040638ＸＪ", "9163000071040638XJ"),
        ("（青）xk16", "(青)XK16"),
        ("\u3000a\u3000", "A"),
    ],
)
def test_compared_form(text: str, expected: str) -> None:
    """NFKC, trimmed, upper case."""
    assert compare(text) == expected
    assert compare(compare(text)) == compare(text)


@pytest.mark.parametrize(
    ("code", "personal"),
    [
        ("11010519491231002X", True),
        ("110105194912310021", True),  # a wrong check is a person's all the same
        ("110105491231002", True),  # 15 digits, as until 1999
        ("914403001922038216", False),  # a USCC of digits alone
        ("9163000071040638XJ", False),
        ("91440300699067670Y", False),
    ],
)
def test_what_looks_personal(code: str, personal: bool) -> None:
    """17 digits and a check, or 15 digits, unless they are a USCC."""
    assert looks_personal(code) == personal


def test_a_citizen_id_that_passes_as_a_uscc_is_personal() -> None:
    """Some citizen ids pass the check of a USCC by chance; they are found and stay personal."""
    found = []
    for order in range(1000):
        body = f"63222319900307{order:03d}"
        number = body + ric.calc_check_digit(body + "0")
        if is_uscc(number):
            found.append(number)
    assert found
    assert all(looks_personal(number) for number in found)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("11010519491231002X", "110***********002X"),
        ("110105491231002", "110***********1002"),
        ("12345", "***********"),
        ("", "***********"),
    ],
)
def test_mask(number: str, shown: str) -> None:
    """First three, eleven stars, last four; of a short number nothing."""
    assert mask(number) == shown


@pytest.mark.parametrize(
    ("identifier", "good"),
    [
        ("1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U", True),
        ("1.2.156.3005.2.11100000MB03271699022.340100.000000016.001.9", True),
        (
            "1.2.156.3005.2.11100000000013661B006.113700000045046442.209FA4E88F9E4C878F3E9BED2CE7EA49.001.M",
            False,
        ),
        ("1.2.156.3005.3.11100000MB03271699022.340100.000000016.001.9", False),
        ("1.2.156.3005.2.11100000MB03271699022.340100.000000016.9", False),
        ("1.2.156.3005.2.11100000mb03271699022.340100.000000016.001.9", False),
        ("", False),
    ],
)
def test_published_identifiers(identifier: str, good: bool) -> None:
    """The published examples of GB/T 36904: two good ones, and the sample whose check is wrong."""
    if good:
        assert str(parse_identifier(identifier)) == identifier
    else:
        with pytest.raises(ValueError, match=r"e-licence|substring"):
            parse_identifier(identifier)


@FEW
@given(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=60))
def test_check_character_is_that_of_another_author(text: str) -> None:
    """MOD 37,36 as python-stdnum computes it."""
    assert check_character(text) == mod_37_36.calc_check_digit(text)


@FEW
@given(st.integers(1, 999), st.integers(0, 99999))
def test_an_identifier_reads_back(version: int, serial: int) -> None:
    """What was made is read back with the same parts."""
    made = make_identifier(
        "11100000MB0143028R001", "630000", serial_text(f"(青)XK13-001-{serial:05d}"), version
    )
    parts = parse_identifier(made)
    assert made.startswith(ELICENCE_ROOT)
    assert (parts.serial, parts.version) == (f"XK13001{serial:05d}", f"{version:03d}")


CITIZEN = "630225197104130211"
MASKED = "630***********0211"


@pytest.mark.parametrize(
    ("text", "free", "an_id"),
    [
        (CITIZEN, MASKED, MASKED),
        (f"证件{CITIZEN}号", f"证件{MASKED}号", f"证件{MASKED}号"),
        (f"QH{CITIZEN}-1", f"QH{MASKED}-1", f"QH{MASKED}-1"),
        (f"2018{CITIZEN}7", f"2018{MASKED}7", f"2018{MASKED}7"),
        ("630225 19710413 0211", MASKED, MASKED),
        ("６３０２２５－１９７１０４１３－０２１１", MASKED, MASKED),
        (f"{CITIZEN}、{CITIZEN}", f"{MASKED}、{MASKED}", f"{MASKED}、{MASKED}"),
        (CITIZEN[:-1] + "2", CITIZEN[:-1] + "2", CITIZEN[:-1] + "2"),
        ("QH-202109100000123407", "QH-202***********3407", "QH-202109100000123407"),
        ("2018-09-10 2018-09-11 12", "2018-09-10 2018-09-11 12", "2018-09-10 2018-09-11 12"),
        ("914403001922038216", "914403001922038216", "914403001922038216"),
    ],
)
def test_numbers_in_texts_are_masked(text: str, free: str, an_id: str) -> None:
    """However they are spelt and whatever stands around them; a serial in an id is not taken for a person."""
    assert (masked(text), masked(text, an_id=True)) == (free, an_id)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("电话13897123456。", "电话138****3456。"),
        ("138 9712 3456", "138******3456"),
        ("联系 １３８９７１２３４５６", "联系 １３８****３４５６"),
        ("0971-6123456 转 2", "097*****3456 转 2"),
        ("138.9712–3456、+8613897123456", "138******3456、+86*******3456"),
        ("（0971）6123456，0971 612 3456", "（097*****3456，097******3456"),
        ("tel:13897123456x", "tel:138****3456x"),
        ("13897123456789", "13897123456789"),  # too long for a telephone
        ("证件630102800101123", "证件630********1123"),
        ("630102 800101 123", "630********** 123"),
        ("二〇一八年 630102801301123", "二〇一八年 630102801301123"),  # no month 13
        ("XK13-001-00001", "XK13-001-00001"),
        ("9163000071040638XJ", "9163000071040638XJ"),
        ("2018-09-10", "2018-09-10"),
        ("标准 GB 11643-1999，金额 12345678901 元", "标准 GB 11643-1999，金额 12345678901 元"),
    ],
)
def test_contacts_in_free_text_are_masked(text: str, expected: str) -> None:
    """Telephone numbers and citizen ids of 15 digits, in any width of digits; other numbers stay."""
    assert expected == contacts_masked(text)
    assert expected == contacts_masked(contacts_masked(text))

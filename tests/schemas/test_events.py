"""Events that may enter: what they tell, their digest, and that nothing else ever comes out of the door."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from datetime import date
from typing import Any

import pytest
import rfc8785
from event_samples import DATA, HOLDER, RECEIVED, bend, event, raw
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.files import InputLine, read_events
from schemas.canonical_json import canonical, loads
from schemas.errors import Rejected
from schemas.event_types import EVENT_TYPES
from schemas.events import parse_event, with_data

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_there_is_a_sample_of_every_type() -> None:
    """And every type is a type of the contract."""
    assert set(EVENT_TYPES) == set(DATA)
    assert len(EVENT_TYPES) == 23


@pytest.mark.parametrize("kind", sorted(DATA))
def test_a_good_event_enters(kind: str) -> None:
    """With its source taken apart, its data typed and its JSON as it was sent."""
    value = event(kind, proof="a..b")
    read = parse_event(raw(value), RECEIVED)
    assert (kind, "630000", "market-regulation", "a..b") == (
        read.type_name,
        read.division,
        read.department,
        read.proof,
    )
    assert EVENT_TYPES[kind] is type(read.data)
    assert value == read.raw
    assert {"clock.ticked": None, "inspections.published": "AB" * 32}.get(kind, HOLDER) == read.holder_id


def test_the_digest_is_that_of_the_content() -> None:
    """SHA-256 of the RFC 8785 form without `proof`: order, spaces and escapes do not count."""
    value = event()
    expected = hashlib.sha256(rfc8785.dumps(value)).hexdigest()
    other = json.dumps(dict(reversed({**value, "proof": "x"}.items())), indent=1).encode()
    assert [expected, expected] == [
        parse_event(line, RECEIVED).content_digest for line in (raw(value), other)
    ]
    assert expected != parse_event(raw(event(subject=None)), RECEIVED).content_digest


def test_ids_are_compared_in_one_form() -> None:
    """NFKC, trimmed, upper case."""
    read = parse_event(raw(bend("application.submitted", "applicant.id", " 9163000071040638ｘj ")), RECEIVED)
    assert read.holder_id == HOLDER


def test_dates_are_dates() -> None:
    """In the typed data."""
    read: Any = parse_event(raw(event("licence.suspended")), RECEIVED).data
    assert (date(2018, 9, 9), date(2018, 10, 1)) == (read.decided_on, read.until)


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_rejected(line: bytes) -> None:
    """No other exception leaves the door, and every rejection has words and a hint."""
    refused(line)


@settings(max_examples=100)
@given(kind=st.sampled_from(sorted(DATA)), data=st.data())
def test_any_json_in_any_field_is_read_or_rejected(kind: str, data: st.DataObject) -> None:
    """However an event is bent."""
    value = event(kind)
    place = value if data.draw(st.booleans()) else value["data"]
    names = st.sampled_from(sorted(place)) if place else st.text()
    place[data.draw(names | st.text())] = data.draw(JSON)
    refused(raw(value))


@settings(max_examples=100)
@given(JSON)
def test_the_canonical_form_is_that_of_rfc_8785(value: Any) -> None:
    """The fast way and the library agree, bytes and refusals."""
    try:
        expected: bytes | None = rfc8785.dumps(value)
    except (ValueError, UnicodeEncodeError):
        expected = None
    try:
        actual: bytes | None = canonical(value)
    except ValueError:
        actual = None
    assert expected == actual


@settings(max_examples=100)
@given(JSON)
def test_strict_json_reads_what_json_writes(value: Any) -> None:
    """But for whole numbers beyond 2⁵³, which are the nearest double."""
    text = json.dumps(value).encode()
    try:
        actual = loads(text)
    except Rejected:
        return
    assert nearest(json.loads(text)) == actual


def test_lines_of_a_file() -> None:
    """A BOM at the start is no fault, blank lines are skipped and counted, either line end, none at the end."""
    file = io.BytesIO(b"\xef\xbb\xbf{}\r\n\n  \n[]\n\xef\xbb\xbf{}")
    assert [InputLine(1, b"{}"), InputLine(4, b"[]"), InputLine(5, b"\xef\xbb\xbf{}")] == list(
        read_events(file, "")
    )


def test_a_line_of_20_mb_is_one_line() -> None:
    """It is cut where it is certainly too long, and its neighbours are whole."""
    found = list(read_events(io.BytesIO(b"{}\n" + b"x" * 20_000_000 + b"\n{}\n"), ""))
    assert [line.number for line in found] == [1, 2, 3]
    assert (1 << 20) < len(found[1].raw) < (1 << 20) + 100
    assert found[2].raw == b"{}"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_file_in_utf_16_is_one_line(encoding: str) -> None:
    """One rejection says so, instead of one for each piece."""
    file = io.BytesIO((json.dumps(event()) + "\n").encode(encoding) * 3)
    (line,) = read_events(file, "")
    with pytest.raises(Rejected, match="UTF-16"):
        parse_event(line.raw, RECEIVED)


def refused(line: bytes) -> None:
    fault = None
    try:
        parse_event(line, RECEIVED)
    except Rejected as found:
        fault = found
    if fault is not None:
        assert (bool(fault.message), bool(fault.hint)) == (True, True)
        assert str(fault).encode()


def nearest(value: Any) -> Any:
    """Whole numbers beyond 2⁵³ as the nearest double."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53 - 1:
        return float(value)
    if isinstance(value, list):
        return [nearest(v) for v in value]
    return {k: nearest(v) for k, v in value.items()} if isinstance(value, dict) else value


_NESTED = st.recursive(
    st.text(alphabet='[]{}"\\é\n', max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(alphabet='[{"\\', max_size=3), inner, max_size=3)
    ),
    max_leaves=20,
)


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, (dict, list)) + max(map(_depth, inner), default=0)


@given(_NESTED, st.booleans())
def test_depth_is_counted_outside_of_texts(value: Any, ascii_only: bool) -> None:
    """Whatever brackets, quotation marks and escapes stand in keys and texts."""
    text = json.dumps([value, ["{" * 40]], ensure_ascii=ascii_only).encode()
    depth = max(2, 1 + _depth(value))
    assert loads(text, max_depth=depth) == [value, ["{" * 40]]
    with pytest.raises(Rejected, match="deeper"):
        loads(text, max_depth=depth - 1)


@pytest.mark.parametrize("kind", sorted(DATA))
def test_data_in_base64_is_the_same_event(kind: str) -> None:
    """Same digest, same `data`; a null beside it counts as absent."""
    value = event(kind, data_base64=None)
    data = base64.b64encode(raw(value["data"])).decode()
    apart = {k: v for k, v in value.items() if k not in ("data", "data_base64")}
    for other in ({**apart, "data_base64": data}, {**apart, "data": None, "data_base64": data}):
        read = parse_event(raw(other), RECEIVED)
        assert parse_event(raw({**apart, "data": value["data"]}), RECEIVED) == read


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b'{"a": 1}, "source": "urn:agency:630000:market-regulation"', "data"),
        (b'{"a": 1, "a": 1}', "data"),
        (b"", "data"),
        (b"\xff", "data"),
        (b"[" * 40 + b"]" * 40, "data"),
    ],
)
def test_data_that_are_no_text_of_their_own(data: bytes, where: str) -> None:
    """Nothing in the data passes for an attribute."""
    attributes = {k: v for k, v in event().items() if k != "data"}
    for act in (
        lambda: with_data(attributes, data),
        lambda: parse_event(raw({**attributes, "data_base64": base64.b64encode(data).decode()}), RECEIVED),
    ):
        with pytest.raises(Rejected) as caught:
            act()
        assert (where, True) == (caught.value.where, bool(caught.value.hint))


@pytest.mark.parametrize("wrong", [{"data_base64": "%%"}, {"data_base64": 5}, {"data_base64": "e30="}])
def test_data_twice_or_no_base64(wrong: dict[str, Any]) -> None:
    """Both forms at once, another alphabet, no text: rejected."""
    left = {} if wrong["data_base64"] == "e30=" else {"data": None}
    with pytest.raises(Rejected) as caught:
        parse_event(raw({**event(), **left, **wrong}), RECEIVED)
    assert caught.value.where in ("data", "data_base64")


def test_control_characters_in_base64_are_found() -> None:
    """Although nothing of them shows in the text that was sent."""
    value = event()
    value["data"]["applicant"]["name"] = "甲\u202e乙"
    value["data_base64"] = base64.b64encode(
        json.dumps(value.pop("data"), ensure_ascii=False).encode()
    ).decode()
    with pytest.raises(Rejected) as caught:
        parse_event(raw(value), RECEIVED)
    assert "data.applicant.name" == caught.value.where

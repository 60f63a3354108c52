"""Events in a file: one a line, an array, or printed over many lines."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.files import InputLine, read_events

VALUES = st.lists(
    st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers(-9, 9), min_size=1, max_size=3),
    min_size=1,
    max_size=5,
)


def found(raw: bytes) -> list[InputLine]:
    """Each text of an event in a file with these bytes."""
    return list(read_events(io.BytesIO(raw), "f"))


@pytest.mark.parametrize("indent", [None, 2])
@given(VALUES)
def test_an_array_is_its_elements(indent: int | None, values: list[Any]) -> None:
    """An array, on one line or on many, gives each element as one text."""
    actual = [json.loads(line.raw) for line in found(json.dumps(values, indent=indent).encode())]
    assert values == actual


@given(VALUES)
def test_printed_objects_are_read(values: list[Any]) -> None:
    """Objects printed over several lines, one after another, are read as one text each."""
    raw = "\n".join(json.dumps(value, indent=1) for value in values).encode()
    assert values == [json.loads(line.raw) for line in found(raw)]


@given(VALUES)
def test_lines_stay_lines(values: list[Any]) -> None:
    """One object a line gives these lines, each with its number."""
    lines = [json.dumps(value).encode() for value in values]
    assert [InputLine(n, raw) for n, raw in enumerate(lines, 1)] == found(b"\n".join(lines))


def test_elements_have_the_line_on_which_they_begin() -> None:
    """A rejection can name the place in a printed file."""
    assert [(2, b'{"a":1}'), (4, b'{"a":2}')] == [
        (line.number, line.raw) for line in found(b'[\n {"a":1},\n\n {"a":2}\n]\n')
    ]


def test_a_broken_first_line_leaves_the_others() -> None:
    """A truncated first line is one bad line; it does not turn the file into a document."""
    raw = b'{"a":\n{"a":2}\n{"a":3}\n'
    assert [1, 2, 3] == [line.number for line in found(raw)]


def test_a_broken_element_comes_with_what_follows() -> None:
    """Elements before a break are read; the rest is one text, to be rejected with its line."""
    assert [(1, b'{"a":1}'), (2, b'{"a" 2}, {"a":3}]')] == [
        (line.number, line.raw) for line in found(b'[{"a":1},\n{"a" 2}, {"a":3}]')
    ]

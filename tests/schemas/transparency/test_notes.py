"""Signed notes, checkpoints and cosignatures: the published examples, one form, and no changed byte."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import UsageError, VerificationError
from schemas.transparency.merkle import EMPTY_ROOT
from schemas.transparency.notes import (
    COSIGNATURE,
    ED25519,
    Checkpoint,
    Note,
    VerifierKey,
    check_cosignatures,
    check_log_signature,
    cosignature_line,
    cosigned_message,
    encode64,
    is_key_name,
    log_line,
    read_checkpoint,
    read_key,
    read_note,
    read_signature_lines,
)

# The example of C2SP signed-note.
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()

LOG = Ed25519PrivateKey.from_private_bytes(bytes(32))
WITNESS = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\1")
LOG_KEY = VerifierKey("example.cn/log", ED25519, LOG.public_key().public_bytes_raw())
WITNESS_KEY = VerifierKey("witness.example.cn/w1", COSIGNATURE, WITNESS.public_key().public_bytes_raw())
HEAD = Checkpoint("example.cn/log", 0, EMPTY_ROOT)


def witnessed(time: int = 1_679_315_147, head: Checkpoint = HEAD) -> Note:
    """Return a checkpoint signed by the log and a witness."""
    text = head.text
    return Note(
        text,
        (
            log_line(LOG_KEY, LOG.sign(text.encode())),
            cosignature_line(WITNESS_KEY, time, WITNESS.sign(cosigned_message(text, time))),
        ),
    )


def test_the_example_of_the_specification() -> None:
    """The example key reads, writes itself, and verifies the example note."""
    key = read_key(EXAMPLE_KEY)
    assert EXAMPLE_KEY == str(key)
    note = read_note(EXAMPLE)
    assert EXAMPLE == note.to_bytes()
    assert key == check_log_signature(note, [key])


@given(st.data())
def test_no_changed_example_verifies(data: st.DataObject) -> None:
    """One bit of text or signature changed: refused."""
    key = read_key(EXAMPLE_KEY)
    bit = data.draw(st.integers(0, 8 * len(EXAMPLE) - 1))
    changed = bytearray(EXAMPLE)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(VerificationError):
        check_log_signature(read_note(bytes(changed)), [key])


@pytest.mark.parametrize(
    "data",
    [
        b"", b"text\n", b"text\n\n", EXAMPLE[:-1], EXAMPLE.replace(b"\n\n", b"\n"), EXAMPLE + b"\n", EXAMPLE + b"x\n",
        EXAMPLE.replace("— ".encode(), b"- "), EXAMPLE.replace(b"\n", b"\r\n"), EXAMPLE.replace(b"aQM=", b"aQN="),
        EXAMPLE.replace(b"foo Uw", b"foo  Uw"), EXAMPLE.replace(b"This", b"Th\x00s"), EXAMPLE.replace(b"This", b"\xff"),
        EXAMPLE + EXAMPLE.split(b"\n\n")[1] * 100, bytes(2 << 20),
    ],
)  # fmt: skip
def test_other_forms_of_notes_are_refused(data: bytes) -> None:
    """A cut note, other line ends or marks, base64 in another form, too many signatures."""
    with pytest.raises(VerificationError):
        read_note(data)


@pytest.mark.parametrize(
    "text",
    ["", "a", "a+b", EXAMPLE_KEY[:-1], EXAMPLE_KEY.replace("530d", "530e"), EXAMPLE_KEY.replace("+A", "+B")],
)
def test_other_forms_of_keys_are_refused(text: str) -> None:
    """A vkey without its parts, with another id, or of another type."""
    with pytest.raises(UsageError):
        read_key(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u3000b", "a\u00a0b", "a\nb", "a" * 256])
def test_names_with_spaces_or_plus_are_none(name: str) -> None:
    """A key's name has no space of Unicode and no plus."""
    assert not is_key_name(name)


def test_a_checkpoint_is_read_as_it_was_written() -> None:
    """Origin, size, root and extension lines survive."""
    head = Checkpoint("example.cn/log", 20_852_163, bytes(range(32)), ("one", "two"))
    assert head == read_checkpoint(read_note(witnessed(head=head).to_bytes()))


@pytest.mark.parametrize(
    "text",
    [
        "o\n1\n", "o\n01\n" + encode64(bytes(32)) + "\n", "o\n-1\n" + encode64(bytes(32)) + "\n",
        "o\n1\n" + encode64(bytes(31)) + "\n", "\n1\n" + encode64(bytes(32)) + "\n",
        "o\n1\n" + encode64(bytes(32)) + "\n\nx\n", "o\n9223372036854775808\n" + encode64(bytes(32)) + "\n",
    ],
)  # fmt: skip
def test_other_forms_of_checkpoints_are_refused(text: str) -> None:
    """Too few lines, leading zeros, no SHA-256, an empty line, a size beyond all logs."""
    with pytest.raises(VerificationError):
        read_checkpoint(Note(text, ()))


def test_cosignatures_count_with_their_time() -> None:
    """A witness's line verifies over time and text, and the earliest of two counts."""
    (found,) = check_cosignatures(witnessed(), [WITNESS_KEY])
    assert (WITNESS_KEY, 1_679_315_147) == (found.witness, found.time)
    twice = Note(HEAD.text, (*witnessed(time=9).signatures, witnessed(time=5).signatures[1]))
    assert [5] == [one.time for one in check_cosignatures(twice, [WITNESS_KEY])]


def test_cosignatures_of_strangers_are_ignored() -> None:
    """A line of an unknown key says nothing and breaks nothing."""
    assert () == check_cosignatures(witnessed(), [])
    stranger = VerifierKey("stranger", COSIGNATURE, LOG_KEY.public)
    assert () == check_cosignatures(witnessed(), [stranger])


@given(st.integers(0, 72 * 8 - 1))
def test_no_changed_cosignature_verifies(bit: int) -> None:
    """One bit of a known witness's time or signature changed: the whole note is refused."""
    note = witnessed()
    own, line = note.signatures
    value = bytearray(line.value)
    value[bit // 8] ^= 1 << bit % 8
    changed = Note(note.text, (own, type(line)(line.name, line.key_id, bytes(value))))
    with pytest.raises(VerificationError):
        check_cosignatures(changed, [WITNESS_KEY])


def test_a_log_signature_is_no_cosignature() -> None:
    """The two types have different ids and messages, even with one key under one name."""
    both = VerifierKey(LOG_KEY.name, COSIGNATURE, LOG_KEY.public)
    assert both.key_id != LOG_KEY.key_id
    assert () == check_cosignatures(witnessed(), [both])


def test_an_unsigned_checkpoint_is_refused() -> None:
    """Without the log's own line, or with one that does not fit, nothing is believed."""
    _, line = witnessed().signatures
    with pytest.raises(VerificationError, match="no signature by a known key"):
        check_log_signature(Note(HEAD.text, (line,)), [LOG_KEY])
    bad = Note(HEAD.text, (log_line(LOG_KEY, bytes(64)), line))
    with pytest.raises(VerificationError, match="does not fit"):
        check_log_signature(bad, [LOG_KEY])


def test_signature_lines_of_a_witness_answer() -> None:
    """A witness's answer is read as signature lines, and nothing else is."""
    line = witnessed().signatures[1]
    assert (line, line) == read_signature_lines(str(line).encode() * 2)
    for wrong in (b"", b"\n", b"text\n", str(line).encode()[:-1]):
        with pytest.raises(VerificationError):
            read_signature_lines(wrong)

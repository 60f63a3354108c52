"""The texts of proofs and witness requests: written, read, and in no other form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import VerificationError
from schemas.transparency.notes import LogProof, WitnessRequest, read_proof, read_witness_request

HASHES = st.lists(st.binary(min_size=32, max_size=32), max_size=63).map(tuple)
NOTE = "example.com/fancylog\n109482\nsFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=\n\n— a AAAAAAE=\n".encode()


@given(st.integers(0, 2**62), HASHES, st.none() | st.binary(max_size=50))
def test_a_proof_is_read_as_it_was_written(index: int, path: tuple[bytes, ...], extra: bytes | None) -> None:
    """Index, path, extra data and checkpoint survive."""
    proof = LogProof(index, path, NOTE, extra)
    assert proof == read_proof(proof.to_bytes())


@given(st.integers(0, 2**62), HASHES)
def test_a_request_is_read_as_it_was_written(old: int, proof: tuple[bytes, ...]) -> None:
    """Old size, proof and checkpoint survive."""
    request = WitnessRequest(old, proof, NOTE)
    assert request == read_witness_request(request.to_bytes())


def test_the_lines_of_a_proof() -> None:
    """The text is the one of C2SP tlog-proof."""
    lines = LogProof(73_894, (bytes(32),), NOTE, b"extra").to_bytes().decode().split("\n")
    expected = [
        "c2sp.org/tlog-proof@v1",
        "extra ZXh0cmE=",
        "index 73894",
        "A" * 43 + "=",
        "",
        "example.com/fancylog",
    ]
    assert expected == lines[:6]


def test_the_lines_of_a_request() -> None:
    """The body is the one of C2SP tlog-witness."""
    assert b"old 0\n\n" + NOTE == WitnessRequest(0, (), NOTE).to_bytes()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n\n" + NOTE, b"old 01\n\n" + NOTE, b"old -1\n\n" + NOTE, b"old 1 \n\n" + NOTE, b"old 1\nAAAA\n\n" + NOTE,
        b"old 1\n" + b"A" * 43 + b"\n\n" + NOTE, b"old 1\n" + NOTE.replace(b"\n\n", b"\n"), b"new 1\n\n" + NOTE,
        b"old 1\n" + (b"A" * 43 + b"=\n") * 64 + b"\n" + NOTE, "old １\n\n".encode() + NOTE,
    ],
)  # fmt: skip
def test_other_requests_are_refused(data: bytes) -> None:
    """A wrong number, hash, first line, more than 63 hashes, or no checkpoint."""
    with pytest.raises(VerificationError):
        read_witness_request(data)


@pytest.mark.parametrize(
    "head",
    [
        "", "c2sp.org/tlog-proof@v2\nindex 1", "c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v1\nextra !\nindex 1",
        "c2sp.org/tlog-proof@v1\nindex 01", "c2sp.org/tlog-proof@v1\nindex 1\nextra AAAA",
        "c2sp.org/tlog-proof@v1\nindex 1\nxyz",
    ],
)  # fmt: skip
def test_other_proofs_are_refused(head: str) -> None:
    """Another version, no index, lines out of order, no hash."""
    with pytest.raises(VerificationError):
        read_proof(f"{head}\n\n".encode() + NOTE)

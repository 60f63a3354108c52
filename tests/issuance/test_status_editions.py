"""Editions of status lists, and an outside library over them."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta

import cbor2
import msgspec
import pytest
from bureau import DECIDED, LIST, URI, Bureau, numbered
from openvc.status.token_status_list import decode_status_list, get_status, parse_token_status_ref

from issuance.status_lists import EditionRecord, Published, StatusList, is_due, prepare, rebuild_edition
from schemas.signatures import verifies
from schemas.status_list import INVALID, VALID, StatusReason, pack, status_at, unpack

SECONDS = int(DECIDED.timestamp())
STATUSES = {1: 1, 2: 2, 7: 1}


@pytest.fixture(scope="module")
def bureau(tmp_path_factory: pytest.TempPathFactory) -> Bureau:
    return Bureau(tmp_path_factory.mktemp("bureau"))


def listed(**changes: object) -> StatusList:
    return StatusList(**({"name": LIST, "uri": URI, "length": 8, "statuses": {}, "reasons": {}} | changes))  # type: ignore[arg-type]


def test_outside_library_reads_the_list(bureau: Bureau) -> None:
    """openvc finds the same status in each place, and the place in a credential."""
    edition = bureau.edition(DECIDED, STATUSES)
    tag = cbor2.loads(edition.list_cwt)
    protected, unprotected, payload, _ = tag.value
    claims = cbor2.loads(payload)
    assert (tag.tag, unprotected, cbor2.loads(protected)[16]) == (18, {}, "application/statuslist+cwt")
    assert (claims[2], claims[6], claims[4], claims[65533]["bits"]) == (URI, SECONDS, SECONDS + 7 * 86_400, 2)
    text = base64.urlsafe_b64encode(claims[65533]["lst"]).rstrip(b"=").decode()
    packed = decode_status_list(text)
    assert [get_status(packed, index, bits=2) for index in range(8)] == [0, 1, 2, 0, 0, 0, 0, 1]
    credential = cbor2.loads(cbor2.loads(bureau.credential(numbered())[0]).value[2])
    reference = parse_token_status_ref({"status": credential[65535]})
    assert reference is not None
    assert (reference.index, reference.uri) == (3, URI)


def test_reasons_belong_to_their_list(bureau: Bureau) -> None:
    """They carry the list's digest, and for each place what happened, why, when, and the version in force."""
    reason = StatusReason("replaced", "由第2版替代 / replaced by version 2", "2019-03-01", 2)
    edition = bureau.edition(DECIDED, {1: 1}, {1: reason})
    claims = cbor2.loads(cbor2.loads(edition.reasons_cwt).value[2])
    assert hashlib.sha256(edition.list_cwt).digest() == claims["list"]
    assert claims["reasons"] == {1: ["replaced", "由第2版替代 / replaced by version 2", "2019-03-01", 2]}
    assert edition.reasons_key == edition.list_key.replace(".cwt", ".reasons.cwt")


def test_edition_is_due_on_a_change_and_once_a_day() -> None:
    """Never without need: the same content within a day is not published again."""
    last = Published(SECONDS, 1, listed().digest())
    assert is_due(listed(), None, SECONDS)
    assert not is_due(listed(), last, SECONDS + 86_399)
    assert is_due(listed(), last, SECONDS + 86_400)
    assert is_due(listed(statuses={1: 1}), last, SECONDS)
    assert is_due(listed(length=9), last, SECONDS)
    assert is_due(listed(reasons={1: StatusReason("x", "y", "z")}), last, SECONDS)


def test_editions_are_never_dated_back() -> None:
    """An event that is older than what was decided gives an edition of the later moment, with the next number."""
    last = Published(SECONDS, 4, "x")
    made = prepare(listed(), last, SECONDS - 1000, "ab12cd34")
    assert (made.published.issued_at, made.published.number) == (SECONDS, 5)


def test_recorded_signatures_give_the_same_bytes(bureau: Bureau) -> None:
    """So replay rebuilds editions without a private key."""
    edition = bureau.edition(DECIDED + timedelta(days=1), STATUSES)
    kid = bureau.trust.signing_key("*", "status", DECIDED).kid
    made = prepare(listed(statuses=STATUSES), None, SECONDS + 86_400, kid)
    signatures = [cbor2.loads(data).value[3] for data in (edition.list_cwt, edition.reasons_cwt)]
    assert edition == made.finish(*signatures)
    assert verifies(bureau.trust.public_key(kid), signatures[0], made.list_to_be_signed)


def test_editions_of_earlier_releases_are_rebuilt_as_they_were_signed() -> None:
    """An edition whose spare places read valid is rebuilt so; a new one reads invalid in places never given out."""
    listed = StatusList("a-1", "https://a.example/status/a-1", 5, {}, {})
    earlier = msgspec.structs.replace(listed, spare=VALID)
    for signed, spare in ((earlier, VALID), (listed, INVALID)):
        unsigned = prepare(signed, None, 1_600_000_000, "k")
        record = EditionRecord("a-1", 1_600_000_000, "k", None, unsigned.published, b"\1" * 64, b"\2" * 64)
        objects = dict(rebuild_edition(record, listed))
        edition = unsigned.finish(record.list_signature, record.reasons_signature)
        assert edition.list_cwt == objects[edition.list_key]
        packed = unpack({"bits": 2, "lst": pack({}, 5, signed.spare)})
        assert [VALID, spare, spare, spare] == [status_at(packed, place) for place in (4, 5, 6, 7)]

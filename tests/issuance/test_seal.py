"""The one form of a sealed file, and its signature as other libraries see it."""

from __future__ import annotations

import hashlib
import io
import re

import asn1crypto.tsp  # noqa: F401  it registers signing-certificate-v2
import pytest
from asn1crypto import cms as asn1
from Crypto.Hash import SHA256
from Crypto.PublicKey import ECC
from Crypto.Signature import DSS
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from papers import Office, kinds
from pypdf import PdfReader

from issuance import pdf, seal
from issuance.seal import der, signed_attributes
from schemas.errors import LintError
from schemas.licence import Issued, Numbered
from schemas.signatures import der_to_raw, low_s
from verification.pdf import attachments

Papers = dict[str, tuple[Numbered, Issued, bytes]]
KINDS = list(kinds())
_RANGE = re.compile(rb"/ByteRange\[0 (\d+) (\d+) (\d+)\] *")


def parts(file: bytes) -> tuple[bytes, bytes, bytes]:
    """What is signed before the gap, the gap, and after it."""
    found = list(_RANGE.finditer(file))[-1]
    one, two, three = map(int, found.groups())
    return file[:one], file[one:two], file[two : two + three]


@pytest.mark.parametrize("kind", KINDS)
def test_one_form(issued: Papers, kind: str) -> None:
    """One revision; everything signed but the contents; lower-case hex, exact DER, zeros; nothing after it."""
    file = issued[kind][2]
    before, gap, after = parts(file)
    assert before + gap + after == file
    assert (file.count(b"%%EOF"), file.count(b"startxref"), file.count(b"/Type/Sig/")) == (1, 1, 1)
    assert file.startswith(b"%PDF-1.7\n")
    assert file.endswith(b"%%EOF\n")
    assert re.fullmatch(rb"<[0-9a-f]{%d}>" % (2 * seal.CONTENTS_SIZE), gap)
    raw = bytes.fromhex(gap[1:-1].decode())
    signed = asn1.ContentInfo.load(raw)
    assert raw == signed.dump(force=True).ljust(seal.CONTENTS_SIZE, b"\0")


def test_signature_is_pades_baseline_b(office: Office, issued: Papers) -> None:
    """As asn1crypto reads it: three signed attributes, no signing time, no unsigned one, one certificate."""
    _, record, file = issued["short"]
    before, gap, after = parts(file)
    content = asn1.ContentInfo.load(bytes.fromhex(gap[1:-1].decode()))["content"]
    (signer,) = content["signer_infos"]
    attributes = {attribute["type"].native: attribute["values"][0] for attribute in signer["signed_attrs"]}
    certificate = office.trust.certificate(record.seal_kid).public_bytes(Encoding.DER)
    assert set(attributes) == {"content_type", "message_digest", "signing_certificate_v2"}
    assert attributes["content_type"].native == "data"
    assert attributes["message_digest"].native == hashlib.sha256(before + after).digest()
    hashes = attributes["signing_certificate_v2"]["certs"][0]["cert_hash"].native
    assert hashes == hashlib.sha256(certificate).digest()
    assert [each.dump() for each in content["certificates"]] == [certificate]
    assert signer["unsigned_attrs"].native is None
    assert signer["signature_algorithm"]["algorithm"].native == "sha256_ecdsa"


def test_two_libraries_sign_the_same(office: Office, issued: Papers) -> None:
    """pycryptodome verifies the seal, and signs the same bytes (RFC 6979, lower s)."""
    _, record, file = issued["short"]
    before, _, after = parts(file)
    certificate = office.trust.certificate(record.seal_kid).public_bytes(Encoding.DER)
    attributes = signed_attributes(hashlib.sha256(before + after).digest(), certificate)
    private = office.signer.private_key(record.seal_kid)
    key = ECC.import_key(private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    raw = der_to_raw(bytes.fromhex(record.seal_signature))
    DSS.new(key.public_key(), "fips-186-3").verify(SHA256.new(attributes), raw)
    assert low_s(DSS.new(key, "deterministic-rfc6979").sign(SHA256.new(attributes))) == raw


def test_files_are_attached_as_they_are(issued: Papers) -> None:
    """pdfminer finds both attachments, by name, with their exact bytes, and the digest in the credential."""
    for _, _, file in issued.values():
        found = attachments(file)
        assert set(found) == {"credential.cwt", "licence.json"}
        assert hashlib.sha256(found["licence.json"]).digest() in found["credential.cwt"]


def test_another_signature_changes_the_contents_alone(office: Office, issued: Papers) -> None:
    """The gap is all that depends on the signature, so that a recorded one can be put back."""
    _, record, file = issued["short"]
    before, _, after = parts(file)
    certificate = office.trust.certificate(record.seal_kid).public_bytes(Encoding.DER)
    attributes = signed_attributes(hashlib.sha256(before + after).digest(), certificate)
    unsealed = seal.Unsealed(before, after, certificate, attributes)
    assert unsealed.finish(bytes.fromhex(record.seal_signature)) == file
    other = unsealed.finish(der(0x30, der(0x02, b"\1"), der(0x02, b"\1")))
    assert (other[: len(before)], other[-len(after) :], len(other)) == (before, after, len(file))


def test_a_certificate_without_room_is_a_lint_error(office: Office, issued: Papers) -> None:
    """A certificate that leaves no room in the contents is refused before anything is signed."""
    record = issued["short"][1]
    certificate = office.trust.certificate(record.seal_kid).public_bytes(Encoding.DER)
    with pytest.raises(LintError, match="too large"):
        seal.check_room(certificate, room=500)


@pytest.mark.parametrize(
    "broken",
    [b"", b"%PDF-1.7\n", b"%PDF-1.7\nxref\n0 1\n", b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\nxref\ntrailer\n%%EOF"],
)
def test_an_unknown_renderer_is_noticed(broken: bytes) -> None:
    """Output of another form than the known renderer's is no page to add to."""
    with pytest.raises(pdf.RendererChanged):
        pdf.take_apart(broken)


def test_the_seal_certifies_the_file(issued: Papers) -> None:
    """DocMDP with no changes permitted, named by the catalogue, so that any reader warns of an annotated copy."""
    for _, _, file in issued.values():
        root = PdfReader(io.BytesIO(file)).trailer["/Root"]
        signature = root["/Perms"]["/DocMDP"]
        (reference,) = signature["/Reference"]
        assert ("/DocMDP", 1) == (reference["/TransformMethod"], reference["/TransformParams"]["/P"])
        assert signature["/Contents"]

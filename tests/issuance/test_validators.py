"""Every kind of page before other authors' validators."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from bureau import NOON, PROVINCE, ROLES, later
from cryptography.hazmat.primitives.serialization import Encoding
from papers import Office, kinds
from pyhanko.keys import load_cert_from_pemder
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext

from issuance import keys
from schemas.calendar import CHINA
from schemas.licence import Issued, Numbered
from schemas.trust import load_trust
from verification.page_text import fold_glyphs

pytestmark = pytest.mark.slow
Papers = dict[str, tuple[Numbered, Issued, bytes]]
KINDS = list(kinds())
SCRIPT = Path(__file__).parents[1] / "support" / "java_validators.py"


@pytest.fixture(scope="module")
def folder(office: Office, issued: Papers, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All files, the trust anchor, and one file with a byte of its page changed."""
    place = tmp_path_factory.mktemp("validators")
    (place / "root.der").write_bytes(office.trust.root.public_bytes(Encoding.DER))
    for name, (_, _, pdf) in issued.items():
        (place / f"{name}.pdf").write_bytes(pdf)
    changed = issued["short"][2].replace(b"/F 132", b"/F 133")
    (place / "changed.pdf").write_bytes(changed)
    own = {"data": place / "data", "now": datetime.now(CHINA), "passphrase": None}
    shutil.copytree(office.data, place / "data")
    for name in ("before", "after"):  # the key that sealed short.pdf is revoked
        trust = load_trust(place / "data" / "trust")
        if name == "before":
            keys.rotate(store=trust, roles=ROLES[:1], life=keys.Lifetime(NOON, 5), **own)
        else:
            seal = trust.signing_key(PROVINCE, "seal", NOON).kid
            keys.revoke(store=trust, kid=seal, since=later(1), name="x", outlives=5, **own)
        (place / f"{name}.crl").write_bytes((place / "data" / "trust" / "root.crl").read_bytes())
    return place


@pytest.fixture(scope="module")
def java(folder: Path) -> dict[str, Any]:
    """What veraPDF and DSS say of each file."""
    run = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    answers: dict[str, Any] = json.loads(run.stdout)
    return answers


@pytest.mark.parametrize("kind", KINDS)
def test_verapdf_finds_pdf_a_3b(java: dict[str, Any], kind: str) -> None:
    """veraPDF: compliant, with no broken rule."""
    assert java[kind]["verapdf"] == {"compliant": True, "broken": []}


@pytest.mark.parametrize("kind", KINDS)
def test_dss_finds_pades_baseline_b(java: dict[str, Any], kind: str) -> None:
    """The EU's DSS, with the list that certificates name: passed, baseline B, over the full file."""
    assert java[kind]["dss"] == {
        "indication": "TOTAL_PASSED",
        "sub": "None",
        "format": "PAdES-BASELINE-B",
        "scopes": ["FULL"],
        "errors": [],
    }


def test_dss_refuses_a_changed_file(java: dict[str, Any]) -> None:
    """The same validator fails a file with one byte changed."""
    assert java["changed"]["dss"]["indication"] == "TOTAL_FAILED"


@pytest.mark.parametrize("kind", KINDS)
def test_pyhanko_trusts_the_seal(folder: Path, issued: Papers, kind: str) -> None:
    """pyHanko: valid and trusted, the whole file covered, nothing modified after signing."""
    root = load_cert_from_pemder(str(folder / "root.der"))
    (signature,) = PdfFileReader(io.BytesIO(issued[kind][2])).embedded_signatures
    status = validate_pdf_signature(signature, ValidationContext(trust_roots=[root], allow_fetching=False))
    assert status.bottom_line
    assert status.coverage == SignatureCoverageLevel.ENTIRE_FILE
    assert status.trusted


def test_dss_hears_of_a_revocation(java: dict[str, Any]) -> None:
    """The EU's DSS, given our list: passed before the key was revoked; afterwards not."""
    answers = {
        name: (java[name]["dss"]["indication"], java[name]["dss"]["sub"]) for name in ("before", "after")
    }
    assert {"before": ("TOTAL_PASSED", "None"), "after": ("INDETERMINATE", "REVOKED_NO_POE")} == answers


@pytest.mark.parametrize(("name", "trusted"), [("before", True), ("after", False)])
def test_pyhanko_hears_of_a_revocation(folder: Path, issued: Papers, name: str, trusted: bool) -> None:
    """pyHanko, which demands our list (hard-fail): trusted before the key was revoked; afterwards revoked."""
    root = load_cert_from_pemder(str(folder / "root.der"))
    (signature,) = PdfFileReader(io.BytesIO(issued["short"][2])).embedded_signatures
    lists = [(folder / f"{name}.crl").read_bytes()]
    context = ValidationContext(
        trust_roots=[root], allow_fetching=False, crls=lists, revocation_mode="hard-fail"
    )
    status = validate_pdf_signature(signature, context)
    assert (trusted, not trusted) == (status.trusted, status.revoked)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_hears_of_a_revocation(folder: Path, office: Office) -> None:
    """`openssl verify -crl_check` with our list: OK before, certificate revoked after."""
    seal = office.trust.certificate(office.trust.signing_key(PROVINCE, "seal", NOON).kid)
    (folder / "seal.pem").write_bytes(seal.public_bytes(Encoding.PEM))
    root = folder / "data" / "trust" / "root.pem"
    said = {
        name: _tool("openssl", "verify", "-crl_check", "-CAfile", root, "-CRLfile", folder / f"{name}.crl",
                    folder / "seal.pem")
        for name in ("before", "after")
    }  # fmt: skip
    assert ": OK" in said["before"]
    assert "certificate revoked" in said["after"]


def _tool(name: str, *arguments: str | Path) -> str:
    run = subprocess.run([name, *map(str, arguments)], capture_output=True, text=True, check=False)
    return run.stdout + run.stderr


@pytest.mark.skipif(shutil.which("pdfsig") is None, reason="pdfsig is not installed")
@pytest.mark.parametrize("kind", KINDS)
def test_pdfsig_finds_a_valid_signature(folder: Path, kind: str) -> None:
    """poppler's pdfsig: the signature is valid and covers the total document."""
    said = _tool("pdfsig", "-nocert", folder / f"{kind}.pdf")
    assert "Signature is Valid." in said
    assert "Total document signed" in said


@pytest.mark.skipif(shutil.which("qpdf") is None, reason="qpdf is not installed")
@pytest.mark.parametrize("kind", KINDS)
def test_qpdf_finds_no_fault(folder: Path, kind: str) -> None:
    """qpdf: no error in syntax or streams."""
    said = _tool("qpdf", "--check", folder / f"{kind}.pdf")
    assert "No syntax or stream encoding errors found" in said
    assert "WARNING" not in said


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is not installed")
@pytest.mark.parametrize("kind", KINDS)
def test_pdftotext_finds_every_fact(folder: Path, issued: Papers, kind: str) -> None:
    """poppler's pdftotext reads number, holder, id, address, authority and identifier, in any script."""
    numbered = issued[kind][0]
    grant = numbered.grant
    said = fold_glyphs(_tool("pdftotext", "-enc", "UTF-8", folder / f"{kind}.pdf", "-"))
    facts = (
        numbered.number,
        grant.holder_name,
        grant.holder_id,
        grant.address,
        grant.authority.name,
        numbered.identifier,
    )
    assert [fact for fact in facts if fold_glyphs(fact) not in said] == []

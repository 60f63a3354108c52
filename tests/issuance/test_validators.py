"""Every kind of page before other authors' validators."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from papers import Office, kinds
from pyhanko.keys import load_cert_from_pemder
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext

from schemas.licence import Issued, Numbered
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
    """The EU's DSS: passed, baseline B, over the full file."""
    assert java[kind]["dss"] == {
        "indication": "TOTAL_PASSED",
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

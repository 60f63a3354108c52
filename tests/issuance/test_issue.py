"""Issuing, and the same bytes again without a private key."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from papers import Office, item_of, kinds, licence

from issuance import fonts, page
from issuance.issue import STAGES, Issuer
from issuance.page import RendererMissing
from schemas.errors import LintError, VerificationError
from schemas.licence import Issued, LicenceBody, Numbered, licence_body, object_key
from verification.pdf import attachments

Papers = dict[str, tuple[Numbered, Issued, bytes]]
KINDS = list(kinds())


@pytest.mark.parametrize("kind", KINDS)
def test_rebuilt_byte_for_byte(office: Office, issued: Papers, kind: str) -> None:
    """A fresh issuer without keys makes the same file from the recorded signatures."""
    numbered, record, file = issued[kind]
    assert office.rebuild(numbered, record) == file


def test_issued_again_the_same(office: Office) -> None:
    """Issuing twice gives the same bytes and the same record: signatures are deterministic."""
    assert office.issue(licence(77)) == office.issue(licence(77))


def test_order_of_issue_does_not_matter(office: Office, issued: Papers) -> None:
    """What an issuer made before leaves no trace in what it makes next."""
    numbered, record, file = issued["short"]
    for other in ("annex", "business", "rare"):
        office.issue(issued[other][0])
    assert office.issue(numbered) == (record, file)


def test_record_names_what_made_the_file(issued: Papers) -> None:
    """The digests of file and credential, key, renderer, template and fonts stand in the record."""
    numbered, record, file = issued["short"]
    assert record.object_sha256 == hashlib.sha256(file).hexdigest()
    assert record.credential_sha256 == hashlib.sha256(attachments(file)["credential.cwt"]).hexdigest()
    assert record.object_key == object_key(numbered.number, 1)
    assert record.renderer == page.renderer()
    assert record.template == page.layout("industrial").digest
    assert record.fonts == fonts.digest()


@pytest.mark.parametrize("what", ["renderer", "template", "fonts"])
def test_another_renderer_is_said(office: Office, issued: Papers, what: str) -> None:
    """Where what made a file is not installed, rebuilding says so instead of giving other bytes."""
    numbered, record, _ = issued["short"]
    with pytest.raises(RendererMissing, match=what):
        office.rebuild(numbered, record, **{what: "of another time"})


def test_a_changed_record_is_noticed(office: Office, issued: Papers) -> None:
    """A signature that is not over what is rebuilt, or by no key of the trust folder, is refused."""
    numbered, record, _ = issued["short"]
    other = issued["rare"][1]
    for changes in (
        {"credential_signature": other.credential_signature},
        {"seal_signature": other.seal_signature},
        {"seal_signature": "3000"},
        {"credential_kid": "00000000"},
        {"seal_kid": record.credential_kid},
        {"credential_sha256": other.credential_sha256},
    ):
        with pytest.raises(VerificationError):
            office.rebuild(numbered, record, **changes)


def test_a_changed_grant_is_noticed(office: Office, issued: Papers) -> None:
    """The recorded signatures fit no other licence."""
    with pytest.raises(VerificationError):
        office.rebuild(licence(1, address="西宁市"), issued["short"][1])


def test_time_is_counted_by_stage(office: Office) -> None:
    """Each stage's seconds are added up, for the benchmark."""
    before = dict(office.issuer.spent)
    office.issue(licence(78))
    assert tuple(before) == STAGES
    assert all(office.issuer.spent[stage] > before[stage] for stage in STAGES)


def test_a_record_from_before_the_log(office: Office, issued: Papers) -> None:
    """A record without the credential's digest, from before there was a log, is rebuilt all the same."""
    numbered, record, file = issued["short"]
    assert office.rebuild(numbered, record, credential_sha256="") == file


def test_another_process_makes_the_same_page(tmp_path: Path) -> None:
    """The page depends on nothing of the process: hash seeds, what came before, threads."""
    script = tmp_path / "page.py"
    script.write_text(_VALUES + "sys.stdout.buffer.write(values('rare'))\n", "utf-8")
    support = Path(__file__).parents[1] / "support"
    found = {
        subprocess.run(
            [sys.executable, script, support, support.parents[1]],
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": str(seed), "RAYON_NUM_THREADS": str(seed)},
        ).stdout
        for seed in (1, 2)
    }
    numbered = kinds()["rare"]
    item = item_of(numbered.grant)
    body = licence_body(numbered, numbered.grant.holder_name, numbered.grant.address, item)
    sheet = page.sheet(body, "industrial", item.titles)
    here = page.Pages().values(page.layout("industrial"), sheet, page.seconds(numbered.grant.decided_at))
    assert found == {here}


_VALUES = """
import sys
sys.path[:0] = sys.argv[1:3]
from papers import item_of, kinds
from issuance.page import Pages, layout, seconds, sheet
from schemas.licence import licence_body

def values(kind):
    numbered = kinds()[kind]
    grant, item = numbered.grant, item_of(numbered.grant)
    body = licence_body(numbered, grant.holder_name, grant.address, item)
    return Pages().values(layout(item.template), sheet(body, item.template, item.titles), seconds(grant.decided_at))

"""


@pytest.mark.parametrize("kind", ["short", "annex", "business", "business-scope", "person"])
def test_a_licence_of_the_second_form_is_rebuilt_as_it_was(office: Office, kind: str) -> None:
    """Templates, QR level and seal of that form are kept; the new form differs."""
    numbered = kinds()[kind]
    grant = numbered.grant
    old = Issuer(office.trust, item_of, writer=2)
    record, pdf = old.issue(numbered, grant.holder_name, grant.address, office.signer)
    assert record.renderer.endswith("page 2")
    assert pdf == office.issuer.rebuild(numbered, record, grant.holder_name, grant.address)
    assert b"/DocMDP" not in pdf
    assert b"/DocMDP" in office.issue(numbered)[1]


@pytest.mark.parametrize("filler", ["\u3164", "\u115f", "\u1160", "\uffa0", "\u200b", "\u00ad"])
def test_a_character_that_nobody_reads_back_is_never_sealed(office: Office, filler: str) -> None:
    """A verifier would call such a licence false, so it is refused before anything is signed."""
    with pytest.raises(LintError, match=f"U\\+{ord(filler):04X}"):
        office.issue(licence(holder_name=f"甲{filler}乙"))


def test_unusual_texts_are_read_as_a_verifier_reads_them(office: Office) -> None:
    """A file with such texts goes past the verifier's own comparison, others need not; its no is a fault."""
    asked: list[str] = []

    def no(pdf: bytes, body: LicenceBody) -> None:
        asked.append(body.holder)
        raise VerificationError("the page does not say it")

    issuer = Issuer(office.trust, item_of, proofread=no)
    plain, rare = licence(), licence(holder_name="བོད་ལྗོངས")
    issuer.issue(plain, plain.grant.holder_name, plain.grant.address, office.signer)
    with pytest.raises(LintError, match="a verifier cannot read"):
        issuer.issue(rare, rare.grant.holder_name, rare.grant.address, office.signer)
    assert ["བོད་ལྗོངས"] == asked

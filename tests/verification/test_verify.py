"""Verdicts: what is genuine, what is in force, and when."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pypdfium2
import pytest
from bureau import DECIDED, HOST, LIST, NOON, PROVINCE, Bureau, Item, later, numbered

from issuance import keys
from schemas.calendar import CHINA
from schemas.errors import UsageError, VerificationError
from schemas.licence import Product, licence_body, qr_text
from schemas.status_list import StatusReason
from verification.page_text import check_page
from verification.status_sources import MAX_FILES, Folder, Stored, status_source
from verification.verify import Verdict


class Papers:
    """One licence in all its forms, with editions of its list: valid on day 0, suspended on 2, rescinded on 4."""

    def __init__(self, folder: Path) -> None:
        self.bureau = Bureau(folder)
        licence = numbered()
        self.pdf = self.bureau.pdf(licence)
        self.cwt, self.body = self.bureau.credential(licence)
        picture = pypdfium2.PdfDocument(self.pdf)[0].render(scale=150 / 72).to_pil()
        self.png, self.jpeg = io.BytesIO(), io.BytesIO()
        picture.save(self.png, "PNG")
        picture.convert("RGB").save(self.jpeg, "JPEG", quality=70)
        first = self.bureau.edition(DECIDED)
        suspended = StatusReason("suspended", "暂扣至2018-09-13 / suspended until 2018-09-13", "2018-09-12")
        second = self.bureau.edition(DECIDED + timedelta(days=2), {3: 2}, {3: suspended}, first.published)
        rescinded = StatusReason("rescinded", "承诺不实 / false commitment", "2018-09-14")
        self.bureau.edition(DECIDED + timedelta(days=4), {3: 1}, {3: rescinded}, second.published)


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


def failed(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.checks if not check.ok]


def test_every_form_of_a_good_licence_is_valid(papers: Papers) -> None:
    """PDF, CWT, picture, JPEG, QR text, and JSON with its credential; all tell the same licence."""
    text = qr_text(HOST, papers.cwt).encode()
    forms = (papers.pdf, papers.cwt, papers.png.getvalue(), papers.jpeg.getvalue(), text, text + b"\r\n")
    verdicts = [papers.bureau.verify(form) for form in forms]
    verdicts.append(papers.bureau.verify(papers.body, credential=papers.cwt))
    assert all((v.verdict, v.genuine, failed(v)) == ("valid", True, []) for v in verdicts)
    keys_shown = ("number", "version", "holder_name", "holder_id", "valid_from", "valid_until", "identifier")
    assert len({tuple(v.licence[key] for key in keys_shown) for v in verdicts}) == 1
    assert verdicts[0].licence["holder_name"] == "青海盐湖化肥有限公司"


@pytest.mark.parametrize(
    ("days", "verdict", "status"),
    [
        (-1, "invalid", "not-yet-valid"),
        (-0.2, "unknown", "unknown"),  # on the day itself, before the first edition
        (0, "valid", "valid"),
        (1.8, "valid", "valid"),
        (1.9, "invalid", "suspended"),
        (4, "invalid", "rescinded"),
        (10.8, "invalid", "rescinded"),
        (10.9, "unknown", "unknown"),  # seven days after the last edition
        (400, "unknown", "unknown"),
        (365 * 6, "invalid", "expired"),
    ],
)
def test_edition_in_force_at_the_moment_decides(
    papers: Papers, days: float, verdict: str, status: str
) -> None:
    """From its time until the next one, at most for seven days; the licence stays genuine throughout."""
    found = papers.bureau.verify(papers.cwt, later(days))
    assert (verdict, True, status) == (found.verdict, found.genuine, found.licence["status"])


def test_invalid_licence_comes_with_reason_and_date(papers: Papers) -> None:
    """As the signed map beside the list has them."""
    found = papers.bureau.verify(papers.pdf, later(5))
    assert (found.licence["reason"], found.licence["since"]) == ("承诺不实 / false commitment", "2018-09-14")
    assert "承诺不实" in found.checks[-1].detail


def test_last_second_of_validity_counts(papers: Papers) -> None:
    """23:59:59 China time on the last day, not a second more."""
    end = datetime(2023, 9, 9, 23, 59, 59, tzinfo=CHINA)
    dates = [papers.bureau.verify(papers.cwt, at).checks[1].ok for at in (end, end + timedelta(seconds=1))]
    assert dates == [True, False]


def test_without_a_list_the_status_is_unknown(papers: Papers) -> None:
    """Never valid: genuine, and unknown."""
    found = papers.bureau.verify(papers.cwt, status=None)
    assert (found.verdict, found.genuine, failed(found)) == ("unknown", True, ["status"])


def test_verdict_is_json(papers: Papers) -> None:
    """With the keys of the contract."""
    value = json.loads(json.dumps(papers.bureau.verify(papers.pdf).to_json()))
    assert {"file", "verdict", "genuine", "checks", "licence"} == set(value)
    assert all({"name", "ok", "detail"} == set(check) for check in value["checks"])


def test_body_alone_and_empty_files_are_wrong_use(papers: Papers) -> None:
    """They prove nothing, so there is no verdict on them."""
    for data in (papers.body, b""):
        with pytest.raises(UsageError):
            papers.bureau.verify(data)


def test_sources_of_status_agree(papers: Papers, tmp_path: Path) -> None:
    """A file, the folder of the store, of one list, of the data, loose files, a store: the same answer each."""
    bureau = papers.bureau
    objects = bureau.data / "objects"
    files = sorted((objects / "status" / LIST).glob("*Z-*.cwt"))
    lists = [path for path in files if "reasons" not in path.name]
    for path in (objects / "status" / LIST).iterdir():
        (tmp_path / f"copy of {path.name}").write_bytes(path.read_bytes())
    (tmp_path / "credential.cwt").write_bytes(papers.cwt)
    stored = Stored(
        lambda prefix: [str(p.relative_to(objects)) for p in objects.rglob("*.cwt")],
        lambda key: (objects / key).read_bytes(),
    )
    folders = (objects / "status", objects / "status" / LIST, objects, bureau.data, tmp_path)
    for source in (*map(Folder, folders), status_source(str(lists[2])), stored):
        found = bureau.verify(papers.cwt, later(5), status=source)
        assert (found.verdict, found.licence["status"]) == ("invalid", "rescinded"), source
    assert bureau.verify(papers.cwt, status=status_source(str(lists[0]))).verdict == "valid"
    assert bureau.verify(papers.cwt, status=status_source(str(lists[1]))).verdict == "unknown"


def test_edition_that_cannot_be_verified_hides_nothing(papers: Papers, tmp_path: Path) -> None:
    """Where the edition that should be in force is spoilt, an older one does not stand in for it."""
    bureau = papers.bureau
    source = bureau.data / "objects" / "status" / LIST
    loose, named = tmp_path / "loose", tmp_path / "named" / LIST
    for folder, prefix in ((loose, "x "), (named, "")):
        folder.mkdir(parents=True)
        lists = [path for path in sorted(source.iterdir()) if "reasons" not in path.name]
        for path in lists:
            (folder / f"{prefix}{path.name}").write_bytes(path.read_bytes())
        last = lists[-1]
        spoilt = bytearray(last.read_bytes())
        spoilt[-1] ^= 1
        (folder / f"{prefix}{last.name}").write_bytes(spoilt)
    for folder in (loose, named.parent):
        assert bureau.verify(papers.cwt, later(5), status=Folder(folder)).verdict == "unknown"
    renamed = tmp_path / "renamed" / LIST
    renamed.mkdir(parents=True)
    (renamed / lists[-1].name).write_bytes(lists[0].read_bytes())
    assert bureau.verify(papers.cwt, later(5), status=Folder(renamed.parent)).verdict == "unknown"


def test_folder_with_too_many_loose_lists_is_not_read(papers: Papers, tmp_path: Path) -> None:
    """It says so instead of reading for hours."""
    for n in range(MAX_FILES + 1):
        (tmp_path / f"{n}.cwt").touch()
    found = papers.bureau.verify(papers.cwt, status=Folder(tmp_path))
    assert found.verdict == "unknown"
    assert str(MAX_FILES) in found.checks[-1].detail


def test_absent_or_empty_status_file_is_wrong_use(tmp_path: Path) -> None:
    """Exit 2, not a verdict."""
    (tmp_path / "empty").touch()
    for name in ("absent", "empty"):
        with pytest.raises(UsageError):
            status_source(str(tmp_path / name))


@contextmanager
def served(pages: dict[str, bytes]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path)
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/list.cwt")
            else:
                self.send_response(404 if page is None else 200)
            self.end_headers()
            self.wfile.write(page or b"")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_list_behind_an_address(papers: Papers) -> None:
    """Fetched with its reasons; what is absent, too large or elsewhere leaves the status unknown."""
    folder = papers.bureau.data / "objects" / "status" / LIST
    last = sorted(folder.glob("*.reasons.cwt"))[-1]
    listed, reasons = Path(str(last).replace(".reasons", "")).read_bytes(), last.read_bytes()
    pages = {
        "/list.cwt": listed,
        "/list.reasons.cwt": reasons,
        f"/status/{LIST}": listed,
        "/large": bytes(6 << 20),
        "/html": b"<html>",
    }
    with served(pages) as site:
        places = ("/list.cwt", "/status/", "/absent", "/large", "/html", "/moved")
        found = {
            p: papers.bureau.verify(papers.cwt, later(5), status=status_source(site + p)) for p in places
        }
    assert found["/list.cwt"].licence["reason"] == "承诺不实 / false commitment"
    assert [v.verdict for v in found.values()] == ["invalid", "invalid"] + ["unknown"] * 4
    gone = papers.bureau.verify(papers.cwt, status=status_source("http://127.0.0.1:9/x"))
    assert (gone.verdict, gone.genuine) == ("unknown", True)


def test_revoked_keys(tmp_path: Path) -> None:
    """What a revoked key signed is unknown without a proof of the log; what it signed after is invalid."""
    bureau = Bureau(tmp_path)
    before, after = numbered(), numbered(decided_at=(DECIDED + timedelta(days=10)).isoformat())
    papers = {use: [bureau.pdf(before), bureau.pdf(after)] for use in ("credential", "seal")}
    bureau.edition(DECIDED)
    more = {"name": "青海省市场监督管理局", "outlives": 5, "now": DECIDED, "passphrase": None}
    for use, pdfs in papers.items():
        revoked = Bureau.__new__(Bureau)
        revoked.data = tmp_path  # the same folder, whose trust is read anew
        keys.revoke(
            tmp_path, revoked.trust, revoked.trust.signing_key(PROVINCE, use, DECIDED).kid, later(5), **more
        )
        verdicts = [revoked.verify(pdf) for pdf in pdfs]
        assert [v.verdict for v in verdicts] == ["unknown", "invalid"], use
        assert [v.genuine for v in verdicts] == [False, False], use
        assert "proof of the log" in verdicts[0].checks[-1].detail
        assert "revoked" in verdicts[1].checks[-1].detail


def test_revoked_status_key(tmp_path: Path) -> None:
    """A list signed by a key that was revoked by then is no list."""
    bureau = Bureau(tmp_path)
    credential, _ = bureau.credential(numbered())
    first = bureau.edition(DECIDED)
    bureau.edition(DECIDED + timedelta(days=3), last=first.published)
    kid = bureau.trust.signing_key("*", "status", DECIDED).kid
    keys.revoke(
        tmp_path, bureau.trust, kid, later(2), name="zhengzhao", outlives=5, now=NOON, passphrase=None
    )
    assert [bureau.verify(credential, at).verdict for at in (later(1), later(4))] == ["valid", "unknown"]


def test_other_installation_s_licences_are_not_genuine(papers: Papers, tmp_path: Path) -> None:
    """Their keys are not in this trust folder, whatever they say."""
    other = Bureau(tmp_path)
    for data in (other.pdf(numbered()), other.credential(numbered())[0]):
        found = papers.bureau.verify(data)
        assert (found.verdict, found.genuine, found.licence) == ("invalid", False, {})


@pytest.mark.parametrize(
    "changes",
    [
        {"valid_until": None},
        {"holder_name": "青" * 200, "version": 2},
        {"holder_kind": "person", "holder_id": "630***********001X", "holder_name": "扎西·顿珠"},
        {"products": tuple(Product(f"产品{n}", "厂址" * 20, "规格" * 30) for n in range(40))},
        {"holder_name": "endstream endobj trailer %%EOF <<>> /Contents<00>", "address": "𠮷野家䶮"},
    ],
    ids=["no end", "long name", "person", "many products", "PDF in a name"],
)
def test_unusual_licences_verify_in_every_form(papers: Papers, changes: dict[str, object]) -> None:
    """No end, a name over 180 bytes, a person, an annex page, texts that look like a PDF's."""
    licence = numbered(**changes)
    credential, body = papers.bureau.credential(licence)
    verdicts = [
        papers.bureau.verify(papers.bureau.pdf(licence)),
        papers.bureau.verify(credential),
        papers.bureau.verify(body, credential=credential),
    ]
    assert [v.verdict for v in verdicts] == ["valid"] * 3, [v.checks[-1] for v in verdicts]


@pytest.mark.parametrize(
    "name", ["བོད་རང་སྐྱོང་ལྗོངས།", "ᠮᠣᠩᠭᠣᠯ ᠬᠦᠮᠦᠨ", "䶮𠮷龘〇", "青 海 （公司）(x) ﬁ①Å", "#read$\\<b>&'"]
)
def test_name_in_any_script_is_found_on_the_page(papers: Papers, name: str) -> None:
    """Tibetan and Mongolian with their clusters, rare characters, full-width forms, markup as text."""
    found = papers.bureau.verify(papers.bureau.pdf(numbered(holder_name=name)))
    assert found.verdict == "valid", found.checks[-1]


def test_annex_is_read_to_its_end(papers: Papers) -> None:
    """Products on later pages count, also where a text runs over the end of a page."""
    lines = tuple(Product(f"产品{n}", f"规格{n}" * 25, f"地址{n}" * 25) for n in range(60))
    assert papers.bureau.verify(papers.bureau.pdf(numbered(products=lines))).verdict == "valid"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"holder_name": "青海碱业有限公司"}, "holder"),
        ({"valid_until": "2028-09-09"}, "last day"),
        ({"number": "(青)XK16-204-00002"}, "number"),
        ({"products": (Product("水泥", "别处", "别的"),)}, "别的"),
    ],
)
def test_page_that_says_something_else_is_refused(
    papers: Papers, changes: dict[str, object], word: str
) -> None:
    """Even when an authority sealed it: page and attached data must agree."""
    grant = numbered(**changes).grant
    meant = licence_body(numbered(**changes), grant.holder_name, grant.address, Item())
    with pytest.raises(VerificationError, match=word):
        check_page(papers.pdf, meant)

"""Python, node and a browser agree on every file of one table, whose verdicts were written by hand."""

from __future__ import annotations

import base64
import json
import random
import time
import unicodedata
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from browser_rows import FROZEN, MODULES, SCRIPTS, in_node, outcome, run_node, table
from cryptography import x509
from forger import Editions, Row
from forgeries import flip
from licence_rows import Corpus
from playwright.sync_api import Browser
from verifier_site import Site

from schemas import signatures
from schemas.calendar import CHINA
from schemas.errors import VerificationError
from schemas.trust import TrustStore, read_trust_list
from verification.page_text import fold_glyphs
from verification.verify import Verdict, verify_bytes

VECTORS = Path(__file__).parents[2] / "vectors"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus(tmp_path_factory.mktemp("corpus"))


def expected(rows: list[Row]) -> dict[str, Any]:
    return {row.name: (row.verdict, row.genuine, row.failed) for row in rows}


def expected_in_browsers(rows: list[Row]) -> dict[str, Any]:
    """Return what JavaScript has to say: as Python, or `unknown` where a row says why it cannot know."""
    known = expected([row for row in rows if row.unread is None])
    return known | {row.name: ("unknown", False, (row.unread.check,)) for row in rows if row.unread}


def test_python_agrees_with_the_table(corpus: Corpus) -> None:
    """Verdict, genuine, and the checks that fail."""
    assert expected(corpus.rows) == {row.name: outcome(corpus.verify(row)) for row in corpus.rows}


def test_node_agrees_with_the_table_and_with_python(corpus: Corpus) -> None:
    """The same verdicts, and of what is genuine the same licence, field by field."""
    rows = [row for row in corpus.rows if not row.picture]
    found = {verdict["name"]: verdict for verdict in in_node(table(corpus, rows))}
    assert expected_in_browsers(rows) == {name: outcome(verdict) for name, verdict in found.items()}
    licences = {row.name: dict(corpus.verify(row).licence) for row in rows if row.genuine and not row.unread}
    assert licences == {name: verdict["licence"] for name, verdict in found.items() if verdict["genuine"]}


def test_browser_agrees_with_the_table(corpus: Corpus, browser: Browser, tmp_path: Path) -> None:
    """Pictures too, in a real Chromium under the site's own policy."""
    site = Site(tmp_path / "site")
    site.serve_rows(table(corpus, corpus.rows))
    page = browser.new_page()
    page.goto(f"{site.address}/empty")
    found = page.evaluate("""async () => {
      const load = (name) => import(name);
      const [{ run }, { verify }, { openBundle }, { say }, { textsInPicture }] = await Promise.all(
        ['/rows.js', '/verifier/verify.js', '/verifier/trust.js', '/verifier/texts.js', '/verifier/pictures.js'].map(load));
      const table = await (await fetch('/rows.json')).json();
      return run({ verify, openBundle, say }, table, textsInPicture);
    }""")
    page.close()
    site.close()
    assert expected_in_browsers(corpus.rows) == {verdict["name"]: outcome(verdict) for verdict in found}


def test_licences_of_earlier_releases_are_judged_as_they_were() -> None:
    """A table that was signed once and is kept: both languages give the verdicts that it had then."""
    kept = json.loads(FROZEN.read_text())
    wanted = {row["name"]: tuple(map(_whole, row["expected"])) for row in kept["rows"]}
    assert wanted == {verdict["name"]: outcome(verdict) for verdict in in_node(kept)}
    assert wanted == {row["name"]: outcome(_kept_verdict(kept, row)) for row in kept["rows"]}


def _whole(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _kept_verdict(kept: dict[str, Any], row: dict[str, Any]) -> Verdict:
    """Return what Python says of a kept row."""

    def blob(name: str | None) -> bytes | None:
        return None if name is None else base64.b64decode(kept["blobs"][name])

    editions = row["editions"] and [
        (blob(one["list"]) or b"", blob(one["reasons"])) for one in row["editions"]
    ]
    return verify_bytes(
        blob(row["data"]) or b"",
        name=row["name"],
        trust=_store(json.loads(blob(kept["bundles"][row["trust"]]) or b"")),
        status=None if editions is None else Editions(editions),
        at=datetime.fromtimestamp(row["at"], CHINA),
        credential=blob(row["credential"]),
    )


def _store(bundle: dict[str, Any]) -> TrustStore:
    def certificate(text: str) -> x509.Certificate:
        return x509.load_der_x509_certificate(base64.b64decode(text))

    root = certificate(bundle["root"])
    listing = read_trust_list(bundle["trust"].encode(), root)
    return TrustStore(root, listing, {kid: certificate(text) for kid, text in bundle["certificates"].items()})


def test_names_of_rows_are_their_own(corpus: Corpus) -> None:
    """No row hides another; the table holds every verdict."""
    assert len({row.name for row in corpus.rows}) == len(corpus.rows)
    assert {(row.verdict, row.genuine) for row in corpus.rows} == {
        ("valid", True), ("invalid", True), ("unknown", True), ("invalid", False), ("unknown", False),
    }  # fmt: skip


def test_both_agree_on_changed_bytes(corpus: Corpus) -> None:
    """Hundreds of changes at random places of every form and of the status list: the same answer each time."""
    chance = random.Random(22)
    rows = list(_changed(corpus, chance))
    found = in_node(table(corpus, rows))
    python = {row.name: outcome(corpus.verify(row))[:2] for row in rows}
    assert python == {verdict["name"]: outcome(verdict)[:2] for verdict in found}
    assert not any(genuine for name, (_, genuine) in python.items() if not name.startswith("list"))


def _changed(corpus: Corpus, chance: random.Random) -> Iterator[Row]:
    good = {
        row.name: row
        for row in corpus.rows
        if row.name in ("PDF", "CWT", "QR text", "JSON with its credential")
    }
    for n in range(480):
        row = good[chance.choice(sorted(good))]
        yield row._replace(name=f"{row.name}, change {n}", data=_change(row.data, chance))
    listed, reasons = corpus.editions["rescinded"]
    for n in range(120):
        name = f"list, change {n}"
        beside = n % 2 == 1
        changed = (listed, _change(reasons or b"", chance)) if beside else (_change(listed, chance), reasons)
        corpus.editions[name] = changed
        yield good["CWT"]._replace(name=name, editions=(name,), at=corpus.rows[0].at.replace(day=16))


def _change(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    match chance.randrange(4):
        case 0:
            return data[:at] + data[at + 1 :]
        case 1:
            return data[:at] + bytes((chance.randrange(256),)) + data[at:]
        case _:
            return flip(data, at, 1 << chance.randrange(8))


def test_every_no_has_words_in_both_languages(corpus: Corpus) -> None:
    """No check of the table is told by its code, or with a place that was not filled."""
    rows = [row for row in corpus.rows if not row.picture]
    for verdict in in_node(table(corpus, rows)):
        for chinese, english in verdict["detail"]:
            assert any("\u4e00" <= char <= "\u9fff" for char in chinese), (verdict["name"], chinese)
            assert (
                not any("\u4e00" <= char <= "\u9fff" for char in english.split("/")[0])
                or "status list" in english
            )
            assert "{" not in chinese + english, verdict["name"]
            assert "undefined" not in chinese + english, verdict["name"]


def test_every_code_of_a_refusal_has_a_text(tmp_path: Path) -> None:
    """Also those that no row of the table raises."""
    found = run_node(SCRIPTS / "codes.mjs", str(MODULES))
    assert found["missing"] == []
    assert found["unused"] == []


def test_cbor_vectors() -> None:
    """Accepted and refused encodings of RFC 8949, 4.2.1, by both languages."""
    vectors = json.loads((VECTORS / "cbor.json").read_text())
    javascript = run_node(SCRIPTS / "cbor.mjs", str(MODULES), given=json.dumps(vectors))
    for vector, other in zip(vectors, javascript, strict=True):
        try:
            value = signatures.decode(bytes.fromhex(vector["hex"]), max_bytes=10_000)
            python = signatures.encode(value).hex() == vector["hex"]
        except VerificationError:
            python = False
        assert (vector["good"], vector["good"]) == (python, other), vector


def test_both_fold_glyphs_alike() -> None:
    """Each character that has a name here is folded to the same text in both languages."""
    named = [chr(n) for n in range(0x20, 0x30000) if unicodedata.category(chr(n)) not in ("Cn", "Cs", "Co")]
    javascript = run_node(SCRIPTS / "fold.mjs", str(MODULES), given=json.dumps(named))
    different = {
        char: other for char, other in zip(named, javascript, strict=True) if fold_glyphs(char) != other
    }
    assert different == {}


def test_verdict_from_a_scan_is_quick(browser: Browser, tmp_path: Path, record_property: Any) -> None:
    """Told, not judged by a clock: from the text of a QR to the verdict, in a page that is open."""
    site = Site(tmp_path / "site")
    page = browser.new_page()
    page.goto(f"{site.address}/verify")
    page.locator("#verifier[data-offline=ready]").wait_for()
    spent = sorted(_time(page, f"{site.text.partition('#')[2]}") for _ in range(7))
    start = time.monotonic()
    page.goto(site.link)
    page.locator("#v-answer[data-verdict=valid]").wait_for()
    whole = time.monotonic() - start
    record_property(
        "told",
        f"browser verifier: verdict from scan {spent[3]:.0f} ms, page and verdict {1000 * whole:.0f} ms",
    )
    page.close()
    site.close()
    assert spent[0] > 0


def _time(page: Any, digits: str) -> float:
    spent: float = page.evaluate(
        """async (digits) => {
      history.replaceState(null, '', location.pathname);
      const answer = document.querySelector('#v-answer');
      answer.removeAttribute('data-verdict');
      const told = new Promise((resolve) => new MutationObserver(() => {
        if (answer.dataset.verdict === 'valid') resolve();
      }).observe(answer, { attributes: true, attributeFilter: ['data-verdict'] }));
      const start = performance.now();
      location.hash = digits;
      await told;
      return performance.now() - start;
    }""",
        digits,
    )
    return spent

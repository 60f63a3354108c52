"""The trust folder in one download, and the page's files."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from browser_rows import MODULES, SCRIPTS, run_node
from bureau import PROVINCE, ROLES, Bureau, later
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from forger import sign_listing
from forgeries import flip

from issuance import keys
from issuance.certificates import Role
from issuance.signer import SoftwareSigner, read_root
from schemas.canonical_json import canonical
from schemas.errors import TrustError
from schemas.trust import ANY_AUTHORITY, load_trust
from verification.browser_page import assets, fragment, modules, standalone_page, trust_bundle


def files(folder: Path) -> dict[str, bytes]:
    """Return a trust folder as the bundle's writer takes it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")}


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    data = tmp_path_factory.mktemp("data")
    bureau = Bureau(data)
    roles = (*ROLES, Role(ANY_AUTHORITY, "zhengzhao", "log"))
    terms = keys.LogTerms("zhengzhao.example/log")
    life = keys.Lifetime(later(1), 5)
    keys.rotate(data, bureau.trust, roles, life, now=later(1), passphrase=None, log=terms)
    return files(data / "trust")


def opens(*bundles: bytes) -> list[str]:
    """Return what the browser's reader says of bundles: `good`, or why not."""
    given = json.dumps([base64.b64encode(bundle).decode() for bundle in bundles])
    found: list[str] = run_node(SCRIPTS / "bundles.mjs", str(MODULES), given=given)
    return found


def test_same_folder_gives_the_same_bytes(trust: dict[str, bytes]) -> None:
    """Canonical JSON, whatever the order of files and lists; the browser opens it, also with a log's key in it."""
    bundle = trust_bundle(trust, ["b", "a"])
    assert bundle == trust_bundle(dict(reversed(trust.items())), ["a", "b"])
    assert bundle == canonical(json.loads(bundle))
    assert opens(bundle) == ["good"]
    assert '"use":"log"' in json.loads(bundle)["trust"]


def test_bundle_holds_root_newest_edition_and_certificates(trust: dict[str, bytes]) -> None:
    """And names earlier editions by their digests."""
    bundle = json.loads(trust_bundle(trust))
    listing = json.loads(trust["trust.json"])
    assert bundle["trust"].encode() == trust["trust.json"]
    assert {key["kid"] for key in listing["keys"]} == set(bundle["certificates"])
    assert [1] == [row["sequence"] for row in bundle["earlier"]]


def test_absent_or_spoilt_files_are_an_error(trust: dict[str, bytes]) -> None:
    """With the file's name."""
    certificate = next(name for name in trust if name.endswith(".pem") and name != "root.pem")
    for name in ("root.pem", "trust.json", certificate):
        with pytest.raises(TrustError, match=re.escape(name)):
            trust_bundle({other: data for other, data in trust.items() if other != name})
        with pytest.raises(TrustError):
            trust_bundle(trust | {name: flip(trust[name], len(trust[name]) // 2)})


def test_spoilt_root_is_an_error_wherever_it_is_spoilt(trust: dict[str, bytes], tmp_path: Path) -> None:
    """For the folder's reader and the bundle's writer alike, never anything but TrustError."""
    root = x509.load_pem_x509_certificate(trust["root.pem"]).public_bytes(Encoding.DER)
    for name, data in trust.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    for place in range(0, len(root), 3):
        spoilt = base64.encodebytes(flip(root, place, 1 << place % 8))
        pem = b"-----BEGIN CERTIFICATE-----\n" + spoilt + b"-----END CERTIFICATE-----\n"
        (tmp_path / "root.pem").write_bytes(pem)
        with pytest.raises(TrustError):
            trust_bundle(trust | {"root.pem": pem})
        with pytest.raises(TrustError):
            load_trust(tmp_path)


def test_changed_bundles_are_refused(trust: dict[str, bytes], tmp_path: Path) -> None:
    """Another root, a key more, a certificate of another, a field more: nothing can be verified with them."""
    good = json.loads(trust_bundle(trust))
    listing = json.loads(good["trust"])
    kids = sorted(good["certificates"])
    Bureau(tmp_path)
    other = json.loads(trust_bundle(files(tmp_path / "trust")))
    changes: dict[str, Any] = {
        "another root": good | {"root": other["root"]},
        "another list": good | {"trust": other["trust"]},
        "a root that is none": good | {"root": "AAAA"},
        "a root that is no base64": good | {"root": "?"},
        "certificates swapped": good
        | {"certificates": good["certificates"] | {kids[0]: good["certificates"][kids[1]]}},
        "a certificate missing": good | {"certificates": {kids[0]: good["certificates"][kids[0]]}},
        "a key taken out": good | {"trust": _text(listing | {"keys": listing["keys"][1:]})},
        "a revocation taken back": good | {"trust": good["trust"].replace('"use":"seal"', '"use":"draw"')},
        "white space": good | {"trust": good["trust"] + "\n"},
        "another format": good | {"format": "zhengzhao-trust-bundle-2"},
        "a field more": good | {"x": 1},
        "no object": [],
    }
    assert dict.fromkeys(changes, "refused") == dict(
        zip(changes, opens(*(json.dumps(change).encode() for change in changes.values())), strict=True)
    )
    assert ["refused"] * 3 == opens(b"", b"\xff", b"{" * 100_000)


@pytest.mark.parametrize("fault", [None, "begins late", "ends early", "is for issuing", "no extensions"])
def test_certificates_have_dates_and_usage(tmp_path: Path, fault: str | None) -> None:
    """The browser refuses, as Python does, a certificate that the root signed, but that does not fit its key."""
    bureau = Bureau(tmp_path)
    before = bureau.trust
    key = before.signing_key(PROVINCE, "credential", later(0))
    found, root = before.certificate(key.kid), before.root
    root_scalars = read_root(tmp_path, None)
    root_key = SoftwareSigner(root_scalars).private_key(next(iter(root_scalars)))
    begin, end = found.not_valid_before_utc, datetime.fromisoformat(key.signs_until)
    begin += timedelta(days=fault == "begins late")
    end -= timedelta(days=fault == "ends early")
    made = x509.CertificateBuilder(root.subject, found.subject, found.public_key(), 1, begin, end)
    for extension in (root if fault == "is for issuing" else found).extensions:
        made = made if fault == "no extensions" else made.add_extension(extension.value, extension.critical)
    certificate = made.sign(root_key, SHA256())
    (tmp_path / "trust" / key.certificate).write_bytes(certificate.public_bytes(Encoding.PEM))
    changed = msgspec.structs.replace(key, certificate_sha256=certificate.fingerprint(SHA256()).hex())
    listed = tuple(changed if one == key else one for one in before.listing.keys)
    sign_listing(bureau, msgspec.structs.replace(before.listing, keys=listed))
    assert ["good" if fault is None else "refused"] == opens(trust_bundle(files(tmp_path / "trust")))
    with contextlib.nullcontext() if fault is None else pytest.raises(TrustError, match="dates or usage"):
        bureau.trust.certificate(key.kid)


def _text(value: Any) -> str:
    return canonical(value).decode()


def test_worker_keeps_every_file_of_the_page() -> None:
    """What the service worker lists is what the site serves."""
    worker = assets()["/sw.js"].content.decode()
    listed = re.findall(r'"([\w./]+\.(?:js|css))"', worker.partition("const FILES")[2].partition("]")[0])
    assert sorted(place for place in assets() if place != "/sw.js") == sorted(
        f"/verifier/{name}" for name in listed
    )


def test_page_preloads_what_it_needs_and_no_more() -> None:
    """All our modules; not the library that only a camera or a picture needs."""
    own = {place for place in assets() if place.endswith(".js") and "/vendor/" not in place}
    assert own - {"/sw.js"} == set(modules())


def test_library_stands_with_its_licence() -> None:
    """The kept QR library is below 1 MB and its licences lie beside it."""
    folder = MODULES / "vendor" / "qr"
    assert {"LICENSE", "LICENSE-MIT", "decode.js", "index.js"} <= {path.name for path in folder.iterdir()}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000


def test_single_file_is_one_file() -> None:
    """The same arguments give the same bytes; nothing is loaded; no data can end a script."""
    page = standalone_page(b'{"x":"</script><script>alert(1)</script>"}')
    assert page == standalone_page(b'{"x":"</script><script>alert(1)</script>"}')
    text = page.decode()
    assert text.count("</script>") == 2
    assert not re.search(r'(?:src|href)="', text)
    assert "unsafe-inline" not in text
    assert "data-bundle=" not in text
    assert "data-bundle=" in fragment()


def test_no_module_reaches_outside() -> None:
    """No address of another host stands in what is served."""
    for place, asset in assets().items():
        found = re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z]{2,}[^\s\"'`)]*", asset.content.decode())
        commented = [address for address in found if "/vendor/" not in place]
        assert commented == [], place

"""The verifier's page for browsers: the files that a site serves, and the one file that a court keeps on a stick.

`verification/browser/` holds plain modules without a build. A site serves them as they are (`ASSETS`). The single file
has to run from `file://`, where browsers load no modules: its modules are put one behind another into one script,
each in a function of its own, and a `Content-Security-Policy` names the script and the style by their digests.

The trust folder in one download, as browsers read it (`verification/browser/trust.js`).

Its bytes are canonical JSON (RFC 8785) of::

    {"format": "zhengzhao-trust-bundle-1",
     "root": base64 of the root certificate in DER,
     "trust": the text of trust.json, byte for byte,
     "certificates": {kid: base64 of the certificate in DER, …},
     "earlier": [{"sequence", "issued", "sha256"}, …],
     "lists": [names of status lists, …]}

The same folder gives the same bytes. A reader believes `trust` by the root's signature in it and each certificate by
the SHA-256 that `trust` names. `earlier` tells earlier editions by their digests, newest first; they lie at
`/trust/editions/`. `lists` is a hint of nobody: which lists to keep for a time without a network.
"""

from __future__ import annotations

import base64
import hashlib
import json
import posixpath
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from schemas.canonical_json import canonical
from schemas.errors import TrustError
from schemas.trust import BEACONS_FILE, ROOT_FILE, TRUST_FILE, read_trust_list

_FOLDER: Final = Path(__file__).parent / "browser"
_ENTRY: Final = "page.js"
_DRAWING: Final = "draw_page.js"
_SITE_ATTRIBUTES: Final = (
    ' data-bundle="/trust/bundle" data-status="/status/" data-log="/log/" data-worker="/sw.js"'
)
_MEDIA_TYPES: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
}
# The forms of import and export that our modules and the kept library use; any other is refused.
_IMPORT = re.compile(r"^import (?:\{([^}]*)\}|\* as (\w+)) from [\"'](\.[^\"']+)[\"'];\n", re.MULTILINE)
_DYNAMIC = re.compile(r"\bimport\([\"'](\.[^\"']+)[\"']\)")
_DECLARED = re.compile(r"^export ((?:async )?function\*?|const|class) (\w+)", re.MULTILINE)
_LISTED = re.compile(r"^export \{([^}]*)\};\n", re.MULTILINE)
_DEFAULT = re.compile(r"^export default \w+;\n", re.MULTILINE)
_LEFT = re.compile(r"^\s*(?:import|export)\b", re.MULTILINE)


class EnclosedList(NamedTuple):
    """An edition of a status list as published, and the reasons beside it where there are any."""

    list_cwt: bytes
    reasons_cwt: bytes | None


class Asset(NamedTuple):
    """A file that a site serves: its media type and its content."""

    media_type: str
    content: bytes


@cache
def assets() -> dict[str, Asset]:
    """Return each path that a site serves for the verifier, with its content.

    The modules and the style sheet lie under `/verifier/`, the service worker at `/sw.js`, since it serves the whole
    site. `verify.html` is not among them: it is the part of the page that the site's frame encloses (`fragment`). Nor
    are the modules that draw again: their page is one file.
    """
    needed: dict[str, str] = {}
    drawing: dict[str, str] = {}
    _collect(_ENTRY, needed)
    _collect(_DRAWING, drawing)
    left_out = (drawing.keys() - needed.keys()) | {"draw.css"}
    found = {}
    for path in sorted(_FOLDER.rglob("*")):
        name = path.relative_to(_FOLDER).as_posix()
        if path.suffix in (".js", ".css") and name not in left_out:
            place = "/sw.js" if name == "sw.js" else f"/verifier/{name}"
            found[place] = Asset(_MEDIA_TYPES[path.suffix], path.read_bytes())
    return found


def fragment() -> str:
    """Return the HTML of the verifier that the site's frame encloses: its element `#verifier` and all in it."""
    return _read("verify.html")


@cache
def modules() -> tuple[str, ...]:
    """Return the paths of the modules that the page needs at once, for `<link rel="modulepreload">`.

    The library that reads QR codes is not among them: it is loaded when a camera or a picture needs it.
    """
    parts: dict[str, str] = {}
    _collect(_ENTRY, parts)
    return tuple(f"/verifier/{name}" for name in parts if not name.startswith("vendor/"))


def standalone_page(bundle: bytes, editions: Iterable[EnclosedList] = ()) -> bytes:
    """Return the verifier as one HTML file, with a trust bundle and editions of status lists inside.

    `bundle` is what `trust_bundle` gives. The same arguments give the same bytes.
    """
    lists = [
        {
            "list": _base64(one.list_cwt),
            "reasons": None if one.reasons_cwt is None else _base64(one.reasons_cwt),
        }
        for one in editions
    ]
    inside = json.dumps({"bundle": bundle.decode(), "lists": lists}, ensure_ascii=False).replace(
        "<", "\\u003c"
    )
    script, style = _script(), _read("verify.css")
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "img-src blob: data:; media-src blob:; base-uri 'none'; form-action 'none'"
    )
    body = fragment().replace(_SITE_ATTRIBUTES, "")
    return (
        '<!doctype html>\n<html lang="zh-CN">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        "<title>证照核验 / Check a licence</title>\n"
        f"<style>{style}</style>\n</head>\n<body>\n{body}"
        f'<script type="application/json" id="v-inside">{inside}</script>\n'
        f'<script type="module">{script}</script>\n</body>\n</html>\n'
    ).encode()


class SinglePage(NamedTuple):
    """A page in one file, and the policy that its answer may repeat as a header."""

    content: bytes
    policy: str


def draw_page(trust: Mapping[str, bytes], transcript: bytes | None = None) -> SinglePage:
    """Return the page that draws again from the files dropped onto it; nothing is fetched and nothing sent.

    With the files of a trust folder it checks signatures, rounds of beacons and timestamps too; `transcript` is the one
    of a site's draw. The same arguments give the same bytes.
    """
    inside = {
        "bundle": trust_bundle(trust).decode() if trust else None,
        "known": draw_sources(trust),
        "transcript": _base64(transcript) if transcript is not None else None,
    }
    script, style = _script(_DRAWING), _read("draw.css")
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; base-uri 'none'; "
        "form-action 'none'"
    )
    written = json.dumps(inside, ensure_ascii=False).replace("<", "\\u003c")
    content = (
        '<!doctype html>\n<html lang="zh-CN">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<link rel="icon" href="data:,">\n'
        "<title>重新抽取 / Draw again</title>\n"
        f"<style>{style}</style>\n</head>\n<body>\n{_read('draw.html')}"
        f'<script type="application/json" id="d-inside">{written}</script>\n'
        f'<script type="module">{script}</script>\n</body>\n</html>\n'
    ).encode()
    return SinglePage(content, policy)


def draw_sources(trust: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the beacons and the certificates of timestamp authorities as `draw_public.js` takes them, in base64."""
    listing = read_trust_list(trust[TRUST_FILE], _root(trust)) if trust else None
    named = listing.timestamps if listing else ()
    beacons = trust.get(BEACONS_FILE)
    return {
        "beacons": _base64(beacons) if beacons is not None else None,
        "shipped": _base64((resources.files("schemas") / BEACONS_FILE).read_bytes()),
        "authorities": [
            _base64(_certificate(trust, one.certificate).public_bytes(Encoding.DER)) for one in named
        ],
    }


@cache
def _script(entry: str = _ENTRY) -> str:
    """Return a module and all that it needs in one script; each is a function, called when it is first needed."""
    parts: dict[str, str] = {}
    _collect(entry, parts)
    modules = "".join(f"modules[{json.dumps(name)}] = () => {{\n{code}}};\n" for name, code in parts.items())
    head = "const modules = {};\nconst made = {};\nconst need = (name) => (made[name] ??= modules[name]());\n"
    return f"{head}{modules}need({json.dumps(entry)});\n".replace("</script", "<\\/script")


def _collect(name: str, parts: dict[str, str]) -> None:
    """Add a module and what it imports to `parts`, each once, what is imported first."""
    source = _read(name)
    folder = posixpath.dirname(name)
    exported: list[str] = []

    def place(address: str) -> str:
        return posixpath.normpath(posixpath.join(folder, address))

    def named(found: re.Match[str]) -> str:
        names = found[2] or "{" + found[1].replace(" as ", ": ") + "}"
        return f"const {names} = need({json.dumps(place(found[3]))});\n"

    def declared(found: re.Match[str]) -> str:
        exported.append(found[2])
        return f"{found[1]} {found[2]}"

    def listed(found: re.Match[str]) -> str:
        for entry in filter(None, map(str.strip, found[1].split(","))):
            inner, _, outer = entry.partition(" as ")
            exported.append(f"{outer}: {inner}" if outer else inner)
        return ""

    needed = [place(found[3]) for found in _IMPORT.finditer(source)]
    needed += [place(found[1]) for found in _DYNAMIC.finditer(source)]
    code = _IMPORT.sub(named, source)
    code = _DYNAMIC.sub(
        lambda found: f"Promise.resolve().then(() => need({json.dumps(place(found[1]))}))", code
    )
    code = _DEFAULT.sub("", _LISTED.sub(listed, _DECLARED.sub(declared, code)))
    if _LEFT.search(code):
        raise ValueError(f"{name}: a form of import or export that is not known here")
    for other in needed:
        if other not in parts:
            _collect(other, parts)
    parts[name] = f"{code}return {{ {', '.join(exported)} }};\n"


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{_base64(hashlib.sha256(text.encode()).digest())}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


FORMAT: Final = "zhengzhao-trust-bundle-1"
MEDIA_TYPE: Final = "application/json"
_EDITION = re.compile(r"editions/trust-(\d{6,})\.json")
_HINT = "take the trust folder anew from the issuing authority"


def trust_files(folder: Path) -> dict[str, bytes]:
    """Return the files of a trust folder as `trust_bundle` takes them; none where there is no such folder."""
    found = (path for path in folder.rglob("*") if path.suffix in (".pem", ".json") and path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def trust_bundle(files: Mapping[str, bytes], lists: Iterable[str] = ()) -> bytes:
    """Return the bundle of a trust folder.

    `files` maps names within the folder (`root.pem`, `trust.json`, `<kid>.pem`, `editions/trust-000001.json`) to their
    bytes; `lists` are names of published status lists. Raises TrustError where a file is absent or is not what the
    root signed.
    """
    root = _root(files)
    listing = read_trust_list(_file(files, TRUST_FILE), root)
    certificates = {}
    for key in listing.keys:
        der = _certificate(files, key.certificate).public_bytes(Encoding.DER)
        if hashlib.sha256(der).hexdigest() != key.certificate_sha256:
            raise TrustError("not the certificate that trust.json names", where=key.certificate, hint=_HINT)
        certificates[key.kid] = base64.b64encode(der).decode()
    return canonical(
        {
            "format": FORMAT,
            "root": base64.b64encode(root.public_bytes(Encoding.DER)).decode(),
            "trust": files[TRUST_FILE].decode(),
            "certificates": certificates,
            "earlier": _earlier(files, root, listing.sequence),
            "lists": sorted(lists),
        }
    )


def _earlier(files: Mapping[str, bytes], root: x509.Certificate, newest: int) -> list[dict[str, Any]]:
    """Return a row for each edition before the newest; each is verified before it is named."""
    rows = []
    for name in filter(_EDITION.fullmatch, files):
        edition = read_trust_list(files[name], root)
        if edition.sequence < newest:
            digest = hashlib.sha256(files[name]).hexdigest()
            rows.append({"sequence": edition.sequence, "issued": edition.issued, "sha256": digest})
    return sorted(rows, key=lambda row: -int(row["sequence"]))


def _root(files: Mapping[str, bytes]) -> x509.Certificate:
    root = _certificate(files, ROOT_FILE)
    try:
        root.verify_directly_issued_by(root)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        raise TrustError("not signed by itself", where=ROOT_FILE, hint=_HINT) from None
    return root


def _certificate(files: Mapping[str, bytes], name: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(_file(files, name))
    except (ValueError, x509.InvalidVersion):
        raise TrustError("no certificate in PEM", where=name, hint=_HINT) from None


def _file(files: Mapping[str, bytes], name: str) -> bytes:
    try:
        return files[name]
    except KeyError:
        raise TrustError("there is no such file in the trust folder", where=name, hint=_HINT) from None

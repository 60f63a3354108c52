"""The trust folder of a verifier: fetched from servers that are honest and from others, and editions that go back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from bureau import DECIDED, NOON, PROVINCE, ROLES, Bureau, later, numbered
from served import serving, serving_files, serving_service
from starlette.applications import Starlette
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from infra.cli import main
from infra.http.service import service
from infra.settings import Settings
from issuance import keys
from schemas.calendar import CHINA

Answer = tuple[int, dict[str, object], str]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Call the command; return exit code, JSON answer and what it said on standard error."""

    def call(*words: str | Path) -> Answer:
        capsys.readouterr()
        code = main([*map(str, words), "--json"])
        said = capsys.readouterr()
        return code, json.loads(said.out or "{}"), said.err

    return call


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Bureau:
    """An office of today whose seal key is revoked by the second edition; the first lies beside it as `first`."""
    bureau = Bureau(tmp_path_factory.mktemp("office") / "data")
    shutil.copytree(bureau.data / "trust", bureau.data.parent / "first")
    revoke(bureau)
    return bureau


def revoke(bureau: Bureau) -> str:
    """Revoke the seal's key; return its id."""
    kid = bureau.trust.signing_key(PROVINCE, "seal", NOON).kid
    now = datetime.now(CHINA)
    keys.revoke(bureau.data, bureau.trust, kid, later(1), name="x", outlives=5, now=now, passphrase=None)
    return kid


def content(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder, editions apart."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture(scope="module", params=["service", "files", "folder"])
def place(request: pytest.FixtureRequest, office: Bureau) -> Iterator[str]:
    """Where the office publishes: its service, any web server, a folder."""
    if request.param == "folder":
        yield str(office.data)
    elif request.param == "files":
        with serving_files(office.data) as address:
            yield f"{address}/trust"
    else:
        with (
            service(Settings(office.data, workers=1), deciding=False) as built,
            serving_service(built) as port,
        ):
            yield f"http://127.0.0.1:{port}"


def test_a_verifier_takes_the_newest_edition(
    office: Bureau, place: str, tmp_path: Path, say: Callable[..., Answer]
) -> None:
    """First the whole folder, then what is new; it says what was revoked, and that nothing changed the third time."""
    own = tmp_path / "own"
    code, created, _ = say("trust", "update", place, "--trust", own)
    assert (0, "created", 0, 2) == (code, created["state"], created["before"], created["sequence"])
    assert content(office.data / "trust") == content(own)
    shutil.rmtree(own)
    shutil.copytree(office.data.parent / "first", own)
    code, updated, _ = say("trust", "update", place, "--trust", own)
    revoked = [key.kid for key in office.trust.listing.keys if key.revoked_since]
    assert (0, "updated", 1, 2, revoked) == (
        code,
        *(updated[name] for name in ("state", "before", "sequence", "revoked")),
    )
    assert content(office.data / "trust") == content(own)
    assert (0, "unchanged") == (lambda said: (said[0], said[1]["state"]))(
        say("trust", "update", place, "--trust", own)
    )
    assert office.trust.listing.fresh_until == say("trust", "show", "--trust", own)[1]["fresh_until"]


def test_the_root_is_told_and_may_be_demanded(
    office: Bureau, tmp_path: Path, say: Callable[..., Answer]
) -> None:
    """With the fingerprint that the office says it is taken; with another one nothing is written."""
    root = str(say("trust", "show", "--trust", office.data / "trust")[1]["root"])
    code, _, said = say("trust", "update", office.data, "--trust", tmp_path / "a", "--root", "0" * 64)
    assert (1, False) == (code, (tmp_path / "a").exists())
    assert root in said
    colons = ":".join(root[n : n + 2] for n in range(0, 64, 2)).upper()
    assert 0 == say("trust", "update", office.data, "--trust", tmp_path / "a", "--root", colons)[0]


def broken(name: str, office: Bureau, folder: Path) -> Path:
    """Make a trust folder that a verifier who knows the second edition must not take."""
    shutil.copytree(office.data / "trust", folder)
    listing = folder / "trust.json"
    if name == "earlier edition":
        shutil.copy(office.data.parent / "first" / "trust.json", listing)
    elif name == "another root":
        shutil.rmtree(folder)
        shutil.copytree(Bureau(folder.parent / "another").data / "trust", folder)
    elif name == "second edition of the same number":
        twin = folder.parent / "twin"
        shutil.copytree(office.data, twin)
        shutil.rmtree(twin / "trust")
        shutil.copytree(office.data.parent / "first", twin / "trust")
        other = Bureau(twin)
        keys.rotate(
            twin, other.trust, ROLES[:1], keys.Lifetime(later(1)), now=datetime.now(CHINA), passphrase=None
        )
        shutil.rmtree(folder)
        shutil.copytree(twin / "trust", folder)
    elif name == "cut off":
        listing.write_bytes(listing.read_bytes()[:-9])
    elif name == "not signed":
        listing.write_bytes(listing.read_bytes().replace(b'"sequence":2', b'"sequence":3'))
    elif name == "certificate absent":
        (folder / f"{office.trust.listing.keys[0].kid}.pem").unlink()
    elif name == "certificate of another key":
        first, second = (folder / key.certificate for key in office.trust.listing.keys[:2])
        shutil.copy(first, second)
    elif name == "too large":
        listing.write_bytes(listing.read_bytes() + b" " * (8 << 20))
    elif name == "forged list of revoked certificates":
        crl = folder / "root.crl"
        crl.write_bytes(crl.read_bytes()[:-1] + bytes([crl.read_bytes()[-1] ^ 1]))
    return folder


FAULTS = {
    "earlier edition": (1, "goes back to edition 1; 2 is known"),
    "another root": (1, "another root"),
    "second edition of the same number": (1, "two editions have the number 2"),
    "cut off": (2, "no trust.json"),
    "not signed": (2, "not signed by root.pem"),
    "certificate absent": (1, "not whole"),
    "certificate of another key": (2, "not the certificate that trust.json names"),
    "too large": (1, "8388608"),
    "forged list of revoked certificates": (2, "not signed by root.pem"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("served", [True, False], ids=["address", "folder"])
def test_what_does_not_hold_changes_nothing(
    office: Bureau, fault: str, served: bool, tmp_path: Path, say: Callable[..., Answer]
) -> None:
    """The folder stays as it was, byte for byte, and the message says why."""
    own = tmp_path / "own"
    shutil.copytree(office.data / "trust", own)
    folder = broken(fault, office, tmp_path / "offered")
    if served:
        with serving_files(folder) as address:
            code, _, said = say("trust", "update", f"{address}/.", "--trust", own)
    else:
        code, _, said = say("trust", "update", folder, "--trust", own)
    assert FAULTS[fault][0] == code, said
    assert FAULTS[fault][1] in said
    assert content(office.data / "trust") == content(own)


def test_hostile_servers(office: Bureau, tmp_path: Path, say: Callable[..., Answer]) -> None:
    """A redirect (to itself, too), an answer without end, junk as a bundle, nobody there: the folder stays as it was."""
    own = tmp_path / "own"
    shutil.copytree(office.data / "trust", own)

    async def again(request: object) -> Response:
        return RedirectResponse("/loop/trust.json")

    async def huge(request: object) -> Response:
        return Response(b"0" * (33 << 20))

    async def junk(request: object) -> Response:
        return Response(b'{"certificates":[[[1]]],"trust":"{\\"keys\\":1}","root":"AA"}')

    routes = [
        Route(f"/{name}/{{path:path}}", answer)
        for name, answer in (("loop", again), ("huge", huge), ("junk", junk))
    ]
    with serving(Starlette(routes=routes)) as address:
        codes = {
            name: say("trust", "update", f"{address}/{name}", "--trust", own)[0]
            for name in ("loop", "huge", "junk", "none")
        }
    codes["away"] = say("trust", "update", address, "--trust", own)[0]
    assert {"loop": 1, "huge": 1, "junk": 2, "none": 1, "away": 75} == codes
    assert 2 == say("trust", "update", tmp_path / "nowhere", "--trust", own)[0]
    assert content(office.data / "trust") == content(own)


def test_a_stale_folder_is_told(office: Bureau, tmp_path: Path, say: Callable[..., Answer]) -> None:
    """Past its date `verify` warns of today and answers unknown of a moment after it; an update brings a fresh one."""
    stale = tmp_path / "stale"
    shutil.copytree(office.data, stale)
    (tmp_path / "l.cwt").write_bytes(office.credential(numbered())[0])
    change = keys.open_edition(stale, Bureau(stale).trust, None)
    change.publish(now=later(-366), passphrase=None)
    office.edition(DECIDED)
    call = ("verify", tmp_path / "l.cwt", "--trust", stale / "trust", "--data", tmp_path / "none")
    lists = ("--status", office.data / "objects" / "status")
    code, answer, warned = say(*call, *lists, "--at", later(0.01).isoformat())
    assert (3, "unknown", True, "trust") == (
        code, answer["verdict"], answer["genuine"], next(c["name"] for c in answer["checks"] if not c["ok"])
    )  # fmt: skip
    assert "fresh until 2018-09-10T12:00:00+08:00" in warned
    code, answer, warned = say(*call, *lists, "--at", later(0).isoformat())
    assert (0, "valid", True) == (code, answer["verdict"], "fresh until" in warned)
    keys.open_edition(stale, Bureau(stale).trust, None).publish(now=datetime.now(CHINA), passphrase=None)
    assert (0, "") == say(*call, *lists, "--at", later(0.01).isoformat())[::2]


def test_an_edition_that_went_back_is_noticed(
    office: Bureau, tmp_path: Path, say: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who verified with the second edition is told when the first comes, with and without a data folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "l.cwt").write_bytes(office.credential(numbered())[0])
    (tmp_path / "data").mkdir()
    for data in (tmp_path / "data", tmp_path / "none"):
        told = [
            say("verify", tmp_path / "l.cwt", "--trust", folder, "--data", data, "--at", "2018-09-10")[2]
            for folder in (office.data.parent / "first", office.data / "trust", office.data.parent / "first")
        ]
        assert [False, False, True] == ["2 was seen before" in said for said in told]
    assert not (tmp_path / "none").exists()

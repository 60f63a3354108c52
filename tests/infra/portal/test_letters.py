"""Letters: made of facts, sealed, found by their holder alone, replayed as they are, sent once."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from portal_site import ITEM, PNG, PortalSite, answers, command
from pypdf import PdfReader
from story import uscc

from infra.bootstrap import Installation
from infra.cli import main
from infra.delivery.notices import Notices
from infra.delivery.postman import Postman, mail_message
from infra.portal.accounts import Accounts
from infra.settings import MailSettings, load
from schemas.errors import LintError, TransientError, UsageError
from schemas.letters import Letter
from verification.pdf import attachments


def test_every_decision_has_its_letter(site: PortalSite, tmp_path: Path) -> None:
    """Correction, acceptance and grant are in the inbox, numbered; the PDF says what the fact says."""
    visitor = site.enterprise(201)
    page = visitor.web.get(f"/apply/{ITEM}")
    case = visitor.send(page, {**answers(), "do": "submit"})
    visitor.settled(
        visitor.send(case, {"do": "supply"}, {"materials.business-licence": ("licence.png", PNG)})
    )
    rows = command("notice", "list", "--holder", uscc(201), "--data", str(site.data), "--json")
    assert ["correction", "acceptance", "grant"] == [row["kind"] for row in rows]
    assert 3 == len({row["number"] for row in rows})
    inbox = visitor.web.get("/my")
    assert all(row["id"] in inbox.text for row in rows)
    pdf = visitor.web.get(f"/my/letters/{rows[0]['id']}").content
    file = tmp_path / "letter.pdf"
    command("notice", "get", rows[0]["id"], "-o", str(file), "--data", str(site.data), "--json")
    assert pdf == file.read_bytes()
    text = PdfReader(file).pages[0].extract_text()
    assert "补正告知书" in text
    assert "营业执照" in text
    assert rows[0]["number"] == json.loads(attachments(pdf)["letter.json"])["number"]


def test_somebody_elses_letter_does_not_exist(site: PortalSite) -> None:
    """Another holder gets 404 for its address."""
    visitor = site.enterprise(202)
    visitor.apply()
    rows = command("notice", "list", "--holder", uscc(202), "--data", str(site.data), "--json")
    assert 404 == site.enterprise(203).web.get(f"/my/letters/{rows[0]['id']}").status_code


def test_letters_are_replayed_as_they_are(site: PortalSite, tmp_path: Path) -> None:
    """Replay builds each stored letter again without a key; one that was changed is reported."""
    visitor = site.enterprise(204)
    visitor.apply()
    rows = command("notice", "list", "--holder", uscc(204), "--data", str(site.data), "--json")
    for row in rows:
        assert 200 == visitor.web.get(f"/my/letters/{row['id']}").status_code
    copy = tmp_path / "copy"
    shutil.copytree(site.data, copy, ignore=shutil.ignore_patterns("keys", ".lock"))
    letters = sorted((copy / "objects" / "letters").rglob("*.pdf"))
    assert len(rows) <= len(letters)
    assert 0 == main(["replay", "--into", str(tmp_path / "again"), "--data", str(copy)])
    again = tmp_path / "again" / "objects" / letters[0].relative_to(copy / "objects")
    assert letters[0].read_bytes() == again.read_bytes()
    changed = letters[0].read_bytes().replace(b"/Reason", b"/Reasom", 1)
    letters[0].chmod(0o600)
    letters[0].write_bytes(changed)
    assert 1 == main(["replay", "--into", str(tmp_path / "third"), "--data", str(copy)])


class Box:
    """A mail server's box: it may be told to refuse for the moment."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.busy = True

    async def handle_DATA(self, server: object, session: object, envelope: object) -> str:
        if self.busy:
            return "451 try again later"
        self.taken.append(envelope.original_content)  # type: ignore[attr-defined]
        return "250 taken"


@pytest.fixture
def mail() -> Iterator[tuple[Box, MailSettings]]:
    """A mail server on a port of this machine."""
    box = Box()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    yield box, MailSettings("127.0.0.1", "hall@example.cn", port)
    server.stop()


def test_a_letter_goes_out_once_after_the_server_was_busy(
    site: PortalSite, mail: tuple[Box, MailSettings]
) -> None:
    """What the server refused for the moment is sent later, and nothing is sent twice."""
    box, settings = mail
    account = command("account", "add", "--enterprise", uscc(205), "--data", str(site.data), "--json")
    opened = load(site.data, {})
    opened.mail = settings
    now = [time.time()]
    accounts = Accounts(site.data)
    held = accounts.get(account["id"])
    assert held is not None
    accounts.set_address(held, "someone@example.cn")
    with Installation(opened) as here:
        postman = Postman(here, here.notices, here.register, accounts.addresses_of, clock=lambda: now[0])
        assert 0 == postman.run()  # what was decided before is not sent
        site.enterprise(205).apply()
        assert 0 == postman.run()
        assert {"waiting"} == {one.state for one in postman.sendings()}
        box.busy = False
        now[0] += 4000
        assert 2 == postman.run()
        now[0] += 4000
        assert 0 == postman.run()
        postman.close()
    accounts.close()
    assert 2 == len(box.taken)
    assert all(b"application/pdf" in one for one in box.taken)


class StoreAway(Notices):
    """Letters whose store may be away."""

    away = True

    def content(self, letter: Letter) -> bytes:
        if self.away:
            raise TransientError("the store is away")
        return super().content(letter)


def test_a_letter_waits_while_the_store_is_away(site: PortalSite, mail: tuple[Box, MailSettings]) -> None:
    """An attempt that never began is no attempt: the letter goes out when the store is back."""
    box, settings = mail
    box.busy = False
    opened = load(site.data, {})
    opened.mail = settings
    now = [time.time()]
    with Installation(opened) as here:
        notices = StoreAway(here, here.register)
        postman = Postman(here, notices, here.register, lambda _: ["one@example.cn"], clock=lambda: now[0])
        before = {(one.letter, one.channel) for one in postman.sendings()}
        postman.run()
        site.enterprise(206).apply()
        with pytest.raises(TransientError):
            postman.run()
        states = [one.state for one in postman.sendings() if (one.letter, one.channel) not in before]
        assert ["waiting", "waiting"] == states
        notices.away = False
        postman.run()
        states = [one.state for one in postman.sendings() if (one.letter, one.channel) not in before]
        assert ["sent", "sent"] == states
        postman.close()


@pytest.mark.parametrize("address", ["a@", "a@[", "=?utf-8?b?@?=", "a@b\nBcc: c@d", "@"])
def test_an_address_of_which_no_message_can_be_made_is_refused(
    site: PortalSite, address: str, mail: tuple[Box, MailSettings]
) -> None:
    """The page refuses it and keeps the one before; a message to it is an error of ours, and no crash."""
    command("account", "add", "--enterprise", uscc(207), "--data", str(site.data), "--json")
    accounts = Accounts(site.data)
    held = accounts.all()[-1]
    accounts.set_address(held, "someone@example.cn")
    with pytest.raises(UsageError):
        accounts.set_address(held, address)
    assert "someone@example.cn" == accounts.address(held)
    accounts.close()
    if address != "@":
        with pytest.raises(LintError):
            mail_message(mail[1].sender, address, "s", "t", b"")

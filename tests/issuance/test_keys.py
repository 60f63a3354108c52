"""Keys over the years, their keystore, and the trust folder that tells of them."""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from bureau import DECIDED, FROM, LIFE, NOON, PROVINCE, ROLES, Bureau
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from issuance import keys
from issuance.certificates import Role, issuing_certificate, revocation_list, roles_of
from issuance.signer import (
    SoftwareSigner,
    keystore_path,
    open_signer,
    read_keystore,
    read_root,
    root_path,
    write_keystore,
)
from schemas.authorities import issuing_authority
from schemas.calendar import CHINA
from schemas.errors import KeysMissing, LintError, NotFound, TrustError, UsageError
from schemas.items import load_catalogue
from schemas.trust import ANY_AUTHORITY, TrustStore, load_trust, read_trust_list

NOW = datetime(2019, 1, 1, tzinfo=CHINA)


@pytest.fixture
def bureau(tmp_path: Path) -> Bureau:
    return Bureau(tmp_path / "data")


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Bureau(tmp_path_factory.mktemp("keys")).data / "trust"


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_second_init_changes_nothing(bureau: Bureau) -> None:
    """Not one byte, whatever it is asked for."""
    before = files(bureau.data)
    assert not keys.init(bureau.data, ROLES[:1], keys.Lifetime(NOW), now=NOW, passphrase="other")
    assert before == files(bureau.data)


def test_trust_folder_has_what_the_contract_names(bureau: Bureau) -> None:
    """root.pem, a certificate for each key, and trust.json with the fields of the contract."""
    folder = bureau.data / "trust"
    listing = json.loads((folder / "trust.json").read_bytes())
    assert {"sequence", "issued", "fresh_until", "keys", "signature"} == set(listing)
    named = {"kid", "alg", "use", "authority", "signs_from", "signs_until", "revoked_since", "certificate"}
    assert all(named <= set(key) for key in listing["keys"])
    assert {role.use for role in ROLES} == {key["use"] for key in listing["keys"]}
    assert {f"{key['kid']}.pem" for key in listing["keys"]} | {"root.pem"} == {
        p.name for p in folder.glob("*.pem")
    }


def test_private_keys_lie_in_the_keystore_alone(bureau: Bureau) -> None:
    """Readable for the owner alone, and in no file of the trust folder."""
    path = keystore_path(bureau.data)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert {path, root_path(bureau.data)} == {p for p in path.parent.rglob("*") if p.is_file()}
    assert root_path(bureau.data).stat().st_mode & 0o777 == 0o600
    public = b"".join(files(bureau.data / "trust").values())
    private = {**read_keystore(bureau.data, None), **read_root(bureau.data, None)}
    assert not any(scalar in public or scalar.hex().encode() in public for scalar in private.values())


def test_the_log_s_key_lies_in_a_file_of_its_own(tmp_path: Path) -> None:
    """A machine that has that file alone can sign heads of the log, and nothing else; a later edition keeps it apart."""
    roles = (*ROLES, Role(ANY_AUTHORITY, "zhengzhao", "log"))
    keys.init(tmp_path, roles, LIFE, now=NOW, passphrase=None)
    bureau = Bureau(tmp_path)
    keys.rotate(tmp_path, bureau.trust, ROLES[:1], keys.Lifetime(NOW, 5), now=NOW, passphrase=None)
    log = {key.kid for key in bureau.trust.keys.values() if key.use == "log"}
    assert log
    assert log.isdisjoint(read_keystore(tmp_path, None, log=False))
    assert log <= open_signer(tmp_path, None).kids
    keystore_path(tmp_path).unlink()
    root_path(tmp_path).unlink()
    assert log == open_signer(tmp_path, None).kids


def root_kid(bureau: Bureau) -> str:
    signature = bureau.trust.listing.signature
    assert signature is not None
    return signature.kid


def test_the_root_lies_apart_and_may_be_taken_away(bureau: Bureau) -> None:
    """What signs does not hold it; only a new edition misses it, says so, and leaves everything as it was."""
    assert root_kid(bureau) not in bureau.signer.kids
    away = root_path(bureau.data).rename(bureau.data / "away")
    before = files(bureau.data)
    bureau.signer.sign(next(iter(bureau.signer.kids)), "ES256", b"a licence")
    with pytest.raises(KeysMissing, match="root") as caught:
        keys.rotate(bureau.data, bureau.trust, ROLES[:1], keys.Lifetime(NOW), now=NOW, passphrase=None)
    assert "keys/root" in caught.value.hint
    assert before == files(bureau.data)
    away.rename(root_path(bureau.data))
    keys.rotate(bureau.data, bureau.trust, ROLES[:1], keys.Lifetime(NOW), now=NOW, passphrase=None)
    assert bureau.trust.listing.sequence == 2


def test_the_root_of_another_folder_signs_nothing_here(bureau: Bureau, tmp_path: Path) -> None:
    """It is refused before anything is written."""
    root_path(bureau.data).write_bytes(root_path(Bureau(tmp_path / "other").data).read_bytes())
    before = files(bureau.data)
    with pytest.raises(KeysMissing, match="not the root"):
        keys.rotate(bureau.data, bureau.trust, ROLES[:1], keys.Lifetime(NOW), now=NOW, passphrase=None)
    assert before == files(bureau.data)


def test_a_keystore_with_the_root_in_it_works_and_the_next_edition_moves_it(bureau: Bureau) -> None:
    """As an earlier release wrote it: signing goes on, and after a rotation the root lies in its own file."""
    together = {**read_keystore(bureau.data, None), **read_root(bureau.data, None)}
    write_keystore(bureau.data, together, None)
    root_path(bureau.data).unlink()
    assert root_kid(bureau) in bureau.signer.kids
    keys.rotate(bureau.data, bureau.trust, ROLES[:1], keys.Lifetime(NOW), now=NOW, passphrase=None)
    assert root_kid(bureau) not in bureau.signer.kids
    assert {root_kid(bureau)} == set(read_root(bureau.data, None))


def test_certificates_outlive_signing(bureau: Bureau) -> None:
    """By the longest validity; without one they have no end."""
    store = bureau.trust
    key = store.signing_key(PROVINCE, "seal", DECIDED)
    assert (key.signs_from, key.signs_until) == ("2018-01-01T00:00:00+08:00", "2027-12-31T23:59:59+08:00")
    assert store.certificate(key.kid).not_valid_after_utc.year == 2032
    (fresh,) = keys.rotate(
        bureau.data, bureau.trust, ROLES[:1], keys.Lifetime(NOW, None), now=NOW, passphrase=None
    )
    assert bureau.trust.certificate(fresh.kid).not_valid_after_utc.year == 9999


def test_passphrase_protects_the_keys(tmp_path: Path) -> None:
    """Without it, or with another one, nothing opens; the root has one of its own; the files show no key."""
    own, roots = "山高水长，云山苍苍，江水泱泱", "先生之风，山高水长，江水泱泱"
    keys.init(tmp_path, ROLES, LIFE, now=NOW, passphrase=own, root_passphrase=roots)
    for wrong in (None, "", "x", roots):
        with pytest.raises(KeysMissing):
            open_signer(tmp_path, wrong)
    with pytest.raises(KeysMissing):
        read_root(tmp_path, own)
    signer, root = open_signer(tmp_path, own), SoftwareSigner(read_root(tmp_path, roots))
    assert (len(ROLES), 1) == (len(signer.kids), len(root.kids))
    raw = keystore_path(tmp_path).read_bytes() + root_path(tmp_path).read_bytes()
    assert not any(kid.encode() in raw for kid in signer.kids | root.kids)
    assert json.loads(root_path(tmp_path).read_bytes())["sealed"]["n"] == 1 << 17


@pytest.mark.parametrize("short", [{"passphrase": "十一个字符的口令不够长"}, {"root_passphrase": "x" * 11}])
def test_a_short_passphrase_makes_no_keys(tmp_path: Path, short: dict[str, str]) -> None:
    """Eleven characters are refused with a hint, and nothing is written."""
    with pytest.raises(UsageError, match="12") as caught:
        keys.init(tmp_path, ROLES, LIFE, now=NOW, **{"passphrase": None, **short})
    assert caught.value.hint
    assert {} == files(tmp_path)


# Written by an earlier release (scrypt N 2¹⁵, not named in the file) with the passphrase "山高水长".
EARLIER = b'{"v":1,"keys":null,"sealed":{"salt":"XISLX+cDqPp8chgRSRLIVw==","nonce":"4pJIcDQ5Fzv1TDCe","ciphertext":"fR1+vYtSweNyi/G3voR6i7etfNni8u9cXlRxqUg44qr+VcCgj7rvwhbMxcClTRDyNZ7i36OrNBkxhTA=","tag":"/OfEX8yiS1gaLQGkLelfkw=="}}'


def test_a_keystore_of_an_earlier_release_opens(tmp_path: Path) -> None:
    """Its file does not name scrypt's N, and its passphrase may be short."""
    keystore_path(tmp_path).parent.mkdir()
    keystore_path(tmp_path).write_bytes(EARLIER)
    assert {"0a1b2c3d": bytes(range(32))} == read_keystore(tmp_path, "山高水长")


def test_a_keystore_that_names_an_absurd_effort_is_refused(tmp_path: Path) -> None:
    """It would take all memory before the passphrase is even tried."""
    keystore_path(tmp_path).parent.mkdir()
    changed = json.loads(EARLIER)
    for n in (1, 3 << 15, 1 << 40):
        changed["sealed"]["n"] = n
        keystore_path(tmp_path).write_text(json.dumps(changed))
        with pytest.raises(KeysMissing):
            read_keystore(tmp_path, "山高水长")


def test_damaged_keystore_is_an_error(bureau: Bureau, tmp_path: Path) -> None:
    """Absent, empty, cut off: KeysMissing with a hint."""
    path = keystore_path(bureau.data)
    for content in (b"", path.read_bytes()[:-9], b"[]", b'{"v":1,"keys":3}'):
        path.write_bytes(content)
        with pytest.raises(KeysMissing) as caught:
            open_signer(bureau.data, None)
        assert caught.value.hint
    with pytest.raises(KeysMissing):
        open_signer(tmp_path / "nowhere", None)


def test_new_key_signs_from_its_date_on(bureau: Bureau) -> None:
    """Decisions before it are still signed with the old one, which stays in the trust folder."""
    old = bureau.trust.signing_key(PROVINCE, "credential", DECIDED)
    (new,) = keys.rotate(
        bureau.data, bureau.trust, ROLES[:1], keys.Lifetime(NOW, 5), now=NOW, passphrase=None
    )
    store = bureau.trust
    assert store.listing.sequence == 2
    assert old == store.signing_key(PROVINCE, "credential", DECIDED)
    assert new == store.signing_key(PROVINCE, "credential", NOW)
    assert {"trust-000001.json", "trust-000002.json"} == {
        p.name for p in (bureau.data / "trust" / "editions").iterdir()
    }


def test_revoked_key_has_a_successor_from_the_same_moment(bureau: Bureau) -> None:
    """What it signed before stays in time, what it signs from then on does not."""
    old = bureau.trust.signing_key(PROVINCE, "seal", DECIDED)
    more = {"name": "青海省市场监督管理局", "outlives": 5, "now": NOW, "passphrase": None}
    new = keys.revoke(bureau.data, bureau.trust, old.kid, NOW, **more)
    store = bureau.trust
    revoked = store.keys[old.kid]
    assert (revoked.signed_in_time(DECIDED), revoked.signed_in_time(NOW)) == (True, False)
    assert [revoked, new] == [store.signing_key(PROVINCE, "seal", at) for at in (DECIDED, NOW)]
    with pytest.raises(UsageError):
        keys.revoke(bureau.data, bureau.trust, old.kid, NOW, **more)
    with pytest.raises(NotFound):
        keys.revoke(bureau.data, bureau.trust, "ffffffff", NOW, **more)


def test_no_key_for_the_moment_is_a_lint_error(bureau: Bureau) -> None:
    """Before the first key, after the last one, for an authority without keys: with a hint what to do."""
    for authority, at in (
        (PROVINCE, datetime(2017, 12, 31, tzinfo=CHINA)),
        (PROVINCE, datetime(2028, 1, 1, tzinfo=CHINA)),
        ("urn:agency:630200:market-regulation", DECIDED),
    ):
        with pytest.raises(LintError) as caught:
            bureau.trust.signing_key(authority, "seal", at)
        assert "keys init --valid-from" in caught.value.hint


def test_keys_cannot_be_older_than_the_root(bureau: Bureau) -> None:
    """A new key that would sign before the root existed is refused, and nothing changes."""
    before = files(bureau.data)
    with pytest.raises(UsageError):
        keys.rotate(
            bureau.data, bureau.trust, ROLES, keys.Lifetime(FROM.replace(year=2017)), now=NOW, passphrase=None
        )
    assert before == files(bureau.data)


def test_every_byte_of_trust_json_counts(trust: Path) -> None:
    """Changed, left out or put in, each in turn."""
    good = (trust / "trust.json").read_bytes()
    root = load_trust(trust).root
    read_trust_list(good, root)
    for at in range(len(good)):
        for new in (b"", bytes((good[at] ^ 1 << at % 7,)), good[at : at + 1] + b" "):
            with pytest.raises(TrustError):
                read_trust_list(good[:at] + new + good[at + 1 :], root)


def test_spoilt_trust_folders_are_refused(trust: Path, tmp_path: Path) -> None:
    """A certificate swapped, cut off or absent, another root, no folder: TrustError names the file."""
    names = sorted(p.name for p in trust.glob("*.pem") if p.name != "root.pem")
    other = Bureau(tmp_path / "other").data / "trust"
    spoilt = {
        names[0]: (trust / names[1]).read_bytes(),
        names[1]: (trust / names[1]).read_bytes()[:200],
        names[2]: None,
        "root.pem": (other / "root.pem").read_bytes(),
        "trust.json": (other / "trust.json").read_bytes(),
    }
    for name, content in spoilt.items():
        copy = tmp_path / f"spoilt-{name}"
        shutil.copytree(trust, copy)
        (copy / name).unlink()
        if content is not None:
            (copy / name).write_bytes(content)
        with pytest.raises(TrustError) as caught:
            load_trust(copy)
        assert caught.value.where
        assert caught.value.hint
    with pytest.raises(TrustError):
        load_trust(tmp_path / "nowhere")


def test_each_edition_has_its_list_of_revoked_certificates(bureau: Bureau) -> None:
    """A CRL by the root: empty at first, then the revoked key with its moment; certificates name its address."""
    file, root = bureau.data / "trust" / "root.crl", bureau.trust.root
    key = bureau.trust.signing_key(PROVINCE, "seal", NOON)
    first = x509.load_der_x509_crl(file.read_bytes())
    assert first.is_signature_valid(root.public_key())  # type: ignore[arg-type]
    assert (0, root.subject) == (len(first), first.issuer)
    keys.revoke(bureau.data, bureau.trust, key.kid, NOON, name="x", outlives=5, now=NOW, passphrase=None)
    second, listing = x509.load_der_x509_crl(file.read_bytes()), bureau.trust.listing
    assert second.is_signature_valid(root.public_key())  # type: ignore[arg-type]
    (one,) = second
    certificate = bureau.trust.certificate(key.kid)
    assert (certificate.serial_number, NOON) == (one.serial_number, one.revocation_date_utc)
    assert (NOW, datetime.fromisoformat(listing.fresh_until)) == (
        second.last_update_utc,
        second.next_update_utc,
    )
    assert 2 == second.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    (point,) = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert ["http://zhengzhao.example/trust/root.crl"] == [name.value for name in point.full_name or ()]


def test_the_same_edition_gives_the_same_list(bureau: Bureau) -> None:
    """Made twice from one edition, the list of revoked certificates has the same bytes."""
    key = bureau.trust.signing_key(PROVINCE, "seal", NOON)
    keys.revoke(bureau.data, bureau.trust, key.kid, NOON, name="x", outlives=5, now=NOW, passphrase=None)
    trust = bureau.trust
    root_key = SoftwareSigner(read_root(bureau.data, None)).private_key(root_kid(bureau))
    again = revocation_list(
        trust.root, root_key, [(trust.certificate(key.kid), NOON.isoformat())], trust.listing
    )
    assert (bureau.data / "trust" / "root.crl").read_bytes() == again


def test_no_edition_follows_one_that_went_back(bureau: Bureau) -> None:
    """With an earlier trust.json in its place, a further edition would be a second one under the same number."""
    first = (bureau.data / "trust" / "trust.json").read_bytes()
    keys.rotate(bureau.data, bureau.trust, ROLES[:1], keys.Lifetime(NOW, 5), now=NOW, passphrase=None)
    (bureau.data / "trust" / "trust.json").write_bytes(first)
    with pytest.raises(TrustError, match="went back to edition 1 of 2"):
        keys.rotate(bureau.data, bureau.trust, ROLES[:1], keys.Lifetime(NOW, 5), now=NOW, passphrase=None)


@pytest.mark.parametrize("fault", ["ends before its key", "begins after its key", "is for issuing"])
def test_a_certificate_that_does_not_fit_its_key_is_refused(tmp_path: Path, fault: str) -> None:
    """Though the root signed it: its dates must hold while the key signs, and it must be for signing alone."""
    bureau = Bureau(tmp_path)
    trust = bureau.trust
    key = trust.signing_key(PROVINCE, "seal", NOON)
    root_key = SoftwareSigner(read_root(bureau.data, None)).private_key(root_kid(bureau))
    begin, end = datetime.fromisoformat(key.signs_from), datetime.fromisoformat(key.signs_until)
    begin += timedelta(days=1) if fault == "begins after its key" else timedelta(0)
    end -= timedelta(days=1) if fault == "ends before its key" else timedelta(0)
    certificate = issuing_certificate(
        trust.public_key(key.kid), "x", "seal", PROVINCE, trust.root, root_key, begin, end, "http://x/"
    )
    if fault == "is for issuing":
        builder = x509.CertificateBuilder(
            trust.root.subject, certificate.subject, trust.public_key(key.kid), 1, begin, end
        )
        for extension in trust.root.extensions:
            builder = builder.add_extension(extension.value, extension.critical)
        certificate = builder.sign(root_key, SHA256())
    certificates = {k: trust.certificate(k) for k in trust.keys} | {key.kid: certificate}
    with pytest.raises(TrustError, match="dates or usage"):
        TrustStore(trust.root, trust.listing, certificates).certificate(key.kid)


def test_seal_and_certificate_name_the_same_authority_of_the_same_day(tmp_path: Path) -> None:
    """An authority that changes its name gets a key under the new name from that day on."""
    catalogue = load_catalogue()
    item = catalogue.items["industrial-product-licence"]
    roles = [role for role in roles_of(catalogue) if role.authority == PROVINCE]
    keys.init(tmp_path, roles, LIFE, now=FROM, passphrase=None)
    trust = load_trust(tmp_path / "trust")
    for day in ("2018-09-10", "2018-10-31", "2018-11-01", "2020-01-01"):
        at = datetime.fromisoformat(f"{day}T09:00:00+08:00")
        certificate = trust.certificate(trust.signing_key(PROVINCE, "seal", at).kid)
        issuer = issuing_authority(item, "630225", day)
        assert issuer is not None
        assert issuer.name == certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


def test_keys_of_today_have_the_names_of_today() -> None:
    """A name that had ended before the keys begin gets no key."""
    life = keys.Lifetime(datetime(2026, 1, 1, tzinfo=CHINA), 5)
    named = list(keys._named_in_time(roles_of(load_catalogue()), life))
    assert len({(role.authority, role.use) for role, _ in named}) == len(named)

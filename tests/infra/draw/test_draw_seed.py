"""Commitments, reveals, deposits: how chance comes about, and who cannot bend it."""

from __future__ import annotations

import hashlib
import json
import stat
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from beacon import QUICKNET
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from eth_typing import BLSPubkey, BLSSignature
from msgspec import structs, to_builtins
from naive import sha
from py_ecc.bls.g2_primitives import pubkey_to_G1, signature_to_G2
from py_ecc.optimized_bls12_381 import field_modulus, pairing
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey

from schemas.draw import seed
from schemas.draw.documents import Commitment
from schemas.errors import DrawError
from tests.infra.draw.conftest import PLAN, Office


@pytest.fixture
def supervisor(office: Office) -> Path:
    """The supervisor's key pair, made by openssl."""
    key, public = office.path("S-KEY.pem"), office.path("S.pem")
    subprocess.run(
        ["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", key], check=True
    )
    subprocess.run(["openssl", "ec", "-in", key, "-pubout", "-out", public], check=True, capture_output=True)
    return public


def test_commitment_is_the_hash_of_the_secret(office: Office) -> None:
    """The commitment is the SHA-256 of the 32 secret bytes; the secret's file is private."""
    promise = json.loads(office.commit("regulator").read_text())
    kept = json.loads(office.path("regulator.secret").read_text())
    assert promise["commitment"] == seed.commitment_of(bytes.fromhex(kept["secret"]))
    assert {"party", "commitment", "key"} == set(promise)
    assert stat.S_IMODE(office.path("regulator.secret").stat().st_mode) == 0o600


def test_secret_is_never_overwritten(office: Office) -> None:
    """A second commitment into the same file is refused, and the first secret stays."""
    office.commit("regulator")
    before = office.path("regulator.secret").read_bytes()
    assert office("draw", "commit", "--party", "regulator", "-o", office.path("regulator.secret"))[0] == 2
    assert before == office.path("regulator.secret").read_bytes()


def test_own_key(office: Office) -> None:
    """A party may sign with its own registered key."""
    key = office.path("own.pem")
    subprocess.run(
        ["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", key], check=True
    )
    public = subprocess.run(
        ["openssl", "ec", "-in", key, "-pubout"], check=True, capture_output=True, text=True
    )
    promise = json.loads(office.commit("regulator", "", "--key", key).read_text())
    assert public.stdout == promise["key"]


def test_silent_party_is_opened(office: Office, supervisor: Path) -> None:
    """The supervisor opens the deposit of a party that stays silent; the transcript says so and is right."""
    promised = [office.commit("regulator"), office.commit("discipline", "", "--deposit", supervisor)]
    office.ok(
        "draw", "announce", office.plan(), *office.registers,
        "--commitment", promised[0], "--commitment", promised[1], "-o", office.path("A.json"),
    )  # fmt: skip
    announcement = office.path("A.json")
    opened = office.ok(
        "draw", "open", announcement, "--party", "discipline", "--key", office.path("S-KEY.pem")
    )
    assert json.loads(opened)["opened"] is True
    assert json.loads(opened)["secret"] == json.loads(office.path("discipline.secret").read_text())["secret"]
    office.path("opened.json").write_text(opened)
    office.ok(
        "draw", "run", announcement, *office.registers, "--reveal", office.reveal("regulator", announcement),
        "--reveal", office.path("opened.json"), "-o", office.path("T.json"),
    )  # fmt: skip
    assert office.failed(office.path("T.json")) == []
    code, _, err = office(
        "draw", "open", announcement, "--party", "regulator", "--key", office.path("S-KEY.pem")
    )
    assert (code, "deposited nothing" in err) == (1, True)


def test_deposit_is_hpke(supervisor: Path) -> None:
    """Another HPKE library opens our deposit, and we open one of its making (RFC 9180)."""
    suite = CipherSuite.new(KEMId.DHKEM_P256_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES128_GCM)
    private = seed.private_key(supervisor.with_name("S-KEY.pem").read_bytes())
    info = "zhengzhao-draw-deposit-1:纪检".encode()
    secret = bytes(range(32))
    sealed = seed.decode_base64url(seed.deposit(secret, "纪检", supervisor.read_text()).sealed)
    ours = suite.create_recipient_context(sealed[:65], KEMKey.from_pyca_cryptography_key(private), info=info)
    assert secret == ours.open(sealed[65:])
    enc, sender = suite.create_sender_context(
        KEMKey.from_pyca_cryptography_key(private.public_key()), info=info
    )
    theirs = seed.Deposit(supervisor.read_text(), seed.encode_base64url(enc + sender.seal(secret)))
    assert secret == seed.open_deposit(Commitment("纪检", seed.commitment_of(secret), "", theirs), private)


def test_deposit_of_another_secret_is_refused(supervisor: Path) -> None:
    """What opens but is not the promised secret is refused; so is another party's deposit, or a torn one."""
    private = seed.private_key(supervisor.with_name("S-KEY.pem").read_bytes())
    secret = bytes(32)
    deposited = seed.deposit(secret, "a", supervisor.read_text())
    torn = seed.Deposit(deposited.supervisor, deposited.sealed[:-8])
    for party, promised, given in (
        ("a", seed.commitment_of(b"\1" * 32), deposited),
        ("b", seed.commitment_of(secret), deposited),
        ("a", seed.commitment_of(secret), torn),
        ("a", seed.commitment_of(secret), seed.Deposit(deposited.supervisor, "AA")),
    ):
        with pytest.raises(DrawError):
            seed.open_deposit(Commitment(party, promised, "", given), private)
    assert secret == seed.open_deposit(Commitment("a", seed.commitment_of(secret), "", deposited), private)


def test_reveal_for_one_announcement(office: Office) -> None:
    """A secret revealed for one announcement gets no second signature for another."""
    announcement = office.announce()
    office.reveal("regulator", announcement)
    forged = json.loads(announcement.read_bytes())
    forged["title"] = "试到满意为止"
    from schemas.canonical_json import canonical

    office.path("forged.json").write_bytes(canonical(forged))
    code, out, _ = office(
        "draw", "reveal", office.path("regulator.secret"), "--announcement", office.path("forged.json")
    )
    assert (code, out) == (1, "")


@pytest.mark.parametrize("party", ["regulator", "nobody", "missing", "double"])
def test_reveals_that_are_not_the_parties(office: Office, party: str) -> None:
    """Another secret, another party, a missing one or one twice: nothing is drawn."""
    words = office.run_words(office.announce())
    shown = json.loads(office.path("regulator.reveal").read_text())
    if party == "regulator":
        shown["secret"] = "00" * 32
    elif party == "nobody":
        shown["party"] = "nobody"
    office.path("regulator.reveal").write_text(json.dumps(shown))
    if party == "missing":
        at = words.index("--reveal")
        words = words[:at] + words[at + 2 :]
    elif party == "double":
        words += ["--reveal", office.path("regulator.reveal")]
    assert office(*words)[0] == 1
    assert not office.path("T.json").exists()


def test_reveal_signed_by_another_key(office: Office) -> None:
    """A stolen secret without the party's key opens nothing."""
    announcement = office.announce()
    words = office.run_words(announcement)
    shown = json.loads(office.path("regulator.reveal").read_text())
    digest = json.loads(office.ok("draw", "show", "--json"))["announcement_digest"]
    thief = ec.generate_private_key(ec.SECP256R1())
    signature = thief.sign(f"zhengzhao-draw-1:{digest}".encode(), ec.ECDSA(seed.SHA256()))
    shown["signature"] = seed.encode_base64url(signature)
    office.path("regulator.reveal").write_text(json.dumps(shown))
    assert office(*words)[0] == 1


def test_reveal_by_other_tools(office: Office) -> None:
    """A reveal signed by any ECDSA program over the contract's text is as good as ours."""
    announcement = office.announce()
    words = office.run_words(announcement)
    kept = json.loads(office.path("regulator.secret").read_text())
    office.path("k.pem").write_text(kept["private_key"])
    digest = json.loads(office.ok("draw", "show", "--json"))["announcement_digest"]
    office.path("text").write_text(f"zhengzhao-draw-1:{digest}")
    signed = subprocess.run(
        ["openssl", "dgst", "-sha256", "-sign", office.path("k.pem"), office.path("text")],
        check=True,
        capture_output=True,
    )
    shown = {
        "party": "regulator",
        "secret": kept["secret"],
        "signature": seed.encode_base64url(signed.stdout),
    }
    office.path("regulator.reveal").write_text(json.dumps(shown))
    office.ok(*words)
    assert office.failed(office.path("T.json")) == []


def test_seed_by_hand() -> None:
    """The seed is the hash of digest, secrets and public text, with colons between them."""
    assert sha("d:" + "aa:bb") == seed.seed_of("d", ["aa", "bb"])
    assert sha("d:aa:bb:5.7./") == seed.seed_of("d", ["aa", "bb"], "5.7./")


def _opened_by_py_ecc(sealed: bytes, signature: str) -> bytes:
    """Open a sealed secret with another implementation of the pairing, by the scheme's own steps (Boneh-Franklin, AES-GCM)."""
    length = int.from_bytes(sealed[:2], "little") >> 2
    data = sealed[2 : 2 + length]

    def part(of: bytes, at: int) -> tuple[bytes, int]:
        size = int.from_bytes(of[at : at + 8], "little")
        return of[at + 8 : at + 8 + size], at + 8 + size

    masked_sigma, at = part(data, 96)
    masked_key, at = part(data, at)
    body, _ = part(data, at)
    text, at = part(body, 0)
    nonce, _ = part(body, at)
    pair = pairing(
        signature_to_G2(BLSSignature(data[:96])), pubkey_to_G1(BLSPubkey(bytes.fromhex(signature)))
    )
    own = [int(c) for c in (pair**3).inv().coeffs]
    tower = b"".join(
        ((own[j] + own[j + 6]) % field_modulus).to_bytes(48, "little") + own[j + 6].to_bytes(48, "little")
        for j in (0, 2, 4, 1, 3, 5)
    )
    sigma = bytes(a ^ b for a, b in zip(masked_sigma, hashlib.sha256(tower).digest(), strict=True))
    key = bytes(a ^ b for a, b in zip(masked_key, hashlib.sha256(sigma).digest(), strict=True))
    return AESGCM(key).decrypt(nonce, text, None)


def test_sealed_secret_opens_by_its_round_alone() -> None:
    """What is sealed to a round of quicknet opens with its signature, by another implementation too, and with no other."""
    secret = hashlib.sha256(b"sealed").digest()
    deposit = seed.seal_to_round(secret, 1000)
    promise = Commitment("a", seed.commitment_of(secret), "", deposit)
    shown = seed.open_sealed(promise, QUICKNET[1000])
    assert (secret.hex(), True) == (shown.secret, shown.opened)
    seed.check_reveal(shown, promise, "0" * 64)
    assert secret == _opened_by_py_ecc(seed.decode_base64url(deposit.sealed), QUICKNET[1000])
    with pytest.raises(DrawError):
        seed.open_sealed(promise, QUICKNET[12040883])
    with pytest.raises(DrawError):
        seed.check_reveal(structs.replace(shown, signature=shown.signature[:-4] + "AAAA"), promise, "0" * 64)
    other = structs.replace(promise, commitment=seed.commitment_of(b"x" * 32))
    with pytest.raises(DrawError):
        seed.open_sealed(other, QUICKNET[1000])


def test_sealing_by_the_command(office: Office) -> None:
    """`draw seal` makes a deposit that an announcement takes where its round lies ahead, and that nobody opens before; no other round seals."""
    text = PLAN.replace('"2018-04-01", "2018-06-30"', '"2099-04-01", "2099-06-30"').replace(
        "[seed]", "[seed]\ndeposits = true"
    )
    ahead = int((datetime(2099, 3, 1, tzinfo=UTC).timestamp() - 1692803367) // 3)
    words: list[str | Path] = [
        "draw",
        "announce",
        office.plan(text),
        *office.registers,
        "-o",
        office.path("A.json"),
    ]
    for party in ("regulator", "discipline"):
        office.commit(party)
        sealed = office.ok("draw", "seal", office.path(f"{party}.secret"), "--round", str(ahead))
        office.path(f"{party}.commitment").write_text(sealed)
        words += ["--commitment", office.path(f"{party}.commitment")]
        assert office("draw", "seal", office.path(f"{party}.secret"), "--round", str(ahead))[0] == 1
    office.ok(*words)
    office.reveal("regulator", office.path("A.json"))
    opening = ["draw", "open", office.path("A.json"), "--party", "discipline"]
    assert office(*opening, "--round", QUICKNET[1000])[0] == 1
    assert office(*opening)[0] == 2
    past = json.loads(office.path("regulator.commitment").read_text())
    promise = json.loads(office.commit("regulator", "2").read_text())
    kept = office.path("regulator2.secret").read_bytes()
    for wrong in ("1000", "9" * 11, "9" * 23):
        assert office("draw", "seal", office.path("regulator2.secret"), "--round", wrong)[:2] == (1, "")
    assert kept == office.path("regulator2.secret").read_bytes()
    sealed_before = seed.seal_to_round(bytes.fromhex(json.loads(kept)["secret"]), 1000)
    office.path("regulator.commitment").write_bytes(
        msgspec.json.encode(promise | {"deposit": to_builtins(sealed_before)})
    )
    code, _, err = office(*words)
    assert (code, "round" in err, past["deposit"]["round"]) == (1, True, ahead)

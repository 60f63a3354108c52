"""Certificates of an installation: the root, and under it one for each key that signs; the roles that need keys.

A certificate outlives signing: it holds until the last licence signed with its key has ended (RFC 5280's 9999-12-31
where a licence may have no end).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from schemas.authorities import authority, issuing_authorities, level, named_on, renamed_until, source_of
from schemas.calendar import china_date, moment
from schemas.items import Catalogue
from schemas.licence import Authority
from schemas.trust import ANY_AUTHORITY, PublicKey, TrustList, Use

DEFAULT_ORIGIN: Final = "zhengzhao.example/log"
NO_END: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # RFC 5280, 4.1.2.5
_ROOT_NAME = "证照签发根证书 zhengzhao root"
_COMMON_NAME_LIMIT = 64  # RFC 5280, upper bound of a common name


class Role(NamedTuple):
    """The role of a key: an authority's code (`*`: the installation), its name from the day `since` on, and the use."""

    authority: str
    name: str
    use: Use
    since: str = ""  # ISO date in China; empty for the first name


def root_certificate(key: ec.EllipticCurvePrivateKey, valid_from: datetime) -> x509.Certificate:
    """Return the self-signed anchor. It has no end, since no certificate under it may outlive it."""
    name = _name(_ROOT_NAME, "root")
    return (
        _builder(name, name, key.public_key(), valid_from, NO_END)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )


def issuing_certificate(
    public: PublicKey,
    name: str,
    use: str,
    authority: str,
    root: x509.Certificate,
    root_key: ec.EllipticCurvePrivateKey,
    valid_from: datetime,
    valid_until: datetime,
    crl: str,
) -> x509.Certificate:
    """Return the certificate of one key: `name` and `use` are its subject, an authority's URN is its alternative name.

    `crl` is the address of the list of revoked certificates.
    """
    builder = (
        _builder(_name(name, use), root.subject, public, valid_from, valid_until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(certificates=False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.CRLDistributionPoints([_point(crl)]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False
        )
    )
    if authority.startswith("urn:"):
        uri = x509.UniformResourceIdentifier(authority)
        builder = builder.add_extension(x509.SubjectAlternativeName([uri]), critical=False)
    return builder.sign(root_key, SHA256())


def revocation_list(
    root: x509.Certificate,
    root_key: ec.EllipticCurvePrivateKey,
    revoked: Iterable[tuple[x509.Certificate, str]],
    edition: TrustList,
) -> bytes:
    """Return the list of revoked certificates, each with its moment, of an edition (a CRL by RFC 5280, DER).

    The signature is deterministic (RFC 6979), so that the same edition gives the same bytes.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root.subject)
        .last_update(moment(edition.issued))
        .next_update(moment(edition.fresh_until))
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False
        )
        .add_extension(x509.CRLNumber(edition.sequence), critical=False)
    )
    for certificate, since in revoked:
        one = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
        builder = builder.add_revoked_certificate(one.revocation_date(moment(since)).build())
    return builder.sign(root_key, SHA256(), ecdsa_deterministic=True).public_bytes(Encoding.DER)


def _point(address: str) -> x509.DistributionPoint:
    return x509.DistributionPoint([x509.UniformResourceIdentifier(address)], None, None, None)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: PublicKey,
    valid_from: datetime,
    valid_until: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid_from)
        .not_valid_after(valid_until)
    )


def _name(common: str, unit: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(NameOID.COMMON_NAME, common[:_COMMON_NAME_LIMIT]),
        ]
    )


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=not certificates,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


INSTALLATION_NAME: Final = "证照 zhengzhao"
_USES: Final[tuple[Use, ...]] = ("credential", "seal")


def roles_of(catalogue: Catalogue) -> tuple[Role, ...]:
    """Return a credential and a seal key for each issuing authority, one key each for status lists, draws, the log."""
    authorities = tuple(
        Role(found.code, name, use, since)
        for found in issuing_authorities(catalogue)
        for since, name in _names_of(catalogue, found)
        for use in _USES
    )
    uses: tuple[Use, ...] = ("status", "draw", "log")
    return authorities + tuple(Role(ANY_AUTHORITY, INSTALLATION_NAME, use) for use in uses)


def log_origin(catalogue: Catalogue) -> str:
    """Return the origin of the log where none is set: `<HOST>/log`, with the host of the first issuing authority."""
    hosts = [found.host.lower() for found in issuing_authorities(catalogue)]
    return f"{hosts[0]}/log" if hosts else DEFAULT_ORIGIN


def longest_validity(catalogue: Catalogue) -> int | None:
    """Return the longest validity of a licence in years; None where one of the items has no end."""
    years = [item.validity_years for item in catalogue.items.values() if item.mode != "filing"]
    return None if None in years else max((year for year in years if year is not None), default=0)


def name_of(catalogue: Catalogue, authority_code: str, at: datetime) -> str:
    """Return the name in the certificate of an authority's key that signs from a moment on."""
    source = source_of(authority_code)
    if source is None:
        return INSTALLATION_NAME
    day = china_date(at).isoformat()
    names = _names_of(catalogue, authority(*source))
    return [name for since, name in names if since <= day][-1]


def _names_of(catalogue: Catalogue, issuer: Authority) -> list[tuple[str, str]]:
    """Return an issuing authority's names with the day from which each holds, the first with an empty day.

    Where two items know it under different names on one day, the first item counts.
    """
    items = [
        item
        for item in catalogue.items.values()
        if item.department == issuer.department and item.level == level(issuer.division)
    ]
    ends = {old.until for item in items for old in item.formerly} | renamed_until(issuer.division)
    days = ["", *sorted((date.fromisoformat(end) + timedelta(days=1)).isoformat() for end in ends)]
    names: list[tuple[str, str]] = []
    for day in days:
        on = day or "0001-01-01"
        known = [named_on(issuer, item, on, catalogue.directory).name for item in items] or [issuer.name]
        if not names or names[-1][1] != known[0]:
            names.append((day, known[0]))
    return names

"""A broker that asks who is there: TLS by a CA of its own, SCRAM passwords, and access lists that deny the rest."""

from __future__ import annotations

import datetime
import ipaddress
import subprocess
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from infra.stack import local, processes
from infra.stack.processes import Server, answers, start, wait_until

ADMIN = "admin"
DAY = datetime.timedelta(days=1)


class Authority:
    """A certificate authority in a folder, and certificates of servers on 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test CA {folder.name}")])
        certificate = self._certificate(self._name, self._key.public_key(), authority=True)
        self.file = folder / "ca.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, name: str) -> tuple[Path, Path]:
        """Files with the certificate and the key (PKCS 8) of a server."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._folder / f"{name}.pem"
        certificate.write_bytes(
            self._certificate(subject, key.public_key(), authority=False).public_bytes(
                serialization.Encoding.PEM
            )
        )
        secret = self._folder / f"{name}.key"
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate, secret

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, authority: bool
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        mine = x509.SubjectKeyIdentifier.from_public_key(key)
        ours = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
            .add_extension(x509.BasicConstraints(authority, 0 if authority else None), critical=True)
            .add_extension(mine, critical=False)
            .add_extension(ours, critical=False)
            .add_extension(here, critical=False)
            .sign(self._key, hashes.SHA256())
        )


def start_broker(folder: Path, port: int, authority: Authority, passwords: dict[str, str]) -> Server:
    """A broker with a SASL_SSL listener for the users in `passwords`; only `admin` may do anything unasked."""
    home = folder / "kafka"
    home.mkdir(parents=True)
    certificate, key = authority.server("broker")
    keystore = home / "keystore.pem"
    keystore.write_bytes(key.read_bytes() + certificate.read_bytes())
    plain = local._server_properties(home / "logs", port)
    listener = "SASL_SSL"
    lines = [
        line.replace("PLAINTEXT://", f"{listener}://")
        for line in plain.splitlines()
        if not line.startswith(("listener.security", "inter.broker"))
    ]
    login = f'org.apache.kafka.common.security.scram.ScramLoginModule required username="{ADMIN}" password="{passwords[ADMIN]}";'
    lines += [
        f"listener.security.protocol.map={listener}:{listener},CONTROLLER:PLAINTEXT",
        f"inter.broker.listener.name={listener}",
        "sasl.enabled.mechanisms=SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512",
        f"listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={login}",
        "ssl.keystore.type=PEM",
        f"ssl.keystore.location={keystore}",
        "ssl.truststore.type=PEM",
        f"ssl.truststore.location={authority.file}",
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        f"super.users=User:{ADMIN};User:ANONYMOUS",  # the controller's own listener knows nobody by name
    ]
    config = home / "server.properties"
    config.write_text("\n".join(lines) + "\n")
    java = [processes.java(), "-cp", processes.class_path()]
    scram = [
        part
        for user, word in passwords.items()
        for part in ("--add-scram", f"SCRAM-SHA-512=[name={user},password={word}]")
    ]
    uuid = "4L6g3nShT-eMCtK--X86sw"
    subprocess.run(
        [*java, "kafka.tools.StorageTool", "format", "--standalone", "-t", uuid, "-c", str(config), *scram],
        check=True, capture_output=True,
    )  # fmt: skip
    command = [
        java[0],
        "-Xmx512m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        *java[1:],
        "kafka.Kafka",
        str(config),
    ]
    server = start("kafka", command, folder=folder, ports={"kafka": port}, cwd=home)
    wait_until(lambda: answers(port), server, seconds=90)
    return server

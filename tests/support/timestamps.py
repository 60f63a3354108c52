"""A timestamp authority of the tests, by `openssl ts`."""

from __future__ import annotations

import subprocess
from pathlib import Path

_CONFIG = """
[req]
distinguished_name = dn
[dn]
[t]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
[ext]
extendedKeyUsage = critical,timeStamping
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
"""


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


class TimestampAuthority:
    """Keys and certificates in a folder; `certificate` is the root to be trusted."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self.certificate = folder / "ca.pem"
        (folder / "serial").write_text("01\n")
        (folder / "ts.cnf").write_text(_CONFIG.format(folder=folder))
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        _openssl(
            "req", "-x509", *key, "-keyout", folder / "ca.key", "-out", self.certificate, "-days", "9",
            "-subj", "/CN=Root of timestamps",
        )  # fmt: skip
        _openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "t.key", "-out", folder / "t.csr",
            "-subj", "/CN=Timestamps",
        )  # fmt: skip
        _openssl(
            "x509", "-req", "-in", folder / "t.csr", "-CA", self.certificate, "-CAkey", folder / "ca.key",
            "-CAcreateserial", "-days", "9", "-extfile", folder / "ts.cnf", "-extensions", "ext", "-out", folder / "t.pem",
        )  # fmt: skip

    def stamp(self, digest: str, out: Path, *, bare: bool = False) -> Path:
        """Write a timestamp over a SHA-256 digest (hex): a response, or the bare token."""
        query = self._folder / "q.tsq"
        _openssl("ts", "-query", "-sha256", "-digest", digest, "-cert", "-out", query)
        _openssl(
            "ts", "-reply", "-queryfile", query, "-signer", self._folder / "t.pem", "-inkey", self._folder / "t.key",
            "-config", self._folder / "ts.cnf", "-section", "t", *(["-token_out"] if bare else []), "-out", out,
        )  # fmt: skip
        return out

    def answer(self, query: Path) -> bytes:
        """Return the response to a query, as the authority's server sends it."""
        out = query.with_suffix(".tsr")
        _openssl(
            "ts", "-reply", "-queryfile", query, "-signer", self._folder / "t.pem", "-inkey", self._folder / "t.key",
            "-config", self._folder / "ts.cnf", "-section", "t", "-out", out,
        )  # fmt: skip
        return out.read_bytes()

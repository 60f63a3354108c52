"""A timestamp authority of the tests, by `openssl ts`, and a licence that never ends."""

from __future__ import annotations

import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from story import Events

SHARED = {
    "legal_representative": "扎西", "registered_capital": "100", "enterprise_type": "有限责任公司", "business_scope": "登记",
    "established_on": "2018-03-01",
}  # fmt: skip

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


class Served:
    """The authority behind an address on this machine; `away` lets it refuse."""

    def __init__(self, authority: TimestampAuthority, folder: Path) -> None:
        self.authority = authority
        self.away = True
        self.asked = 0
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = folder / "asked.tsq"
                query.write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
                served.asked += 1
                answer = b"" if served.away else authority.answer(query)
                self.send_response_only(503 if served.away else 200)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End the server."""
        self.server.shutdown()
        self.server.server_close()


def register(events: Events, time: str, application_id: str, holder: str) -> None:
    """Add the registration of an enterprise, which leads to a business licence without end."""
    events.add(
        "registration.submitted",
        time,
        {
            "application_id": application_id,
            "applicant": {
                "kind": "enterprise", "id": holder, "name": "青海示范登记有限公司",
                "address": "青海省循化撒拉族自治县积石镇一号", "division": "630225",
            },
            "items": [],
            "shared": SHARED,
            "materials": [{"kind": "application-form"}],
        },
    )  # fmt: skip

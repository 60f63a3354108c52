"""Connection to the brokers, from the one address in `ZHENGZHAO_BROKER`.

`kafka://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…][?tls=1&ca=FILE&cert=FILE&key=FILE&mechanism=SCRAM-SHA-512]`.
With a user SASL is spoken (default SCRAM-SHA-512, or PLAIN), with `tls=1` TLS; `cert` and `key` are the
client's own certificate, where the brokers ask for one.

Whether the brokers let us in, asked once before anything else: a wrong password is no fault that waiting mends.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from infra.settings import masked
from schemas.errors import UsageError

_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_OPTIONS = {"tls", "ca", "cert", "key", "mechanism"}


class Connection(msgspec.Struct, frozen=True):
    """Brokers and what opens them."""

    servers: tuple[str, ...]
    user: str = ""
    password: str = ""
    mechanism: str = "SCRAM-SHA-512"
    tls: bool = False
    ca: str = ""
    cert: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return f"Connection({','.join(self.servers)}, user={self.user!r}, tls={self.tls})"

    @property
    def bootstrap(self) -> str:
        """The brokers as clients take them."""
        return ",".join(self.servers)

    @property
    def protocol(self) -> str:
        """Kafka's name for how it is spoken."""
        return ("SASL_" if self.user else "") + ("SSL" if self.tls else "PLAINTEXT")

    @property
    def ssl(self) -> ssl.SSLContext | None:
        """The TLS context; None without TLS."""
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=self.ca or None)
        if self.cert:
            context.load_cert_chain(self.cert, self.key or None)
        return context

    @property
    def faust_url(self) -> list[str]:
        """The brokers as Faust takes them."""
        return [f"kafka://{server}" for server in self.servers]

    @property
    def faust_credentials(self) -> Any:
        """The credentials as Faust takes them."""
        if not self.user:
            return None
        import faust

        return faust.SASLCredentials(
            username=self.user, password=self.password, mechanism=self.mechanism, ssl_context=self.ssl
        )

    @property
    def client(self) -> dict[str, Any]:
        """The options that every client of kafka-python takes."""
        options: dict[str, Any] = {"bootstrap_servers": self.bootstrap, "security_protocol": self.protocol}
        if self.tls:
            options["ssl_context"] = self.ssl
        if self.user:
            options |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password,
            }
        return options


def parse(address: str) -> Connection:
    """Return the connection in an address; UsageError says what is wrong with it."""
    parts = urlsplit(address)
    login, _, hosts = parts.netloc.rpartition("@")
    servers = tuple(hosts.split(",")) if hosts else ()
    if parts.scheme != "kafka" or not servers or not all(_has_port(server) for server in servers):
        raise UsageError(f"不是 Kafka 地址 / no Kafka address: {masked(address)}", hint="kafka://HOST:PORT")
    options = {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
    if unknown := sorted(set(options) - _OPTIONS):
        raise UsageError(
            f"Kafka 地址有未知选项 / the Kafka address has an unknown option {unknown[0]!r}",
            hint=", ".join(sorted(_OPTIONS)),
        )
    user, _, password = login.partition(":")
    mechanism = options.get("mechanism", "SCRAM-SHA-512")
    if mechanism not in _MECHANISMS:
        raise UsageError(
            f"未知的 SASL 方式 / unknown SASL mechanism {mechanism!r}", hint=", ".join(_MECHANISMS)
        )
    return Connection(
        servers,
        unquote(user),
        unquote(password),
        mechanism,
        options.get("tls", "0") == "1",
        options.get("ca", ""),
        options.get("cert", ""),
        options.get("key", ""),
    )


def _has_port(server: str) -> bool:
    host, _, port = server.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65536


_SECONDS = 10


def client(connection: Connection) -> dict[str, Any]:
    """Return the options that every client of kafka-python takes; UsageError where the brokers turn us away."""
    check(connection)
    return connection.client


@lru_cache(maxsize=16)
def check(connection: Connection) -> None:
    """Raise UsageError for a wrong password, certificate or mechanism. A broker that is away is no answer."""
    if not (connection.tls or connection.user):
        return
    try:
        asyncio.run(_connect(connection))
    except ssl.SSLCertVerificationError as error:
        raise UsageError(
            f"证书不可信 / the broker's certificate is not trusted: {error.verify_message}",
            where=connection.bootstrap,
            hint="ca=FILE in ZHENGZHAO_BROKER names the authority that signed it; the host must be the one in it",
        ) from None
    except (ssl.SSLError, FileNotFoundError, PermissionError) as error:
        raise UsageError(
            f"TLS 未能建立 / TLS could not be set up: {error}",
            where=connection.bootstrap,
            hint="look at tls, ca, cert and key in ZHENGZHAO_BROKER",
        ) from None
    except Exception as error:
        _refused(connection, error)


def _refused(connection: Connection, error: Exception) -> None:
    from aiokafka.errors import (
        SaslAuthenticationFailed,
        UnsupportedSaslMechanismError,
    )

    if isinstance(error, SaslAuthenticationFailed):
        raise UsageError(
            f"用户名或口令不对 / the broker refuses the user {connection.user!r} with this password",
            where=connection.bootstrap,
            hint="kafka://USER:PASSWORD@HOST:PORT in ZHENGZHAO_BROKER; percent-encode special characters",
        ) from None
    if isinstance(error, UnsupportedSaslMechanismError):
        raise UsageError(
            f"不支持的认证方式 / the broker does not speak {connection.mechanism}",
            where=connection.bootstrap,
            hint="mechanism=PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 in ZHENGZHAO_BROKER",
        ) from None


async def _connect(connection: Connection) -> None:
    from aiokafka.conn import create_conn

    host, _, port = connection.servers[0].rpartition(":")
    made = await create_conn(
        host.strip("[]"),
        int(port),
        ssl_context=connection.ssl,
        security_protocol=connection.protocol,
        sasl_mechanism=connection.mechanism if connection.user else None,
        sasl_plain_username=connection.user or None,
        sasl_plain_password=connection.password or None,
        request_timeout_ms=_SECONDS * 1000,
    )
    made.close()


def denied(connection: Connection, error: Exception) -> UsageError | None:
    """Return what access lists forbid, as an error of use; None for any other error."""
    from kafka.errors import AuthorizationError

    if not isinstance(error, AuthorizationError):
        return None
    return UsageError(
        f"无权 / the broker does not let the user {connection.user!r} do this: {error!r}",
        where=connection.bootstrap,
        hint="docs/operations.md lists what each role has to be allowed",
    )

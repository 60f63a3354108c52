"""Whether the brokers let us in, asked once before anything else: a wrong password is no fault that waiting mends."""

from __future__ import annotations

import asyncio
import ssl
from functools import lru_cache
from typing import Any

from infra.kafka.connection import Connection
from schemas.errors import UsageError

_SECONDS = 10


def client(connection: Connection) -> dict[str, Any]:
    """The options that every client of kafka-python takes; UsageError where the brokers turn us away."""
    check(connection)
    return connection.client


@lru_cache(maxsize=16)
def check(connection: Connection) -> None:
    """Raises UsageError for a wrong password, certificate or mechanism. A broker that is away is no answer."""
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
    """What access lists forbid, as an error of use; None for any other error."""
    from kafka.errors import AuthorizationError

    if not isinstance(error, AuthorizationError):
        return None
    return UsageError(
        f"无权 / the broker does not let the user {connection.user!r} do this: {error!r}",
        where=connection.bootstrap,
        hint="docs/operations.md lists what each role has to be allowed",
    )

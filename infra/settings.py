"""Settings: the data folder, broker and store, the passphrase of the keys, and the rules that an office sets.

They come from the environment (`ZHENGZHAO_…`) and from `DIR/settings.toml`; the environment counts first. A key
of the file that is not known is refused, so that a misspelt setting cannot pass unnoticed. Secrets never print:
`repr` and `masked` hide them.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import msgspec

from schemas.authorities import find, source_of
from schemas.errors import UsageError
from schemas.transparency.notes import COSIGNATURE, VerifierKey, is_key_name, read_key

T = TypeVar("T")
DEFAULT_DATA = "zhengzhao-data"
PATIENCE = 20
RETENTION_YEARS = (
    3  # As long as the longest bar, since a person's record can matter to a decision for so long.
)
_INBOX = re.compile(r"zhengzhao\.inbox\.[A-Za-z0-9._-]{1,200}")
BACKDATE_DAYS = 30  # an event dated further back is rejected
PAST_DAYS = 36_500  # the limit for stories of the past
_INBOXES_HINT = '[inboxes] with lines like "zhengzhao.inbox.630100" = "urn:agency:630100:market-regulation"'
_KEYS = frozenset(
    {
        "require_proof", "items", "workers", "patience", "retention_years", "backdate_days", "inboxes", "proxies", "log",
        "window", "mail", "webhook", "oidc", "timestamp", "authorities",
    }
)  # fmt: skip
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"", "0", "false", "no", "off"}


class WitnessSettings(msgspec.Struct, frozen=True):
    """A witness of the log: where it answers, and the key by which its signatures are known."""

    address: str
    key: VerifierKey


class LogSettings(msgspec.Struct, frozen=True):
    """The transparency log: its origin (empty: `<HOST>/log`), its witnesses, and how many of them are needed."""

    origin: str = ""
    witnesses: tuple[WitnessSettings, ...] = ()
    needed: int = 0


class MailSettings(msgspec.Struct, frozen=True):
    """The mail server that takes letters: `tls` is `tls`, `starttls` or empty; the password comes from the environment."""

    host: str
    sender: str
    port: int = 25
    tls: str = ""
    user: str = ""
    password: str = ""


class ProviderSettings(msgspec.Struct, frozen=True):
    """The OpenID provider for logins, and the names of its claims: each maps to what an account has."""

    issuer: str
    client_id: str
    client_secret: str = ""
    enterprise: str = "enterprise"
    person: str = "person"
    agency: str = "agency"
    roles: str = "roles"


class Settings:
    """The settings of one call of the command."""

    def __init__(
        self,
        data: Path,
        *,
        broker: str | None = None,
        store: str | None = None,
        passphrase: str | None = None,
        root_passphrase: str | None = None,
        require_proof: bool = False,
        items: tuple[Path, ...] = (),
        workers: int = 0,
        patience: float = PATIENCE,
        retention_years: int = RETENTION_YEARS,
        backdate_days: int | None = None,
        inboxes: Mapping[str, str] | None = None,
        proxies: tuple[IPv4Network | IPv6Network, ...] = (),
        log: LogSettings | None = None,
        window: str = "",
        mail: MailSettings | None = None,
        webhook: str = "",
        oidc: ProviderSettings | None = None,
        timestamp: str = "",
        authorities: object = None,
    ) -> None:
        self.data = data
        self.broker = broker
        self.store = store
        self.passphrase = passphrase
        self.root_passphrase = root_passphrase or passphrase  # of `keys/root`, which only new editions need
        self.require_proof = require_proof
        self.items = items  # further folders with service item files
        self.workers = workers  # issuing processes; 0: one for each core
        self.patience = patience  # seconds of trying again before a fault of the surroundings is reported
        self.retention_years = (
            retention_years  # a person's record is kept for so long after it came to its end
        )
        self.backdate_days = backdate_days  # days by which an event may be dated back; None: any number
        self.inboxes = dict(inboxes or {})  # on Kafka: an agency's own inbox topic → its source
        self.log = log or LogSettings()
        self.window = window  # division of the installation's own window; empty: the applicant's province
        self.mail = mail  # where letters go by e-mail; None: nowhere
        self.webhook = webhook  # where letters are told; empty: nowhere
        self.oidc = oidc  # who identifies those who log in; None: local accounts alone
        self.timestamp = timestamp  # the authority that stamps licences without end (RFC 3161); empty: none
        self.authorities = authorities  # as in a file of the folder `authorities`; None: nothing
        self.proxies = proxies  # networks whose X-Forwarded-For the HTTP service believes

    def __repr__(self) -> str:
        secret = "***" if self.passphrase else None
        shown = {k: masked(v) if v else v for k, v in (("broker", self.broker), ("store", self.store))}
        return f"Settings(data={str(self.data)!r}, {shown}, passphrase={secret})"

    @property
    def on_kafka(self) -> bool:
        """Return whether a broker carries the streams; else the embedded engine does."""
        return self.broker is not None

    @property
    def shared_persons(self) -> str | None:
        """The store in which the persons' keys are shared; None where they lie in the data folder."""
        return self.store if self.on_kafka else None

    @property
    def objects(self) -> Path:
        """Folder of the objects of the embedded engine."""
        return self.data / "objects"

    @property
    def trust(self) -> Path:
        """Folder of the public trust material."""
        return self.data / "trust"

    @property
    def keys(self) -> Path:
        """Folder of what can sign."""
        return self.data / "keys"

    @property
    def database(self) -> Path:
        """The file of the embedded engine: ledger, facts, state."""
        return self.data / "zhengzhao.sqlite"


def allow_past(data: Path) -> None:
    """Let a data folder take in events of the past: write `backdate_days` into its settings where it is not set."""
    file = data / "settings.toml"
    text = file.read_text("utf-8") if file.exists() else ""
    if "backdate_days" not in tomllib.loads(text):
        data.mkdir(parents=True, exist_ok=True)
        file.write_text(f"backdate_days = {PAST_DAYS}\n{text}", "utf-8")


def load(data: Path | None = None, env: Mapping[str, str] | None = None) -> Settings:
    """Read the settings of the data folder `data` (default: `ZHENGZHAO_DATA`, else `./zhengzhao-data`).

    Raises UsageError, naming file and key, for what is not known or out of range.
    """
    env = os.environ if env is None else env
    folder = data or Path(env.get("ZHENGZHAO_DATA") or DEFAULT_DATA)
    file = _file(folder / "settings.toml")
    broker = env.get("ZHENGZHAO_BROKER") or None
    if broker and urlsplit(broker).scheme != "kafka":
        raise UsageError(
            f"ZHENGZHAO_BROKER 不是 Kafka 地址 / ZHENGZHAO_BROKER is not a Kafka address: {masked(broker)}",
            hint="kafka://HOST:PORT",
        )
    store = env.get("ZHENGZHAO_STORE") or None
    if store and urlsplit(store).scheme not in ("s3", "s3s"):
        raise UsageError(
            f"ZHENGZHAO_STORE 不是 S3 地址 / ZHENGZHAO_STORE is not an S3 address: {masked(store)}",
            hint="s3://KEY:SECRET@HOST:PORT/BUCKET",
        )
    return Settings(
        folder,
        broker=broker,
        store=store,
        passphrase=env.get("ZHENGZHAO_PASSPHRASE") or None,
        root_passphrase=env.get("ZHENGZHAO_ROOT_PASSPHRASE") or None,
        require_proof=_flag(env.get("ZHENGZHAO_REQUIRE_PROOF", file.get("require_proof", False))),
        items=_folders(file.get("items", []), folder),
        workers=_count("workers", env.get("ZHENGZHAO_WORKERS", file.get("workers", 0)), 256),
        patience=_count("patience", env.get("ZHENGZHAO_PATIENCE", file.get("patience", PATIENCE)), 86_400),
        retention_years=_count(
            "retention_years",
            env.get("ZHENGZHAO_RETENTION_YEARS", file.get("retention_years", RETENTION_YEARS)),
            100,
        ),
        backdate_days=_count(
            "backdate_days",
            env.get("ZHENGZHAO_BACKDATE_DAYS", file.get("backdate_days", BACKDATE_DAYS)),
            PAST_DAYS,
        ),
        inboxes=_inboxes(file.get("inboxes", {}), folder / "settings.toml"),
        proxies=_proxies(file.get("proxies", []), folder / "settings.toml"),
        log=_log(file.get("log", {}), folder / "settings.toml"),
        window=_window(file.get("window", ""), folder / "settings.toml"),
        mail=_mail(file.get("mail"), env, folder / "settings.toml"),
        webhook=_address("webhook", file.get("webhook", ""), folder / "settings.toml"),
        oidc=_provider(file.get("oidc"), env, folder / "settings.toml"),
        timestamp=_address("timestamp", file.get("timestamp", ""), folder / "settings.toml"),
        authorities=file.get("authorities"),
    )


def masked(address: str) -> str:
    """Return an address as it may be printed, without user and password."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "***"
    host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"***@{host[2]}")) if host[1] else address


def _file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = tomllib.loads(path.read_text("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"设置无法读取 / the settings cannot be read: {error}", where=str(path), hint="TOML, UTF-8"
        ) from error
    for key in found:
        if key not in _KEYS:
            raise UsageError(
                f"没有这项设置 / no such setting: {key}", where=str(path), hint=", ".join(sorted(_KEYS))
            )
    return found


def _folders(named: object, folder: Path) -> tuple[Path, ...]:
    """Return further folders of service items, relative to the data folder."""
    if not isinstance(named, list) or not all(isinstance(one, str) for one in named):
        raise UsageError(
            "items 不是目录列表 / items is not a list of folders",
            where=str(folder / "settings.toml"),
            hint='items = ["my-items"]',
        )
    return tuple(folder / one for one in named)


def _inboxes(named: object, where: Path) -> dict[str, str]:
    """Return the inbox topics of agencies, each with the one source that may send there."""
    if not isinstance(named, dict):
        raise UsageError("inboxes 不是表 / inboxes is not a table", where=str(where), hint=_INBOXES_HINT)
    for topic, source in named.items():
        if not _INBOX.fullmatch(topic) or not isinstance(source, str) or source_of(source) is None:
            raise UsageError(
                f"不是收件主题及其来源 / not an inbox topic with its source: {topic!r} = {source!r}",
                where=str(where),
                hint=_INBOXES_HINT,
            )
    return dict(named)


def _proxies(named: object, where: Path) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks of the proxies in front of the HTTP service."""
    try:
        if not isinstance(named, list):
            raise ValueError("no list")
        return tuple(ip_network(str(one)) for one in named)
    except ValueError as error:
        raise UsageError(
            f"proxies 不是网络地址列表 / proxies is not a list of networks: {error}",
            where=str(where),
            hint='proxies = ["10.0.0.7", "192.168.0.0/24"]',
        ) from None


def _log(named: object, where: Path) -> LogSettings:
    """Return what the table `[log]` says."""
    try:
        if not isinstance(named, dict) or not named.keys() <= {"origin", "needed", "witnesses"}:
            raise ValueError("origin, needed, witnesses")
        witnesses = tuple(
            WitnessSettings(str(each["address"]), read_key(str(each["key"])))
            for each in named.get("witnesses", [])
        )
        found = LogSettings(str(named.get("origin", "")), witnesses, int(named.get("needed", 0)))
        if found.origin and not is_key_name(found.origin):
            raise ValueError(f"origin = {found.origin!r}")
        if any(w.key.kind != COSIGNATURE or not w.address.startswith("http") for w in witnesses):
            raise ValueError("a witness has an http(s) address, and the key that `witness init` prints")
        if not 0 <= found.needed <= len({w.key.public for w in witnesses}):
            raise ValueError(f"needed = {found.needed}, of {len(witnesses)} witnesses")
    except (ValueError, TypeError, KeyError, UsageError) as error:
        raise UsageError(
            f"日志设置无法读取 / [log] cannot be read: {error}",
            where=str(where),
            hint='[log] needed = 1, witnesses = [{address = "https://…", key = "NAME+ID+KEY"}]',
        ) from None
    return found


def _flag(value: object) -> bool:
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise UsageError(
            f"require_proof 须为 true 或 false / require_proof is neither true nor false: {value}",
            hint="settings.toml, ZHENGZHAO_REQUIRE_PROOF: true, false",
        )
    return text in _TRUE


def _count(name: str, value: object, most: int) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = -1
    if not 0 <= number <= most:
        raise UsageError(
            f"{name} 须为 0 至 {most} 的整数 / {name} is not a whole number from 0 to {most}: {value}",
            hint=f"ZHENGZHAO_{name.upper()}",
        )
    return number


def _window(code: object, where: Path) -> str:
    if not isinstance(code, str) or (code and find(code) is None):
        raise UsageError(
            f"window 不是区划代码 / window is no division: {code}", where=str(where), hint='window = "630000"'
        )
    return code


def _address(name: str, address: object, where: Path) -> str:
    if not isinstance(address, str) or (address and urlsplit(address).scheme not in ("http", "https")):
        raise UsageError(
            f"{name} 不是 http(s) 地址 / {name} is no http(s) address",
            where=str(where),
            hint=f'{name} = "https://…"',
        )
    return address


def _mail(named: object, env: Mapping[str, str], where: Path) -> MailSettings | None:
    """Return what the table `[mail]` says; the password may come from `ZHENGZHAO_MAIL_PASSWORD`."""
    found = _table(
        "mail", named, MailSettings, where, 'host = "mail.example", sender = "hall@example.cn", port = 25'
    )
    password = env.get("ZHENGZHAO_MAIL_PASSWORD")
    return msgspec.structs.replace(found, password=password) if found and password else found


def _provider(named: object, env: Mapping[str, str], where: Path) -> ProviderSettings | None:
    """Return what the table `[oidc]` says; the secret may come from `ZHENGZHAO_OIDC_SECRET`."""
    found = _table(
        "oidc", named, ProviderSettings, where, 'issuer = "https://id.example", client_id = "zhengzhao"'
    )
    secret = env.get("ZHENGZHAO_OIDC_SECRET")
    return msgspec.structs.replace(found, client_secret=secret) if found and secret else found


def _table(name: str, named: object, kind: type[T], where: Path, hint: str) -> T | None:
    if named is None:
        return None
    try:
        if isinstance(named, dict) and (unknown := set(named) - set(kind.__struct_fields__)):  # type: ignore[attr-defined]
            raise msgspec.ValidationError(f"unknown keys {', '.join(sorted(unknown))}")
        return msgspec.convert(named, kind)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"[{name}] 无法读取 / [{name}] cannot be read: {error}", where=str(where), hint=hint
        ) from None

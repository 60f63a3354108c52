"""Examination of a set-up: fonts, keys, storage, engine, deliveries, draws, clock and proofs.

Each check looks at one thing and returns findings; nothing is changed. Texts are in Chinese and English.
"""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from infra.agencies import broken_import, missing_guards
from infra.bootstrap import HOST_HINT, HOSTS_GOOD, Installation
from infra.delivery.outbox import DATABASE, OUTBOX
from infra.delivery.webhooks import FILE, Hook, load_departments
from infra.draw import results_page
from infra.draw.store import DrawStore
from infra.pool import cores
from infra.settings import masked
from infra.stores import Conditional
from infra.transparency.trust_folder import examine_edition
from issuance import fonts, page
from issuance.signer import root_path
from processors.draw import visits
from schemas.authorities import EXAMPLE_HOST
from schemas.calendar import CHINA
from schemas.draw.aftermath import PublishedDraw
from schemas.draw.documents import read_transcript
from schemas.errors import NotFound, ZhengzhaoError
from schemas.trust import FOREIGN_USES
from verification.log_book import policy_of, verify_checkpoint

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_ANSWER_SECONDS: Final = 2.0  # a department's server gets so long to accept a connection
_LOW_ROOM: Final = 1 << 30  # bytes
_RESTORE = "恢复备份 / restore a backup"
_CHECK_CLOCK: Final = "核对时钟；无误则 / check the clock; if it is right: zhengzhao tick --at TIME --confirm"
_CLOCK_YEARS: Final = (2024, 2100)


class DoctorFinding(msgspec.Struct, frozen=True):
    """The result of one check. `ok`: True good, False wrong, None a warning."""

    name: str
    ok: bool | None
    detail: str
    hint: str = ""


Findings = Iterator[DoctorFinding]


def examine(here: Installation) -> list[DoctorFinding]:
    """Make all checks, each even if one before it failed, and return their findings."""
    checks: tuple[Callable[[Installation], Findings], ...] = (
        _fonts, _keys, _hosts, _storage, _broker, _data, _letters, _deliveries, _draws, _log, _clock, _proof, _machine,
    )  # fmt: skip
    found: list[DoctorFinding] = []
    for check in checks:
        name = check.__name__.removeprefix("_")
        try:
            found += check(here)
        except ZhengzhaoError as error:
            found.append(DoctorFinding(name, False, str(error), error.hint))
        except (OSError, sqlite3.Error) as error:
            hint = "检查数据目录、权限和剩余空间 / check the data folder, its permissions and the free space"
            found.append(DoctorFinding(name, False, str(error), hint))
    return found


def _fonts(_: Installation) -> Findings:
    yield from (DoctorFinding("fonts", True, path.name) for path in fonts.paths())
    digest, known = fonts.digest()[:16], len(fonts.coverage())
    yield DoctorFinding("fonts", True, f"摘要 / digest {digest}… · 字符 / characters {known}")
    other = page.untested_packages()
    made_by = " · ".join([page.renderer(), *other])
    yield DoctorFinding("renderer", not other, made_by, page.INSTALL if other else "")


def _keys(here: Installation) -> Findings:
    trust = here.trust
    now = datetime.now(UTC)
    live = [key for key in trust.keys.values() if key.signed_in_time(now)]
    yield from (DoctorFinding("trust", *found) for found in examine_edition(here.settings, trust, now))
    starts = min(key.signs_from for key in trust.keys.values())
    signing = (
        f"今日可签发 {len(live)} 个，共 {len(trust.keys)} 个，最早自 {starts[:10]} / "
        f"{len(live)} of {len(trust.keys)} can sign today; the first from {starts[:10]}"
    )
    yield DoctorFinding("keys", bool(live) or None, signing, "" if live else "zhengzhao keys rotate")
    private = here.signer().kids
    missing = len({k.kid for k in trust.keys.values() if k.use not in FOREIGN_USES} - private)
    yield DoctorFinding(
        "keystore", not missing,
        f"私钥 / private keys {len(private)}" + (f" · 缺少 / missing {missing}" if missing else ""),
        "从备份恢复 keys/ / restore keys/ from a backup" if missing else "",
    )  # fmt: skip
    yield _root(here, private)
    if here.settings.passphrase is None:
        yield DoctorFinding(
            "passphrase", None, "私钥未加密 / the private keys are not encrypted",
            "在 keys init 之前设 ZHENGZHAO_PASSPHRASE / set ZHENGZHAO_PASSPHRASE before keys init",
        )  # fmt: skip


def _root(here: Installation, private: frozenset[str]) -> DoctorFinding:
    """Tell where the root's private key lies: away, in its own file, or (earlier releases) among the keys that sign."""
    signature = here.trust.listing.signature
    if signature is not None and signature.kid in private:
        detail = "根密钥与签发密钥在同一文件 / the root's key lies among the keys that sign"
        hint = "zhengzhao keys rotate 把它移到 keys/root / moves it to keys/root"
        return DoctorFinding("root", None, detail, hint)
    if root_path(here.settings.data).exists():
        detail = "keys/root 在本机 / keys/root is on this machine"
        hint = "移到别处保管，换发或吊销密钥时再放回 / take it away; put it back to rotate or revoke keys"
        return DoctorFinding("root", None, detail, hint)
    return DoctorFinding("root", True, "根密钥不在本机 / the root's key is not on this machine")


def _hosts(here: Installation) -> Findings:
    """Check that the QR codes lead somewhere, for each authority to the host printed before."""
    example = here.example_hosts()
    wrong = f"二维码指向示例主机 {EXAMPLE_HOST} 的机关 / authorities that print {EXAMPLE_HOST}, which nobody has: {len(example)} ({'; '.join(example[:2])}…)"
    yield DoctorFinding("hosts", not example, wrong if example else HOSTS_GOOD, HOST_HINT if example else "")
    here.check_hosts()


def _storage(here: Installation) -> Findings:
    settings = here.settings
    where = masked(settings.store) if settings.store else str(settings.objects)
    first = next(iter(here.store.list("status/")), None)
    if first is not None:
        here.store.get(first)
    yield DoctorFinding("store", True, f"{where}: 可用 / answers")
    if isinstance(here.store, Conditional):
        atomic = here.store.conditional()
        detail = (
            "写入有条件检查 / writes are conditional"
            if atomic
            else "写入无条件检查，改为读回比对 / writes are not conditional: each is read back and compared"
        )
        yield DoctorFinding("store", atomic or None, detail)
    folder = next(p for p in (settings.data, *settings.data.absolute().parents) if p.exists())
    room = shutil.disk_usage(folder).free
    yield DoctorFinding(
        "room", room > _LOW_ROOM, f"可用 / free {room / 1e9:.1f} GB",
        "" if room > _LOW_ROOM else "清理磁盘 / free some space on the disk",
    )  # fmt: skip
    if settings.data.exists() and not os.access(settings.data, os.W_OK):
        hint = "检查权限 / check its permissions"
        yield DoctorFinding("folder", False, f"{settings.data}: 不可写 / cannot be written", hint)


def _broker(here: Installation) -> Findings:
    if here.settings.broker is None:
        return
    if refused := here.ticks_refused():
        yield DoctorFinding("tick", False, f"已停止报时 / ticks have stopped: {refused}", _CHECK_CLOCK)
    wrong, lags = here.broker_state()
    for detail in wrong:
        yield DoctorFinding(
            "topics", False, detail,
            "用消息服务自带的工具改正；事实与账目须永久保留 / correct it with the broker's tools; "
            "facts and ledger are kept for ever",
        )  # fmt: skip
    if not wrong:
        where = masked(here.settings.broker)
        good = "分区、保留与压缩符合要求 / partitions, retention and compaction are as required"
        yield DoctorFinding("topics", True, f"{where}: {good}")
    said = ", ".join(f"{stage} {lag}" for stage, lag in lags.items()) or "无积压 / nothing waits"
    hint = "每个环节是否都有工作进程 / is there a worker for each stage?" if lags else ""
    yield DoctorFinding("backlog", None if lags else True, said, hint)


def _data(here: Installation) -> Findings:
    if broken_import(here.settings):
        yield DoctorFinding("import", False, "导入未完 / not whole yet", "zhengzhao log import FILE")
    if here.settings.broker is not None:
        return
    if not here.settings.database.exists():
        yield DoctorFinding("data", True, "尚未收件 / nothing has been taken in yet")
        return
    with here.database() as db:
        for name in missing_guards(here.settings, db):
            detail = f"以前用过，现在没有 / it guarded this installation before, and is missing: {name}"
            hint = f"{_RESTORE}，或 / or: zhengzhao doctor --forget {name}"
            yield DoctorFinding("guards", False, detail, hint)
        state = db.db.execute("PRAGMA quick_check").fetchone()[0]
        yield DoctorFinding("data", state == "ok", f"SQLite: {state}", "" if state == "ok" else _RESTORE)
        facts, _ = db.head()
        entries = db.db.execute("SELECT count(*) FROM ledger").fetchone()[0]
        yield DoctorFinding("ledger", True, f"账目 / entries {entries} · 事实 / facts {facts}")
        pending = db.pending()
        jobs = db.db.execute("SELECT count(*) FROM outbox").fetchone()[0]
        if pending or jobs:
            detail = f"待决定 / entries to decide {pending} · 待制证 / licences to issue {jobs}"
            yield DoctorFinding("pending", None, detail, here.next_step())
        if refused := db.meta("clock-refused"):
            yield DoctorFinding("tick", False, f"已停止报时 / ticks have stopped: {refused}", _CHECK_CLOCK)
        if unsigned := int(db.meta("without_proof", "0")):
            detail = f"{unsigned} 条事件没有签名 / {unsigned} events were taken in without a proof"
            yield DoctorFinding("proof", None, detail, "settings.toml: require_proof = true")


def _letters(here: Installation) -> Findings:
    if here.settings.broker is None and not here.settings.database.exists():
        return
    with here.letters() as box:
        count = sum(1 for _ in box.letters())
    if count:
        yield DoctorFinding("letters", False, f"死信 / dead letters {count}", "zhengzhao letters list")


def _deliveries(here: Installation) -> Findings:
    """Check the outbox, each department of `departments.toml`, and what their webhooks have not taken."""
    hooks = load_departments(here.settings.data)
    if here.settings.broker is not None:
        if hooks:
            yield DoctorFinding(
                "departments", None, f"{FILE} 在 Kafka 上不起作用 / {FILE} has no effect on Kafka",
                "部门读取主题 zhengzhao.filings.<department> / departments read zhengzhao.filings.<department>",
            )  # fmt: skip
        return
    yield from _outbox(here.settings.data)
    known = {item.department for item in here.catalogue.items.values() if item.mode == "filing"}
    for name, hook in sorted(hooks.items()):
        yield from _department(name, hook, known)
    yield from _waiting(here.settings.data)


def _outbox(data: Path) -> Findings:
    outbox = data / OUTBOX
    if not outbox.exists():
        return
    for folder in (outbox, *(path for path in sorted(outbox.iterdir()) if not path.is_file())):
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            hint = "须为可写的目录 / it must be a folder that can be written"
            yield DoctorFinding("outbox", False, f"{folder}: 不可写 / cannot be written", hint)
            return
    yield DoctorFinding("outbox", True, f"{outbox}: 可写 / can be written")


def _department(name: str, hook: Hook, known: set[str]) -> Findings:
    parts = urlsplit(hook.url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    where = f"{name}: {parts.scheme}://{host}:{port}"
    if name not in known:
        yield DoctorFinding(
            "departments", None, f"{name}: 没有该部门的备案 / no filing is of this department",
            f"备案部门 / departments of filings: {', '.join(sorted(known))}",
        )  # fmt: skip
    if parts.scheme == "http" and host not in _LOOPBACK:
        detail = f"{where}: 备案以明文传送 / filings travel unencrypted"
        yield DoctorFinding("departments", None, detail, "改用 https / use an https address")
    try:
        socket.create_connection((host, port), timeout=min(_ANSWER_SECONDS, hook.timeout)).close()
    except OSError as error:
        hint = "核对地址与部门的服务器；备案等待送达 / check the address and the department's server; filings wait"
        yield DoctorFinding("departments", None, f"{where}: 无响应 / does not answer: {error}", hint)
    else:
        yield DoctorFinding("departments", True, f"{where}: 有响应 / answers")


def _waiting(data: Path) -> Findings:
    path = data / DATABASE
    if not path.exists():
        return
    sql = "SELECT department, count(*), max(attempts), max(error) FROM waiting GROUP BY department"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        rows = db.execute(sql).fetchall()
    for department, count, attempts, error in rows:
        detail = (
            f"{department}: {count} 件备案未送达，已尝试 {attempts} 次 / {count} filings not delivered, "
            f"{attempts} attempts: {error or '尚未尝试 / not tried yet'}"
        )
        yield DoctorFinding("deliveries", None, detail, "zhengzhao filing deliver")


def _draws(here: Installation) -> Findings:
    """Find each announcement whose period has begun and that is neither drawn nor voided."""
    if not (here.settings.data / "draws").is_dir():
        return
    now, count, late = datetime.now(UTC), 0, 0
    for link in DrawStore(here.settings.data).every():
        count += 1
        if link.overdue(now):
            late += 1
            plan = link.announcement.plan
            yield DoctorFinding(
                "draws", False,
                f"公告逾期未抽取 / announcement {link.announcement.sequence} of {plan.authority} ({plan.plan}) is "
                f"neither drawn nor voided, and its period began on {plan.period[0]}",
                "zhengzhao draw run，或 / or draw void --reason",
            )  # fmt: skip
    yield from _visits(here, now.astimezone(CHINA).date())
    if not late:
        yield DoctorFinding("draws", True, f"公告 {count} 个，无逾期 / {count} announcements, none overdue")


def _visits(here: Installation, today: date) -> Findings:
    """Find visits of draws past their period, and results that are not published past their last day."""
    store = DrawStore(here.settings.data)
    drawn = [link for link in store.every() if link.transcript]
    if not drawn:
        return
    with here.register() as register:
        taken = visits.records(register)
        days = visits.published_days(register, results_page.published_tables(store))
    for link in drawn:
        assert link.transcript is not None
        transcript = read_transcript(link.transcript.read_bytes())
        shown = PublishedDraw(link.announcement, transcript, store.replacements(link.announcement))
        found = visits.tasks([shown], taken, days)
        plan = link.announcement.plan
        if overdue := sum(1 for task in found if task.state(today) == "overdue"):
            yield DoctorFinding(
                "visits", False,
                f"逾期未检查 {overdue} 户 / {overdue} visits of {plan.plan} are overdue since {plan.period[1]}",
                "zhengzhao inspect list --state overdue",
            )  # fmt: skip
        if unpublished := sum(1 for task in found if not task.published_on and task.late(today)):
            yield DoctorFinding(
                "results", False,
                f"逾期未公示 {unpublished} 条 / {unpublished} results of {plan.plan} are not published after "
                f"{visits.PUBLISHED_WITHIN} working days",
                "zhengzhao inspect publish",
            )  # fmt: skip


def _clock(_: Installation) -> Findings:
    now = datetime.now(CHINA)
    sane = _CLOCK_YEARS[0] <= now.year < _CLOCK_YEARS[1]
    yield DoctorFinding(
        "clock", sane, f"北京时间 / China time {now.isoformat(timespec='seconds')}",
        "" if sane else "校准时钟 / set the clock",
    )  # fmt: skip
    wall, steady = time.time(), time.monotonic()
    time.sleep(0.05)
    drift = abs((time.time() - wall) - (time.monotonic() - steady))
    if drift > 0.02:
        hint = "是否正在校时 / is it being set right now?"
        yield DoctorFinding("clock", None, f"时钟跳动 / the clock jumped by {drift:.3f} s", hint)


def _log(here: Installation) -> Findings:
    """Find witnesses whose signatures are missing, heads that their tiles do not support, timestamps that wait."""
    policy = policy_of(here.trust)
    if policy is None:
        hint = "zhengzhao keys rotate --use log"
        yield DoctorFinding("log", None, "没有透明日志 / there is no transparency log", hint)
        return
    set_up = {str(witness.key) for witness in here.settings.log.witnesses}
    told = {str(key) for key in policy.witnesses}
    if set_up != told or here.settings.log.needed != policy.needed:
        yield DoctorFinding(
            "log", False, "trust.json 与设置中的见证人不同 / trust.json names other witnesses than the settings",
            "zhengzhao keys rotate --use status：新版次写入设置中的见证人 / its next edition names those of the settings",
        )  # fmt: skip
    try:
        note = here.log.fetch("checkpoint")
    except NotFound:
        yield DoctorFinding("log", None, "日志尚未发布 / no head is published yet", here.next_step())
        return
    seen = verify_checkpoint(note, msgspec.structs.replace(policy, needed=0))
    signed = {one.witness.name for one in seen.cosignatures}
    away = [key.name for key in policy.witnesses if key.name not in signed]
    said = (
        f"{seen.checkpoint.size} 条 / entries · 见证 / witnesses {len(signed)}, 需 / needed {policy.needed}"
    )
    enough = policy.needed == 0 or seen.witnessed_by(policy.needed) is not None
    missing = f" · 缺少 / missing: {', '.join(away)}" if away else ""
    hint = "查看见证服务；它恢复后，下次发布日志时再请其签署 / look after it; the next head of the log is sent to it again"
    yield DoctorFinding("log", enough and (not away or None), said + missing, hint if away else "")


def _proof(here: Installation) -> Findings:
    if here.settings.require_proof:
        yield DoctorFinding("require_proof", True, "没有有效签名的事件一律拒收 / proofs are required")
        return
    yield DoctorFinding(
        "require_proof", None,
        "能写入收件箱者可冒充任何机构 / anybody who reaches the inbox can speak for any agency",
        "settings.toml: require_proof = true；登记各机构的密钥 / settings.toml: require_proof = true, and register the agencies' keys",
    )  # fmt: skip


def _machine(here: Installation) -> Findings:
    detail = f"核 / cores {cores()} · 制证进程 / issuing processes {here.settings.workers or cores()}"
    yield DoctorFinding("machine", True, detail)

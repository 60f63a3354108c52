"""Page of one holder (一企一档): its certificate, licences, filings, cases, checks."""

from __future__ import annotations

from typing import Any

from infra.pages.frame import Column, Html, figures, join, page, section, table, terms, text, two
from schemas.authorities import department_title
from schemas.item_types import ServiceItem
from schemas.items import Catalogue

_GOOD = {"valid": "有效", "issued": "已发证", "granted": "已准予", "claimed": "已认领", "passed": "合格"}
_WAITING = {
    "accepted": "已受理",
    "correction-requested": "待补正",
    "pushed": "已推送",
    "received": "已接收",
    "scheduled": "待核查",
    "suspended": "暂扣",
}
_BAD = {
    "refused": "不予许可",
    "withdrawn": "撤回",
    "rescinded": "撤销",
    "revoked": "吊销",
    "cancelled": "注销",
    "expired": "已到期",
    "lapsed": "逾期失效",
    "returned": "已退回",
    "overdue": "逾期",
    "failed": "不合格",
}
_KINDS = {"post-issuance": "后置核查", "random": "双随机抽查", "complaint": "举报核查"}


def state(value: str) -> Html:
    """Return a state as a coloured word, Chinese and English."""
    for colour, words in (("good", _GOOD), ("mid", _WAITING), ("bad", _BAD)):
        if value in words:
            return Html(f'<span class="state {colour}">{words[value]} {text(value)}</span>')
    return Html(f'<span class="state">{text(value)}</span>')


def holder_page(holder: dict[str, Any], catalogue: Catalogue) -> str:
    """Return the page of a holder from the answer of `holder show`; a person's number stands masked."""
    parts = [
        section("概况", "At a glance", _overview(holder, catalogue)),
        *_licences(holder, catalogue),
        *_filings(holder, catalogue),
        *_cases(holder, catalogue),
        *_checks(holder),
        *_refused(holder),
    ]
    name = holder["name"] or holder["holder_id"]
    return page(str(name), ("证照档案 / Everything on record of one holder",), parts, "zhengzhao")


def _overview(holder: dict[str, Any], catalogue: Catalogue) -> Html:
    living = sum(x["status"] in ("valid", "suspended") for x in holder["licences"])
    waiting = sum(x["state"] in ("accepted", "correction-requested") for x in holder["cases"])
    facts = (
        ("代码", "id", holder["holder_id"]),
        ("名称", "name", holder["name"]),
        ("信用风险分类", "credit class", holder["credit_class"]),
        *((x["label"], _english(x["name"], catalogue), x["value"]) for x in holder["particulars"]),
    )
    counts = (
        (living, "有效证照", "licences in force"),
        (waiting, "在办", "open cases"),
        (len(holder["filings"]), "备案", "filings"),
        (sum(x["state"] in ("scheduled", "overdue") for x in holder["checks"]), "待核查", "checks due"),
    )
    return Html(terms(facts) + "<br>" + figures(counts))


def _english(field: str, catalogue: Catalogue) -> str:
    """Return the English label of a field of the certificate."""
    rules = (rule for item in catalogue.items.values() for rule in item.fields if rule.name == field)
    return next((rule.label.en for rule in rules), "")


def _item(code: str, catalogue: Catalogue) -> Html:
    item: ServiceItem | None = catalogue.get(code)
    return two(item.name.zh, item.name.en) if item else text(code)


def _licences(holder: dict[str, Any], catalogue: Catalogue) -> list[Html]:
    columns = (
        Column("证号", "number"),
        Column("事项", "item"),
        Column("状态", "status"),
        Column("版本", "version", True),
        Column("发证", "issued"),
        Column("有效期至", "until"),
    )
    rows = [
        (
            x["number"],
            _item(x["item"], catalogue),
            state(x["status"]),
            x["version"],
            x["issued_on"],
            x["valid_until"] or "长期 / no end",
        )
        for x in holder["licences"]
    ]
    return [section("证照", "Licences", table(columns, rows))] if rows else []


def _filings(holder: dict[str, Any], catalogue: Catalogue) -> list[Html]:
    columns = (
        Column("备案事项", "filing"),
        Column("部门", "department"),
        Column("状态", "state"),
        Column("推送", "pushed"),
        Column("黄灯 / 红灯", "yellow, red"),
        Column("编号", "id"),
    )
    rows = [
        (
            _item(x["item"], catalogue),
            two(_department(x, catalogue), x["department"]),
            _answer(x),
            x["pushed_on"],
            f"{x['yellow']} / {x['red']}",
            x["filing_id"],
        )
        for x in holder["filings"]
    ]
    return [section("多证合一备案", "Filings", table(columns, rows))] if rows else []


def _answer(filing: dict[str, Any]) -> Html:
    """Return the state of a filing, an alarm where its department is late, and the reason where it was returned."""
    parts = [state(filing["state"])]
    if filing["overdue"]:
        colour, zh = ("bad", "红灯") if "red" in filing["overdue"] else ("mid", "黄灯")
        parts.append(Html(f' <span class="state {colour}">{zh} overdue</span>'))
    if filing["state"] == "returned" and filing["reason"]:
        parts.append(Html(f"<small>{text(filing['reason'])}</small>"))
    return join(parts)


def _department(filing: dict[str, Any], catalogue: Catalogue) -> str:
    item = catalogue.get(filing["item"])
    return department_title(filing["department"], item.level if item else "county")


def _cases(holder: dict[str, Any], catalogue: Catalogue) -> list[Html]:
    columns = (
        Column("申请编号", "application"),
        Column("事项", "item"),
        Column("状态", "state"),
        Column("承诺办结", "promised"),
        Column("说明", "reason, what is missing"),
    )
    rows = [
        (
            x["application_id"],
            _item(x["item"], catalogue),
            state(x["state"]),
            x["due"]["promised"],
            "；".join(part for part in (x["reason"], "、".join(x["missing"])) if part),
        )
        for x in holder["cases"]
    ]
    return [section("办件", "Cases", table(columns, rows))] if rows else []


def _checks(holder: dict[str, Any]) -> list[Html]:
    columns = (
        Column("编号", "id"),
        Column("类别", "kind"),
        Column("证号", "licence"),
        Column("期限", "due"),
        Column("结果", "state"),
    )
    rows = [
        (
            x["inspection_id"],
            two(_KINDS.get(x["kind"], x["kind"]), x["kind"]),
            x["licence_number"],
            x["due"],
            state(x["state"]),
        )
        for x in holder["checks"]
    ]
    return [section("核查与检查", "Checks and inspections", table(columns, rows))] if rows else []


def _refused(holder: dict[str, Any]) -> list[Html]:
    columns = (Column("时间", "time"), Column("事件", "event"), Column("原因", "reason"))
    rows = [(x["time"][:16].replace("T", " "), x["event"], x["reason"]) for x in holder["refused"]]
    return [section("未生效的事件", "Events without effect", table(columns, rows))] if rows else []

"""Words for people in the language of the environment: headings of columns, values of states, halves of messages.

`LC_ALL`, `LC_MESSAGES` or `LANG`, whichever is set first, chooses: Chinese where it begins with `zh`, English where with
`en`; elsewhere headings and states are the names of the contract, and messages have both halves. JSON never changes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Final

_VARIABLES: Final = ("LC_ALL", "LC_MESSAGES", "LANG")
_STATES: Final = frozenset(
    {"state", "status", "kind", "action", "event", "mode", "use", "level", "result", "auth"}
)
_LISTED: Final = frozenset({"missing", "materials", "overdue"})
_MESSAGES: Final = frozenset({"detail", "reason", "hint", "error", "message"})  # texts of two halves
_REFUSED: Final = "refused:"  # before the event of a history that had no effect

_HEADINGS: Final[Mapping[str, str]] = {
    "accepted": "收下",
    "action": "申请类型",
    "address": "地址",
    "application_id": "申请编号",
    "at": "位置",
    "auth": "认证方式",
    "authority": "发证机关",
    "authority_name": "发证机关",
    "by": "查阅人",
    "channel": "渠道",
    "round": "轮次",
    "value": "内容",
    "version_in_force": "有效版本",
    "date": "日期",
    "calendar_fallback": "超出已公布的节假日安排",
    "cases": "办件",
    "category": "产品类别",
    "certificate_due": "发证期限",
    "checks": "核查",
    "code": "代码",
    "commitment": "承诺书",
    "correction": "补正期限",
    "credit_class": "信用分类",
    "deferred": "容缺补交",
    "department": "部门",
    "detail": "说明",
    "division": "行政区划",
    "due": "期限",
    "duplicates": "重复",
    "edition": "版次",
    "email": "电子邮件",
    "erased_now": "本次删除",
    "error": "错误",
    "event": "事项经过",
    "filed_on": "收件日期",
    "expires": "有效至",
    "file": "文件",
    "files": "删除的文件",
    "filing_id": "备案编号",
    "filings": "备案",
    "ground": "理由",
    "hint": "处理办法",
    "history": "经过",
    "holder_id": "持证人号码",
    "holder_name": "持证人",
    "identifier": "证照标识",
    "inspection_id": "检查编号",
    "issued_at": "发布时间",
    "issued_on": "发证日期",
    "item": "事项",
    "items": "事项",
    "keys": "密钥数",
    "kid": "密钥编号",
    "kind": "类型",
    "index": "位置",
    "invalid": "无效数",
    "key": "存储键",
    "label": "名称",
    "letter": "序号",
    "level": "层级",
    "licence_number": "证照编号",
    "licences": "证照",
    "list": "列表",
    "log": "日志",
    "made_at": "发放时间",
    "materials": "材料",
    "merged_into": "并入",
    "missing": "待补正内容",
    "mode": "办理方式",
    "name": "名称",
    "number": "证照编号",
    "objects": "文件",
    "out": "出件",
    "overdue": "超期",
    "particulars": "登记事项",
    "place": "环节",
    "port": "端口",
    "private": "私钥",
    "products": "产品",
    "promised": "承诺期限",
    "public": "公钥",
    "pushed_on": "推送日期",
    "reason": "原因",
    "red": "红色预警日",
    "refused": "未生效的事件",
    "replaced_by": "由此密钥替代",
    "required": "必填",
    "example": "示例",
    "revoked_at": "吊销时间",
    "revoked_since": "吊销时间",
    "running": "运行中",
    "answers": "有响应",
    "fresh_until": "有效期至",
    "before": "原版次",
    "added": "新增",
    "sequence": "版次",
    "server": "服务",
    "signs_from": "签发起始",
    "signs_until": "签发截止",
    "site": "生产地址",
    "source": "来源",
    "state": "当前状态",
    "status": "状态",
    "statutory": "法定期限",
    "subject": "使用者",
    "suspended": "暂扣数",
    "suspended_until": "暂扣至",
    "time": "时间",
    "trust": "信任文件夹",
    "uri": "网址",
    "use": "用途",
    "valid_from": "有效期自",
    "valid_until": "有效期至",
    "validity_years": "有效年数",
    "version": "版本",
    "waiting": "待送达",
    "warning": "警告",
    "what": "查阅内容",
    "window": "收件窗口",
    "yellow": "黄色预警日",
}

_VALUES: Final[Mapping[str, str]] = {
    # states of applications
    "correction-requested": "待补正",
    "accepted": "已受理",
    "refused": "不予许可",
    "withdrawn": "已撤回",
    "lapsed": "逾期终止",
    "granted": "准予许可",
    "issued": "已发证",
    # states of licences
    "valid": "有效",
    "suspended": "暂扣",
    "rescinded": "已撤销",
    "revoked": "已吊销",
    "cancelled": "已注销",
    "expired": "已过期",
    "unissued": "未发证",
    # states of filings, checks, keys and tokens
    "pushed": "已推送",
    "received": "已收到",
    "claimed": "已认领",
    "returned": "已退回",
    "scheduled": "待核查",
    "overdue": "超期",
    "passed": "通过",
    "failed": "未通过",
    "in-force": "有效",
    "pending": "未生效",
    "replaced": "已替换",
    "erased": "已删除",
    "created": "已建立",
    "unchanged": "未变",
    # kinds of holders, inspections, tokens and uses of keys
    "enterprise": "企业",
    "person": "个人",
    "agency": "机构",
    "post-issuance": "证后核查",
    "random": "随机抽查",
    "complaint": "投诉举报",
    "credential": "凭证",
    "seal": "印章",
    "draw": "抽查",
    "party": "参与方",
    "supervisor": "监督方",
    "log": "日志",
    # kinds of applications
    "new": "首次申请",
    "extend": "增项",
    "change": "变更",
    "renew": "延续",
    "reissue": "补发",
    "merge": "合并",
    "surrender": "交回",
    # ways of handling, levels
    "commitment": "告知承诺",
    "review": "审查",
    "consolidated": "多证合一",
    "filing": "备案",
    "province": "省级",
    "prefecture": "市级",
    "county": "县级",
    # events of a history
    "submitted": "提交申请",
    "correction requested": "要求补正",
    "materials supplied": "提交补正",
    "materials-supplied": "提交补正",
    "completed": "材料齐全",
    "reviewed": "部门审查",
    "clock-stopped": "中止计时",
    "clock-resumed": "恢复计时",
    "numbered": "编号",
    "imported": "导入",
    "resumed": "恢复",
    "annulled": "撤销原决定",
    "inspection.recorded": "检查",
    "check.scheduled": "安排核查",
    "check.overdue": "核查超期",
    "certificate-overdue": "发证超期",
    "issue-failed": "制证失败",
    # how an event was authenticated
    "none": "未认证",
    "proof": "签名",
    "token": "令牌",
    "topic": "专用主题",
    "session": "登录",
    "internal": "本机",
    # materials
    "application-form": "申请单",
    "commitment-letter": "承诺书",
    "business-licence": "营业执照",
    "applicant.name": "申请人名称",
    "applicant.address": "申请人地址",
    "applicant.division": "申请人行政区划",
    "promised": "承诺期限",
    "statutory": "法定期限",
    "certificate": "发证期限",
    "yellow": "黄色预警",
    "red": "红色预警",
}


_EVENTS: Final[Mapping[str, str]] = {
    "application.submitted": "提交申请", "application.materials-supplied": "提交补正",
    "application.withdrawn": "撤回申请", "application.reviewed": "部门审查",
    "application.clock-stopped": "中止计时", "application.clock-resumed": "恢复计时",
    "registration.submitted": "提交登记", "filing.received": "备案收到", "filing.claimed": "备案认领",
    "filing.returned": "备案退回", "filing.corrected": "备案更正", "inspection.recorded": "检查",
    "inspections.published": "公布检查结果", "licence.withdrawn": "撤回证照", "licence.rescinded": "撤销证照",
    "licence.revoked": "吊销证照", "licence.cancelled": "注销证照", "licence.suspended": "暂扣证照",
    "licence.resumed": "恢复证照", "licence.imported": "导入证照", "decision.annulled": "撤销原决定",
    "holder.classified": "信用分类", "clock.ticked": "报时", "check.dropped": "核查取消",
    "clock.corrected": "更正时钟", "opened": "收件", "version": "此前版本",
}  # fmt: skip
"""Events of histories and of `refused`: types without prefix and suffix, and what the history adds to them."""


_CHECKS: Final[Mapping[str, str]] = {
    "guards": "安全设置", "import": "导入", "fonts": "字体", "renderer": "版面程序", "trust": "信任文件夹", "keys": "密钥",
    "keystore": "私钥库", "passphrase": "口令", "store": "存储", "room": "剩余空间", "folder": "数据目录",
    "storage": "存储", "broker": "消息服务", "topics": "主题", "data": "数据文件", "ledger": "账目",
    "backlog": "积压", "pending": "待处理", "letters": "死信", "proof": "签名", "require_proof": "强制签名",
    "departments": "备案部门", "outbox": "送达目录", "deliveries": "送达", "draws": "抽查", "clock": "时钟",
    "tick": "报时", "root": "根密钥", "results": "检查结果", "visits": "实地检查", "without_proof": "未签名来源",
    "log": "透明日志", "machine": "机器", "hosts": "网址",
}  # fmt: skip


def _asked() -> str:
    """Return the language that the environment asks for: its first two letters."""
    return next((value for name in _VARIABLES if (value := os.environ.get(name))), "").lower()[:2]


def chinese() -> bool:
    """Return whether the environment asks for Chinese."""
    return _asked() == "zh"


_HALVES: Final = " / "
_HAN: Final = re.compile(r"[\u3001-\u303f\u3400-\u9fff\uff00-\uffef]")
_PAIR: Final = re.compile(rf"([^/]*?{_HAN.pattern}[^/]*?) / ([^\u3001-\u303f\u3400-\u9fff\uff00-\uffef]*)")
_PARTS: Final = re.compile(r"( · |\n)")
_PLAIN: Final = re.compile(r"[A-Za-z][a-z'’-]*|[A-Z]{2,6}|[A-Za-z]+(?:/[a-z]+)?")
_EDGES: Final = ',.;:()[]，。；：（）、“”"`'


def one_language(text: str) -> str:
    """Return a message of two halves (`中文 / English`) in the language of the environment, anything else as it is.

    A value that stands in the other half alone, such as one that follows both, is kept; where that cannot be told
    from the words around it, so is the other half.
    """
    if _HALVES not in text or (language := _asked()) not in ("zh", "en"):
        return text
    return "".join(_halved(part, language == "zh") for part in _PARTS.split(text))


def _halved(part: str, zh: bool) -> str:
    first, _, second = part.partition(_HALVES)
    if _HALVES not in second:
        return _kept(first, second, zh) if second else part
    return _PAIR.sub(lambda pair: _kept(pair[1], pair[2], zh), part)


def _kept(first: str, second: str, zh: bool) -> str:
    """Return one half of a message, with what belongs to both."""
    shares = [len(_HAN.findall(half)) / max(len(half), 1) for half in (first, second)]
    if not max(shares) or shares[0] == shares[1]:
        return first + _HALVES + second
    kept, other = (first, second) if (shares[0] > shares[1]) == zh else (second, first)
    lost = [word for word in _values(other, han=zh) if word not in kept]
    if not zh:
        before = other[: found.start()] if (found := _HAN.search(other)) else ""
        if other is first and (before.endswith(": ") or lost) and all(word in before for word in lost):
            return f"{before.rstrip()} {kept}"
        return first + _HALVES + second if lost else kept
    _, colon, tail = other.partition(": ")
    said = kept[found.start() :] if (found := _HAN.search(kept)) else kept
    if colon and tail.strip() not in kept and not any(sign in said for sign in "：:"):
        few = sum(_PLAIN.fullmatch(word.strip(_EDGES)) is not None for word in tail.split()) <= 2
        if (few or tail.startswith("zhengzhao ")) and all(word in kept + tail for word in lost):
            return f"{kept}: {tail}"
        return first + _HALVES + second
    if not lost:
        return kept + other[len(other.rstrip()) :] if other is second else kept
    start = re.match(r"(?:[A-Za-z'-]+ )+", other)
    rest = other[start.end() :] if start else other
    if any(_PLAIN.fullmatch(word.strip(_EDGES)) for word in rest.split() if len(word) > 2):
        return first + _HALVES + second
    return f"{kept} {rest}"


def _values(half: str, han: bool) -> list[str]:
    """Return the words of a half that are values: with digits or signs, of an English half those in Chinese too."""
    words = [word.strip(_EDGES) for word in (half if han else _HAN.sub(" ", half)).split()]
    return [word for word in words if word and not _PLAIN.fullmatch(word) and any(map(str.isalnum, word))]


def heading(name: str) -> str:
    """Return the heading of a column or field of a row."""
    return _HEADINGS.get(name, name) if chinese() else name


def check_name(name: str) -> str:
    """Return the name of a check of `doctor`."""
    return _CHECKS.get(name, name) if chinese() else name


def value_word(column: str, value: Any) -> Any:
    """Return the word for a state or kind that stands in `column`; other values as they are."""
    if isinstance(value, str) and column in _MESSAGES:
        return _detail(one_language(value)) if chinese() else one_language(value)
    if not chinese():
        return value
    if isinstance(value, str) and column == "event":
        what = value.removeprefix(_REFUSED)
        word = _EVENTS.get(what) or _VALUES.get(what, what)
        return f"未生效：{word}" if what != value else word
    if isinstance(value, str) and column in _STATES:
        return _VALUES.get(value, value)
    if isinstance(value, list | tuple) and column in _LISTED:
        return [_VALUES.get(one, one) if isinstance(one, str) else one for one in value]
    return value


def _detail(text: str) -> str:
    """Return a detail whose words are those of the contract (kinds of materials, `SOURCE (none)`, `new, v1`) in Chinese."""
    words = text.split(", ")
    if all(word in _VALUES for word in words):
        return "、".join(_VALUES[word] for word in words)
    if found := re.fullmatch(r"(\S+) \(([a-z]+)\)", text):
        return f"{found[1]}（{_VALUES.get(found[2], found[2])}）"
    if found := re.fullmatch(r"([a-z]+), (v[0-9]+.*)", text):
        return f"{_VALUES.get(found[1], found[1])}，{found[2]}"
    return text

"""Words and frame of the portal's pages: one language at a time, everything escaped, nothing from another host."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from infra.http.pages import framed, reader_language, switch
from infra.http.problems import TITLES, Problem, in_language
from infra.pages import frame
from infra.portal.accounts import Account
from schemas.item_types import ServiceItem

_WORDS: Final[dict[str, tuple[str, str]]] = {
    "correction-requested": ("待补正", "correction needed"),
    "accepted": ("已受理", "accepted"),
    "refused": ("不予许可", "refused"),
    "withdrawn": ("已撤回", "withdrawn"),
    "lapsed": ("逾期失效", "lapsed"),
    "granted": ("已准予", "granted"),
    "issued": ("已发证", "issued"),
    "valid": ("有效", "valid"),
    "suspended": ("暂扣", "suspended"),
    "rescinded": ("撤销", "rescinded"),
    "revoked": ("吊销", "revoked"),
    "cancelled": ("注销", "cancelled"),
    "expired": ("已到期", "expired"),
    "pushed": ("已推送", "pushed"),
    "received": ("已接收", "received"),
    "claimed": ("已认领", "claimed"),
    "returned": ("已退回", "returned"),
    "scheduled": ("待核查", "scheduled"),
    "overdue": ("逾期", "overdue"),
    "passed": ("合格", "passed"),
    "failed": ("不合格", "failed"),
    "new": ("新办", "new"),
    "extend": ("增项", "extend"),
    "change": ("变更", "change"),
    "renew": ("延续", "renew"),
    "reissue": ("补发", "issue again"),
    "merge": ("合并", "merge"),
    "surrender": ("申请注销", "surrender"),
    "hearing": ("听证", "hearing"),
    "testing": ("检验检测", "testing"),
    "expert-review": ("专家评审", "expert review"),
    "submitted": ("提交申请", "submitted"),
    "materials-supplied": ("补交材料", "supplied"),
    "reviewed": ("审查", "reviewed"),
    "clock-stopped": ("期限中止", "clock stopped"),
    "clock-resumed": ("期限恢复", "clock runs again"),
    "case.opened": ("收到申请", "application received"),
    "case.accepted": ("受理", "accepted"),
    "case.completed": ("材料齐全", "complete"),
    "case.correction-requested": ("一次性告知补正", "asked for what is missing"),
    "case.materials-supplied": ("收到补正", "supplied"),
    "case.reviewed": ("审查", "reviewed"),
    "case.granted": ("准予许可", "granted"),
    "case.refused": ("不予许可", "refused"),
    "case.withdrawn": ("撤回申请", "withdrawn"),
    "case.lapsed": ("逾期失效", "lapsed"),
    "case.overdue": ("超期提醒", "past its day"),
    "case.clock-stopped": ("期限中止", "clock stopped"),
    "case.clock-resumed": ("期限恢复", "clock runs again"),
    "licence.granted": ("作出决定", "decided"),
    "licence.issued": ("证照签发", "licence issued"),
    "licence.numbered": ("编号", "numbered"),
    "licence.suspended": ("暂扣", "suspended"),
    "licence.resumed": ("恢复", "resumed"),
    "licence.withdrawn": ("撤回", "withdrawn"),
    "licence.rescinded": ("撤销", "rescinded"),
    "licence.revoked": ("吊销", "revoked"),
    "licence.cancelled": ("注销", "cancelled"),
    "version": ("以前的版本", "earlier version"),
    "products": ("产品", "products"),
    "applicant.name": ("申请人名称", "applicant's name"),
    "applicant.address": ("申请人住所", "applicant's address"),
    "applicant.division": ("申请人所在区划", "applicant's division"),
    "suspend": ("暂扣", "suspend"),
    "resume": ("恢复", "resume"),
    "withdraw": ("撤回", "withdraw"),
    "rescind": ("撤销", "rescind"),
    "revoke": ("吊销", "revoke"),
    "cancel": ("注销", "cancel"),
    "annul": ("撤销原决定（复议、判决）", "annul the decision"),
    "case": ("办件", "case"),
    "filing": ("备案", "filing"),
    "check": ("核查", "check"),
    "window": ("窗口", "window"),
    "reviewer": ("审查", "reviewer"),
    "supervisor": ("负责人", "supervisor"),
    "regulator": ("监管", "regulator"),
    "inspector": ("检查", "inspector"),
}  # fmt: skip


def portal_page(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """Return a page in the visitor's language, in the frame of all pages."""
    language = reader_language(request)
    spoken = frame.says(language)

    def t(zh: str, en: str | None = None, /, **filled: Any) -> str:
        """Return one of two texts, or (for the frame) the word of a name."""
        if en is None:
            return frame.word(language, zh, **filled)
        return en if language == "en" else zh

    def word(name: str) -> str:
        return t(*_WORDS.get(name, (name, name)))

    def part_name(name: str, item: ServiceItem | None) -> str:
        rule = item.material(name) if item else None
        field = next((f for f in item.fields if f"fields.{f.name}" == name), None) if item else None
        names = rule.name if rule else field.label if field else None
        return t(names.zh, names.en) if names else word(name)

    own = {"t": t, "word": word, "part_name": part_name, "lang": language, "draft": False, "alone": False}
    around = {
        "language": language,
        "html_language": "en" if language == "en" else "zh-CN",
        "navigation": frame.NAVIGATION,
        "path": request.url.path,
        "switch": switch(request, language),
    }
    made = frame.environment().get_template(template).render({**spoken, **around, **own, **values})
    answer = framed(request, made, status)
    # Without a referrer a browser sends `Origin: null` with a form, which is refused as another site's.
    answer.headers["Referrer-Policy"] = "same-origin"
    return answer


def wrong(request: Request, problem: Problem, account: Account | None) -> Response:
    """Return the page of a problem to an account, or to somebody who is not logged in."""
    language = reader_language(request)
    return portal_page(
        request,
        "portal/wrong.html",
        status=problem.status,
        title=in_language(TITLES.get(problem.status, ""), language),
        detail=in_language(problem.detail, language),
        hint=in_language(problem.hint, language),
        account=account,
        here="/",
    )


@cache
def asset(name: str) -> bytes:
    """Return a file of the pages: the style sheet, a script."""
    return (files("infra.pages") / "static" / name).read_bytes()

"""Reasons as a person reads them, Chinese and English. One function for each kind of ground.

Facts hold these texts: one that is reworded makes another fact of an old ledger that is decided again.
"""

from __future__ import annotations

from processors.state import Licence
from schemas.facts import Reason
from schemas.identifiers import MOST_VERSIONS
from schemas.licence import MAX_PARTICULAR


def naming(licence: Licence) -> Reason:
    """Name a licence by the application that led to it, an imported one by its number.

    Not by the number that it has got: whether that is known yet depends on the engine, and a reason must not.
    """
    first = licence.versions[0].grant
    if first.application_id:
        return Reason(
            f"申请 {first.application_id} 所取得的证照", f"the licence of application {first.application_id}"
        )
    if first.number:
        return Reason(f"证照 {first.number}", f"the licence {first.number}")
    return Reason(  # an imported one that was made good
        f"{first.issued_on} 因原决定被撤销而颁发的证照",
        f"the licence granted on {first.issued_on} for an annulled decision",
    )


def unknown_item(code: str) -> Reason:
    return Reason(f"没有事项 {code}", f"there is no service item {code}")


def not_applied_for(code: str, how: str) -> Reason:
    return Reason(
        f"事项 {code} 不以此方式申请，请用 {how}", f"the item {code} is not applied for this way: use {how}"
    )


def unknown_category(name: str) -> Reason:
    return Reason(f"类别“{name}”不在本事项之内", f"the category {name} is not under this item")


def wrong_identifier(display: str) -> Reason:
    return Reason(f"证件号码 {display} 校验不符", f"the identifier {display} fails its check digit")


def wrong_holder(kind: str) -> Reason:
    if kind == "person":
        return Reason("本事项只颁发给个人", "this item is for persons only")
    return Reason("本事项只颁发给单位", "this item is for enterprises only")


def unknown_division(code: str) -> Reason:
    return Reason(f"没有区划 {code}", f"there is no division {code}")


def not_competent(source: str) -> Reason:
    return Reason(f"{source} 无权办理", f"{source} is not competent")


def open_case(application_id: str) -> Reason:
    return Reason(
        f"同一事项已有在办申请 {application_id}",
        f"there is an open case for this item already: {application_id}",
    )


def no_authority(division: str, level: str) -> Reason:
    return Reason(
        f"区划 {division} 高于本事项的发证层级（{level}）",
        f"the division {division} lies above the level of this item ({level})",
    )


def living_licence(name: Reason) -> Reason:
    return Reason(f"已有有效的{name.zh}，增项请用 extend", f"{name.en} is living: use extend for more")


def not_the_holders(name: str) -> Reason:
    return Reason(f"{name} 不是该持证人的证照", f"{name} is no licence of this holder")


def not_of_item(name: Reason, item: str) -> Reason:
    return Reason(f"{name.zh}不属于事项 {item}", f"{name.en} is not of the item {item}")


def no_more_versions(name: Reason) -> Reason:
    return Reason(
        f"{name.zh}已有 {MOST_VERSIONS} 版，电子证照标识不能再编；请注销后重新申请",
        f"{name.en} has {MOST_VERSIONS} versions, and its identifier has no number for another one: "
        "surrender it and apply anew",
    )


def not_living(name: Reason, status: str) -> Reason:
    return Reason(
        f"{name.zh}已终止（{status}），请用 new 重新申请", f"{name.en} is not living ({status}): use new"
    )


def renew_from(day: str) -> Reason:
    return Reason(f"延续申请自 {day} 起受理", f"renewal can be asked for from {day} on")


def no_end() -> Reason:
    return Reason("该证照没有有效期，无须延续", "the licence has no end: there is nothing to renew")


def merge_needs_two() -> Reason:
    return Reason("合并须指明两个以上证照", "a merge names several licences")


def used_id(application_id: str) -> Reason:
    return Reason(
        f"申请编号 {application_id} 已用于另一申请",
        f"the application id {application_id} was used for another application",
    )


def unknown_case(application_id: str) -> Reason:
    return Reason(f"没有申请 {application_id}", f"there is no application {application_id} of this holder")


def not_open(state: str) -> Reason:
    return Reason(f"申请已办结（{state}）", f"the application is not open ({state})")


def too_many_wait() -> Reason:
    return Reason(
        "该持证人的许多事件在等待证照编号，请稍后以新的事件编号重发",
        "many events of this holder wait for a licence's number: send it again later, as a new event",
    )


def nothing_missing() -> Reason:
    return Reason("没有待补之件", "nothing is missing")


def contradicts(field: str) -> Reason:
    return Reason(
        f"{field} 与登记不符，变更请用 change", f"{field} contradicts the register: to change it, use change"
    )


def contradicts_record() -> Reason:
    return Reason(
        "与该持证人的登记信息不符，须由其登记地的发证机关导入",
        "it contradicts the register: the authority of the holder's division on record must import it",
    )


def no_glyph(characters: dict[str, str]) -> Reason:
    """Name the characters that no font has, with the fields in which they stand."""
    named = "；".join(f"{name}: {text}" for name, text in characters.items())
    return Reason(f"以下文字无字形，不能制证：{named}", f"no font has these characters: {named}")


def not_reviewed() -> Reason:
    return Reason("本申请无须审查", "this application needs no review")


def not_complete() -> Reason:
    return Reason("申请材料尚未齐全", "the application is not complete yet")


def reviewed_already(department: str) -> Reason:
    return Reason(f"{department} 已作出审查意见", f"{department} has reviewed it already")


def rejected(department: str, grounds: str) -> Reason:
    return Reason(f"{department} 审查不予通过：{grounds}", f"rejected by {department}: {grounds}")


def clock_runs() -> Reason:
    return Reason("计时未停", "the clock was not stopped for this cause")


def clock_stopped() -> Reason:
    return Reason("计时已停", "the clock is stopped for this cause already")


def not_in_time(day: str) -> Reason:
    return Reason(f"未在 {day} 前补齐", f"what was missing did not come by {day}")


def expired_undecided() -> Reason:
    return Reason("证照到期时未作出决定，请用 new 重新申请", "not decided when the licence expired: use new")


def expired_incomplete() -> Reason:
    return Reason("证照到期时申请材料不齐，请用 new 重新申请", "incomplete when the licence expired: use new")


def licence_ended(status: str) -> Reason:
    return Reason(f"所涉证照已终止（{status}）", f"the licence that the case is about has ended ({status})")


def in_the_future(field: str) -> Reason:
    return Reason(f"{field} 晚于事件日期", f"{field} is after the event's date")


def until_before() -> Reason:
    return Reason("until 早于事件日期", "until is before the event's date")


def ended_for_good(name: Reason, status: str) -> Reason:
    return Reason(f"{name.zh}已终止（{status}），不得恢复", f"{name.en} has ended ({status}) for good")


def not_suspended(name: Reason) -> Reason:
    return Reason(f"{name.zh}未被暂扣", f"{name.en} is not suspended")


def closed_already(name: Reason) -> Reason:
    return Reason(f"{name.zh}已注销", f"{name.en} is cancelled already")


def nothing_to_annul(name: Reason) -> Reason:
    return Reason(
        f"{name.zh}没有可撤销的撤回、撤销或吊销决定", f"{name.en} has no decision that can be annulled"
    )


def annulled_already(name: Reason) -> Reason:
    return Reason(f"对{name.zh}的决定已被撤销过", f"the decision on {name.en} was annulled already")


def after_old_end(day: str) -> Reason:
    return Reason(f"原证照已于 {day} 到期", f"the old licence would have ended on {day}")


def known_number(number: str) -> Reason:
    return Reason(f"证照 {number} 已在册", f"the licence {number} is in the register already")


def anothers_number(number: str) -> Reason:
    return Reason(f"证照编号 {number} 已属于他人", f"the number {number} belongs to another holder")


def too_few_inspectors() -> Reason:
    return Reason(
        "检查人员不足两人，记录无效", "fewer than two distinct inspectors: the record has no effect"
    )


def known_inspection(inspection_id: str) -> Reason:
    return Reason(f"检查 {inspection_id} 已有记录", f"the inspection {inspection_id} was recorded already")


def unknown_draw(draw: str) -> Reason:
    return Reason(f"没有已抽取的公告 {draw}", f"no draw of the announcement {draw} is on record")


def not_drawn(target: str) -> Reason:
    return Reason(f"{target} 未被抽中", f"{target} was not drawn")


def not_sent(inspector: str) -> Reason:
    return Reason(
        f"检查人员 {inspector} 未被抽派到该对象，也未递补",
        f"the inspector {inspector} was neither drawn for this target nor replaced one who was",
    )


def other_day(day: str) -> Reason:
    return Reason(f"公示日期应为事件当日 {day}", f"the day of publication is the event's, {day}")


def contradictory(names: list[str]) -> Reason:
    fields = ", ".join(names)
    return Reason(f"前后填写不一致：{fields}", f"two different values were given: {fields}")


def unprintable(names: list[str]) -> Reason:
    fields = ", ".join(names)
    return Reason(
        f"不能载入证照的内容（应为文字或数字，不超过 {MAX_PARTICULAR} 字）：{fields}",
        f"these cannot stand on the certificate (text or numbers, at most {MAX_PARTICULAR} characters): {fields}",
    )


def unknown_filing(filing_id: str) -> Reason:
    return Reason(f"没有备案 {filing_id}", f"there is no filing {filing_id} of this holder")


def anothers_filing(department: str) -> Reason:
    return Reason(f"该备案不属于 {department}", f"the filing is not {department}'s")


def filing_state(state: str, event: str) -> Reason:
    return Reason(f"备案处于 {state}，不能 {event}", f"the filing is {state}: {event} does not apply")


def dates_out_of_order() -> Reason:
    return Reason("日期先后不符", "the dates are not in order")


def other_content() -> Reason:
    return Reason("同一来源与编号的事件内容不同", "an event of this source and id came with other content")


def rescinded_for_deceit() -> Reason:
    return Reason("因欺骗取得被撤销", "rescinded for deceit")


def revoked() -> Reason:
    return Reason("曾被吊销", "revoked")


def false_material() -> Reason:
    return Reason("曾提交虚假材料", "false material was submitted")


def merge_target(number: str) -> Reason:
    return Reason(f"并入 {number}", f"merged into {number}")

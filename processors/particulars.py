"""Registered particulars (登记事项): what the fields of a consolidated item put on its certificate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.items import ServiceItem
from schemas.licence import MAX_PARTICULAR, Particular


def text_of(value: Any) -> str | None:
    """A value as it stands on paper; None for what is neither text nor number, or is too long."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value).strip()
    return text if len(text) <= MAX_PARTICULAR else None


def unprintable(item: ServiceItem, answers: Mapping[str, Any]) -> list[str]:
    """The fields of the item whose value cannot stand on its certificate."""
    return [rule.name for rule in item.fields if rule.name in answers and text_of(answers[rule.name]) is None]


def of_case(
    item: ServiceItem, answers: Mapping[str, Any], before: tuple[Particular, ...] = ()
) -> tuple[Particular, ...]:
    """The particulars in the order of the item's fields; what was not given again stays as it was `before`."""
    known = {particular.name: particular.value for particular in before}
    given = {rule.name: text_of(answers[rule.name]) for rule in item.fields if rule.name in answers}
    texts = known | {name: text for name, text in given.items() if text}
    return tuple(
        Particular(rule.name, rule.label.zh, texts[rule.name]) for rule in item.fields if rule.name in texts
    )

"""The official texts for the result of a random inspection (双随机抽查).

Systems number them differently, so the text is what counts: three published lists, taken together.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources


@cache
def official_results() -> frozenset[str]:
    """Every text that a `random` inspection may have as its `result`."""
    raw = resources.files("schemas").joinpath("data/inspection_result_codes.json").read_text(encoding="utf-8")
    return frozenset(text for scheme in json.loads(raw).values() for text in scheme.values())

"""What a check of the set-up found."""

from __future__ import annotations

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """One check. `ok`: True good, False wrong, None a warning."""

    name: str
    ok: bool | None
    detail: str
    hint: str = ""

"""Memory of a draw: given back to the system late, since it is needed again at once.

Handing pages back and faulting them in anew takes a fifth of a draw's time. Ten seconds are longer than a
national draw; a register beyond memory still gives back what it no longer needs.
"""

from __future__ import annotations

import os


def keep_memory() -> None:
    """Must be called before polars is imported; its allocator reads this once. Said otherwise outside, that counts."""
    os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:10000,muzzy_decay_ms:-1")

"""Files, registers, chain and pages of draws.

Importing this package sets how the allocator of polars gives memory back, which it reads once when polars is first
imported. Handing pages back and faulting them in anew takes a fifth of a draw's time. Ten seconds are longer than a
national draw needs; a register beyond memory still gives back what it no longer needs. A value set outside counts.
"""

import os

os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:10000,muzzy_decay_ms:-1")

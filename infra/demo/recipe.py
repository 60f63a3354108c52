"""A draw again by nothing but `sort` and `sha256sum`: the shell script that the demo lays beside its transcript."""

from __future__ import annotations

from schemas.draw.documents import Announcement, Transcript

_SCRIPT = r"""#!/bin/sh
# 人人可重抽 / anyone can draw again:  sh recipe.sh
# The columns of R.csv begin with id,name,division,credit_class,item,categories; no value has a comma in it.
set -eu
cd "$(dirname "$0")"
hash() { sha256sum | cut -c1-64; }

# 1. 名录摘要 / the digest of the register, as announced: @register@
tail -n +2 R.csv | tr ',' '\t' | LC_ALL=C sort | hash

# 2. 种子 / the seed: digest of the announcement and the secrets of both parties
seed=$(printf '%s' '@seeded@' | hash)
echo "$seed"

# 3. 层 @stratum@：签号最小者抽中 / the lowest tickets of this stratum are drawn, @count@ of them
tail -n +2 R.csv | while IFS=, read -r id name division class item categories rest; do
  [ "$categories" = '@category@' ] || continue
  case $class in B) weight=2 ;; C) weight=4 ;; D) weight=8 ;; *) weight=1 ;; esac
  j=0
  while [ "$j" -lt "$weight" ]; do
    echo "$(printf '%s' "$seed:@stratum@:$id:$j" | hash) $id"
    j=$((j + 1))
  done | LC_ALL=C sort | head -n 1
done | LC_ALL=C sort | head -n @count@
"""


def script(announcement: Announcement, transcript: Transcript, stratum: str, category: str) -> str:
    """The recipe for one stratum of a transcript, with the secrets as they were revealed."""
    drawn = next(s for s in transcript.strata if s.name == stratum)
    values = {
        "register": announcement.registers.targets.digest,
        "seeded": ":".join([announcement.digest, *(r.secret for r in transcript.reveals)]),
        "stratum": stratum,
        "count": str(drawn.count),
        "category": category,
    }
    text = _SCRIPT
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text

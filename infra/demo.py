"""The story that `zhengzhao demo` tells: a provincial bureau's day in 2018, from application to verified licence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from infra.bootstrap import open_inbox, open_register
from infra.engines.embedded import Progress, holding
from infra.intake import Summary, submit_file
from infra.key_roles import longest_validity, roles_of
from infra.persons_store import PersonsStore
from infra.published import published_lists
from infra.queries import Queries
from infra.samples import day
from infra.settings import Settings
from infra.stores import open_store
from issuance.keys import Lifetime, init
from schemas.errors import UsageError
from schemas.items import load_catalogue
from schemas.times import CHINA
from schemas.trust import load_trust
from verification.verdict import Verdict
from verification.verify import verify_bytes

FOLDER = "zhengzhao-demo"
STARTS = datetime(2018, 1, 1, tzinfo=CHINA)
AT = datetime.fromisoformat(f"{day.DAY}T18:00:00+08:00")
_SHOWN = ("complete", "several", "rare")  # scenes of which a licence is laid out to be opened


class Outcome(msgspec.Struct, frozen=True):
    """A row of the table: a scene of the day, how many there were, and what became of them."""

    scene: str
    said: str
    count: int
    states: dict[str, int]


class Story(msgspec.Struct, frozen=True):
    """Everything that the demo has to tell."""

    folder: str
    events: str
    submitted: Summary
    decided: int
    issued: int
    editions: list[str]
    outcomes: list[Outcome]
    licences: list[dict[str, str]]
    verified: dict[str, object]
    today: dict[str, object]
    tampered: dict[str, object]


def fresh_folder() -> Path:
    """A name that is free: `zhengzhao-demo`, or with a number where the demo was played before."""
    names = (FOLDER, *(f"{FOLDER}-{n}" for n in range(2, 1000)))
    return next(Path(name) for name in names if not Path(name).exists())


def tell(settings: Settings, report: Callable[[Progress], None] = lambda _: None) -> Story:
    """Plays the day on a fresh data folder. UsageError where there is something in it already."""
    if settings.data.exists() and any(settings.data.iterdir()):
        raise UsageError(
            "演示目录不是空的 / the demo's folder is not empty", where=str(settings.data),
            hint="rm -r it, or name another one: zhengzhao demo --data DIR",
        )  # fmt: skip
    if settings.on_kafka:
        raise UsageError("the demo runs on one machine", hint="unset ZHENGZHAO_BROKER")
    settings.data.mkdir(parents=True, exist_ok=True)
    catalogue = load_catalogue(settings.items)
    life = Lifetime(STARTS, longest_validity(catalogue))
    init(settings.data, roles_of(catalogue), life, now=datetime.now(UTC), passphrase=settings.passphrase)
    events = settings.data / "sample-events.jsonl"
    events.write_bytes(b"".join(line + b"\n" for line in day.lines()))
    summary = Summary()
    with open_inbox(settings) as inbox:
        submit_file(str(events), inbox, summary)
    with holding(settings, "demo") as engine:
        progress = engine.drain(report)
    outcomes, licences = _results(settings)
    good, today, bad = _verdicts(settings, Path(licences[0]["pdf"]))
    return Story(
        folder=str(settings.data),
        events=str(events),
        submitted=summary,
        decided=progress.decided,
        issued=progress.issued,
        editions=progress.editions,
        outcomes=outcomes,
        licences=licences,
        verified=good.to_json(),
        today=today.to_json(),
        tampered=bad.to_json(),
    )


def _results(settings: Settings) -> tuple[list[Outcome], list[dict[str, str]]]:
    states: dict[str, Counter[str]] = {scene.name: Counter() for scene in day.SCENES}
    shown: dict[str, dict[str, str]] = {}
    store = open_store(settings.store, settings.objects)
    persons = PersonsStore(settings.data)
    with open_register(settings) as register:
        ask = Queries(register, persons)
        for application, scene in day.scenes():
            case = ask.case(application)
            states[scene][case["state"]] += 1
            if case["state"] == "issued" and scene in _SHOWN and scene not in shown:
                row = ask.licence(case["licence_number"])
                target = settings.data / f"licence-{len(shown) + 1}.pdf"
                target.write_bytes(store.get(row["objects"]["licence.pdf"]))
                shown[scene] = {"number": row["number"], "holder": row["holder_name"], "pdf": str(target)}
    persons.close()
    outcomes = [Outcome(s.name, s.said, s.number, dict(states[s.name])) for s in day.SCENES]
    return outcomes, [shown[scene] for scene in _SHOWN]


def _verdicts(settings: Settings, pdf: Path) -> tuple[Verdict, Verdict, Verdict]:
    """The licence at the end of that day, the same today, and a copy in which one byte was changed."""
    trust, lists = load_trust(settings.trust), published_lists(settings)
    data = pdf.read_bytes()
    changed = bytearray(data)
    changed[len(changed) // 2] ^= 1
    copy = pdf.with_name("licence-tampered.pdf")
    copy.write_bytes(changed)
    now = datetime.now(UTC).astimezone(CHINA)
    return (
        verify_bytes(data, name=str(pdf), trust=trust, status=lists, at=AT),
        verify_bytes(data, name=str(pdf), trust=trust, status=lists, at=now),
        verify_bytes(bytes(changed), name=str(copy), trust=trust, status=lists, at=AT),
    )

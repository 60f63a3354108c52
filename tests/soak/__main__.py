"""`python -m tests.soak [--kills N] [--seed N]`: runs, prints what it did, and writes docs/soak.md."""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import sys
from pathlib import Path
from typing import Any

import packet_papers as papers

from tests.soak import embedded

REPORT = Path(__file__).parents[2] / "docs" / "soak.md"


def main() -> int:
    """Exit 1 where a run did not come out as the unbroken one."""
    parser = argparse.ArgumentParser(prog="make soak")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--papers", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=int(datetime.datetime.now(datetime.UTC).timestamp()))
    parser.add_argument("--kafka", action="store_true", help="also the runs on Kafka")
    parser.add_argument("--only-kafka", action="store_true", help="the runs on Kafka alone")
    parser.add_argument("--hostile", type=float, metavar="MINUTES", help="all hostile loads at once, alone")
    parser.add_argument(
        "--log-kills", type=int, metavar="N", help="N killed drains, then log against record, alone"
    )
    parser.add_argument("--rebalances", type=int, metavar="N", help="N rebalances on Kafka under load, alone")
    parser.add_argument(
        "--both-engines", type=int, metavar="N", help="N licences through both engines, alone"
    )
    options = parser.parse_args()
    results = _alone(options)
    if not results:
        if not options.only_kafka:
            results["Embedded"] = embedded.run(options.kills, options.seed)
            results["Papers"] = papers.run(options.papers, options.seed)
        if options.kafka or options.only_kafka:
            from tests.soak import kafka

            results["Kafka"] = kafka.run(options.seed)
    print(json.dumps(results, indent=1))
    _write(results)
    return 0 if all(value is not False for figures in results.values() for value in figures.values()) else 1


def _alone(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Make the runs that are asked for by an option of their own."""
    results: dict[str, dict[str, Any]] = {}
    if options.hostile:
        from tests.soak import hostile

        results["Hostile loads"] = hostile.run(options.hostile, options.seed)
    if options.log_kills:
        results["Log and record through kills"] = embedded.log_kills(options.log_kills, options.seed)
    if options.rebalances or options.both_engines:
        from tests.soak import kafka

        if options.rebalances:
            results["Rebalances"] = kafka.rebalances(options.rebalances)
        if options.both_engines:
            results["Logs of both engines"] = kafka.both_engines(options.both_engines)
    return results


def _write(results: dict[str, dict[str, Any]]) -> None:
    """Replaces the section of each run that was made; the others stay."""
    text = (
        REPORT.read_text("utf-8")
        if REPORT.exists()
        else "# Long runs\n\nWritten by `make soak`; the last result of each.\n"
    )
    head, *sections = text.split("\n## ")
    kept = {section.splitlines()[0]: section for section in sections}
    today = datetime.date.today().isoformat()
    for name, figures in results.items():
        rows = "\n".join(f"| {key} | {value} |" for key, value in figures.items())
        kept[name] = f"{name}\n\n{today}, Python {platform.python_version()}\n\n| | |\n|---|---|\n{rows}\n"
    REPORT.write_text("\n## ".join([head, *kept.values()]), "utf-8")


if __name__ == "__main__":
    sys.exit(main())

"""`make bench`: each promise about speed and growth, measured as a ratio inside one run.

python -m benchmarks                                 every row; takes an hour or two, most of it making the data
python -m benchmarks startup demo                    some of them
python -m benchmarks earlier_rebuild --size 5000     one that has a size, smaller, to try it
python -m benchmarks --write                         every row, and the table of docs/performance.md
python -m benchmarks earlier --write                 some of them, and their rows of that table
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import (
    bridge,
    bulk,
    earlier,
    fetching,
    first_poll,
    growth,
    large_fleet,
    rebuild,
    report,
    spend_growth,
    startup,
)
from benchmarks.command import scratch_folder
from benchmarks.table import Row, between, markdown, replace_between, with_rows


@dataclass(frozen=True, slots=True)
class _Sized:
    """A measure whose data can be made smaller."""

    work: Callable[[Path, int], list[Row]]
    size: int
    """Of the goal."""
    unit: str


MEASURES: dict[str, Callable[[Path], list[Row]] | _Sized] = {
    "growth": growth.measure,
    "growth_accounts": _Sized(growth.measure_many_accounts, growth.MANY_ACCOUNTS, "accounts"),
    "spend_growth": _Sized(spend_growth.measure, spend_growth.MONTHS, "months"),
    "bulk": bulk.measure,
    "rebuild": rebuild.measure,
    "bridge": bridge.measure,
    "startup": startup.measure,
    "earlier": earlier.measure,
    "earlier_rebuild": _Sized(earlier.measure_rebuild, earlier.ANSWERS, "answers"),
    "earlier_entries": _Sized(earlier.measure_entries, earlier.ENTRIES, "ledger entries"),
    "fetching": fetching.measure,
    "first_poll": _Sized(first_poll.measure, first_poll.ENTRIES, "ledger entries"),
    "large_fleet": large_fleet.measure,
    "demo": startup.measure_demo,
    "report": report.measure,
}
PAGE = Path(__file__).parent.parent / "docs" / "performance.md"


def _measured(name: str, scratch: Path, size: int | None) -> list[Row]:
    measure = MEASURES[name]
    return measure.work(scratch, size or measure.size) if isinstance(measure, _Sized) else measure(scratch)


def main() -> int:
    """Measure, print, and with `--write` keep the results; returns 1 if a goal was not reached."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("measures", nargs="*", choices=[[], *MEASURES], help="which; all where none is named")
    parser.add_argument("--write", action="store_true", help="keep the results in the table of docs/performance.md")
    sizes = ", ".join(
        f"{name} {measure.size:,} {measure.unit}" for name, measure in MEASURES.items() if isinstance(measure, _Sized)
    )
    parser.add_argument("--size", type=int, help=f"another size of the named measures, to try them; goals: {sizes}")
    parser.add_argument("--scratch", type=Path, help="where the data is made and kept for another run")
    asked = parser.parse_args()
    named = asked.measures or list(MEASURES)
    if asked.size is not None and (asked.size < 1 or not all(isinstance(MEASURES[name], _Sized) for name in named)):
        parser.error("--size is a positive number, of measures that have a size")
    if asked.size is not None and asked.write:
        parser.error("--write keeps results of the goals' sizes only")
    rows: list[Row] = []
    with scratch_folder(asked.scratch) as scratch:
        for name in named:
            print(f"{name} ...", file=sys.stderr, flush=True)
            for row in _measured(name, scratch / name, asked.size):
                print(row.line(), flush=True)
                rows.append(row)
    if asked.write:
        when = datetime.now(UTC).date()
        if asked.measures:
            table = with_rows(between(PAGE, "measured"), rows, f"measured alone on {when}")
        else:
            table = f"Measured on {when} by `make bench`.\n\n{markdown(rows)}"
        replace_between(PAGE, "measured", table)
    return 0 if all(row.is_reached is not False for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())

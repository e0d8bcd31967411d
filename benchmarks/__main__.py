"""`make bench`: each promise about speed and growth, measured as a ratio inside one run.

python -m benchmarks                     every row; takes about half an hour, most of it making the data
python -m benchmarks startup demo        some of them
python -m benchmarks --write             every row, and the table of docs/performance.md
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import bridge, bulk, earlier, fetching, growth, large_fleet, rebuild, report, startup
from benchmarks.table import Row, markdown, replace_between

MEASURES: dict[str, Callable[[Path], list[Row]]] = {
    "growth": growth.measure,
    "bulk": bulk.measure,
    "rebuild": rebuild.measure,
    "bridge": bridge.measure,
    "startup": startup.measure,
    "earlier": earlier.measure,
    "fetching": fetching.measure,
    "large_fleet": large_fleet.measure,
    "demo": startup.measure_demo,
    "report": report.measure,
}
PAGE = Path(__file__).parent.parent / "docs" / "performance.md"


@contextmanager
def _scratch(folder: Path | None) -> Iterator[Path]:
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="drawdown-bench-") as made:
            yield Path(made)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder


def main() -> int:
    """Measure, print, and with `--write` keep the results; returns 1 if a goal was not reached."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("measures", nargs="*", choices=[[], *MEASURES], help="which; all where none is named")
    parser.add_argument("--write", action="store_true", help="replace the table in docs/performance.md")
    parser.add_argument("--scratch", type=Path, help="where the data is made and kept for another run")
    asked = parser.parse_args()
    rows: list[Row] = []
    with _scratch(asked.scratch) as scratch:
        for name in asked.measures or MEASURES:
            print(f"{name} ...", file=sys.stderr, flush=True)
            for row in MEASURES[name](scratch / name):
                print(row.line(), flush=True)
                rows.append(row)
    if asked.write:
        when = datetime.now(UTC).date()
        table = f"Measured on {when} by `make bench`.\n\n{markdown(rows)}"
        replace_between(PAGE, "measured", table)
    return 0 if all(row.is_reached is not False for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())

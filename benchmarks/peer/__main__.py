"""`make bench-peer`: Drawdown beside dlt and dbt, which make the same tables from the same landed answers.

python -m benchmarks.peer --peer-python PATH                     2 million ledger entries; about twenty minutes
python -m benchmarks.peer --peer-python PATH --entries 50000     to see that it runs
python -m benchmarks.peer --peer-python PATH --write             2 million, and the table of docs/performance.md
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.command import Drawdown, Usage, medians, run_measured
from benchmarks.peer import ledgers
from benchmarks.peer.sums import ENTRY_SUMS, differences, lines, sums
from benchmarks.table import Row, markdown, replace_between

ENTRIES: Final = 2_000_000
TIMES: Final = 3
MOST_CPU: Final = 0.5
"""Goal: CPU seconds of Drawdown over those of the peer."""
PAGE: Final = Path(__file__).parents[2] / "docs" / "performance.md"
TABLES: Final = "group:staging or group:core"
"""The layers of Drawdown that have the peer's tables."""
FORMS: Final = {"arrow": "Arrow tables", "rows": "pages of dictionaries"}
"""How dlt is given the entries: its fastest way, and what its REST sources yield."""
_HERE: Final = Path(__file__).parent


class Peer:
    """dlt and dbt in their own environment, making a DuckDB file from a landing."""

    def __init__(self, python: Path, scratch: Path, form: str) -> None:
        self.scratch = scratch
        self.form = form
        self.database = scratch / "peer.duckdb"
        self._python = python
        # dbt writes beside its project.
        shutil.copytree(_HERE / "dbt", scratch / "dbt")

    def usage(self, landing: Path) -> Usage:
        """Load and transform from nothing, as the first run does, and return what both processes took."""
        self.database.unlink(missing_ok=True)
        shutil.rmtree(self.scratch / "state", ignore_errors=True)
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DLT", "DBT_"))
        }
        environment |= {
            "PEER_DATABASE": str(self.database), "RUNTIME__DLTHUB_TELEMETRY": "false", "DO_NOT_TRACK": "1",
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DLT_DATA_DIR": str(self.scratch / "state"),
        }  # fmt: skip
        load: list[str | Path] = [
            self._python,
            _HERE / "load.py",
            landing,
            self.database,
            self.scratch / "state",
            self.form,
        ]
        project = self.scratch / "dbt"
        build: list[str | Path] = [
            self._python.parent / "dbt",
            "build",
            "--project-dir",
            project,
            "--profiles-dir",
            project,
        ]
        return run_measured(load, environment) + run_measured(build, environment)


def measure(python: Path, scratch: Path, entries: int, times: int) -> list[Row]:
    """Alternate both sides over one landing, and compare their sums after each round.

    Raises RuntimeError if a sum differs.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    home = scratch / "home"
    home.mkdir(parents=True)
    accounts = scratch / "accounts.toml"
    accounts.write_text(ledgers.accounts_toml(), encoding="utf-8")
    landed = ledgers.land(home / "landing", accounts, entries=entries)
    drawdown = Drawdown(home, accounts, {"BENCH_KEY": "bench"})
    peers = {form: Peer(python, scratch / form, form) for form in FORMS}
    ours: list[Usage] = []
    theirs: dict[str, list[Usage]] = {form: [] for form in FORMS}
    for number in range(times):
        print(f"round {number + 1} of {times} ...", file=sys.stderr, flush=True)
        ours.append(drawdown.usage_from_landing(TABLES))
        for form, peer in peers.items():
            theirs[form].append(peer.usage(home / "landing"))
            _compare(home / "warehouse.duckdb", peer.database, landed)
    print("\n".join(["Equal on both sides:", *lines(sums(peers["arrow"].database))]), flush=True)
    everything = drawdown.usage_from_landing()
    return [_row(form, landed, ours, theirs[form], everything) for form in FORMS]


def _compare(ours: Path, theirs: Path, landed: int) -> None:
    found = sums(ours)
    if different := differences(found, sums(theirs)):
        raise RuntimeError("\n".join(["the sums differ:", *map(str, different[:20])]))
    counted = sum(row[2] for row in found[ENTRY_SUMS])
    if counted != landed:
        raise RuntimeError(f"both sides have {counted} entries of {landed}")


def _row(form: str, landed: int, ours: list[Usage], theirs: list[Usage], everything: Usage) -> Row:
    mine, other = medians(ours), medians(theirs)
    ratio = mine.cpu_seconds / other.cpu_seconds
    return Row(
        what=f"{landed:,} ledger entries from landing to the same tables, against dlt {_pinned('dlt')}, given "
        f"{FORMS[form]}, and dbt-duckdb {_pinned('dbt-duckdb')}: CPU time",
        measured=f"{ratio:.2f}",
        goal=f"at most {MOST_CPU:g}",
        is_reached=ratio <= MOST_CPU,
        how=f"Drawdown {_words(mine)}; dlt and dbt {_words(other)}; alternating, medians of {len(ours)}, whole "
        f"processes, equal sums; all of a refresh but requests, with marts, forecasts, FOCUS and publishing, {_words(everything)}",
    )


def _words(usage: Usage) -> str:
    return f"{usage.cpu_seconds:.1f} CPU-s, {usage.seconds:.1f} s, {usage.peak_mb:.0f} MB"


def _pinned(package: str) -> str:
    lock = (_HERE / "requirements.lock").read_text(encoding="utf-8")
    return next(line.split("==")[1].split()[0] for line in lock.splitlines() if line.startswith(f"{package}=="))


def main() -> int:
    """Measure, print, and with `--write` keep the results; returns 1 if a goal was not reached."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peer", description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", type=Path, required=True, help="interpreter of the peer's environment")
    parser.add_argument("--entries", type=int, default=ENTRIES, help=f"ledger entries; default: {ENTRIES:,}")
    parser.add_argument("--times", type=int, default=TIMES, help=f"rounds; default: {TIMES}")
    parser.add_argument("--write", action="store_true", help="replace the table in docs/performance.md")
    asked = parser.parse_args()
    if asked.write and asked.entries != ENTRIES:
        parser.error(f"--write keeps results of {ENTRIES:,} entries only")
    with tempfile.TemporaryDirectory(prefix="drawdown-bench-") as scratch:
        rows = measure(asked.peer_python.absolute(), Path(scratch) / "peer", asked.entries, asked.times)
    for row in rows:
        print(row.line())
    if asked.write:
        when = f"Measured on {datetime.now(UTC).date()} by `make bench-peer`."
        replace_between(PAGE, "peer", f"{when}\n\n{markdown(rows)}")
    return 0 if all(row.is_reached for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())

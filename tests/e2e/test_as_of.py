"""A warehouse as it was known at an instant, without later answers and restatements."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from tests.bench import Bench, FirstRun
from tests.e2e.conftest import NOW
from tests.sandbox_faults import Sandbox

pytestmark = pytest.mark.long


def test_a_rebuild_as_of_an_instant_is_what_was_published_then(
    bench: Bench, first_run: FirstRun, sandbox: Sandbox, tmp_path: Path
) -> None:
    first_run(bench)
    then = bench.tables()
    # Days with renewals, usage and one restatement later.
    sandbox.move_clock(NOW + timedelta(days=2))
    bench.run(NOW + timedelta(days=2))
    now = bench.tables()
    assert now != then

    file = tmp_path / "then.duckdb"
    done = bench.command("rebuild", "--as-of", (NOW + timedelta(hours=1)).isoformat(), "--to", str(file))

    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    with duckdb.connect(file, read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = {table: sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr) for table in then}
    assert found == then
    assert file.stat().st_mode & 0o777 == 0o600
    # Nothing else was changed, and no partial file is left.
    assert bench.tables() == now
    assert not list(bench.home.path.glob("*as-of*"))
    assert bench.run(NOW + timedelta(days=2)).is_ok


def test_an_impossible_rebuild_as_of_is_refused_in_one_line(bench: Bench, first_run: FirstRun, tmp_path: Path) -> None:
    first_run(bench)
    (tmp_path / "taken").write_text("mine")
    for arguments, words in {
        ("--as-of", "2020-01-01", "--to", "new.duckdb"): "nothing had arrived by 2020-01-01T00:00:00Z",
        ("--as-of", NOW.isoformat(), "--to", str(tmp_path / "taken")): "exists already",
        ("--as-of", NOW.isoformat(), "--to", "no/such/folder.duckdb"): "is not a folder",
        ("--as-of", NOW.isoformat()): "need each other",
        ("--as-of", "noon", "--to", "new.duckdb"): "--as-of: 'noon' is not an instant",
    }.items():
        done = bench.command("rebuild", *arguments)
        assert done.returncode == 2
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert (tmp_path / "taken").read_text() == "mine"

"""A warehouse of another version: an older one is rebuilt from landing with a message, a newer one refused."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from pipeline import __version__
from pipeline.orchestration.upgrade import rebuild_outdated
from pipeline.schema.version import SCHEMA_VERSION
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home
from pipeline.warehouse.writer import Warehouse
from tests.bench import Bench
from tests.e2e.conftest import NOW
from tests.e2e.webserver import run_job, webserver
from tests.readers import Readers

pytestmark = pytest.mark.long

THIS = f"{__version__} (schema {SCHEMA_VERSION})"
WITHOUT_VENDORS = ("run", "--select", "not group:landing and not group:alerts")
OLDER = (
    "CREATE OR REPLACE TABLE staging.layout AS SELECT 0 AS schema_version, '0.0.9' AS version_id, 'abc' AS fingerprint",
    "ALTER TABLE core.accounts DROP COLUMN team",
    "DELETE FROM core.balance_snapshots",
)
ACCOUNTS = '[accounts.registrar]\nvendor = "manual"\npath = "registrar.csv"\n'


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """An account kept by hand, in a build of this version."""
    made = Bench(tmp_path_factory.mktemp("built"), ACCOUNTS)
    days = [f"{NOW - timedelta(days=back):%Y-%m-%d},{100 + back},EUR" for back in range(40, 0, -2)]
    (made.folder / "registrar.csv").write_text("\n".join(["observed_at_utc,balance_amount,unit_code", *days]) + "\n")
    before = dict(os.environ)
    assert made.run().is_ok
    os.environ.clear()
    os.environ.update(before)
    return made


@pytest.fixture
def bench(built: Bench, tmp_path: Path) -> Iterator[Bench]:
    """A copy of it; whatever happens to its warehouse, readers find complete builds, and no stray files remain."""
    shutil.copytree(built.folder, tmp_path, dirs_exist_ok=True, symlinks=True)
    made = Bench(tmp_path, ACCOUNTS)
    with Readers(made.home, per_second=5) as readers:
        yield made
    assert readers.errors == []
    assert readers.reads
    assert not list(made.home.path.glob("warehouse.rebuilding*"))


def _change(home: Home, *statements: str) -> None:
    with duckdb.connect(home.warehouse) as connection:
        for statement in statements:
            connection.execute(statement)


def _layout(home: Home) -> list[tuple[object, ...]]:
    with duckdb.connect(home.warehouse, read_only=True) as connection:
        return connection.sql("SELECT schema_version, version_id FROM staging.layout").fetchall()


def _rebuilding(home: Home) -> Path:
    return home.path / "warehouse.rebuilding.duckdb"


def _sums(bench: Bench) -> list[dict[str, object]]:
    # Within one process, DuckDB would require the readers' settings for a file that they have open.
    done = bench.command("checksum", "--json")
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def test_a_build_records_the_version_of_its_layout(built: Bench) -> None:
    assert _layout(built.home) == [(SCHEMA_VERSION, __version__)]
    assert built.rows("SELECT value FROM marts.build_info WHERE item = 'schema_version'") == [(str(SCHEMA_VERSION),)]


def test_an_older_warehouse_is_rebuilt_and_reported_on_stderr_and_in_dagster(bench: Bench, tmp_path: Path) -> None:
    before = _sums(bench)
    # As before warehouses recorded a version, with a table that lacked a column.
    _change(
        bench.home,
        "CREATE OR REPLACE TABLE staging.layout AS SELECT 'abc' AS fingerprint",
        "ALTER TABLE core.accounts DROP COLUMN team",
        "DELETE FROM core.balance_snapshots",
    )
    (tmp_path / "dagster").mkdir()

    done = bench.command(*WITHOUT_VENDORS, DAGSTER_HOME=str(tmp_path / "dagster"))

    assert done.returncode == 0, done.stderr
    said = f"{bench.home.warehouse} was laid out by Drawdown unknown (schema 0), this is {THIS}: rebuilding it"
    assert said in done.stderr
    assert "upgrade: done; the run continues" in done.stderr
    assert _sums(bench) == before
    assert _layout(bench.home) == [(SCHEMA_VERSION, __version__)]
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        (run,) = instance.get_runs()
        assert run.status is dg.DagsterRunStatus.SUCCESS
        logs = [each.user_message for each in instance.all_logs(run.run_id)]
    assert [line for line in logs if said in line]


def test_a_part_of_the_assets_rebuilds_an_older_warehouse_completely(bench: Bench) -> None:
    before = _sums(bench)
    _change(bench.home, *OLDER)

    done = bench.command("run", "--select", 'key:"marts/data_freshness" or key:"published/snapshot"')

    assert done.returncode == 0, done.stderr
    assert "was laid out by Drawdown 0.0.9 (schema 0)" in done.stderr
    assert _layout(bench.home) == [(SCHEMA_VERSION, __version__)]
    assert _sums(bench) == before


def test_a_run_of_dagsters_daemon_rebuilds_an_older_warehouse(bench: Bench) -> None:
    _change(bench.home, *OLDER)

    with webserver(bench) as url:
        assert run_job(url, "refresh_balances") == "SUCCESS"

    with dg.DagsterInstance.from_config(str(bench.home.dagster)) as instance:
        logs = [each.user_message for run in instance.get_runs() for each in instance.all_logs(run.run_id)]
    assert [line for line in logs if "was laid out by Drawdown 0.0.9 (schema 0)" in line]
    assert _layout(bench.home) == [(SCHEMA_VERSION, __version__)]
    # The contents of landing, with this run's fetches and issues.
    left = _sums(bench)
    assert bench.command("rebuild").returncode == 0
    assert _sums(bench) == left


def test_a_failed_rebuild_of_a_warehouse_is_one_line(bench: Bench) -> None:
    _change(bench.home, *OLDER)
    content = bench.home.warehouse.read_bytes()
    damaged = next(bench.home.landing.rglob("*.parquet"))
    damaged.write_bytes(b"PAR1 and no more")

    done = bench.command(*WITHOUT_VENDORS)

    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert re.search(
        r"^drawdown: .*warehouse.duckdb was laid out by .*, and could not be rebuilt: .*parquet is damaged: .*backup",
        said,
    )
    assert bench.home.warehouse.read_bytes() == content


def test_other_definitions_of_the_same_version_are_an_upgrade_too(bench: Bench) -> None:
    _change(bench.home, "UPDATE staging.layout SET fingerprint = 'abc'", "DROP TABLE core.invoices")
    # A warehouse alone only opens: the caller provides the rebuild.
    with pytest.raises(DrawdownError, match=r"laid out with other definitions .*: run `drawdown rebuild`"):
        _ = Warehouse(bench.home).connection

    warehouse = Warehouse(bench.home, rebuild=rebuild_outdated)
    try:
        assert warehouse.connection.sql("SELECT count(*) FROM core.invoices").fetchall() == [(0,)]
        # The lock was held throughout.
        with pytest.raises(DrawdownError, match="is being written by process"):
            _ = Warehouse(bench.home, wait_seconds=0.1).connection
    finally:
        warehouse.close()


def test_a_newer_warehouse_is_refused_and_left_as_it_is(bench: Bench) -> None:
    before = _sums(bench)
    _change(bench.home, "UPDATE staging.layout SET schema_version = 99, version_id = '9.9.0'")
    content = bench.home.warehouse.read_bytes()

    with pytest.raises(DrawdownError) as refused:
        _ = Warehouse(bench.home).connection

    assert f"was laid out by Drawdown 9.9.0 (schema 99), which is newer than this one, {THIS}" in str(refused.value)
    assert "Install Drawdown 9.9.0 or later" in str(refused.value)
    assert bench.home.warehouse.read_bytes() == content
    assert _sums(bench) == before
    # The message's command for going back works.
    assert bench.command("rebuild").returncode == 0
    assert _layout(bench.home) == [(SCHEMA_VERSION, __version__)]
    assert _sums(bench) == before


def test_an_upgrade_killed_in_the_middle_is_made_by_the_next_run(bench: Bench) -> None:
    before = _sums(bench)
    _change(bench.home, *OLDER)
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", *WITHOUT_VENDORS],
        env={**os.environ, **bench.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while not _rebuilding(bench.home).exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert _layout(bench.home) == [(0, "0.0.9")]
    assert _rebuilding(bench.home).exists()

    done = bench.command(*WITHOUT_VENDORS)

    assert done.returncode == 0, done.stderr
    assert "was laid out by Drawdown 0.0.9 (schema 0)" in done.stderr
    assert _sums(bench) == before

"""A landing that an earlier version wrote gives the same tables permanently, also after compaction."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.landing.compact import compact
from pipeline.landing.store import iterate, read
from pipeline.orchestration.refresh import rebuild
from pipeline.support.home import Home
from tests.replay.expect import ARCHIVES, expectation, found, unpack

pytestmark = pytest.mark.long

# Before the state machine, sent alerts were landed in another form: the rebuild then has no alert.
_ALERTS = {
    "landing-0.1-alerts.tar.xz": (
        "alerts.events WHERE event = 'recovered'",
        "alerts.states WHERE alert_state = 'acknowledged' AND acknowledged_by = 'operator'",
    )
}


@dataclass
class Frozen:
    """A frozen landing, rebuilt."""

    archive: Path
    home: Home
    tables: dict[str, str]

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with duckdb.connect(self.home.current.resolve(), read_only=True) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture(scope="module", params=ARCHIVES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def frozen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Frozen:
    home = Home(tmp_path_factory.mktemp("frozen") / "data")
    unpack(request.param, home)
    rebuild(home)
    return Frozen(request.param, home, found(home.current))


def test_each_version_that_was_frozen_is_there() -> None:
    assert [each.name for each in ARCHIVES] == ["landing-0.1-alerts.tar.xz", "landing-0.1.tar.xz"]


def test_a_rebuild_is_what_it_always_was(frozen: Frozen) -> None:
    expected = json.loads(expectation(frozen.archive).read_text())
    assert expected["reasons"]
    assert frozen.tables == expected["tables"], "see tests/replay/expect.py"


def test_a_frozen_landing_contains_every_kind_of_trouble(frozen: Frozen) -> None:
    one = "SELECT count(*) FROM "
    assert frozen.rows("SELECT count(DISTINCT vendor) FROM marts.data_freshness") == [(5,)]
    for what in (
        "marts.data_freshness WHERE failed_fetch_count > 0 AND outcome = 'ok'",
        "marts.account_status WHERE reading_state = 'stale'",
        "staging.rejects",
        "staging.schema_drift WHERE check_name = 'unknown_field'",
        "core.balance_snapshots WHERE balance_amount IS NULL",
        "core.accounts WHERE team = 'research'",
        "forecasts.runway WHERE issue_date < DATE '2026-11-01'",
        "forecasts.cost_daily",
        "forecasts.backtest_scores",
        "core.usage_days",
        *_ALERTS.get(frozen.archive.name, ()),
    ):
        assert frozen.rows(one + what)[0][0], what
    with duckdb.connect(frozen.home.warehouse, read_only=True) as connection:
        restated = connection.sql(
            "SELECT count(*) FROM (SELECT 1 FROM staging.usage_statements WHERE NOT is_partial "
            "GROUP BY account_id, usage_date HAVING count(DISTINCT credits_amount) > 1)"
        ).fetchall()
    assert restated[0][0]
    names = [path.name for path in iterate(frozen.home.landing)]
    assert [name for name in names if name.endswith("-merged.parquet")]
    assert (frozen.home.landing / "_drawdown" / "runs").is_dir()


def test_no_frozen_landing_contains_a_key(frozen: Frozen) -> None:
    # Files are compressed, so their contents only appear when they are read.
    texts = 0
    for path in iterate(frozen.home.landing):
        for name, column in zip((table := read(path)).column_names, table.columns, strict=True):
            for value in column.to_pylist() if pa.types.is_string(column.type) or name == "body" else []:
                texts += 1
                content = value if isinstance(value, bytes) else str(value).encode()
                assert not re.search(rb"sandbox-(key|client)-[0-9a-f]{8}", content), (path.name, name)
    assert texts > 1000


def test_how_landing_is_stored_changes_nothing(frozen: Frozen, tmp_path: Path) -> None:
    home = Home(tmp_path / "data")
    shutil.copytree(frozen.home.landing, home.landing)
    done = compact(home.landing, date(2026, 12, 1))
    assert done.files_after < done.files_before
    # One half stays compacted; each fetch of the other gets a separate file.
    _scatter(list(iterate(home.landing))[::2])
    assert len(list(iterate(home.landing))) > done.files_after
    rebuild(home)
    assert found(home.current) == frozen.tables


def _scatter(paths: list[Path]) -> None:
    for number, path in enumerate(paths):
        table = read(path)
        path.unlink()
        for index in range(table.num_rows):
            # Names that sort differently than the fetches in them.
            name = f"{99_999 - number:05d}-{9_999 - index:04d}.parquet"
            pq.write_table(table.slice(index, 1), path.with_name(name))

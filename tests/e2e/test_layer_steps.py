"""One step makes the tables of a layer: what fails, what is skipped, and what a selection of its assets does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from pipeline.models.discovery import discover
from pipeline.orchestration.definitions import ASSETS
from pipeline.orchestration.refresh import RunFailed
from pipeline.orchestration.temporary_instance import temporary_instance
from pipeline.support.clock import Clock
from pipeline.support.dagster_steps import asset_key
from pipeline.warehouse.writer import Warehouse
from tests.bench import HURRIED, Bench
from tests.changed_select import changed_select

NOW = datetime.fromisoformat("2026-10-07T09:00:00Z")
ACCOUNTS = """
[accounts.cash]
vendor = "manual"
path = "cash.csv"
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("built"), ACCOUNTS)
    days = [f"{NOW - timedelta(days=back):%Y-%m-%dT%H:%M:%SZ},{500 + back},EUR" for back in range(9, -1, -1)]
    (bench.folder / "cash.csv").write_text("\n".join(["observed_at_utc,balance_amount,unit_code", *days]) + "\n")
    assert bench.run(NOW).problems == []
    return bench


@contextmanager
def _broken(*names: str) -> Iterator[None]:
    """SELECTs that cannot be bound."""
    with ExitStack() as stack:
        for name in names:
            sql = f"select * from ({discover()[name].select}) where no_such_column"
            stack.enter_context(changed_select(name, sql))
        yield


def _materialized(bench: Bench, selection: dg.AssetSelection) -> dg.ExecuteInProcessResult:
    os.environ.update(bench.environment)
    warehouse = Warehouse(bench.home)
    resources = {"home": bench.home, "warehouse": warehouse, "clock": Clock(NOW), "fetch_policy": HURRIED}
    try:
        with temporary_instance() as instance:
            done = dg.materialize(ASSETS, selection=selection, instance=instance, resources=resources)
            assert instance.all_logs(done.run_id) == []
            return done
    finally:
        warehouse.close()


def test_every_model_that_fails_is_reported_and_only_what_reads_it_is_skipped(built: Bench) -> None:
    build = built.home.current.resolve()
    made: list[str] = []
    with _broken("core.invoices", "core.usage_days"), pytest.raises(RunFailed) as caught:
        built.run(NOW + timedelta(hours=1), on_step=made.append)
    # DuckDB's message has a second line.
    lines = [line for line in caught.value.lines if "no_such_column" in line]
    assert [line.partition(":")[0] for line in lines] == ["core.invoices", "core.usage_days"]
    made = [line.partition(":")[0] for line in made]
    assert "core.orders" in made
    # It reads core.usage_days, and the next layer follows a failed one in nothing.
    assert not {"core.spend_daily", "marts.spend_monthly", "published"} & set(made)
    assert built.home.current.resolve() == build
    assert built.run(NOW + timedelta(hours=2)).problems == []


def test_a_selection_makes_only_its_tables(built: Bench) -> None:
    done = _materialized(built, dg.AssetSelection.assets(asset_key("core.orders"), asset_key("core.accounts")))
    assert {event.asset_key for event in done.get_asset_materialization_events()} == {
        asset_key("core.orders"), asset_key("core.accounts"),
    }  # fmt: skip


def test_a_check_can_be_run_without_its_table(built: Bench) -> None:
    check = dg.AssetCheckKey(asset_key("core.orders"), "has_valid_rows")
    done = _materialized(built, dg.AssetSelection.checks(check))
    assert [(each.asset_check_key, each.passed) for each in done.get_asset_check_evaluations()] == [(check, True)]
    assert done.get_asset_materialization_events() == []


def test_columns_and_their_sources_are_recorded_where_dagster_keeps_them(
    built: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    built.run(NOW + timedelta(hours=3))
    with dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(asset_key("marts.account_status"))
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    columns = {column.name: column for column in metadata["dagster/column_schema"].value.columns}
    assert columns["balance_amount"].type == "DECIMAL(27,9)"
    assert "balance" in columns["balance_amount"].description
    sources = metadata["dagster/column_lineage"].value.deps_by_column
    assert [str(each.asset_key.path[-1]) for each in sources["balance_amount"]] == ["balance_snapshots"]
    assert metadata["dagster/row_count"].value == 1

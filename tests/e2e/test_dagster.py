"""The graph that Dagster shows is the one that the command line runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import httpx
import pytest

from pipeline.landing.store import iterate, read
from pipeline.orchestration.definitions import defs
from tests.bench import Bench, FirstRun
from tests.e2e.conftest import NOW
from tests.e2e.webserver import CLONE, run_job, wait_for, webserver
from tests.sandbox_faults import Sandbox
from tests.staging.landed import Landing


def test_every_asset_has_a_group_a_description_kinds_and_an_owner() -> None:
    specs = list(defs.resolve_all_asset_specs())

    assert len(specs) == len({spec.key for spec in specs})
    for spec in specs:
        assert spec.group_name == spec.key.path[0]
        assert spec.description
        assert spec.kinds
        assert spec.owners


def test_the_layers_contain_the_assets_that_others_depend_on() -> None:
    keys = {spec.key.to_user_string() for spec in defs.resolve_all_asset_specs()}

    assert keys >= {
        "landing/vpsbg_balance", "landing/vpsbg_transactions", "landing/voxpria_credits", "landing/voxpria_usage",
        "staging/vpsbg_balances", "staging/vpsbg_ledger_entries", "staging/voxpria_usage_days", "staging/rejects",
        "staging/schema_drift", "core/accounts", "core/balance_snapshots", "core/ledger_entries", "core/usage_days",
        "core/vendor_claims", "core/spend_daily", "marts/account_status", "marts/spend_monthly",
        "marts/data_freshness", "marts/data_dictionary", "marts/build_info", "published/snapshot", "published/parquet",
        "marts/focus_cost_and_usage", "marts/focus_cost_and_usage_estimated", "published/focus", "published/report",
    }  # fmt: skip


def test_schedules_run_without_being_started() -> None:
    schedules = {schedule.name: schedule for schedule in defs.schedules or []}

    running = {"refresh_balances_hourly", "refresh_all_daily", "compaction_daily"}
    # Those of pollers only run if the settings have pollers.
    assert set(schedules) == running | {"poll_balances_hourly", "poll_all_daily"}
    for name, schedule in schedules.items():
        assert isinstance(schedule, dg.ScheduleDefinition)
        assert (schedule.default_status is dg.DefaultScheduleStatus.RUNNING) is (name in running)
        assert schedule.execution_timezone == "UTC"


def test_the_daily_job_merges_the_files_of_finished_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAWDOWN_HOME", str(tmp_path))
    landed = Landing(tmp_path / "landing")
    answers = {landed.answer("vpsbg", "balance", {"balance": number}) for number in range(3)}
    config = {"resources": {"clock": {"config": {"as_of": "2026-03-19T03:45:00Z"}}}}
    assert defs.resolve_job_def("compaction").execute_in_process(run_config=config).success
    [path] = iterate(tmp_path / "landing")
    assert set(read(path)["fetch_id"].to_pylist()) == answers


def test_only_our_own_arithmetic_blocks() -> None:
    graph = defs.resolve_asset_graph()
    blocking = {key.name for key in graph.asset_check_keys if graph.get_check_spec(key).blocking}

    assert blocking == {"has_unique_keys", "has_valid_rows", "is_accounted_for", "adds_up"}


@pytest.mark.long
@pytest.mark.parametrize(
    "command", [["dagster", "definitions", "validate", "-w", "workspace.yaml"], ["dg", "check", "defs"]]
)
def test_definitions_are_valid_from_a_clone(command: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / command[0]), *command[1:]],
        cwd=CLONE,
        env={
            **os.environ,
            "HOME": str(tmp_path),
            "DAGSTER_HOME": str(tmp_path),
            "VIRTUAL_ENV": str(Path(sys.executable).parents[1]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.long
@pytest.mark.faults(57)
def test_a_materialization_through_the_web_interface_equals_one_from_the_command_line(
    bench: Bench, first_run: FirstRun, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "twin").mkdir()
    twin = Bench(tmp_path / "twin", sandbox.accounts_toml(), sandbox.keys)
    first_run(twin)
    with webserver(bench) as url:
        wait_for(url)
        for headers, code in (
            ({}, 200),
            ({"Host": "rebound.example:3000"}, 400),
            ({"Host": "127.0.0.1.rebound.example"}, 400),
            ({"Origin": "https://page.example"}, 403),
            ({"Origin": url.removesuffix("/graphql")}, 200),
        ):
            asked = httpx.post(url, json={"query": "{ version }"}, headers=headers, timeout=60)
            assert (asked.status_code, "version" in asked.text) == (code, code == 200), headers
        assert (
            run_job(url, "refresh_all", {"resources": {"clock": {"config": {"as_of": NOW.isoformat()}}}}) == "SUCCESS"
        )
    query = "SELECT * EXCLUDE (fetch_id) FROM marts.account_status ORDER BY account_id"
    assert bench.rows(query) == twin.rows(query)
    tables = ("core.spend_daily", "marts.spend_monthly", "core.ledger_conventions")
    assert bench.tables(*tables) == twin.tables(*tables)

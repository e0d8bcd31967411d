"""The graph that Dagster shows is the one that the command line runs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipeline.definitions import defs
from pipeline.sandbox import Sandbox
from tests.bench import Bench, FirstRun
from tests.e2e.conftest import NOW

CLONE = Path(__file__).parents[2]


def test_every_asset_has_a_group_a_description_kinds_and_an_owner() -> None:
    specs = list(defs.resolve_all_asset_specs())

    assert len(specs) == len({spec.key for spec in specs})
    for spec in specs:
        assert spec.group_name == spec.key.path[0]
        assert spec.description
        assert spec.kinds
        assert spec.owners


def test_the_layers_hold_the_assets_that_others_build_on() -> None:
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

    assert set(schedules) == {"refresh_balances_hourly", "refresh_all_daily"}
    for schedule in schedules.values():
        assert isinstance(schedule, dg.ScheduleDefinition)
        assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
        assert schedule.execution_timezone == "UTC"


def test_only_our_own_arithmetic_blocks() -> None:
    graph = defs.resolve_asset_graph()
    blocking = {key.name for key in graph.asset_check_keys if graph.get_check_spec(key).blocking}

    assert blocking == {"matches_contract", "adds_up"}


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


@contextmanager
def _webserver(bench: Bench) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    dagster_home = bench.home.dagster
    bench.command("init", "--dagster", DAGSTER_HOME=str(dagster_home))
    server = subprocess.Popen(
        [
            str(Path(sys.executable).parent / "dagster"),
            "dev",
            "-w",
            "workspace.yaml",
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
        ],
        cwd=CLONE,
        env={**os.environ, **bench.environment, "DAGSTER_HOME": str(dagster_home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield f"http://127.0.0.1:{port}/graphql"
    finally:
        os.killpg(server.pid, signal.SIGINT)
        try:
            server.wait(timeout=15)
        except subprocess.TimeoutExpired:
            # Where whoever started the tests ignores interrupts, so do their children.
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(timeout=15)


def _ask(url: str, query: str, **variables: Any) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - our own loopback server
        url,
        data=json.dumps({"query": query, "variables": variables}).encode(),
        headers={"Content-Type": "application/json"},
    )
    deadline = time.monotonic() + 300
    while True:
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310
                return dict(json.load(answer)["data"])
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def test_a_materialization_through_the_web_interface_equals_one_from_the_command_line(
    bench: Bench, first_run: FirstRun, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "twin").mkdir()
    twin = Bench(tmp_path / "twin", sandbox.accounts_toml(), sandbox.keys)
    first_run(twin)
    selector = {"repositoryName": "__repository__", "repositoryLocationName": "drawdown", "pipelineName": "refresh_all"}
    with _webserver(bench) as url:
        launched = _ask(
            url,
            "mutation Launch($p: ExecutionParams!) { launchPipelineExecution(executionParams: $p) "
            "{ __typename ... on LaunchRunSuccess { run { runId } } } }",
            p={
                "selector": selector,
                "mode": "default",
                "runConfigData": {"resources": {"clock": {"config": {"as_of": NOW.isoformat()}}}},
            },
        )["launchPipelineExecution"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            run = _ask(
                url,
                "query Run($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }",
                id=launched["run"]["runId"],
            )["runOrError"]
            if run["status"] in ("SUCCESS", "FAILURE", "CANCELED"):
                break
            time.sleep(0.5)
    assert run["status"] == "SUCCESS"
    query = "SELECT * EXCLUDE (fetch_id) FROM marts.account_status ORDER BY account_id"
    assert bench.rows(query) == twin.rows(query)
    for table in ("core.spend_daily", "marts.spend_monthly", "core.ledger_conventions"):
        assert bench.tables()[table] == twin.tables()[table]

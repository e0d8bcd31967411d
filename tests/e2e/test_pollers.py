"""Requests that several runs share: as commands, and as partitions of Dagster's jobs."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from pipeline.landing.store import OWN, iterate, read
from pipeline.orchestration.definitions import defs
from pipeline.orchestration.polling import partition_keys, poll_all, poll_balances
from tests.bench import HURRIED, Bench
from tests.e2e.conftest import NOW
from tests.sandbox_faults import Sandbox

POLLERS = 3


@pytest.fixture
def shared(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A state folder whose landing goes to a folder that all pollers share."""
    spark = f'[spark]\nmaster = "local[1]"\nstorage = "file://{tmp_path}/lake"\npollers = {POLLERS}\n'
    bench = Bench(tmp_path, f'engine = "spark"\n{sandbox.accounts_toml()}\n{spark}', sandbox.keys)
    for name, value in bench.environment.items():
        monkeypatch.setenv(name, value)
    return bench


def _landed(folder: Path) -> Counter[tuple[str, str]]:
    """Account and endpoint of each newest answer that was uploaded."""
    found: Counter[tuple[str, str]] = Counter()
    for path in iterate(folder / "lake" / "landing"):
        for row in read(path).select(["vendor", "account_id", "endpoint", "page_number"]).to_pylist():
            if row["vendor"] != OWN and row["page_number"] == 1:
                found[row["account_id"], row["endpoint"]] += 1
    return found


def test_each_command_requests_its_accounts_and_together_all(shared: Bench, tmp_path: Path) -> None:
    for number in range(1, POLLERS + 1):
        environment = {"DRAWDOWN_HOME": str(tmp_path / f"poller-{number}")}
        done = shared.command(
            "run", "--poller", str(number), "--select", "group:landing", "--as-of", NOW.isoformat(), **environment
        )
        assert done.returncode == 0, done.stderr
    landed = _landed(tmp_path)
    accounts = {"vpsbg-main", "vpsbg-agency", "vpsbg-idle", "voxpria-main", "voxpria-campaign"}
    assert {account_id for account_id, _ in landed} == accounts
    assert {
        landed[account_id, "balance" if account_id.startswith("vpsbg") else "credits"] for account_id in accounts
    } == {1}
    assert shared.leaks() == []

    refused = shared.command("run", "--poller", "4", "--select", "group:landing", "--as-of", NOW.isoformat())
    assert refused.returncode == 2
    assert refused.stderr == f"drawdown: there is no poller 4: {shared.accounts} has spark.pollers = 3\n"


def test_a_run_without_a_poller_requests_no_account_and_says_so(
    shared: Bench, sandbox: Sandbox, tmp_path: Path
) -> None:
    before = len(sandbox.requests())
    done = shared.command("run", "--select", "group:landing", "--as-of", NOW.isoformat())
    assert done.returncode == 0
    assert "3 pollers request the accounts; this run makes the tables of what they landed" in done.stderr
    assert len(sandbox.requests()) == before
    assert _landed(tmp_path) == Counter()


@pytest.mark.parametrize(("job", "is_everything"), [(poll_balances, False), (poll_all, True)])
def test_each_partition_of_a_job_requests_and_uploads_its_accounts(
    shared: Bench, tmp_path: Path, job: dg.JobDefinition, is_everything: bool
) -> None:
    resources = {**(defs.resources or {}), "fetch_policy": HURRIED}
    made = dg.Definitions(jobs=[job], resources=resources).resolve_job_def(job.name)
    clock = {"resources": {"clock": {"config": {"as_of": NOW.isoformat()}}}}
    assert list(partition_keys()) == ["1 of 3", "2 of 3", "3 of 3"]
    for key in partition_keys():
        config = job.partitioned_config.get_run_config_for_partition_key(key) | clock  # type: ignore[union-attr]
        assert made.execute_in_process(run_config=config).success
    landed = _landed(tmp_path)
    assert set(landed.values()) == {1}
    assert len({account_id for account_id, _ in landed}) == 5
    assert (("vpsbg-main", "invoices") in landed) is is_everything
    assert shared.leaks() == []


def test_the_schedule_starts_a_run_for_each_poller_and_none_without_pollers(
    shared: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = defs.resolve_schedule_def("poll_balances_hourly")
    context = dg.build_schedule_context(
        scheduled_execution_time=datetime(2026, 10, 7, 9, 50, tzinfo=UTC), repository_def=defs.get_repository_def()
    )
    ticked = schedule.evaluate_tick(context)
    assert [each.partition_key for each in ticked.run_requests or []] == ["1 of 3", "2 of 3", "3 of 3"]
    assert len({each.run_key for each in ticked.run_requests or []}) == 3
    monkeypatch.setenv("DRAWDOWN_ENGINE", "duckdb")
    ticked = schedule.evaluate_tick(context)
    assert not ticked.run_requests
    assert ticked.skip_message == "spark.pollers is 1: the run that makes the tables requests the accounts"

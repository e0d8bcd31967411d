"""A failed run is reported, named and closed again: through the command, over real sockets and files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest

from pipeline import __version__
from pipeline.cli.alerting import read_open
from pipeline.cli.status import is_reached, read_status
from pipeline.landing.own import FORMATS, land_own
from pipeline.orchestration.failed_runs import failed_runs
from pipeline.orchestration.refresh import RunFailed, rebuild
from pipeline.support.clock import Clock
from pipeline.support.errors import DrawdownError, UsageError
from pipeline.support.home import Home
from pipeline.support.last_run import read_last_run
from pipeline.warehouse.writer import Warehouse
from tests import sandbox_faults as sandboxes
from tests.bench import Bench, only
from tests.e2e.conftest import NOW
from tests.e2e.test_alerts import ALERTS, NotifiedBench, notified
from tests.landing.test_own import later
from tests.sandbox_faults import Sandbox

pytestmark = pytest.mark.long

__all__ = ["notified"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, Sandbox]]:
    """One refresh of one critical account, without recipients."""
    with sandboxes.start(seed=3, days=40, now=NOW, vendors=["voxpria"]) as world:
        bench = Bench(tmp_path_factory.mktemp("built"), only(world.accounts_toml(), "voxpria-campaign"), world.keys)
        before = dict(os.environ)
        bench.run(NOW)
        os.environ.clear()
        os.environ.update(before)
        yield bench, world


def _metrics(home: Home) -> dict[str, str]:
    text = (home.published / "metrics" / "drawdown.prom").read_text(encoding="utf-8")
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


@pytest.mark.faults(51)
def test_a_failed_run_is_sent_once_shown_everywhere_and_closed_by_the_next_good_one(notified: NotifiedBench) -> None:
    bench = notified.bench
    shown = bench.home.current.resolve()
    whole = bench.home.warehouse.read_bytes()
    bench.home.warehouse.write_bytes(b"hello" * 5000)
    with pytest.raises(RunFailed, match="run `drawdown rebuild`"):
        notified.run_alerts(1)
    at = (NOW + timedelta(hours=2)).isoformat()
    done = bench.command("run", "--json", "--as-of", at, "--select", ALERTS)
    assert done.returncode == 1
    [outcome] = json.loads(done.stdout)
    assert (outcome["is_ok"], outcome["warnings"]) == (False, [])
    assert "run `drawdown rebuild`" in outcome["problems"][0]
    assert [line for line in done.stderr.splitlines() if not line.startswith("drawdown: ")] == []
    assert notified.titles() == ["voxpria-campaign is critical; 1 more change"]
    assert "the last run failed (run_failed alert opened 2026-10-07 10:00 UTC)." in notified.heard[0]["message"]
    assert "run `drawdown rebuild`" in notified.heard[0]["message"]

    assert bench.home.current.resolve() == shown
    status = bench.command("status", "--fail-on", "run_failed")
    assert status.returncode == 1
    words = " ".join(status.stdout.split())
    assert "The last run failed, 2026-10-07 11:00 UTC, the last of 2 in a row since 2026-10-07 10:00 UTC: " in words
    [account] = json.loads(bench.command("status", "--json").stdout)
    assert (account["last_run_is_ok"], account["failed_run_count"]) == (False, 2)
    assert account["run_problems"] == outcome["problems"]
    assert (
        _metrics(bench.home)["drawdown_last_run_failed"],
        _metrics(bench.home)["drawdown_failed_runs_in_a_row"],
    ) == (
        "1.0",
        "2.0",
    )
    alerts = read_open(bench.home).alerts
    assert [(each["account_id"], each["rule"]) for each in alerts if each["notified_at_utc"]] == [
        ("voxpria-campaign", "runway"),
        ("*", "run_failed"),
    ]

    bench.home.warehouse.write_bytes(whole)
    assert notified.run_alerts(3) == []
    assert notified.titles()[1:] == ["runs succeed again"]
    assert notified.heard[1]["message"].startswith(
        "runs succeed again (run_failed alert recovered 2026-10-07 12:00 UTC).\nRuns had failed since 2026-10-07 10:00 UTC."
    )
    assert not is_reached(read_status(bench.home), ["run_failed"])
    assert [each["rule"] for each in read_open(bench.home).alerts] == ["runway"]
    bench.run(NOW + timedelta(hours=4), selection=f'{ALERTS} or key:"published/metrics"')
    assert _metrics(bench.home)["drawdown_last_run_failed"] == "0.0"
    assert len(notified.heard) == 2
    assert bench.rows(
        "SELECT event, delivery_state FROM alerts.events WHERE rule = 'run_failed' ORDER BY event_id"
    ) == [
        ("opened", "delivered"),
        ("recovered", "delivered"),
    ]
    checksums = bench.checksums()
    rebuild(bench.home)
    assert bench.checksums() == checksums


@pytest.mark.faults(50)
def test_a_hanging_recipient_delays_neither_publishing_nor_the_next_writer(notified: NotifiedBench) -> None:
    """While a message is being sent, the build is published and the warehouse unlocked."""
    seen: list[tuple[bool, bool]] = []
    before = notified.bench.home.current.resolve()

    def look() -> int:
        warehouse = Warehouse(notified.bench.home, wait_seconds=0)
        try:
            warehouse.connection.execute("SELECT 1")
        finally:
            warehouse.close()
        seen.append((notified.bench.home.current.resolve() != before, True))
        return 200

    notified.before_answer = look
    assert notified.run_alerts(1) == []
    assert seen == [(True, True)]


@pytest.mark.faults(49)
def test_a_rebuild_equals_the_build_after_later_deliveries(notified: NotifiedBench) -> None:
    notified.before_answer = lambda: 503
    assert notified.run_alerts(1) != []
    notified.before_answer = lambda: 200
    assert notified.run_alerts(2) == []
    checksums = notified.bench.checksums()
    assert notified.bench.rows("SELECT delivery_state, delivery_attempt_count FROM alerts.events") == [("pending", 3)]
    rebuild(notified.bench.home)
    assert notified.bench.checksums() == checksums
    assert len(notified.heard) == 4
    assert notified.run_alerts(3) == []
    assert notified.bench.rows("SELECT delivery_state, delivery_attempt_count FROM alerts.events") == [("delivered", 4)]


@pytest.mark.faults(51)
def test_a_run_that_waits_in_vain_for_the_lock_is_reported(notified: NotifiedBench) -> None:
    bench = notified.bench
    holder = Warehouse(bench.home)
    assert holder.connection
    try:
        with pytest.MonkeyPatch.context() as patch, pytest.raises(DrawdownError, match="is being written by process"):
            patch.setattr(
                "pipeline.distributed.engine.Warehouse",
                lambda *given, **more: Warehouse(*given, wait_seconds=0.1, **more),
            )
            notified.run_alerts(1)
    finally:
        holder.close()
    # The account's own alert is sent as well: it must not wait until runs succeed again.
    assert notified.titles() == ["voxpria-campaign is critical; 1 more change"]
    assert "is being written by process" in notified.heard[0]["message"]


def test_json_reports_a_refused_request(notified: NotifiedBench) -> None:
    done = notified.bench.command("run", "--json", "--account", "nobody")
    assert done.returncode == 2
    [outcome] = json.loads(done.stdout)
    assert (outcome["run_id"], outcome["is_ok"]) == (None, False)
    assert "there is no account 'nobody'" in outcome["problems"][0]
    assert done.stderr == f"drawdown: {outcome['problems'][0]}\n"
    # It was no run, so nothing is sent.
    assert notified.heard == []


def test_a_run_that_fails_under_dagster_is_reported_once(
    notified: NotifiedBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in notified.bench.environment.items():
        monkeypatch.setenv(name, value)

    @dg.asset
    def broken() -> None:
        raise dg.Failure(description="account main: it broke")

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([broken], instance=instance, raise_on_error=False)
        [failure] = [each for each in result.all_events if each.event_type is dg.DagsterEventType.RUN_FAILURE]
        for _ in range(2):
            context = dg.build_run_status_sensor_context(
                sensor_name="failed_runs",
                dagster_event=failure,
                dagster_instance=instance,
                dagster_run=result.dagster_run,
            )
            failed_runs(context.for_run_failure())
    [message] = notified.heard
    assert "the last run failed" in message["message"]
    assert "\naccount main: it broke" in message["message"]
    last = read_last_run(notified.home)
    assert last is not None
    assert (last.run_id, last.failed_run_count) == (result.run_id, 1)


@pytest.mark.faults(52)
def test_a_rebuild_skips_entries_of_a_later_version_with_a_warning(notified: NotifiedBench) -> None:
    home = notified.home
    checksums = notified.bench.checksums()
    with later(2):
        for kind in FORMATS:
            land_own(home, Clock(NOW), "later", kind, b'{"type":"unheard_of"}')
    # A later version's kinds of entries, and its vendors, are ignored here.
    land_own(home, Clock(NOW), "later", "unheard_of", b"{}")
    home.warehouse.unlink()

    outcome = rebuild(home)

    assert (outcome.is_ok, notified.bench.checksums()) == (True, checksums)
    assert len(outcome.warnings) == len(FORMATS)
    for kind in FORMATS:
        assert [line for line in outcome.warnings if f"_drawdown/{kind} that Drawdown 9.9.9 wrote" in line], kind
    # The next run continues.
    assert notified.run_alerts(1) == []
    assert notified.titles() == ["voxpria-campaign is critical"]


@pytest.mark.faults(52)
def test_a_setting_that_this_version_does_not_know_is_refused_naming_the_version(notified: NotifiedBench) -> None:
    notified.bench.accounts.write_text(f"snooze_hours = 3\n{notified.bench.accounts.read_text()}")
    with pytest.raises(UsageError, match=rf"snooze_hours: unknown key in Drawdown {__version__}; known keys: "):
        notified.run_alerts()

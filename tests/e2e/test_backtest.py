"""`drawdown backtest`: it prints what it landed and what the tables contain from then on."""

from __future__ import annotations

import fcntl
import json
import re
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import polars as pl
import pytest

from pipeline.cli.backtesting import History, compare
from pipeline.forecasts.backtest import Backtest, backtest
from pipeline.forecasts.backtest_tables import land_backtest, replay_backtest
from pipeline.landing.store import BACKTESTS, OWN
from pipeline.orchestration.refresh import rebuild, rebuild_as_of
from pipeline.support.clock import Clock
from pipeline.support.errors import DrawdownError
from pipeline.warehouse.writer import Warehouse
from tests.bench import Bench, FirstRun
from tests.e2e.conftest import NOW
from tests.sandbox_faults import Sandbox

pytestmark = pytest.mark.long

_TABLES = ("forecasts.backtest_scores", "forecasts.calibration")


def _landed(bench: Bench) -> int:
    return len(list((bench.home.landing / OWN / BACKTESTS).rglob("*.parquet")))


def _tables(bench: Bench) -> dict[str, list[tuple[Any, ...]]]:
    return bench.tables(*_TABLES)


def _scores(bench: Bench) -> list[dict[str, Any]]:
    with duckdb.connect(bench.home.current.resolve(), read_only=True) as build:
        found = build.sql("SELECT * EXCLUDE (backtested_at_utc, fetch_id) FROM forecasts.backtest_scores").pl()
    return found.to_dicts()


def _small(amount: float = 10.0, days: int = 60) -> Backtest:
    first = date(2026, 1, 1)
    spend = pl.DataFrame(
        {
            "account_id": ["vpsbg-main"] * days,
            "date": [first + timedelta(days=day) for day in range(days)],
            "spend_amount": [amount + day % 7 for day in range(days)],
        }
    )
    return backtest(spend, horizons=[7], paths=20)


def test_printed_alerts_equal_the_tables_after_the_next_run_and_after_a_rebuild(
    bench: Bench, first_run: FirstRun, sandbox: Sandbox
) -> None:
    first_run(bench)
    before = bench.tables()
    assert all(before[name] == [] for name in _TABLES)

    shown = bench.command("backtest", "--account", "vpsbg-main")
    assert (shown.returncode, shown.stderr) == (0, "")
    exported = bench.command("backtest", "--json")
    assert exported.returncode == 0, exported.stderr
    assert "`drawdown run`" in exported.stderr
    # Readers get it with the next publish and not before; forecasts are not affected.
    assert bench.tables() == before
    sandbox.move_clock(NOW + timedelta(hours=1))
    bench.run(NOW + timedelta(hours=1))

    scores = _scores(bench)
    key = ("account_id", "forecaster", "horizon_days")
    answer = json.loads(exported.stdout)
    assert list(answer) == [
        "verdict", "scores", "calibration", "month_ends", "comparisons", "skipped", "months", "shared_misses",
    ]  # fmt: skip
    assert sorted(answer["scores"], key=lambda row: [row[name] for name in key]) == sorted(
        scores, key=lambda row: [row[name] for name in key]
    )
    assert {row["account_id"] for row in scores} > {"*", "vpsbg-main"}
    # The same history and the same seed: the first backtest printed the same numbers, rounded.
    parts = re.split(r"^(?=All accounts$|vpsbg-main$)", shown.stdout, flags=re.MULTILINE)[1:]
    for part, account_id in zip(parts, ("*", "vpsbg-main"), strict=True):
        lines = [line.split() for line in part.splitlines() if re.match(r" +(7|30|90)  ", line)]
        assert len(lines) == 12
        for days, forecaster, count, *numbers in lines:
            [row] = [
                row
                for row in scores
                if (row["account_id"], row["forecaster"], row["horizon_days"]) == (account_id, forecaster, int(days))
            ]
            assert int(count) == row["forecast_count"]
            values = [value for name, value in row.items() if name.endswith(("_ratio", "_score")) and value is not None]
            assert sorted(numbers) == sorted(f"{value:.2f}" for value in values)
    assert "In 100 weeks like these, the 80 % band for the next 7 days would have held" in shown.stdout
    text = " ".join(shown.stdout.split())
    assert all(line in text for line in answer["verdict"]["*"])
    assert "not enough accounts or months to tell whether the fleet moves together" in text
    months = bench.rows(
        "SELECT strftime(target_month, '%Y-%m'), horizon_days, coverage_80_ratio, below_80_ratio, above_80_ratio "
        "FROM forecasts.backtest_months ORDER BY 1, 2"
    )
    assert len(months) == len(answer["months"]) > 3
    printed = [line.split() for line in shown.stdout.splitlines() if re.match(r"20\d\d-\d\d ", line)]
    assert [cells for month, *cells in printed] == [
        [f"{share:.2f}" for month, _, *shares in months if month == wanted for share in shares]
        for wanted in sorted({month for month, *_ in months})
    ]
    assert bench.rows("SELECT horizon_days, is_shared FROM forecasts.backtest_shared_misses ORDER BY 1") == [
        (7, False), (30, None), (90, None),
    ]  # fmt: skip
    assert bench.rows("SELECT count(*) FROM forecasts.backtest_comparisons") == [(0,)]
    assert all(len(line) <= 80 for line in shown.stdout.splitlines())
    levels = bench.rows("SELECT DISTINCT nominal_ratio FROM forecasts.calibration ORDER BY 1")
    assert levels == [(0.05,), (0.1,), (0.25,), (0.5,), (0.75,), (0.9,), (0.95,)]

    assert _landed(bench) == 2
    held = _tables(bench)
    bench.home.warehouse.unlink()
    rebuild(bench.home)
    assert _tables(bench) == held
    assert _landed(bench) == 2


def test_the_warehouse_has_it_at_once(bench: Bench, first_run: FirstRun) -> None:
    first_run(bench)
    assert bench.command("backtest").returncode == 0
    warehouse = Warehouse(bench.home)
    try:
        counts = [warehouse.connection.sql(f"SELECT count(*) > 0 FROM {name}").fetchall() for name in _TABLES]
    finally:
        warehouse.close()
    assert counts == [[(True,)]] * 2


def test_the_newest_backtest_replaces_the_previous_and_as_of_an_instant_the_one_of_then_is_used(
    bench: Bench,
    first_run: FirstRun,
) -> None:
    first_run(bench)
    for hours, amount in ((1, 10.0), (30, 20.0)):
        land_backtest(bench.home, Clock(NOW + timedelta(hours=hours)), "r", _small(amount))

    def held(known_at: datetime | None) -> list[tuple[Any, ...]]:
        warehouse = Warehouse(bench.home)
        try:
            with warehouse.transaction() as connection:
                replay_backtest(connection, bench.home.landing, known_at)
            return [connection.sql(f"SELECT DISTINCT backtested_at_utc FROM {name}").fetchall() for name in _TABLES]
        finally:
            warehouse.close()

    assert held(None) == [[(NOW + timedelta(hours=30),)]] * 2
    assert held(NOW + timedelta(hours=29)) == [[(NOW + timedelta(hours=1),)]] * 2
    assert held(NOW) == [[], []]
    # A rebuild as of an instant gives the same.
    for hours, expected in ((0, []), (2, [(NOW + timedelta(hours=1),)])):
        target = bench.folder / f"then-{hours}.duckdb"
        rebuild_as_of(bench.home, NOW + timedelta(hours=hours), target)
        with duckdb.connect(target, read_only=True) as then:
            then.execute("SET TimeZone = 'UTC'")
            for name in _TABLES:
                assert then.execute(f"SELECT DISTINCT backtested_at_utc FROM {name}").fetchall() == expected


def test_without_a_warehouse_nothing_is_made_and_the_error_names_the_remedy(bench: Bench) -> None:
    done = bench.command("backtest")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"drawdown: {bench.home.warehouse} does not exist")
    assert not bench.home.path.exists()


def test_an_account_that_no_run_knew_is_refused_before_anything_is_forecast(bench: Bench, first_run: FirstRun) -> None:
    first_run(bench)
    done = bench.command("backtest", "--account", "vpsbg-man")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--account vpsbg-man" in done.stderr
    assert "vpsbg-main" in done.stderr
    assert _landed(bench) == 0


def _spend(**days: int) -> pl.DataFrame:
    rows = [(name, date(2026, 3, 1) - timedelta(days=day), 5.0) for name, count in days.items() for day in range(count)]
    return pl.DataFrame(
        rows, schema={"account_id": pl.String, "date": pl.Date, "spend_amount": pl.Float64}, orient="row"
    )


def test_without_enough_history_the_error_states_the_needed_days() -> None:
    with pytest.raises(DrawdownError, match=r"too little history for a backtest: .* 28 observed days"):
        compare(History(spend=_spend(a=30), account_ids=["a"]))
    with pytest.raises(DrawdownError, match="too little history"):
        compare(History(spend=_spend(), account_ids=["a"]))


def test_accounts_without_a_forecast_are_listed_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    from pipeline.cli.backtest_text import print_backtest

    found = compare(History(spend=_spend(a=50, b=10), account_ids=["a", "b", "c"]))
    print_backtest(found, [])
    text = " ".join(capsys.readouterr().out.split())
    assert "All accounts: not for the next 30 and 90 days: no account that spends has an origin" in text
    assert "b: not for the next 7, 30 and 90 days: 10 days are observed; it takes 28" in text
    assert "c: not for the next 7, 30 and 90 days: no whole day of its spend was observed" in text
    print_backtest(found, ["b"])
    text = " ".join(capsys.readouterr().out.split())
    assert "b There is too little spend in the history" in text
    assert "c: not" not in text


def test_a_run_that_locks_the_warehouse_only_prevents_the_loading(
    bench: Bench, first_run: FirstRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipeline.cli import backtesting

    first_run(bench)
    history = backtesting.read_history(bench.home, [])
    monkeypatch.setattr(backtesting, "read_history", lambda *_: history)
    monkeypatch.setattr(backtesting, "Warehouse", lambda home, **more: Warehouse(home, wait_seconds=0.1, **more))
    with (bench.home.path / "warehouse.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DrawdownError, match="is being written by"):
            backtesting.run_backtest(bench.home, [], as_json=False)
    assert "All accounts" in capsys.readouterr().out
    assert _landed(bench) == 1
    bench.run(NOW)
    assert bench.rows("SELECT count(*) > 0 FROM forecasts.backtest_scores") == [(True,)]

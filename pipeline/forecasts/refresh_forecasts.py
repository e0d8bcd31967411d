"""Update of the forecasts' tables: the current forecast, what was issued, and how it compares with actual spend."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from pipeline.forecasts.account_forecasts import forecast_accounts
from pipeline.forecasts.anomaly_table import rebuild_anomalies
from pipeline.forecasts.backtest_tables import replay_backtest
from pipeline.forecasts.forecast_inputs import build_date, read_inputs
from pipeline.forecasts.issues import current_runway, issue, replay, topup_plan
from pipeline.forecasts.month_inputs import read_running_month
from pipeline.forecasts.month_issues import issue_months, replay_months, store_months
from pipeline.forecasts.month_outlook import MonthOutlooks
from pipeline.forecasts.spend_headroom import SpendHeadroom, read_accounts
from pipeline.models import quarantine
from pipeline.schema.tables import ALL
from pipeline.support.clock import Clock
from pipeline.support.home import Home
from pipeline.warehouse.writer import Warehouse

if TYPE_CHECKING:
    import polars as pl

    from pipeline.forecasts.engine import Paths

_ANOMALIES: Final = ALL["forecasts.anomalies"]
_HEADROOM: Final = ALL["forecasts.current_spend_headroom"]
_CURRENT: Final = tuple(ALL[f"forecasts.current_{name}"] for name in ("runway", "topup_plan"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastsResult:
    """Result of an update of the forecasts' tables."""

    issued: int
    """Accounts for which today's issue was landed."""
    account_forecasts: pl.DataFrame | None
    """As `forecast_accounts` returns; None where there is no run yet."""
    outlooks: MonthOutlooks | None
    """The running month of these accounts; None where there is no run yet."""


def refresh_forecasts(
    warehouse: Warehouse,
    home: Home,
    clock: Clock,
    run_id: str,
    *,
    pool: pl.DataFrame | None = None,
    is_part: bool = False,
) -> ForecastsResult:
    """Forecast every account, land today's issue of those that have none yet, and load what is landed.

    - `pool`: what accounts learned from each other; None to learn it from these.
    - `is_part`: these are not all accounts, and what is landed was loaded before (`load_issued`). Months are left to
      whoever adds up `ForecastsResult.outlooks`.

    Then compare actual spend with what was issued, and load the newest backtest. Accounts whose forecast fails are
    quarantined. Raises duckdb.Error, and OSError or ValueError for a damaged landing file.
    """
    connection = warehouse.connection
    as_of = build_date(connection)
    issued = 0
    if not is_part:
        with warehouse.transaction():
            replay(connection, home.landing, warehouse.known_at)
            replay_months(connection, home.landing, warehouse.known_at)
            replay_backtest(connection, home.landing, warehouse.known_at)
    inherited = quarantine.upstream(connection, _CURRENT[0].full_name)
    broken: list[quarantine.Broken] = []
    account_forecasts = outlooks = months = headrooms = None
    if as_of is not None:
        inputs = read_inputs(connection, as_of - timedelta(days=1)).without(inherited)
        failed: dict[str, str] = {}

        def forecast_fails(account_id: str, problem: Exception) -> None:
            failed[account_id] = type(problem).__name__

        running = read_running_month(connection, as_of)
        accounts = read_accounts(connection)

        def forecast_without(left_out: Collection[str]) -> tuple[pl.DataFrame, MonthOutlooks, pl.DataFrame]:
            running_month, affordable = MonthOutlooks(running), SpendHeadroom(inputs, accounts)

            def collect(paths: Paths) -> None:
                running_month.add(paths)
                affordable.add(paths)

            rows = forecast_accounts(inputs.without(left_out), pool, on_failure=forecast_fails, on_paths=collect)
            return rows, running_month, affordable.frame()

        # If one account fails, the others keep what they learn from each other. If all fail together, `isolate`
        # finds the cause by leaving accounts out.
        found, broken = quarantine.isolate(forecast_without, inputs.account_ids, "the forecast")
        account_forecasts, outlooks, headrooms = found
        months = None if is_part else outlooks.frame()
        broken += [quarantine.Broken(each, f"the forecast fails with {name}") for each, name in failed.items()]
    kept = inherited | {each.account_id for each in broken}
    current = warehouse.home.current if warehouse.known_at is None else None
    with quarantine.last_published(connection, current) as last:
        with warehouse.transaction():
            quarantine.record(connection, _CURRENT[0].full_name, broken)
            for table in (*_CURRENT, _HEADROOM):
                connection.execute(f"DELETE FROM {table.full_name}")
            if headrooms is not None:
                connection.register("incoming", headrooms)
                connection.execute(f"INSERT INTO {_HEADROOM.full_name} BY NAME SELECT * FROM incoming")
                connection.unregister("incoming")
            store_months(connection, months)
            if months is not None and not warehouse.is_replay:
                issue_months(connection, home, clock, run_id, months)
                replay_months(connection, home.landing, warehouse.known_at)
            if account_forecasts is not None:
                connection.register("account_forecasts", account_forecasts)
                for table, select in zip(
                    _CURRENT, (current_runway("account_forecasts"), topup_plan("account_forecasts")), strict=True
                ):
                    connection.execute(f"INSERT INTO {table.full_name} BY NAME {select}")
                connection.unregister("account_forecasts")
                if not warehouse.is_replay:
                    issued = issue(connection, home, clock, run_id, account_forecasts)
                    replay(connection, home.landing, warehouse.known_at)
            for table in (*_CURRENT, _HEADROOM):
                quarantine.keep_last(connection, table, kept, last)
        with warehouse.transaction():
            rebuild_anomalies(connection)
            quarantine.keep_last(connection, _ANOMALIES, kept, last)
    return ForecastsResult(issued=issued, account_forecasts=account_forecasts, outlooks=outlooks)


def load_issued(warehouse: Warehouse) -> None:
    """Load the issues and the backtest of a part of the accounts from their part of landing.

    It may have only what is new. Raises duckdb.Error, and OSError or ValueError for a damaged landing file.
    """
    landing = warehouse.home.landing
    with warehouse.transaction() as connection:
        replay(connection, landing, warehouse.known_at)
        replay_backtest(connection, landing, warehouse.known_at, is_part=True)

"""The forecasts' assets: the current forecast, what was issued, and how it compares with actual spend."""

from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from pipeline.models import quarantine
from pipeline.models.python_tables import materialized, table_check_specs, table_specs
from pipeline.schema.layers import LAYERS
from pipeline.schema.tables import ALL, of_layer
from pipeline.support.clock import Clock
from pipeline.support.dagster_steps import readable_failures, say
from pipeline.support.home import Home
from pipeline.warehouse.writer import Warehouse

if TYPE_CHECKING:
    import polars as pl

    from pipeline.forecasts.engine import Paths

_FORECASTS = of_layer("forecasts")
_READ = sorted(
    {
        name
        for table in _FORECASTS
        for name in table.made_from
        if name.partition(".")[0] in LAYERS and name.partition(".")[0] != "forecasts"
    }
)
_ANOMALIES = ALL["forecasts.anomalies"]
_MONTH = ALL["forecasts.current_month_outlook"]
_HEADROOM = ALL["forecasts.current_spend_headroom"]
_CURRENT = tuple(ALL[f"forecasts.current_{name}"] for name in ("runway", "topup_plan"))


@dg.multi_asset(
    name="forecasts",
    specs=table_specs(_FORECASTS, _READ),
    check_specs=table_check_specs(_FORECASTS),
)
def forecasts(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    home: dg.ResourceParam[Home],
    clock: dg.ResourceParam[Clock],
) -> Iterator[dg.MaterializeResult[None]]:
    """Forecast every account, land today's issue of those that have none yet, and load what is landed.

    Then compare actual spend with what was issued, and load the newest backtest.
    """
    # Imported here, because only this asset needs the forecaster's libraries.
    from pipeline.forecasts.account_forecasts import forecast_accounts
    from pipeline.forecasts.anomaly_table import rebuild_anomalies
    from pipeline.forecasts.backtest_tables import replay_backtest
    from pipeline.forecasts.forecast_inputs import build_date, read_inputs
    from pipeline.forecasts.gallery import calibration_plot, current_plots
    from pipeline.forecasts.issues import current_runway, issue, replay, topup_plan
    from pipeline.forecasts.month_inputs import read_running_month
    from pipeline.forecasts.month_issues import issue_months, replay_months
    from pipeline.forecasts.month_outlook import MonthOutlooks
    from pipeline.forecasts.spend_headroom import SpendHeadroom, read_accounts

    with readable_failures():
        connection = warehouse.connection
        as_of = build_date(connection)
        issued = 0
        plots = {}
        with warehouse.transaction():
            replay(connection, home.landing, warehouse.known_at)
            replay_months(connection, home.landing, warehouse.known_at)
            replay_backtest(connection, home.landing, warehouse.known_at)
        inherited = quarantine.upstream(connection, _CURRENT[0].full_name)
        broken: list[quarantine.Broken] = []
        account_forecasts = months = headrooms = None
        if as_of is not None:
            inputs = read_inputs(connection, as_of - timedelta(days=1)).without(inherited)
            failed: dict[str, str] = {}

            def forecast_fails(account_id: str, problem: Exception) -> None:
                failed[account_id] = type(problem).__name__

            running = read_running_month(connection, as_of)
            accounts = read_accounts(connection)

            def forecast_without(left_out: Collection[str]) -> "tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]":
                outlooks, affordable = MonthOutlooks(running), SpendHeadroom(inputs, accounts)

                def collect(paths: "Paths") -> None:
                    outlooks.add(paths)
                    affordable.add(paths)

                rows = forecast_accounts(inputs.without(left_out), on_failure=forecast_fails, on_paths=collect)
                return rows, outlooks.frame(), affordable.frame()

            # If one account fails, the others keep what they learn from each other. If all fail together, `isolate`
            # finds the cause by leaving accounts out.
            found, broken = quarantine.isolate(forecast_without, inputs.account_ids, "the forecast")
            account_forecasts, months, headrooms = found
            broken += [quarantine.Broken(each, f"the forecast fails with {name}") for each, name in failed.items()]
        kept = inherited | {each.account_id for each in broken}
        current = warehouse.home.current if warehouse.known_at is None else None
        with quarantine.last_published(connection, current) as last:
            with warehouse.transaction():
                quarantine.record(connection, _CURRENT[0].full_name, broken)
                for table, rows in ((_CURRENT[0], None), (_CURRENT[1], None), (_MONTH, months), (_HEADROOM, headrooms)):
                    connection.execute(f"DELETE FROM {table.full_name}")
                    if rows is not None:
                        connection.register("incoming", rows)
                        connection.execute(f"INSERT INTO {table.full_name} BY NAME SELECT * FROM incoming")
                        connection.unregister("incoming")
                if months is not None and not warehouse.is_replay:
                    issue_months(connection, home, clock, context.run.run_id, months)
                    replay_months(connection, home.landing, warehouse.known_at)
                if account_forecasts is not None:
                    connection.register("account_forecasts", account_forecasts)
                    for table, select in zip(
                        _CURRENT, (current_runway("account_forecasts"), topup_plan("account_forecasts")), strict=True
                    ):
                        connection.execute(f"INSERT INTO {table.full_name} BY NAME {select}")
                    connection.unregister("account_forecasts")
                    if not warehouse.is_replay:
                        issued = issue(connection, home, clock, context.run.run_id, account_forecasts)
                        replay(connection, home.landing, warehouse.known_at)
                for table in (*_CURRENT, _HEADROOM):
                    quarantine.keep_last(connection, table, kept, last)
            with warehouse.transaction():
                rebuild_anomalies(connection)
                quarantine.keep_last(connection, _ANOMALIES, kept, last)
        if context.instance.is_persistent:
            plots["forecasts.calibration"] = calibration_plot(connection)
            if account_forecasts is not None:
                plots["forecasts.current_runway"] = current_plots(connection, account_forecasts)
    say(f"forecasts: {issued} accounts issued")
    for table in _FORECASTS:
        plot = plots.get(table.full_name)
        yield materialized(context, connection, table, {"plots": dg.MetadataValue.md(plot)} if plot else None)

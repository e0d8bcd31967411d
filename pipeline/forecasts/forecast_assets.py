"""The forecasts' assets: the current forecast, what was issued, and how it compares with actual spend."""

from collections.abc import Iterator

import dagster as dg

from pipeline.models.python_tables import materialized, table_check_specs, table_specs
from pipeline.schema.layers import LAYERS
from pipeline.schema.tables import of_layer
from pipeline.support.clock import Clock
from pipeline.support.dagster_steps import readable_failures, say
from pipeline.support.home import Home
from pipeline.warehouse.writer import Warehouse

_FORECASTS = of_layer("forecasts")
_READ = sorted(
    {
        name
        for table in _FORECASTS
        for name in table.made_from
        if name.partition(".")[0] in LAYERS and name.partition(".")[0] != "forecasts"
    }
)


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
    from pipeline.forecasts.gallery import calibration_plot, current_plots
    from pipeline.forecasts.refresh_forecasts import refresh_forecasts

    with readable_failures():
        run_id, steps = context.run.run_id, warehouse.steps
        account_forecasts = None
        if steps:
            issued = steps.forecast(run_id)
        else:
            result = refresh_forecasts(warehouse, home, clock, run_id)
            issued, account_forecasts = result.issued, result.account_forecasts
        connection = warehouse.connection
        plots = {}
        if context.instance.is_persistent:
            plots["forecasts.calibration"] = calibration_plot(connection)
            if account_forecasts is not None:
                plots["forecasts.current_runway"] = current_plots(connection, account_forecasts)
    say(f"forecasts: {issued} accounts issued")
    for table in _FORECASTS:
        plot = plots.get(table.full_name)
        metadata = {"plots": dg.MetadataValue.md(plot)} if plot else None
        state = steps.table_state(table.full_name) if steps else None
        yield materialized(context, connection, table, metadata, state)

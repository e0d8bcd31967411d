"""The steps of a refresh for one shard: those of the product, in a warehouse that has only the shard's accounts.

The first stage loads landing and makes core. What accounts learn from each other is learned between the stages, of all
shards. The second stage makes the forecasts and the marts. A table that needs all accounts is made of the shard's own
ones where others read it, and is not exported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from pipeline.forecasts.refresh_forecasts import load_issued, refresh_forecasts
from pipeline.models.discovery import ancestors, in_order
from pipeline.models.table_state import TableState, table_state
from pipeline.schema.tables import ALL, of_layer
from pipeline.staging.refresh_staging import StagingResult, refresh_staging
from pipeline.support.clock import Clock
from pipeline.warehouse.model_refresh import Refreshed, refresh_model
from pipeline.warehouse.writer import Warehouse

if TYPE_CHECKING:
    import polars as pl

    from pipeline.forecasts.month_outlook import MonthOutlooks


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstStage:
    """What the first stage did in a shard; models by full name."""

    staging: StagingResult
    models: Mapping[str, Refreshed]


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondStage:
    """What the second stage did in a shard; tables by full name."""

    issued: int
    outlooks: MonthOutlooks | None
    forecasts: Mapping[str, TableState]
    models: Mapping[str, Refreshed]


def first_stage(warehouse: Warehouse) -> FirstStage:
    """Load the shard's part of landing, of which the warehouse may have a part already, and make core.

    Raises as `refresh_staging` and `refresh_model` do.
    """
    staging = refresh_staging(warehouse)
    load_issued(warehouse)
    return FirstStage(staging=staging, models=_models(warehouse, "core"))


def second_stage(warehouse: Warehouse, clock: Clock, run_id: str, pool: pl.DataFrame | None) -> SecondStage:
    """Make the forecasts and marts of the shard's accounts from what all accounts learned, the pool.

    Today's issues are landed in the shard's part of landing. Raises as `refresh_forecasts` and `refresh_model` do.
    """
    done = refresh_forecasts(warehouse, warehouse.home, clock, run_id, pool=pool, is_part=True)
    states = {
        table.full_name: table_state(warehouse.connection, table)
        for table in of_layer("forecasts")
        if table.partition == "account"
    }
    return SecondStage(issued=done.issued, outlooks=done.outlooks, forecasts=states, models=_models(warehouse, "marts"))


def _models(warehouse: Warehouse, layer: str) -> dict[str, Refreshed]:
    """Update the models of a layer; those of the fleet only where a table of accounts reads them."""
    needed = _needed()
    return {
        model.table.full_name: refresh_model(warehouse, model)
        for model in in_order()
        if model.table.layer == layer and model.table.full_name in needed
    }


@cache
def _needed() -> frozenset[str]:
    """Full names of the tables of accounts, and of all that they are made from."""
    return frozenset[str]().union(*(ancestors(name) for name, table in ALL.items() if table.partition == "account"))

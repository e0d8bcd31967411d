"""Past days with planned spend, as the forecaster may learn from them."""

from __future__ import annotations

from typing import Final

import polars as pl

from pipeline.forecasts.engine.histories import planned_by_day

_LEAST_MULTIPLIER: Final = 0.1
"""A day that was planned below a tenth of the usual is left out: divided by so little, an error in the plan becomes
more than ten times as large."""


def usual_spend(spend: pl.DataFrame, planned: pl.DataFrame) -> pl.DataFrame:
    """Return the spend that past days would have had without their plans: what `forecast` learns from.

    A day's planned amount is subtracted, but not below zero, and the rest is divided by its multiplier: the reverse of
    what `forecast` does with a day to come. A day with a multiplier below 0.1 is left out, a negative day stays as it
    is. The frames are those of `forecast`; days without a plan and the order of rows stay. Raises InputError.
    """
    plans = planned_by_day(planned)
    if plans.is_empty():
        return spend
    amount, multiplier = pl.col("spend_amount").cast(pl.Float64), pl.col("multiplier")
    usual = pl.max_horizontal(amount - pl.col("planned_amount"), pl.lit(0.0)) / multiplier
    return (
        spend.join(plans, on=["account_id", "date"], how="left", maintain_order="left")
        .filter(multiplier.is_null() | (multiplier >= _LEAST_MULTIPLIER))
        .with_columns(spend_amount=pl.when(multiplier.is_null() | (amount < 0)).then(amount).otherwise(usual))
        .select(spend.columns)
    )

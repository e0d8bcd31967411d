"""Days and levels far outside what was forecast for them, how improbable they were, and their likely cause.

Compares what was issued with what came. Changes no forecast, and excludes no day from what forecasts learn from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl

from pipeline.forecasts import anomaly_reasons
from pipeline.forecasts.anomaly_events import AnomalyEvent, anomaly_events
from pipeline.forecasts.engine.histories import InputError
from pipeline.forecasts.judged_days import JudgedDays, judged_days
from pipeline.forecasts.tail_probabilities import P05, P50, P95

THRESHOLD: Final = 0.001
"""Anything less probable is an anomaly: with well-calibrated forecasts, one day of an account in about three years."""

DAY_CORRELATION: Final = 0.25
"""Assumed correlation between the errors of any two days: a wrong level is wrong on each of its days. At 0, a week of
small errors would count as seven independent proofs."""

ANOMALIES: Final = {
    "account_id": pl.String,
    "first_date": pl.Date,
    "last_date": pl.Date,
    "anomaly_kind": pl.String,
    "actual_amount": pl.Float64,
    "expected_amount": pl.Float64,
    "low_amount": pl.Float64,
    "high_amount": pl.Float64,
    "tail_probability": pl.Float64,
    "reason": pl.String,
}


def find_anomalies(
    actual: pl.DataFrame,
    issued: pl.DataFrame,
    *,
    history: pl.DataFrame | None = None,
    units: Mapping[str, str] | None = None,
    threshold: float = THRESHOLD,
    day_correlation: float = DAY_CORRELATION,
) -> pl.DataFrame:
    """Return the days and levels less probable than `threshold`, as ANOMALIES, sorted by account and first day.

    - `actual`: account_id, date, spend_amount, optionally is_restated: the day's figure was changed after it was first
      stated. A missing day is unobserved.
    - `issued`: account_id, date, quantile, spend_amount, as `forecast(...).daily`: what was forecast for each day at
      least one day ahead, one forecast a day. Days without a forecast are not judged.
    - `history`: account_id, date, spend_amount: earlier days that show what is usual. `actual` takes precedence.
    - `units`: the unit of each account's amounts, which only `reason` names.

    `tail_probability` is two-sided: that of a day at least as improbable, above or below. An amount that was reached
    before is as probable as it was frequent: on the same weekday, or on all days if it was rare. Where spend is rare or
    of every size (p95 above 4 x p50), a day above the highest one is judged by its ratio to that. Consecutive days are
    judged together, as normal deviates with a correlation of `day_correlation`.

    Amounts are those of a day; for several days they are means: of actual spend, of p50, p05 and p95. Low to high is
    the range of a single day, not of the sum. Raises InputError.
    """
    if not 0 < threshold < 1 or not 0 <= day_correlation <= 1:
        raise InputError(f"threshold {threshold} and day_correlation {day_correlation} must lie between 0 and 1")
    rows = []
    for days in judged_days(actual, issued, history):
        for event in sorted(anomaly_events(days, threshold, day_correlation), key=lambda each: each.first):
            rows.append(_row(days, event, (units or {}).get(days.account_id, "")))
    return pl.DataFrame(rows, schema=ANOMALIES, orient="row")


def _row(days: JudgedDays, event: AnomalyEvent, unit_code: str) -> tuple[object, ...]:
    # A level can contain days that were not observed.
    span = np.flatnonzero(np.isfinite(days.score[event.first : event.last + 1])) + event.first
    amount = float(days.amounts[span].mean())
    expected, low, high = (float(days.quantiles[span, place].mean()) for place in (P50, P05, P95))
    return (
        days.account_id,
        days.date_of(event.first),
        days.date_of(event.last),
        event.kind,
        amount,
        expected,
        low,
        high,
        event.probability,
        anomaly_reasons.of_days(
            anomaly_reasons.UnusualDays(
                kind=event.kind,
                first_date=days.date_of(event.first),
                last_date=days.date_of(event.last),
                actual_amount=amount,
                expected_amount=expected,
                low_amount=low,
                high_amount=high,
                unit_code=unit_code,
                probability=event.probability,
                is_above=event.side > 0,
                is_followed=event.last + 1 < len(days.amounts) and bool(np.isfinite(days.score[event.last + 1])),
            )
        ),
    )

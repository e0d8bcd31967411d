"""The days of each account with the forecast that was issued for them, and how far out each day was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import NormalDist
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.histories import QUANTILES, InputError, read_histories
from pipeline.forecasts.tail_probabilities import LEAST_PROBABILITY, tail_probabilities

_STANDARD_NORMAL: Final = NormalDist()


@dataclass(frozen=True, slots=True)
class JudgedDays:
    """One account, day by day. Each array has one entry a day, NaN where nothing was observed or issued."""

    account_id: str
    first: date
    """The day of the first entry."""
    amounts: Floats
    """(days,): spend, in money."""
    quantiles: Floats
    """(days, 7): as issued, in money."""
    below: Floats
    """(days,): probability of at most the amount."""
    above: Floats
    """(days,): probability of at least the amount."""
    score: Floats
    """(days,): the amount as a standard normal deviate; positive if it is more than expected."""
    is_restated: NDArray[np.bool_]
    """(days,): the vendor changed the day's figure after it first stated it."""

    def date_of(self, place: int) -> date:
        """Return the day of an entry."""
        return self.first + timedelta(days=place)


def judged_days(actual: pl.DataFrame, issued: pl.DataFrame, history: pl.DataFrame | None) -> Iterator[JudgedDays]:
    """Yield each account that has a day which was both observed and forecast.

    The frames are those of `anomalies.find_anomalies`. Raises InputError.
    """
    frames = []
    for frame in (actual, history):
        if frame is not None and frame.height:
            read_histories(frame, date.max, 1)
            flag = pl.col("is_restated").fill_null(value=False) if "is_restated" in frame.columns else pl.lit(False)
            names, amount = pl.col("account_id").cast(pl.String), pl.col("spend_amount").cast(pl.Float64)
            frames.append(frame.select(names, "date", amount, is_restated=flag))
    wide = _wide(issued)
    if not actual.height:
        return
    spent = pl.concat(frames).unique(["account_id", "date"], keep="first")
    judged = wide.join(frames[0].select("account_id", "date"), on=["account_id", "date"], how="semi")
    spent = spent.join(judged.select("account_id").unique(), on="account_id", how="semi")
    both = spent.join(judged, on=["account_id", "date"], how="left").sort("account_id", "date")
    quantiles = both.select(_names()).cast(pl.Float64).to_numpy()
    amounts = both["spend_amount"].to_numpy()
    below, above = np.full(len(both), np.nan), np.full(len(both), np.nan)
    has = np.isfinite(quantiles[:, 0])
    below[has], above[has] = tail_probabilities(quantiles[has], amounts[has])
    # An amount that has a probability of its own, such as a zero among zeros, is as far out as its middle.
    middle = (below + 1.0 - above) / 2
    bounded = np.clip(middle, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    score = np.array(
        [_STANDARD_NORMAL.inv_cdf(each) if known else np.nan for each, known in zip(bounded, has, strict=True)]
    )
    start = 0
    for account_id, count in both.group_by("account_id", maintain_order=True).len().iter_rows():
        here = slice(start, start + count)
        start += count
        first = both["date"][here.start]
        places = (both["date"][here] - first).dt.total_days().to_numpy()
        dense = np.full((places[-1] + 1, len(QUANTILES) + 4), np.nan)
        dense[places] = np.column_stack([amounts[here], below[here], above[here], score[here], quantiles[here]])
        is_restated = np.zeros(len(dense), dtype=bool)
        is_restated[places] = both["is_restated"][here].to_numpy()
        yield JudgedDays(
            account_id, first, dense[:, 0], dense[:, 4:], dense[:, 1], dense[:, 2], dense[:, 3], is_restated
        )


def _wide(issued: pl.DataFrame) -> pl.DataFrame:
    """Return account_id, date and one column for each of QUANTILES. Raises InputError."""
    missing = [name for name in ("account_id", "date", "quantile", "spend_amount") if name not in issued.columns]
    if missing:
        raise InputError(f"issued has no column {', '.join(missing)}")
    if issued.height and issued.schema["date"] != pl.Date:
        raise InputError(f"issued: date is {issued.schema['date']}, not a Date")
    issued = issued.with_columns(pl.col("account_id").cast(pl.String), pl.col("date").cast(pl.Date))
    doubled = issued.filter(issued.select("account_id", "date", "quantile").is_duplicated())
    if doubled.height:
        where = f"{doubled['account_id'][0]}, {doubled['date'][0]}"
        raise InputError(f"issued has {where} more than once; keep one forecast of a day")
    wide = issued.select("account_id", "date").unique()
    for place, level in enumerate(QUANTILES):
        here = issued.filter((pl.col("quantile") - level).abs() < 1e-9)
        column = here.select("account_id", "date", pl.col("spend_amount").cast(pl.Float64).alias(f"q{place}"))
        wide = wide.join(column, on=["account_id", "date"], how="left")
    table = wide.select(_names()).to_numpy()
    bad = ~(np.isfinite(table).all(axis=1) & (np.diff(table, axis=1) >= 0).all(axis=1))
    if bad.any():
        first = wide.row(int(bad.argmax()))
        raise InputError(f"issued: the quantiles of {first[0]}, {first[1]} are not {QUANTILES}, or they fall")
    return wide


def _names() -> list[str]:
    return [f"q{place}" for place in range(len(QUANTILES))]

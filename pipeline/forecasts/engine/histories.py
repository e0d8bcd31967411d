"""Step 1: check what the caller passes in, once, and lay it out as one dense table of days."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.forecasts.engine.arrays import Floats
from pipeline.support.errors import DrawdownError

QUANTILES: Final = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)
"""The quantiles that the tables hold."""

WEEKS: Final = 60
"""Weeks of history that are used: more than a year, so that a level is never older than its account's season."""

SEASON_WEEKS: Final = 160
"""Weeks of which the season is learned: three years. Those before WEEKS are kept as sums."""

_SMALLEST_AMOUNT: Final = 5e-10
"""Half of the last digit that amounts have, the ninth decimal. What is smaller is a float's rounding error, and a mean
of such numbers cannot be divided by."""


class InputError(DrawdownError, ValueError):
    """The arguments cannot be forecast from; the message names the frame, the account and the day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Histories:
    """The accounts, sorted by id, and what is known about each. Amounts are money in the account's own unit."""

    as_of: date
    """The last whole day."""
    ids: list[str]
    vendors: list[str]
    """One an account; empty where the caller names none."""
    days: Floats
    """(accounts, WEEKS x 7): spend a day, NaN where nothing was observed; the last column is `as_of`."""
    older_weeks: Floats
    """(accounts, SEASON_WEEKS - WEEKS): spend of the weeks before `days` without refunds, NaN where fewer than three
    days were observed. No columns, if no account is that old."""
    history_days: NDArray[np.int64]
    """(accounts,): days observed up to `as_of`, including those older than `days` reaches."""
    balances: Floats
    """(accounts,): at the end of `as_of`; NaN where none was given."""
    thresholds: Floats
    """(accounts,): NaN where none was given."""
    priors: Floats
    """(accounts,): mean spend a day by an external estimate; NaN if there is none."""
    charges: Floats
    """(accounts, horizon): known charges, the first column is the day after `as_of`."""
    planned: Floats
    """(accounts, horizon): planned spend in addition to what is drawn."""
    multipliers: Floats
    """(accounts, horizon): what is drawn is multiplied by it; 1 where nothing is planned."""

    def __len__(self) -> int:
        return len(self.ids)


def _columns(frame: pl.DataFrame, name: str, needed: Iterable[str]) -> None:
    missing = [column for column in needed if column not in frame.columns]
    if missing:
        raise InputError(f"{name} has no column {', '.join(missing)}; it has {', '.join(frame.columns) or 'none'}")


def _checked(frame: pl.DataFrame, name: str, amount: str, *, key: Sequence[str]) -> pl.DataFrame:
    """Cast the amount to Float64. Raises InputError for nulls, NaN, infinities and duplicate keys."""
    _columns(frame, name, [*key, amount])
    if not frame.schema[amount].is_numeric() and frame.height:
        raise InputError(f"{name}: {amount} is {frame.schema[amount]}, not a number")
    casts = [pl.col("account_id").cast(pl.String), pl.col(amount).cast(pl.Float64)]
    if "date" in key:
        if frame.schema["date"] != pl.Date and frame.height:
            raise InputError(f"{name}: date is {frame.schema['date']}, not a Date")
        casts.append(pl.col("date").cast(pl.Date))
    frame = frame.with_columns(casts)
    bad = frame.filter(pl.any_horizontal(pl.col(key).is_null()) | ~pl.col(amount).is_finite().fill_null(value=False))
    if bad.height:
        where = ", ".join(str(bad[column][0]) for column in key)
        raise InputError(f"{name}: {amount} of {where} is {bad[amount][0]}; leave a row out where nothing is known")
    doubled = frame.filter(frame.select(key).is_duplicated())
    if doubled.height:
        where = ", ".join(str(doubled[column][0]) for column in key)
        raise InputError(f"{name} has {where} more than once; add the rows up, or keep one of them")
    return frame.with_columns(
        pl.when(pl.col(amount).abs() < _SMALLEST_AMOUNT).then(0.0).otherwise(pl.col(amount)).alias(amount)
    )


def _by_account(frame: pl.DataFrame | None, name: str, amount: str) -> tuple[dict[str, float], pl.DataFrame | None]:
    if frame is None:
        return {}, None
    frame = _checked(frame, name, amount, key=["account_id"])
    return dict(zip(frame["account_id"].to_list(), frame[amount].to_list(), strict=True)), frame


def _vendors(spend: pl.DataFrame) -> dict[str, str]:
    if "vendor" not in spend.columns:
        return {}
    pairs = spend.select("account_id", pl.col("vendor").cast(pl.String).fill_null("")).unique()
    doubled = pairs.filter(pairs["account_id"].is_duplicated())
    if doubled.height:
        raise InputError(f"spend gives account {doubled['account_id'].sort()[0]} more than one vendor")
    return dict(pairs.iter_rows())


def read_histories(
    spend: pl.DataFrame,
    as_of: date,
    horizon_days: int,
    *,
    balances: pl.DataFrame | None = None,
    known_charges: pl.DataFrame | None = None,
    priors: pl.DataFrame | None = None,
    planned: pl.DataFrame | None = None,
) -> Histories:
    """Check the frames and lay out the days; the frames are described in `forecaster.forecast`.

    Every account that a frame names gets a row. Days after `as_of` are rejected: only the caller knows what a partial
    day means. Known charges and plans outside the horizon are left out. Raises InputError.
    """
    spend = _checked(spend, "spend", "spend_amount", key=["account_id", "date"])
    late = spend.filter(pl.col("date") > as_of)
    if late.height:
        raise InputError(f"spend of {late['account_id'][0]} has {late['date'][0]}, after as_of {as_of}")
    balance, balance_rows = _by_account(balances, "balances", "balance_amount")
    threshold: dict[str, float] = {}
    if balance_rows is not None and "threshold_amount" in balance_rows.columns:
        stated = balance_rows.filter(pl.col("threshold_amount").is_not_null())
        threshold, _ = _by_account(stated.select("account_id", "threshold_amount"), "balances", "threshold_amount")
    prior, _ = _by_account(priors, "priors", "mean_daily_amount")
    charges = None if known_charges is None else _summed(known_charges)
    plans = None if planned is None else planned_by_day(planned)

    names = set(spend["account_id"].unique().to_list()) | set(balance) | set(prior)
    if charges is not None:
        names |= set(charges["account_id"].unique().to_list())
    if plans is not None:
        names |= set(plans["account_id"].unique().to_list())
    ids = sorted(names)
    vendor = _vendors(spend)
    counts = dict(spend.group_by("account_id").len().iter_rows())
    return Histories(
        as_of=as_of,
        ids=ids,
        vendors=[vendor.get(name, "") for name in ids],
        days=_dense(spend, "spend_amount", ids, as_of, columns=WEEKS * 7, first=1 - WEEKS * 7, fill=np.nan),
        older_weeks=_older_weeks(spend, ids, as_of),
        history_days=np.array([counts.get(name, 0) for name in ids], dtype=np.int64),
        balances=_aligned(balance, ids),
        thresholds=_aligned(threshold, ids),
        priors=_aligned(prior, ids),
        charges=_ahead(charges, "charge_amount", ids, as_of, horizon_days, fill=0.0),
        planned=_ahead(plans, "planned_amount", ids, as_of, horizon_days, fill=0.0),
        multipliers=_ahead(plans, "multiplier", ids, as_of, horizon_days, fill=1.0),
    )


def planned_by_day(planned: pl.DataFrame) -> pl.DataFrame:
    """Combine the plans of each account and day: amounts add up, multipliers multiply.

    `planned` has account_id, date, planned_amount and multiplier, as described in `forecaster.forecast`; so has the
    result, sorted, with one row an account and day. Raises InputError.
    """
    amounts = ["planned_amount", "multiplier"]
    _columns(planned, "planned", ["account_id", "date", *amounts])
    checked = planned.with_row_index("row")
    for amount in amounts:
        checked = _checked(checked, "planned", amount, key=["account_id", "date", "row"])
        below = checked.filter(pl.col(amount) < 0)
        if below.height:
            where = f"{below['account_id'][0]}, {below['date'][0]}"
            raise InputError(f"planned: {amount} of {where} is {below[amount][0]}; it must not be negative")
    # Sorted first, as the charges are.
    return (
        checked.sort("account_id", "date", *amounts)
        .group_by("account_id", "date", maintain_order=True)
        .agg(pl.col("planned_amount").sum(), pl.col("multiplier").product())
    )


def _summed(charges: pl.DataFrame) -> pl.DataFrame:
    """Add up the charges of each account and day. Several on one day are normal, unlike two rows of spend."""
    _columns(charges, "known_charges", ["account_id", "date", "charge_amount"])
    numbered = charges.with_row_index("row")
    checked = _checked(numbered, "known_charges", "charge_amount", key=["account_id", "date", "row"])
    # Sorted first: a sum of floats depends on their order.
    return (
        checked.sort("account_id", "date", "charge_amount")
        .group_by("account_id", "date", maintain_order=True)
        .agg(pl.col("charge_amount").sum())
    )


def _older_weeks(spend: pl.DataFrame, ids: list[str], as_of: date) -> Floats:
    """Return (ids, weeks): spend of the weeks before the last WEEKS, as in Histories."""
    columns = SEASON_WEEKS - WEEKS
    day = (pl.col("date") - as_of).dt.total_days()
    rows = (
        spend.filter(day <= -7 * WEEKS, day > -7 * SEASON_WEEKS)
        .select(
            "account_id", amount=pl.col("spend_amount").clip(lower_bound=0.0), week=(day + 7 * SEASON_WEEKS - 1) // 7
        )
        .sort("account_id", "week", "amount")
        .group_by("account_id", "week", maintain_order=True)
        .agg(pl.len(), pl.col("amount").mean() * 7)
        .filter(pl.col("len") >= 3)
    )
    if rows.is_empty():
        return np.zeros((len(ids), 0))
    places = {name: place for place, name in enumerate(ids)}
    table = np.full((len(ids), columns), np.nan)
    table[[places[name] for name in rows["account_id"].to_list()], rows["week"].to_numpy()] = rows["amount"].to_numpy()
    return table


def _aligned(values: dict[str, float], ids: list[str]) -> Floats:
    """Return (ids,): the value of each account, NaN where there is none."""
    return np.array([values.get(name, np.nan) for name in ids], dtype=np.float64)


def _ahead(
    frame: pl.DataFrame | None, amount: str, ids: list[str], as_of: date, horizon_days: int, *, fill: float
) -> Floats:
    """Return (ids, horizon): amounts of the days after `as_of`; `fill` where there is none."""
    if frame is None:
        return np.full((len(ids), horizon_days), fill)
    return _dense(frame, amount, ids, as_of, columns=horizon_days, first=1, fill=fill)


def _dense(
    frame: pl.DataFrame, amount: str, ids: list[str], as_of: date, *, columns: int, first: int, fill: float
) -> Floats:
    """Return (ids, columns): amounts of the days from `first` days after `as_of` on; `fill` where there is none."""
    table = np.full((len(ids), columns), fill)
    index = pl.DataFrame(
        {"account_id": ids, "row": np.arange(len(ids))}, schema={"account_id": pl.String, "row": pl.Int64}
    )
    placed = (
        frame.select("account_id", amount, column=(pl.col("date") - as_of).dt.total_days() - first)
        .filter(pl.col("column").is_between(0, columns - 1))
        .join(index, on="account_id")
    )
    table[placed["row"].to_numpy(), placed["column"].to_numpy()] = placed[amount].to_numpy()
    return table

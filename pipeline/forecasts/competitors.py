"""The protocol of competitors in a backtest: what a forecaster is asked, and the contract of what it answers.

docs/second-opinion.md has the protocol in words.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import polars as pl

from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.histories import QUANTILES
from pipeline.support.errors import UsageError, first_line

if TYPE_CHECKING:
    import pandera.polars as pa

ForecastFunction = Callable[[pl.DataFrame, date, int, tuple[float, ...]], pl.DataFrame]
"""`function(spend, as_of, horizon_days, quantiles)`: see `Competitor.forecast`."""

Measure = Literal["total", "day"]
"""What a forecaster states: totals of the first days, or single days."""

KEYS: Final[dict[Measure, str]] = {"total": "horizon_days", "day": "date"}
"""The column of an answer that says which, and of what."""

_DIGITS: Final = 6
"""Quantile levels are the same if they agree to so many decimals."""
_SLACK: Final = 1e-9
"""Relative rounding error by which quantiles may decrease."""
_TYPES: Final = {
    "as_of_date": pl.Date(),
    "account_id": pl.String(),
    "horizon_days": pl.Int64(),
    "date": pl.Date(),
    "quantile": pl.Float64(),
    "spend_amount": pl.Float64(),
}
_ASKED: Final = ", ".join(f"{level:g}" for level in QUANTILES)
_REMEDIES: Final = {
    "not_nullable": "{column} is NULL or NaN; leave out what is not forecast",
    "is_finite": "spend_amount is {case}; every amount is a finite number of the account's unit",
    "is_a_horizon": "horizon_days is {case}; it counts days from 1 on, the first of them the day after as_of",
    "is_a_level": "quantile is {case}; it is a share between 0 and 1, such as 0.9",
    "is_known_account": "no such account was asked about; account_id is returned exactly as it was given",
    "is_ahead": "this day is not after as_of; the first day to forecast is the next one",
    "is_stated_once": "this is stated more than once; one row each account, {key} and quantile",
    "has_every_quantile": f"a quantile is missing; every {{key}} has all of {_ASKED}",
    "rises": "spend_amount is below that of a lower quantile; sort the amounts of each {key} by quantile",
}
"""What is wrong with a row, by the check that it fails; the first one is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Competitor:
    """A forecaster that enters a backtest beside Drawdown's own."""

    name: str
    """In tables, as `forecaster`."""
    forecast: ForecastFunction = field(repr=False)
    """Called once an origin with (spend, as_of, horizon_days, quantiles).

    - spend: account_id, date, spend_amount (in the unit of the account's balance; refunds below zero), vendor: the
      days of all accounts up to `as_of`, sorted by date. A missing day is unobserved, not zero.
    - as_of: the last day that is known.
    - horizon_days: the number of days to forecast; the first is the day after `as_of`.
    - quantiles: the levels to state, rising.

    Returns account_id, horizon_days (1 to `horizon_days`: totals of the first days) or date (single days), quantile,
    spend_amount: the shapes of `Forecast.total` and `Forecast.daily`.
    """
    where: str = ""
    """The function or file, for error messages; the name if empty."""


@dataclass(frozen=True, slots=True)
class Answers:
    """A competitor's forecasts from one origin, checked."""

    measure: Measure
    amounts: dict[str, Floats]
    """By account: (horizons, levels) of totals in the order of the horizons asked, or (days, levels) of single days;
    NaN where it states nothing. Money of the account's unit."""


def ask(
    competitor: Competitor, spend: pl.DataFrame, as_of: date, horizons: Sequence[int], known: Collection[str]
) -> Answers | None:
    """Have a competitor forecast from an origin; None if it forecasts no account.

    `spend` ends with `as_of`; `horizons` are rising; `known` are the accounts that it may answer about. Raises
    UsageError, in one line, if its function fails or its answer breaks the contract.
    """
    about = f"competitor {competitor.where or competitor.name}"
    try:
        # A copy, because frames can be changed in place.
        found = competitor.forecast(spend.clone(), as_of, horizons[-1], QUANTILES)
    except UsageError:
        raise
    except Exception as problem:
        place = traceback.extract_tb(problem.__traceback__)[-1]
        said = f"{type(problem).__name__}: {first_line(problem)} ({place.filename}, line {place.lineno})"
        raise UsageError(
            f"{about}: the function failed for as_of {as_of}: {said}; nothing was scored. Call it with that day's "
            "history to see why"
        ) from problem
    if not isinstance(found, pl.DataFrame):
        raise UsageError(
            f"{about}: the function returned {type(found).__name__}, not a polars DataFrame; convert it with "
            "polars.from_arrow or polars.from_pandas"
        )
    if not found.height:
        return None
    measure = measure_of(found, about)
    rows = check_rows(found.with_columns(pl.lit(as_of).alias("as_of_date")), measure, known, about)
    return arranged(rows, measure, as_of, horizons)


def measure_of(answers: pl.DataFrame, about: str) -> Measure:
    """Say whether answers are of totals or of single days. Raises UsageError."""
    found: list[Measure] = [measure for measure, key in KEYS.items() if key in answers.columns]
    if len(found) != 1:
        raise UsageError(
            f"{about}: the answer has the columns {', '.join(answers.columns)}; it needs account_id, quantile, "
            "spend_amount, and either horizon_days (totals of the first days) or date (single days)"
        )
    return found[0]


def check_rows(answers: pl.DataFrame, measure: Measure, known: Collection[str], about: str) -> pl.DataFrame:
    """Check answers that have `as_of_date` against the contract.

    Returns as_of_date, account_id, horizon_days or date, quantile (only those asked), spend_amount, sorted. Integers
    and decimals are read as numbers. Raises UsageError that names the first row at fault.
    """
    import pandera.errors

    key = KEYS[measure]
    rows = answers.with_columns(
        pl.col(name).cast(_TYPES[name])
        for name, dtype in answers.schema.items()
        if name in _TYPES and _is_alike(dtype, _TYPES[name])
    )
    if rows.schema.get("quantile") == pl.Float64:
        rows = rows.with_columns(pl.col("quantile").round(_DIGITS))
    names = ["as_of_date", "account_id", key, "quantile"]
    if set(names) <= set(rows.columns):
        rows = rows.sort(names)
    try:
        _contract(key, known).validate(rows, lazy=True)
    except pandera.errors.SchemaErrors as problems:
        raise UsageError(f"{about}: {_first_fault(problems.failure_cases, rows, key)}") from None
    return rows.filter(pl.col("quantile").is_in(QUANTILES)).select(*names, "spend_amount")


def arranged(rows: pl.DataFrame, measure: Measure, as_of: date, horizons: Sequence[int]) -> Answers:
    """Arrange the checked rows of one origin by account."""
    if measure == "total":
        size = len(horizons)
        place = pl.col("horizon_days").replace_strict(list(horizons), list(range(size)), default=None)
    else:
        size = horizons[-1]
        place = (pl.col("date") - as_of).dt.total_days() - 1
    placed = rows.with_columns(place.cast(pl.Int64).alias("place")).filter(pl.col("place") < size)
    amounts: dict[str, Floats] = {}
    for (account_id,), own in placed.group_by(["account_id"], maintain_order=True):
        stated = np.full((size, len(QUANTILES)), np.nan)
        # Sorted by key and quantile, and every key has all quantiles.
        stated[own["place"].to_numpy()[:: len(QUANTILES)]] = own["spend_amount"].to_numpy().reshape(-1, len(QUANTILES))
        amounts[str(account_id)] = stated
    return Answers(measure, amounts)


def _is_alike(dtype: pl.DataType, wanted: pl.DataType) -> bool:
    if wanted == pl.Int64:
        return dtype.is_integer()
    if wanted == pl.Float64:
        return dtype.is_numeric()
    return wanted == pl.String and isinstance(dtype, pl.Categorical | pl.Enum)


def _contract(key: str, known: Collection[str]) -> pa.DataFrameSchema:
    import pandera.polars as pa

    whole = ["as_of_date", "account_id", key]
    amount, before = pl.col("spend_amount"), pl.col("spend_amount").shift(1).over(whole)
    asked = pl.col("quantile").is_in(QUANTILES).sum().over(whole)

    def check(name: str, rule: pl.Expr) -> pa.Check:
        return pa.Check(lambda data: data.lazyframe.select(rule.fill_null(True).alias("is_met")), name=name, error=name)

    def column(name: str, *checks: pa.Check) -> pa.Column:
        return pa.Column(_TYPES[name], nullable=False, checks=list(checks))

    keyed = {
        "horizon_days": column("horizon_days", check("is_a_horizon", pl.col("horizon_days") >= 1)),
        "date": column("date"),
    }
    return pa.DataFrameSchema(
        {
            "as_of_date": column("as_of_date"),
            "account_id": column("account_id", check("is_known_account", pl.col("account_id").is_in(list(known)))),
            key: keyed[key],
            "quantile": column("quantile", check("is_a_level", pl.col("quantile").is_between(0, 1, closed="none"))),
            "spend_amount": column("spend_amount", check("is_finite", amount.is_finite())),
        },
        checks=[
            *([check("is_ahead", pl.col("date") > pl.col("as_of_date"))] if key == "date" else []),
            check("is_stated_once", ~pl.struct(*whole, "quantile").is_duplicated()),
            check("has_every_quantile", asked >= len(QUANTILES)),
            check("rises", amount >= before - _SLACK * amount.abs()),
        ],
        strict=True,
    )


def _first_fault(cases: pl.DataFrame, rows: pl.DataFrame, key: str) -> str:
    """Word the first failure: of the columns if there is one, otherwise of the first row by the order of _REMEDIES."""
    needed = ", ".join(["account_id", key, "quantile", "spend_amount"])
    for case in cases.iter_rows(named=True):
        name, check = str(case["failure_case"]), str(case["check"])
        if check == "column_in_dataframe":
            return f"the answer has no column {name}; it needs {needed}"
        if check == "column_in_schema":
            return f"the answer has a column {name} that is not asked for; select {needed}"
        if check.startswith("dtype("):
            return f"the column {case['column']} is {name}, not {_TYPES[case['column']]}; cast it"
    found = cases.filter(pl.col("index").is_not_null())
    order = pl.col("check").replace_strict({name: place for place, name in enumerate(_REMEDIES)}, default=None)
    case = found.sort(order, "index", nulls_last=True).row(0, named=True)
    row: dict[str, Any] = rows.row(int(case["index"]), named=True)
    names = {"as_of_date": "as_of", "account_id": "account", key: key, "quantile": "quantile"}
    where = ", ".join(f"{word} {row[name]}" for name, word in names.items() if row[name] is not None)
    others = found.filter(pl.col("check") == case["check"]).height - 1
    more = f" (and {others} more rows)" if others else ""
    text = _REMEDIES[case["check"]].format(column=case["column"], case=case["failure_case"], key=key)
    return f"{where}{more}: {text}"

"""Forecasts of the warehouse's accounts: the engine's results as rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

import polars as pl

from pipeline.forecasts.engine import Forecast, Paths, forecast, iterate_paths, learn_pool
from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.forecast_inputs import Inputs
from pipeline.forecasts.quota import Quota, before_reset
from pipeline.forecasts.quota import simulate as follow
from pipeline.forecasts.topup import Terms, TopUpPlan, plan
from pipeline.forecasts.topup.automatic import Rule, simulate
from pipeline.schema.limits import HORIZON_DAYS
from pipeline.schema.units import MONEY_PRECISION, MONEY_SCALE, is_vendor_unit
from pipeline.vendors import discover

LEVELS: Final = ("05", "10", "25", "50", "75", "90", "95")
"""The quantiles that the tables hold, in hundredths."""

_MONEY: Final = pl.Decimal(MONEY_PRECISION, MONEY_SCALE)
_DAY: Final = timedelta(days=1)

_STALE_DAYS: Final = 30
"""A balance older than a month does not show when it runs dry: it has been spent or topped up since."""

_DIGITS: Final = 6
"""Significant digits of a quantile. With a thousand paths, the third is already chance."""

_LEAD_DAYS: Final = 3
"""Days from an order to its credit where the owner sets none: a bank transfer over a weekend."""

_SCHEMA: Final[dict[str, pl.DataType]] = {
    "account_id": pl.String(),
    "issue_date": pl.Date(),
    "horizon_days": pl.Int64(),
    "forecast_date": pl.Date(),
    **{f"{what}_p{level}": _MONEY for what in ("daily", "total") for level in LEVELS},
    "depleted_probability": pl.Float64(),
    "depleted_without_topups_probability": pl.Float64(),
    "depleted_before_reset_probability": pl.Float64(),
    "below_threshold_probability": pl.Float64(),
    "balance_amount": _MONEY,
    "day_start_amount": _MONEY,
    "unit_code": pl.String(),
    "threshold_amount": _MONEY,
    "unconfirmed_amount": _MONEY,
    "resets_at_utc": pl.Datetime("us", "UTC"),
    "quota_amount": _MONEY,
    "observed_at_utc": pl.Datetime("us", "UTC"),
    "auto_topup_model": pl.String(),
    "method": pl.String(),
    "history_days": pl.Int64(),
}
QUOTA_COLUMNS: Final = {
    name: _SCHEMA[name] for name in ("resets_at_utc", "quota_amount", "depleted_before_reset_probability")
}
"""The columns of quotas and their types."""
_PLANNED: Final[dict[str, pl.DataType]] = {
    "topup_risk_probability": pl.Float64(),
    "topup_lead_days": pl.Int64(),
    "topup_cover_days": pl.Int64(),
    "risk_passed_date": pl.Date(),
    "order_by_date": pl.Date(),
    "arrival_date": pl.Date(),
    "cover_until_date": pl.Date(),
    "is_late": pl.Boolean(),
    "is_capped": pl.Boolean(),
    "spend_quantile_amount": _MONEY,
    "needed_amount": _MONEY,
    "topup_minimum_amount": _MONEY,
    "topup_amount": _MONEY,
    "tax_rate": pl.Decimal(18, 9),
    "topup_gross_amount": _MONEY,
    "with_topup_probability": pl.Float64(),
    "without_topup_probability": pl.Float64(),
    "topup_advice": pl.String(),
}
PLAN_COLUMNS: Final = tuple(_PLANNED)
"""The columns of TopUpPlan that are kept, the same on each row of an account; all NULL where the vendor tops it up
automatically, and for a quota to which nothing can be added."""


OnFailure = Callable[[str, Exception], None]
"""Called with the id of an account that could not be forecast, and the exception."""


OnPaths = Callable[[Paths], None]
"""Called with the sample paths of an account; twice with the same ones if it is forecast a second time."""


def forecast_accounts(
    inputs: Inputs,
    pool: pl.DataFrame | None = None,
    *,
    on_failure: OnFailure | None = None,
    on_paths: OnPaths | None = None,
) -> pl.DataFrame:
    """Forecast every account that has a usable balance. Returns one row an account and day ahead, as _SCHEMA.

    account_id, issue_date (the day of the balance), horizon_days, forecast_date, daily_p05 to daily_p95 and total_p05
    to total_p95 (money), depleted_probability, the same without a vendor's automatic top-ups and before the next reset
    of a quota, below_threshold_probability, and on each row of an account its balance, quota, `method`, `history_days`
    and PLAN_COLUMNS.
    Accounts that the engine cannot forecast have no rows. Neither has an account whose own numbers make the forecast
    fail: `on_failure` is called with it and the others are forecast; without `on_failure` the exception is raised.
    `on_paths` is called with each account's sample paths as they are drawn. `pool` is what accounts learn from each
    other (`learn_pool`), if it is not to be learned from these.
    """
    frames = list(_by_balance_date(inputs, pool, on_failure, on_paths))
    return pl.concat(frames) if frames else pl.DataFrame(schema=_SCHEMA | _PLANNED)


def _by_balance_date(
    inputs: Inputs, pool: pl.DataFrame | None, on_failure: OnFailure | None, on_paths: OnPaths | None
) -> Iterator[pl.DataFrame]:
    # The accounts learn from each other once, from everything known today.
    pool = learn_pool(inputs.spend, inputs.as_of) if pool is None else pool
    for (observed,), balances in sorted(inputs.balances.group_by("observed_date"), key=lambda group: str(group[0])):
        assert isinstance(observed, date)  # noqa: S101 - a DATE column
        if _is_recent(inputs, observed):
            yield from _forecast_isolated(inputs, balances, observed, pool, on_failure, on_paths)


def _is_recent(inputs: Inputs, observed: date) -> bool:
    """Whether a balance of this day shows when it runs dry."""
    return inputs.as_of - _STALE_DAYS * _DAY <= observed - _DAY <= inputs.as_of


def _forecast_isolated(
    inputs: Inputs,
    balances: pl.DataFrame,
    observed: date,
    pool: pl.DataFrame,
    on_failure: OnFailure | None,
    on_paths: OnPaths | None,
) -> Iterator[pl.DataFrame]:
    """Forecast all accounts together; if that fails, each by itself, so that only the failing ones are left out."""
    try:
        found = list(_forecast_day(inputs, balances, observed, pool, on_paths))
    except Exception as problem:
        if balances.height == 1:
            if on_failure is None:
                raise
            on_failure(balances.item(0, "account_id"), problem)
            return
        found = [
            frame
            for own in balances.partition_by("account_id", maintain_order=True)
            for frame in _forecast_isolated(inputs, own, observed, pool, on_failure, on_paths)
        ]
    yield from found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """What the engine gets about accounts whose balances are of one day, and their facts."""

    balances: pl.DataFrame
    """As `Inputs.balances`, with day_start_amount and run_date, the day on which the advice is read."""
    facts: Mapping[str, Mapping[str, Any]]
    """Their rows, by account."""
    arguments: Mapping[str, Any]
    """Of `forecast` and `iterate_paths`."""


def _start(inputs: Inputs, balances: pl.DataFrame, observed: date, pool: pl.DataFrame) -> _Start:
    before = observed - _DAY
    here = pl.col("account_id").is_in(balances["account_id"].implode())
    balances = balances.with_columns(
        (pl.col("balance_amount") + pl.col("spent_amount")).alias("day_start_amount"),
        pl.lit(inputs.as_of + _DAY).alias("run_date"),
    )
    return _Start(
        balances=balances,
        facts={row["account_id"]: row for row in balances.to_dicts()},
        arguments={
            "spend": inputs.spend.filter(here & (pl.col("date") <= before)),
            "as_of": before,
            "horizon_days": HORIZON_DAYS,
            "balances": balances.select(
                "account_id",
                pl.col("day_start_amount").cast(pl.Float64).alias("balance_amount"),
                pl.col("threshold_amount").cast(pl.Float64),
            ),
            "known_charges": inputs.known_charges.filter(
                here & (pl.col("date") > before) & (pl.col("date") <= before + HORIZON_DAYS * _DAY)
            ),
            "priors": inputs.priors.filter(here),
            "planned": inputs.planned.filter(
                here & (pl.col("date") > before) & (pl.col("date") <= before + HORIZON_DAYS * _DAY)
            ),
            "pool": pool,
        },
    )


def _forecast_day(
    inputs: Inputs, balances: pl.DataFrame, observed: date, pool: pl.DataFrame, on_paths: OnPaths | None
) -> Iterator[pl.DataFrame]:
    start = _start(inputs, balances, observed, pool)
    topups: dict[str, _TopUps] = {}

    # Used as they are drawn, so that one account's paths are in memory at a time.
    def add_topups(paths: Paths) -> None:
        topups[paths.account_id] = _topups(paths, start.facts[paths.account_id], observed)
        if on_paths is not None:
            on_paths(paths)

    result = forecast(**start.arguments, on_paths=add_topups)
    if topups:
        yield _with_topups(_rows(result, start.balances, observed), topups)


def account_paths(inputs: Inputs, account_id: str) -> tuple[Paths, Mapping[str, Any]] | None:
    """The sample paths behind an account's forecast, and its row of `Inputs.balances` with its day_start_amount.

    The paths begin on the day of the balance. None for an account that `forecast_accounts` leaves out.
    """
    own = inputs.balances.filter(pl.col("account_id") == account_id)
    if own.is_empty():
        return None
    observed: date = own.item(0, "observed_date")
    if not _is_recent(inputs, observed):
        return None
    start = _start(inputs, own, observed, learn_pool(inputs.spend, inputs.as_of))
    found = next(iterate_paths(**start.arguments), None)
    return None if found is None else (found, start.facts[account_id])


def _rows(result: Forecast, balances: pl.DataFrame, observed: date) -> pl.DataFrame:
    day = (pl.col("date") - observed).dt.total_days().add(1).alias("horizon_days")
    runway = result.runway.with_columns(day).rename({"date": "forecast_date"})
    keys = ["account_id", "horizon_days"]
    return (
        runway.join(_wide(result.daily.with_columns(day), "daily"), on=keys)
        .join(_wide(result.total, "total"), on=keys)
        .join(result.methods.select("account_id", "method", "history_days"), on="account_id")
        .join(balances, on="account_id")
        .with_columns(
            pl.lit(observed).alias("issue_date"),
            pl.lit("off").alias("auto_topup_model"),
            pl.col("depleted_probability").alias("depleted_without_topups_probability"),
            pl.lit(None).alias("depleted_before_reset_probability"),
        )
        .sort(keys)
        .select(pl.col(name).cast(kind) for name, kind in _SCHEMA.items())
    )


def _wide(quantiles: pl.DataFrame, what: str) -> pl.DataFrame:
    level = (pl.col("quantile") * 100).round().cast(pl.Int64).cast(pl.String).str.zfill(2)
    named = quantiles.with_columns(pl.format("{}_p{}", pl.lit(what), level).alias("level"))
    wide = named.pivot("level", index=["account_id", "horizon_days"], values="spend_amount")
    return wide.with_columns(pl.selectors.starts_with(what).round_sig_figs(_DIGITS))


@dataclass(frozen=True, slots=True)
class _TopUps:
    """An account's top-ups: the vendor's automatic ones, or a plan where these are not in the forecast."""

    model: str
    replaced: Mapping[str, Floats | datetime]
    """Columns of the runway in place of those without resets and automatic top-ups."""
    planned: TopUpPlan | None


def _topups(paths: Paths, fact: Mapping[str, Any], observed: date) -> _TopUps:
    quota = quota_of(fact)
    if quota is not None:
        return _TopUps("not_modelled" if fact["is_auto"] else "off", *_quota(paths, fact, observed, quota))
    automatic = simulate(
        paths,
        balance=fact["day_start_amount"],
        rule=rule_of(fact),
    )
    if automatic.depleted_probability is not None:
        return _TopUps("modelled", {"depleted_probability": automatic.depleted_probability}, None)
    return _TopUps("not_modelled" if fact["is_auto"] else "off", {}, _planned(paths, fact, observed))


def _quota(
    paths: Paths, fact: Mapping[str, Any], observed: date, quota: Quota
) -> tuple[Mapping[str, Floats | datetime], TopUpPlan | None]:
    """The runway of a quota that is set back, and a plan up to its reset if its vendor sells additions to it."""
    found = follow(paths, balance=fact["day_start_amount"], quota=quota)
    replaced: dict[str, Floats | datetime] = {
        "resets_at_utc": quota.resets_at_utc,
        "depleted_probability": found.depleted_probability,
        "depleted_before_reset_probability": found.before_reset_probability,
    }
    threshold = fact["threshold_amount"]
    if threshold is not None:
        below = follow(paths, balance=fact["day_start_amount"], quota=quota, threshold=threshold)
        replaced["below_threshold_probability"] = below.depleted_probability
    vendor = discover().get(fact["vendor"])
    until_reset = before_reset(paths, quota)
    if vendor is None or not vendor.sells_quota_additions or until_reset is None:
        return replaced, None
    days, lead = until_reset.amounts.shape[1], terms_of(fact).whole_lead_days
    if max(fact["run_date"], observed) + lead * _DAY > paths.as_of + days * _DAY:
        return replaced, None
    return replaced, _planned(until_reset, fact, observed, ends_at_reset=True)


def _with_topups(rows: pl.DataFrame, topups: Mapping[str, _TopUps]) -> pl.DataFrame:
    """Add each account's plan to its rows, or the vendor's automatic top-ups to its runway."""
    done = []
    for (account_id,), own in rows.group_by("account_id", maintain_order=True):
        found = topups[str(account_id)]
        done.append(
            own.with_columns(
                *(
                    (pl.lit(value) if isinstance(value, datetime) else pl.Series(value)).cast(_SCHEMA[name]).alias(name)
                    for name, value in found.replaced.items()
                ),
                pl.lit(found.model).alias("auto_topup_model"),
                *(
                    pl.lit(getattr(found.planned, name) if found.planned else None).cast(kind).alias(name)
                    for name, kind in _PLANNED.items()
                ),
            )
        )
    return pl.concat(done)


def quota_of(fact: Mapping[str, Any]) -> Quota | None:
    """The quota of an account, by its row of `Inputs.balances`, with the first reset after its reading; None without.

    A vendor may still state the time of the last reset.
    """
    if fact["resets_at_utc"] is None:
        return None
    quota = Quota(
        resets_at_utc=fact["resets_at_utc"],
        quota_amount=fact["quota_amount"],
        last_reset_at_utc=fact["last_reset_at_utc"],
    )
    return quota.after(fact["observed_at_utc"])


def rule_of(fact: Mapping[str, Any]) -> Rule:
    """Rule of the vendor's automatic top-ups of an account, by its row of `Inputs.balances`."""
    return Rule(
        is_on=fact["is_auto"],
        threshold_amount=fact["auto_threshold_amount"],
        topup_amount=fact["auto_topup_amount"],
    )


def topup_scale(unit_code: str) -> int:
    """Decimals that a top-up can have: credits are bought whole."""
    return 0 if is_vendor_unit(unit_code) else 2


def terms_of(fact: Mapping[str, Any], risk: float | None = None) -> Terms:
    """Terms of an account's top-ups by its row of `Inputs.balances`; `risk` is the accepted one, if not the usual."""
    lead = fact["topup_lead_days"]
    terms = Terms(
        lead_days=_LEAD_DAYS if lead is None else int(lead),
        minimum_amount=fact["topup_minimum_amount"],
        tax_rate=fact["tax_rate"],
        price_amount=fact["price_amount"],
        price_unit_code=fact["price_unit_code"] or "",
        billing_url=discover()[fact["vendor"]].billing_url if fact["vendor"] in discover() else None,
    )
    return terms if risk is None else replace(terms, risk=risk)


def _planned(paths: Paths, fact: Mapping[str, Any], observed: date, *, ends_at_reset: bool = False) -> TopUpPlan:
    return plan(
        paths,
        balance=fact["day_start_amount"],
        terms=replace(terms_of(fact), ends_at_reset=ends_at_reset),
        issue_date=observed,
        today=max(fact["run_date"], observed),
        pending_amount=fact["unconfirmed_amount"],
        unit_code=fact["unit_code"],
        scale=topup_scale(fact["unit_code"]),
    )

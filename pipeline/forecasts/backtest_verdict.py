"""Backtest scores in sentences: whether the bands were right, and whether the forecast beats plain means."""

from __future__ import annotations

from typing import Final

import polars as pl

from pipeline.forecasts.backtest_scores import ALL

_FEW, _FEW_SEPARATE = 20, 4
"""With fewer forecasts, or fewer that do not overlap, a single one moves the coverage by five points or more: that is a
hint, not a measurement."""

_LEAST_DIFFERENCE: Final = 0.02
"""Differences in loss below 2 % are called none."""


def verdict(scores: pl.DataFrame, account_id: str = ALL, *, step_days: int = 7) -> list[str]:
    """Return sentences: for each horizon whether its band was right, and whether the forecast beats the means.

    `scores` as `backtest` returns them, which was given the same `step_days`; `account_id` for one account. One
    sentence if there was no forecast.
    """
    found = scores.filter(pl.col("account_id") == account_id).sort("horizon_days")
    if not found.height:
        return ["There is too little spend in the history to forecast from past days."]
    lines = []
    for horizon in found["horizon_days"].unique().sort():
        here = {row["forecaster"]: row for row in found.filter(pl.col("horizon_days") == horizon).to_dicts()}
        own = here["drawdown"]
        lines += [_held(own, "weeks" if step_days == 7 else "forecasts"), _beats(own, here["mean_7d"])]
    return lines


def month_end_verdict(month_ends: pl.DataFrame, account_id: str = ALL) -> list[str]:
    """Return a sentence about month ends: whether the band of their totals was right; none if none was forecast.

    `month_ends` as `backtest` returns them; `account_id` for one account.
    """
    found = month_ends.filter(pl.col("account_id") == account_id).to_dicts()
    if not found:
        return []
    whole = max(found, key=lambda row: int(row["last_issue_day_number"] - row["first_issue_day_number"]))
    held = round(100 * whole["coverage_80_ratio"])
    text = (
        f"Month ends, forecast on days {whole['first_issue_day_number']} to {whole['last_issue_day_number']}: the 80 % "
        f"band held {held} in 100 of {whole['forecast_count']} forecasts of {whole['month_count']} months"
    )
    if whole["forecast_count"] < _FEW or whole["month_count"] < _FEW_SEPARATE:
        return [f"{text}: read it as a hint."]
    return [
        f"{text}. It is too narrow."
        if held < 75
        else f"{text}. It is wider than necessary."
        if held > 85
        else f"{text}."
    ]


def _held(own: dict[str, float], things: str) -> str:
    held, below = (round(100 * own[name]) for name in ("coverage_80_ratio", "below_80_ratio"))
    above = max(100 - held - below, 0)
    count, apart, horizon = (int(own[name]) for name in ("forecast_count", "separate_origin_count", "horizon_days"))
    text = f"In 100 {things} like these, the 80 % band for the next {horizon} days would have held {held}"
    if count < _FEW:
        forecasts = "1 forecast" if count == 1 else f"{count} forecasts"
        return f"{text}; only {forecasts}: read it as a hint."
    if apart < _FEW_SEPARATE:
        stretches = f"one stretch of {horizon} days" if apart == 1 else f"{apart} stretches of {horizon} days"
        return f"{text}; the {count} forecasts cover only {stretches}: read it as a hint."
    text += f": {below} would have fallen below it, {above} above."
    if held < 75:
        return f"{text} It is too narrow."
    return f"{text} It is wider than necessary." if held > 85 else text


def _beats(own: dict[str, float | None], week: dict[str, float | None]) -> str:
    loss, by_week = own["pinball_ratio"], week["pinball_ratio"]
    about = f"Next {own['horizon_days']} days:"
    if loss is None or by_week is None:
        return f"{about} the 28-day mean made no error, so nothing can beat it."
    text = f"{about} the forecast's loss is {_compared(loss)} the 28-day mean's"
    if by_week == 0:
        return f"{text}; the 7-day mean made no error."
    return f"{text} and {_compared(loss / by_week)} the 7-day mean's."


def _compared(ratio: float) -> str:
    if abs(ratio - 1) < _LEAST_DIFFERENCE:
        return "the same as"
    return f"{abs(1 - ratio):.0%} {'smaller' if ratio < 1 else 'larger'} than".replace("%", " %")

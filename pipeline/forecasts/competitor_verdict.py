"""Comparisons with competitors in sentences: whether another forecaster would have beaten Drawdown's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from pipeline.forecasts.backtest_comparison import LEAST_SEPARATE
from pipeline.forecasts.backtest_scores import ALL
from pipeline.support.wording import count

_OF = {"total": "the next {} days", "day": "each of the next {} days"}


def competitor_verdict(comparisons: pl.DataFrame, account_id: str = ALL) -> list[str]:
    """Return a sentence for each competitor and horizon: whether it would have beaten Drawdown on these accounts.

    `comparisons` as `backtest` returns them; `account_id` for one account.
    """
    return [_sentence(row) for row in comparisons.filter(pl.col("account_id") == account_id).to_dicts()]


def _sentence(row: Mapping[str, Any]) -> str:
    name, span = row["forecaster"], _OF[row["measure"]].format(row["horizon_days"])
    about = f"{name}, {span}:"
    asked = row["forecast_count"] + row["unanswered_count"]
    if not row["forecast_count"]:
        return f"{about} none of {count(asked, 'forecast')} was answered."
    pairs = f"{count(row['forecast_count'], 'forecast')} of {count(row['account_count'], 'account')}"
    if row["account_id"] != ALL:
        pairs = count(row["forecast_count"], "forecast")
    pairs = f"{pairs} from {count(row['origin_count'], 'day')}"
    left = _left_out(row, asked)
    ratio, low, high = (row[column] for column in ("loss_ratio", "loss_low_ratio", "loss_high_ratio"))
    if ratio is None:
        return f"{about} Drawdown made no error in {pairs}, so nothing can beat it.{left}"
    if low is None or high is None:
        apart = "one period" if row["separate_origin_count"] == 1 else f"{row['separate_origin_count']} periods"
        return (
            f"{about} not enough to tell. Its loss is {_than(ratio)} Drawdown's in {pairs}, which cover {apart} "
            f"without overlap; it takes {LEAST_SEPARATE}.{left}"
        )
    verdict = "it would have beaten Drawdown" if high < 1 else "it would not have beaten Drawdown"
    if low <= 1 <= high:
        verdict = "no difference can be told"
    text = f"{about} {verdict}. Its loss is {_than(ratio)} Drawdown's in {pairs}"
    text += f" (95 % interval of the ratio: {low:.2f} to {high:.2f})."
    if row["account_id"] == ALL and row["account_count"] > 1:
        text += f" It was better in {row['better_account_count']} of {row['account_count']} accounts."
    return f"{text}{left}"


def _left_out(row: Mapping[str, Any], asked: int) -> str:
    if not row["unanswered_count"]:
        return ""
    whole = [
        f"nothing {word} {count(row[column], noun)}"
        for word, column, noun in (
            ("about", "unanswered_account_count", "account"),
            ("from", "unanswered_origin_count", "day"),
        )
        if row[column]
    ]
    inside = f" ({', '.join(whole)})" if whole else ""
    return f" It did not answer {row['unanswered_count']} of {asked} forecasts{inside}; they are not compared."


def _than(ratio: float) -> str:
    share = round(100 * abs(ratio - 1))
    if not share:
        return "the same as"
    if ratio >= 2:
        return f"{ratio:.1f} times"
    return f"{share} % {'smaller' if ratio < 1 else 'larger'} than"

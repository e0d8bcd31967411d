"""What `drawdown backtest` prints: scores, coverage by month, and verdicts in sentences."""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from pipeline.cli.terminal import console, paragraph, print_table, sentence
from pipeline.forecasts.backtest import Backtest
from pipeline.forecasts.backtest_scores import ALL
from pipeline.forecasts.backtest_verdict import month_end_verdict, verdict
from pipeline.forecasts.competitor_verdict import competitor_verdict
from pipeline.forecasts.shared_miss_verdict import shared_miss_verdict
from pipeline.support.wording import listed

_WIDEST: Final = 100
"""Wider rows are hard to follow."""
_TITLES: Final = {
    "horizon_days": "days",
    "forecaster": "forecaster",
    "forecast_count": "count",
    "pinball_ratio": "loss",
    "median_error_ratio": "error",
    "coverage_80_ratio": "80 %",
    "coverage_90_ratio": "90 %",
    "below_80_ratio": "below",
    "above_80_ratio": "above",
    "brier_score": "Brier",
}
"""Printed columns, by the table's column."""
_LEGEND: Final = (
    "Loss and error: over those of mean_28d, less is better. 80 %, 90 %: the share of totals within the band; below, "
    "above: outside the 80 % band. Brier: of running dry, 0 is best. Shares are of 1."
)
_COMPETITORS_LEGEND: Final = (
    "compared on the forecasts that they answered; their ratios are over mean_28d on the same ones. The interval "
    "allows for accounts that are alike, days that are alike, and overlapping periods."
)
_MONTHS_LEGEND: Final = (
    "Months: the share of all accounts' totals within the 80 % band, below and above it, for the next {horizons} days; "
    "a forecast belongs to the month of the middle one of its days."
)


def backtest_words(found: Backtest, account_id: str) -> list[str]:
    """Return the verdict on an account, or on all (`*`): bands, means, competitors, month ends, shared misses."""
    lines = [*verdict(found.scores, account_id), *month_end_verdict(found.month_ends, account_id)]
    if account_id == ALL:
        lines += shared_miss_verdict(found.shared_misses, found.months)
    return [*lines, *competitor_verdict(found.comparisons, account_id)]


def text_width() -> int:
    """Return the width of sentences: the terminal's, or less."""
    return min(console().width, _WIDEST)


def print_backtest(found: Backtest, asked: list[str]) -> None:
    """Print the scores and verdicts of all accounts and of those asked for, and what has no forecast."""
    width = text_width()
    for name in [ALL, *dict.fromkeys(asked)]:
        scores = found.scores.filter(pl.col("account_id") == name)
        print("All accounts" if name == ALL else name)
        if not scores.is_empty():
            print()
            _print_table(scores)
        print()
        for line in backtest_words(found, name):
            print(paragraph(line, width))
        print()
        if name == ALL and not found.months.is_empty():
            _print_months(found.months, width)
    print(sentence("Columns", _LEGEND, width))
    if not found.comparisons.is_empty():
        print(sentence("Competitors", _COMPETITORS_LEGEND, width))
    lines = _skipped(found.skipped, asked)
    if lines:
        print("\nWithout a forecast:")
    for about, reason in lines:
        print(sentence(about, reason, width))


def _print_table(scores: pl.DataFrame) -> None:
    rows = [
        [_cell(name, row[name]) for name in _TITLES]
        for row in scores.sort("horizon_days", maintain_order=True).to_dicts()
    ]
    titles = list(_TITLES.values())
    print_table(titles, rows, right=[title for title in titles if title != "forecaster"])


def _print_months(months: pl.DataFrame, width: int) -> None:
    own = months.filter(pl.col("forecaster") == "drawdown")
    horizons = own["horizon_days"].unique().sort().to_list()
    shares = ("coverage_80_ratio", "below_80_ratio", "above_80_ratio")
    cells: dict[Any, dict[int, list[str]]] = {}
    for row in own.sort("target_month").to_dicts():
        cells.setdefault(row["target_month"], {})[row["horizon_days"]] = [f"{row[name]:.2f}" for name in shares]
    titles = ["month", *(title for horizon in horizons for title in (f"{horizon} days", "below", "above"))]
    rows = [
        [f"{month:%Y-%m}", *(text for horizon in horizons for text in by_horizon.get(horizon, [""] * 3))]
        for month, by_horizon in cells.items()
    ]
    print_table(titles, rows, right=titles[1:])
    print()
    print(paragraph(_MONTHS_LEGEND.format(horizons=listed(list(map(str, horizons)))), width))
    print()


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if name.endswith(("_ratio", "_score")) else str(value)


def _skipped(skipped: pl.DataFrame, asked: list[str]) -> list[tuple[str, str]]:
    """One line for each account with the horizons that have no forecast, and the reason for the shortest."""
    if asked:
        skipped = skipped.filter(pl.col("account_id").is_in([ALL, *asked]))
    lines = []
    for (name,), rows in skipped.group_by(["account_id"], maintain_order=True):
        ordered = rows.sort("horizon_days")
        horizons = listed(list(map(str, ordered["horizon_days"])))
        about = "All accounts" if name == ALL else str(name)
        lines.append((about, f"not for the next {horizons} days: {ordered['reason'][0]}"))
    return lines

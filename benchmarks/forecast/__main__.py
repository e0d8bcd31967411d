"""`make bench-forecast`: the forecaster beside other methods, by rolling origin.

python -m benchmarks.forecast            both data sets, the made-up worlds, and the cost; about ten minutes
python -m benchmarks.forecast --write    the same, and replace the tables of docs/forecast-method.md
python -m benchmarks.forecast --quick    a tenth of the series, to see that it runs
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.forecast import cost, month_ends
from benchmarks.forecast.data import DEVELOPMENT, GUARDS
from benchmarks.forecast.methods import METHODS, SLOW
from benchmarks.forecast.rolling import Scored, interval, mean, run
from benchmarks.table import replace_between

PAGE = Path(__file__).parents[2] / "docs" / "forecast-method.md"
SEVEN, MONTH, NAIVE = "mean of the last 7 days", "mean of the last 28 days", "SeasonalNaive"

_COLUMNS = {
    "sPL": "daily",
    "30-day CRPS": "crps30",
    "in 80 %": "in80_30",
    "in 95 %": "in95_30",
    "runway CRPS, days": "runway",
    "q95 fell short": "short",
    "over-funding": "over",
}


def _cell(scored: Scored, name: str, *, is_point: bool) -> str:
    if is_point and name.startswith("in"):
        return "-"
    value = mean(scored, name)
    if value != value:
        return "-"
    return f"{value:.2f}" if name == "runway" else f"{value:.3f}"


def _methods(name: str, found: dict[str, Scored]) -> Iterator[str]:
    main = found["Drawdown"]
    yield f"**{name}**: {len(set(main.series.tolist())):,} series, {len(main.scores):,} forecasts.\n"
    yield "| method | " + " | ".join(_COLUMNS) + " |"
    yield "|---|" + "---|" * len(_COLUMNS)
    points = {SEVEN, MONTH, "straight line through the balance"}
    for method, scored in found.items():
        label = f"{method}, on {len(scored.scores)} of these forecasts" if method in SLOW else method
        cells = [_cell(scored, column, is_point=method in points) for column in _COLUMNS.values()]
        yield f"| {label} | " + " | ".join(cells) + " |"
    same = Scored(main.series[main.shared], main.scores[main.shared], main.shared[main.shared])
    cells = [_cell(same, column, is_point=False) for column in _COLUMNS.values()]
    yield f"| Drawdown, on the same {len(same.scores)} | " + " | ".join(cells) + " |\n"


def _span(values: tuple[float, ...]) -> str:
    value, low, high = values
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def _verdict(reached: bool) -> str:
    return "reached" if reached else "**not reached**"


def _goals(name: str, found: dict[str, Scored]) -> Iterator[str]:
    main = found["Drawdown"]
    daily = interval(main, "daily", found[SEVEN])
    yield f"| {name} | sPL over that of the 7-day mean | at most .60 | {_span(daily)} | {_verdict(daily[0] <= 0.6)} |"
    naive = interval(main, "daily", found[NAIVE])
    yield f"| | sPL over that of SeasonalNaive | at most 1 | {_span(naive)} | {_verdict(naive[0] <= 1)} |"
    total = interval(main, "crps30", found[MONTH])
    yield f"| | 30-day CRPS over that of the 28-day mean | at most .75 | {_span(total)} | {_verdict(total[0] <= 0.75)} |"
    runway = interval(main, "runway", found[MONTH])
    yield f"| | runway CRPS over that of the 28-day mean | at most .75 | {_span(runway)} | {_verdict(runway[0] <= 0.75)} |"
    inner = interval(main, "in80_30")
    yield f"| | 30-day totals inside the 80 % band | .75 to .85 | {_span(inner)} | {_verdict(0.75 <= inner[0] <= 0.85)} |"
    outer = interval(main, "in95_30")
    yield f"| | 30-day totals inside the 95 % band | at least .92 | {_span(outer)} | {_verdict(outer[0] >= 0.92)} |"
    short = interval(main, "short")
    yield f"| | top-up of the 30-day q95 fell short | .02 to .08 | {_span(short)} | {_verdict(0.02 <= short[0] <= 0.08)} |"
    over = interval(main, "over", main, "over_of_sums")
    yield f"| | its over-funding over that of 30 daily q95s added up | at most .50 | {_span(over)} | {_verdict(over[0] <= 0.5)} |"


def _guard(name: str, found: dict[str, Scored]) -> str:
    main, seven, month = found["Drawdown"], found[SEVEN], found[MONTH]
    ratios = [
        mean(main, "daily") / mean(seven, "daily"),
        mean(main, "crps30") / mean(month, "crps30"),
        mean(main, "runway") / mean(month, "runway"),
    ]
    shares = [mean(main, column) for column in ("in80_7", "in80_30", "in80_90", "in95_30", "short")]
    share = mean(main, "over") / mean(main, "over_of_sums")
    return f"| {name} | " + " | ".join(f"{value:.3f}" for value in [*ratios, *shares, share]) + " |"


def _costs() -> Iterator[str]:
    yield "| accounts | CPU seconds | peak memory, GB | goal | |"
    yield "|---|---|---|---|---|"
    for count, goal in ((1_000, ""), (10_000, "30 s and 1 GB")):
        used = cost.measure(count)
        reached = _verdict(used["cpu_seconds"] <= 30 and used["peak_gigabytes"] <= 1) if goal else ""
        yield f"| {count:,} | {used['cpu_seconds']:.1f} | {used['peak_gigabytes']:.2f} | {goal} | {reached} |"


def main() -> int:
    """Measure, print, and with `--write` keep the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forecast", description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="replace the tables of the page")
    parser.add_argument("--quick", action="store_true", help="a tenth of the series")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "drawdown", help="where data is kept")
    asked = parser.parse_args()
    share = 10 if asked.quick else 1
    # First, while this process is small: a child's peak memory starts with its parent's.
    costs = list(_costs())
    print("\n".join(costs), flush=True)
    methods: list[str] = []
    goals = ["| data | goal | wanted | measured | |", "|---|---|---|---|---|"]
    guards = [
        "| data | sPL / 7-day mean | 30-day CRPS / 28-day mean | runway / 28-day mean | 7 days in 80 % | 30 days in 80 % "
        "| 90 days in 80 % | 30 days in 95 % | q95 fell short | over-funding / summed q95s |",
        "|---|" + "---|" * 9,
    ]
    ends = list(month_ends.HEAD)
    for name, load in DEVELOPMENT.items():
        ends += month_ends.measure(name, load(asked.cache), 200 // share)
        print("\n".join(ends), flush=True)
        found = run(load(asked.cache), series=300 // share, origins=10, slow_series=80 // share, names=list(METHODS))
        methods += _methods(name, found)
        goals += _goals(name, found)
        guards.append(_guard(name, found))
        print("\n".join(methods[-12:] + goals[-8:]), flush=True)
    for name, load in GUARDS.items():
        found = run(load(asked.cache), series=150 // share, origins=6, slow_series=1, names=["Drawdown", SEVEN, MONTH])
        guards.append(_guard(name, found))
        print(guards[-1], flush=True)
    if asked.write:
        when = f"Measured on {datetime.now(UTC).date()} by `make bench-forecast`."
        replace_between(PAGE, "goals", f"{when}\n\n" + "\n".join(goals) + "\n\n" + "\n".join(costs) + "\n")
        replace_between(PAGE, "methods", "\n".join(methods))
        replace_between(PAGE, "month-ends", f"{when}\n\n" + "\n".join(ends) + "\n")
        replace_between(PAGE, "guards", "\n".join(guards) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""`make bench-forecast`: the forecaster beside other methods, by rolling origin.

python -m benchmarks.forecast            all data sets, the made-up worlds, and the cost; about half an hour
python -m benchmarks.forecast --write    the same, and replace the tables of docs/forecast-results.md
python -m benchmarks.forecast --quick    a tenth of the series, to see that it runs
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from benchmarks.forecast import cost, fleets, month_ends
from benchmarks.forecast.data import DEVELOPMENT, GUARDS
from benchmarks.forecast.methods import METHODS, SLOW
from benchmarks.forecast.rolling import Scored, by_origin, interval, mean, run
from benchmarks.table import replace_between

PAGE = Path(__file__).parents[2] / "docs" / "forecast-results.md"
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
    same = main.only(main.shared)
    cells = [_cell(same, column, is_point=False) for column in _COLUMNS.values()]
    yield f"| Drawdown, on the same {len(same.scores)} | " + " | ".join(cells) + " |\n"


def _span(values: tuple[float, ...]) -> str:
    value, low, high = values
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def _verdict(reached: bool) -> str:
    return "reached" if reached else "**not reached**"


def _goals(name: str, found: dict[str, Scored]) -> Iterator[str]:
    main = found["Drawdown"]

    def most(what: str, limit: float, values: tuple[float, ...]) -> str:
        return f"| | {what} | at most {limit:.2f} | {_span(values)} | {_verdict(values[0] <= limit)} |"

    yield most("sPL over that of the 7-day mean", 0.6, interval(main, "daily", found[SEVEN])).replace(
        "| |", f"| {name} |", 1
    )
    yield most("sPL over that of SeasonalNaive", 1.0, interval(main, "daily", found[NAIVE]))
    yield most("30-day CRPS over that of the 28-day mean", 0.7, interval(main, "crps30", found[MONTH]))
    yield most("runway CRPS over that of the 28-day mean", 0.72, interval(main, "runway", found[MONTH]))
    inner, outer, short = (interval(main, column) for column in ("in80_30", "in95_30", "short"))
    yield f"| | 30-day totals inside the 80 % band | .75 to .85 | {_span(inner)} | {_verdict(0.75 <= inner[0] <= 0.85)} |"
    yield f"| | 30-day totals inside the 95 % band | at least .92 | {_span(outer)} | {_verdict(outer[0] >= 0.92)} |"
    for band, column, least in (("80 %", "in80_30", 0.45), ("95 %", "in95_30", 0.7)):
        worst = min(value for _, value in by_origin(main, column))
        yield f"| | the origin with the fewest inside the {band} band | at least {least:.2f} | {worst:.3f} | {_verdict(worst >= least)} |"
    yield f"| | top-up of the 30-day q95 fell short | .02 to .08 | {_span(short)} | {_verdict(0.02 <= short[0] <= 0.08)} |"
    yield most(
        "its over-funding over that of 30 daily q95s added up", 0.5, interval(main, "over", main, "over_of_sums")
    )


def _origins(name: str, main: Scored, first: date) -> Iterator[str]:
    """One line for each month of the year: totals of 30 days inside the bands, by the day of issue."""
    inside80, inside95 = (dict(by_origin(main, column)) for column in ("in80_30", "in95_30"))
    days = {origin: first + timedelta(days=origin - 1) for origin in inside80}
    months = sorted({day.month for day in days.values()})
    cells = []
    for month in months:
        mine = [origin for origin, day in days.items() if day.month == month]
        cells.append(" ".join(f"{inside80[origin]:.2f}/{inside95[origin]:.2f}" for origin in mine))
    by_month = dict(zip(months, cells, strict=True))
    yield f"| {name} | " + " | ".join(by_month.get(month, "") for month in range(1, 13)) + " |"


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
    for count, batch, most_seconds, most_gigabytes in (
        (1_000, 1_000, None, None),
        (10_000, 10_000, 11.3, 0.5),
        (100_000, 1_000, None, 1.0),
    ):
        used = cost.measure(count, batch)
        limits = [(used["cpu_seconds"], most_seconds, "s"), (used["peak_gigabytes"], most_gigabytes, "GB")]
        goal = " and ".join(f"{most:g} {unit}" for _, most, unit in limits if most)
        reached = _verdict(all(value <= most for value, most, _ in limits if most)) if goal else ""
        label = f"{count:,}" if batch == count else f"{count:,}, {batch:,} at a time"
        yield f"| {label} | {used['cpu_seconds']:.1f} | {used['peak_gigabytes']:.2f} | {goal} | {reached} |"


def main() -> int:
    """Measure, print, and with `--write` keep the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forecast", description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="replace the tables of the page")
    parser.add_argument("--quick", action="store_true", help="a tenth of the series")
    parser.add_argument("--series", type=int, default=200, help="most series of a data set")
    parser.add_argument("--skip-cost", action="store_true", help="leave the table of costs as it is")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "drawdown", help="where data is kept")
    asked = parser.parse_args()
    share = 10 if asked.quick else 1
    # First, while this process is small: a child's peak memory starts with its parent's.
    costs = [] if asked.skip_cost else list(_costs())
    print("\n".join(costs), flush=True)
    methods: list[str] = []
    goals = ["| data | goal | wanted | measured | |", "|---|---|---|---|---|"]
    guards = [
        "| data | sPL / 7-day mean | 30-day CRPS / 28-day mean | runway / 28-day mean | 7 days in 80 % | 30 days in 80 % "
        "| 90 days in 80 % | 30 days in 95 % | q95 fell short | over-funding / summed q95s |",
        "|---|" + "---|" * 9,
    ]
    ends = list(month_ends.HEAD)
    origins = ["| issued in month | " + " | ".join(map(str, range(1, 13))) + " |", "|---|" + "---|" * 12]
    for name, panel in DEVELOPMENT.items():
        table = panel.load(asked.cache)
        if name in month_ends.PANELS:
            ends += month_ends.measure(name, table, panel.first, asked.series // share)
        found = run(
            table,
            series=asked.series // share,
            origins=panel.origins,
            slow_series=40 // share,
            names=list(METHODS),
            first=panel.first,
            training=panel.training,
        )
        methods += _methods(name, found)
        goals += _goals(name, found)
        origins += _origins(name, found["Drawdown"], panel.first)
        guards.append(_guard(name, found))
        print("\n".join(methods[-12:] + goals[-10:] + origins[-1:]), flush=True)
    shared = list(fleets.measure())
    print("\n".join(shared), flush=True)
    for name, load in GUARDS.items():
        found = run(
            load(asked.cache),
            series=min(asked.series, 150) // share,
            origins=6,
            slow_series=1,
            names=["Drawdown", SEVEN, MONTH],
        )
        guards.append(_guard(name, found))
        print(guards[-1], flush=True)
    if asked.write:
        when = f"Measured on {datetime.now(UTC).date()} by `make bench-forecast`."
        replace_between(PAGE, "goals", f"{when}\n\n" + "\n".join(goals) + "\n")
        if costs:
            replace_between(PAGE, "cost", f"{when}\n\n" + "\n".join(costs) + "\n")
        replace_between(PAGE, "origins", "\n".join(origins) + "\n")
        replace_between(PAGE, "fleets", "\n".join(shared) + "\n")
        replace_between(PAGE, "methods", "\n".join(methods))
        replace_between(PAGE, "month-ends", f"{when}\n\n" + "\n".join(ends) + "\n")
        replace_between(PAGE, "guards", "\n".join(guards) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

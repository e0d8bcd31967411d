"""Plots of forecasts as SVG: a balance with its fan, the runway curve, calibration.

Each function takes rows as the tables' SELECTs return them and returns one self-contained `<svg>`
(`pipeline.support.svg`). `width` is 640 pixels by default; with NARROW the text stays readable on a phone. Raises
ValueError for numbers that cannot be drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

from pipeline.support.svg import (
    ACCENT,
    WIDTH,
    Frame,
    Item,
    Point,
    axes,
    cut,
    day_words,
    dots,
    legend,
    minus,
    number,
    path,
    share_of,
    svg_document,
    text,
    tick_label,
    ticks_between,
)
from pipeline.support.wording import amount, chance, count, percent

HISTORY_DAYS: Final = 60
"""How far back the fan shows an account's readings."""

_BOLD_WIDTH: Final = 6.5
"""Width of a character of a bold label, about."""

MARKS: Final = (7, 30)
"""Days at which the runway curve is also described in words."""

Row = Mapping[str, Any]

_BANDS: Final = (("05", "95", 0.12), ("10", "90", 0.16), ("25", "75", 0.24))
"""Quantiles in hundredths and opacity, from the widest: they overlap, so the middle is the darkest."""

_EVERY_DAY: Final = 14
"""With a row for each day, the fan has only every second point after this many days: half the size, with no visible
difference."""

_DASHES: Final = ("", "6 3", "2 3", "8 3 2 3")
_PERCENTS: Final = [(share, f"{share:.0%}".replace("%", " %")) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]


def fan(
    account_id: str,
    unit_code: str,
    history: Iterable[Row],
    ahead: Iterable[Row],
    *,
    issue_date: date,
    day_start_amount: Decimal | float,
    threshold_amount: Decimal | float | None = None,
    note: str = "",
    width: int = WIDTH,
) -> str:
    """Draw an account's balance over the last 60 days, and the fan of its forecast.

    - `history`: observed_at_utc (aware), balance_amount (money, or NULL where the reading failed). The newest reading
      of a UTC day is drawn; days without one are bridged by a dashed line.
    - `ahead`: horizon_days (from 1), p05_amount to p95_amount: quantiles of spend from the start of `issue_date` to the
      end of that day, as forecasts.cost_total has them. The balance's quantiles are `day_start_amount` less these.
    - `note`: a few words on what the fan leaves out.

    The fan is cut off at the frame: how far below zero an account would fall does not matter once it has run dry.
    """
    account_id, unit_code, note = cut(account_id, 100), cut(unit_code, 20), cut(note, 50)
    midnight = datetime.combine(issue_date, time(), UTC)
    start, threshold = number(day_start_amount), None if threshold_amount is None else number(threshold_amount)
    read = _newest_of_days(history, midnight)
    days = _by_day(ahead)
    below = {
        level: [(0.0, start), *((day, start - number(row[f"p{level}_amount"])) for day, row in days)]
        for level in ("05", "10", "25", "50", "75", "90", "95")
    }
    last = days[-1][0]

    seen = [0.0, start, *(amount for _, amount in read), *([] if threshold is None else [threshold])]
    deepest, highest = min(amount for _, amount in below["95"]), max(amount for _, amount in below["05"])
    reach = max(map(abs, seen)) or max(abs(deepest), abs(highest)) or 1.0
    low, high = min(seen), max(seen)
    low, high = min(low, max(deepest, low - 0.25 * reach)), max(high, min(highest, high + 0.5 * reach))
    ticks, (low, high) = ticks_between(low, high if high > low else low + reach)
    labels = [tick_label(tick, ticks) for tick in ticks]
    keys, extra = legend(
        [
            ("line", "balance"), ("accent", "median"), (0.44, "25 to 75 %"), (0.26, "10 to 90 %"), (0.12, "5 to 95 %"),
            *([] if threshold is None else [("dash", f"threshold {_amount(threshold)}")]),
        ],
        width,
    )  # fmt: skip
    frame = Frame(
        x=(min([-1.0, *(day for day, _ in read)]), last),
        y=(low, high),
        left=14 + 6.6 * max(map(len, labels)),
        right=width - 24,
        top=72 + extra,
        bottom=262 + extra,
    )

    shapes = []
    for lower, upper, opacity in _BANDS:
        edge = frame.line(_thin(below[lower]) + _thin(below[upper])[::-1])
        shapes.append(f'<path class="p{lower}" d="{edge}Z" fill="{ACCENT}" fill-opacity="{opacity}"/>')
    shapes.append(path("p50", frame.line(_thin(below["50"])), ACCENT, "2"))
    shapes += _readings(frame, read)
    if threshold is not None:
        shapes.append(path("threshold", frame.line([(frame.x[0], threshold), (last, threshold)]), dash="2 3"))
    step = next(step for step in (1, 2, 5, 10, 15, 30, 60, 3650) if (last - frame.x[0]) / step <= _most(width))
    offsets = range(math.ceil(frame.x[0] / step) * step, int(last) + 1, step)
    dates = [(float(day), day_words(issue_date + timedelta(days=day))) for day in offsets]
    since = f"{day_words(issue_date)} {issue_date.year}"
    ahead_words = f"its next {int(last)} days" if last > 1 else "its next day"
    half = min(30, int(last))
    at_half = {level: next(v for day, v in below[level] if day >= half) for level in ("10", "50", "90")}
    return svg_document(
        "balance",
        title=f"{account_id}: balance and {ahead_words}, {unit_code}",
        heading=(account_id, f"balance and {ahead_words}"),
        description=f"At the start of {since}: {_amount(start)} {unit_code}. After {half} "
        f"{'days' if half > 1 else 'day'} the median is {_amount(at_half['50'])}, and 80 % of what is expected "
        f"lies between {_amount(at_half['90'])} and {_amount(at_half['10'])}."
        + ("" if threshold is None else f" The threshold is {_amount(threshold)}.")
        + (f" {note[:1].upper()}{note[1:]}." if note else ""),
        body=axes(frame, list(zip(ticks, labels, strict=True)), dates, zero=True)
        + path("now", frame.line([(0.0, low), (0.0, high)]), opacity="0.5")
        + frame.clipped("".join(shapes), 1)
        + keys
        + text(8, frame.top - 10, unit_code)
        + (text(frame.right, frame.top - 10, note, anchor="end") if note else "")
        + text((frame.left + frame.right) / 2, frame.bottom + 36, f"UTC day; forecast from {since}", "middle"),
        size=(width, round(frame.bottom) + 44),
    )


def curve(account_id: str, ahead: Iterable[Row], *, issue_date: date, width: int = WIDTH) -> str:
    """Draw the probability that an account has run dry by each day, with the 7th and 30th day in words.

    `ahead`: horizon_days (from 1), depleted_probability and below_threshold_probability (0 to 1; the latter NULL, or
    left out, without a threshold), as forecasts.runway_curve has them: by the end of that day, counted from
    `issue_date`.
    """
    account_id, days = cut(account_id, 100), _by_day(ahead)
    last = days[-1][0]
    dry = [(day, share_of(row["depleted_probability"])) for day, row in days]
    below = [
        (day, share_of(row["below_threshold_probability"]))
        for day, row in days
        if row.get("below_threshold_probability") is not None
    ]
    frame = Frame(x=(0.0, max(last, 2.0)), y=(0.0, 1.0), left=52, right=width - 24, top=72, bottom=222)
    labelled = [(day, share) for day, share in dry if day in MARKS]

    shapes = [path("below", frame.line(below), dash="2 3")] if below else []
    shapes.append(path("dry", frame.line(dry), ACCENT, "2"))
    marks, free_from = [], 0.0
    if len(dry) == 1:
        shapes.append(dots("only", frame, dry, ACCENT))
    for day, share in labelled:
        shapes.append(dots("mark", frame, [(day, share)], ACCENT))
        marks.append(path("day", frame.line([(day, 0.0), (day, 1.0)]), opacity="0.5", dash="1 3"))
        across = float(frame.at((day, 0)).split()[0])
        words = f"{int(day)} days: {chance(share)}"
        # With little room, the second label begins beside its line, and after the first one.
        beside = max(across - 10, free_from) if day > MARKS[0] and width < WIDTH else None
        free_from = across + len(words) * _BOLD_WIDTH / 2 + 12
        marks.append(text(beside or across, 64, words, "start" if beside else "middle", bold=True))
    step = next(step for step in (1, 2, 5, 10, 15, 30, 3650) if last / step <= _most(width))
    each = [(float(day), str(day)) for day in range(0, int(last) + 1, step)]
    since = f"{day_words(issue_date)} {issue_date.year}"
    words = ", ".join(f"{chance(share)} within {int(day)} days" for day, share in labelled if day < last)
    return svg_document(
        "runway",
        title=f"{account_id}: chance of having run dry, by day",
        heading=(account_id, "chance of having run dry"),
        description=f"{words + ', ' if words else ''}{chance(dry[-1][1])} within {int(last)} days from "
        f"{since}."
        + (f" Below the threshold within {int(below[-1][0])} days: {chance(below[-1][1])}." if below else ""),
        body=axes(frame, _PERCENTS, each)
        + "".join(marks)
        + frame.clipped("".join(shapes), 3)
        + legend([("accent", "dry"), *([("dash", "below the threshold")] if below else [])], width)[0]
        + text((frame.left + frame.right) / 2, 258, f"days, {since} being the first", "middle"),
        size=(width, 266),
    )


def calibration(rows: Iterable[Row], *, of: str, width: int = WIDTH) -> str:
    """Draw how often actual spend was at or below each quantile, beside the nominal share.

    `rows`: nominal_ratio, observed_ratio (0 to 1; rows whose observed_ratio is NULL are left out) and optionally
    horizon_days, at most four of them; as forecasts.calibration has them for one account, or for all. `of` names it.
    """
    horizons: dict[int, list[Point]] = {}
    for row in rows:
        if row["observed_ratio"] is not None:
            point = (share_of(row["nominal_ratio"]), share_of(row["observed_ratio"]))
            horizons.setdefault(int(row.get("horizon_days") or 0), []).append(point)
    if not horizons:
        raise ValueError("no row has an observed ratio")
    if len(horizons) > len(_DASHES):
        raise ValueError(f"one plot can show {len(_DASHES)} horizons, not {len(horizons)}")
    is_narrow = width < WIDTH
    items: list[Item] = [("dots", "as it should be")]
    for horizon, dash in zip(sorted(horizons), _DASHES, strict=False):
        name = count(horizon, "day") if horizon else "observed"
        items.append((f"accent {dash}".strip(), name))
    keys, extra = legend(items, width) if is_narrow else legend(items, width, x=372, y=72, is_column=True)
    top = 72 + extra if is_narrow else 52
    frame = Frame(x=(0.0, 1.0), y=(0.0, 1.0), left=52, right=min(352, width - 24), top=top, bottom=top + 300)
    shapes = [path("ideal", frame.line([(0.0, 0.0), (1.0, 1.0)]), opacity="0.6", dash="1 3")]
    for (horizon, points), dash in zip(sorted(horizons.items()), _DASHES, strict=False):
        points = sorted(points)
        shapes.append(path(f"h{horizon}", frame.line(points), ACCENT, "2", dash=dash))
        shapes.append(dots(f"d{horizon}", frame, points, ACCENT))
    widest = max(
        (point for points in horizons.values() for point in points), key=lambda point: abs(point[1] - point[0])
    )
    return svg_document(
        "calibration",
        title=f"{cut(of, 100)}: calibration",
        heading=(of, "calibration"),
        description="Furthest from what it should be: totals were at or below the quantile of "
        f"{percent(widest[0])} in {percent(widest[1])} of cases.",
        body=axes(frame, _PERCENTS, [(share, words) for share, words in _PERCENTS])
        + frame.clipped("".join(shapes), 3)
        + keys
        + text(8, top - 10, "totals at or below it, observed")
        + text((frame.left + frame.right) / 2, frame.bottom + 38, "quantile of the forecast", "middle"),
        size=(width if is_narrow else 520, round(frame.bottom) + 46),
    )


# -- rows ----------------------------------------------------------------------------------------------------------


def _by_day(ahead: Iterable[Row]) -> list[tuple[float, Row]]:
    days = sorted(((number(row["horizon_days"]), row) for row in ahead), key=lambda each: each[0])
    if not days or days[0][0] < 1:
        raise ValueError("no days ahead to draw, or a day before the first")
    return days


def _newest_of_days(history: Iterable[Row], midnight: datetime) -> list[Point]:
    """Days since `midnight` and balance of the newest good reading of each UTC day, in order."""
    newest: dict[date, Point] = {}
    read = [row for row in history if row["balance_amount"] is not None]
    for row in sorted(read, key=lambda row: row["observed_at_utc"]):
        instant: datetime = row["observed_at_utc"].astimezone(UTC)
        since = (instant - midnight) / timedelta(days=1)
        if since >= -HISTORY_DAYS:
            newest[instant.date()] = (since, number(row["balance_amount"]))
    return list(newest.values())


def _thin(points: list[Point]) -> list[Point]:
    last = len(points) - 1
    if last < 60:
        return points
    return [point for place, point in enumerate(points) if place <= _EVERY_DAY or place % 2 == 0 or place == last]


# -- drawing ----------------------------------------------------------------------------------------------------------


def _readings(frame: Frame, read: Sequence[Point]) -> list[str]:
    """Lines through readings of consecutive days, dashes between the others, and a dot on each isolated one."""
    runs: list[list[Point]] = []
    for point in read:
        # The newest readings of two neighbouring days can be almost two days apart.
        if runs and math.floor(point[0]) - math.floor(runs[-1][-1][0]) <= 1:
            runs[-1].append(point)
        else:
            runs.append([point])
    lines = "".join(frame.line(run) for run in runs if len(run) > 1)
    gaps = "".join(frame.line([one[-1], other[0]]) for one, other in pairwise(runs))
    alone = [run[0] for run in runs if len(run) == 1] + list(read[-1:])
    return [
        *([path("gaps", gaps, dash="3 3", opacity="0.5")] if gaps else []),
        *([path("balance", lines, width="1.5")] if lines else []),
        *([dots("read", frame, alone)] if alone else []),
    ]


def _most(width: int) -> int:
    """Number of steps that fit on an axis of days."""
    return 9 if width >= WIDTH else 5


def _amount(value: float) -> str:
    return minus(amount(value))

"""Plots of forecasts as SVG, written by hand: a balance with its fan, the runway curve, calibration.

Each function takes rows as the tables' SELECTs give them and returns one `<svg>` that stands alone: no script, no
reference to anything outside, every word escaped. As an image or a file of its own it has a ground and an ink for
light and for dark; inside an HTML page it takes the page's colour (`currentColor`). Amounts are placed as floats: a
plot is for the eye. ValueError is raised for numbers that cannot be drawn.
"""

from __future__ import annotations

import base64
import html
import math
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

HISTORY_DAYS: Final = 60
"""How far back the fan shows an account's readings."""

MARKS: Final = (7, 30)
"""The days at which the runway curve is read off in words."""

Row = Mapping[str, Any]
Point = tuple[float, float]

_WIDTH: Final = 640
_ACCENT: Final = "#3b82f6"
"""At least 3 to 1 on white and on the dark ground, which is what WCAG asks of lines and marks."""

_BANDS: Final = (("05", "95", 0.12), ("10", "90", 0.16), ("25", "75", 0.24))
"""Quantiles in hundredths and opacity, from the widest: one lies on the other, so the middle is the darkest."""

_EVERY_DAY: Final = 14
"""After so many days the fan has a point each second day: half the size, and no eye sees it."""

# `svg:root` is this picture as a document; inside a page the root is `html`, and the page's own colours hold.
_STYLE: Final = (
    "svg:root{color:#1f2933;background:#fff}"
    "@media(prefers-color-scheme:dark){svg:root{color:#e4e7eb;background:#15191e}}"
)
# What XML does not hold, and what turns the direction of the words after it.
_UNFIT: Final = re.compile("[^\t\n\r\x20-\u2029\u202f-\u2065\u206a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DASHES: Final = ("", "6 3", "2 3", "8 3 2 3")
_PERCENTS: Final = [(share, f"{share:.0%}".replace("%", " %")) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
_SUFFIXES: Final = ((1e12, "tn"), (1e9, "bn"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """Where numbers are on the picture; pixels from its upper left corner."""

    x: Point
    y: Point
    """The lowest and highest number on each axis."""
    left: float
    right: float
    top: float
    bottom: float

    def tenths(self, point: Point) -> tuple[int, int]:
        """Where a point is, in tenths of pixels."""
        across = self.left + (point[0] - self.x[0]) / (self.x[1] - self.x[0]) * (self.right - self.left)
        down = self.bottom - (point[1] - self.y[0]) / (self.y[1] - self.y[0]) * (self.bottom - self.top)
        # What is far outside is cut off by the frame; renderers need not cope with its coordinates.
        return round(10 * across), round(10 * min(max(down, -9999.0), 9999.0))

    def at(self, point: Point) -> str:
        """The pixels of a point, as an SVG path has them."""
        across, down = self.tenths(point)
        return f"{across / 10:g} {down / 10:g}"

    def line(self, points: Sequence[Point]) -> str:
        """Path data through the points: the first as it is, the others by the step to them, which is half as long."""
        places = [self.tenths(point) for point in points]
        steps = " ".join(f"{(x1 - x0) / 10:g} {(y1 - y0) / 10:g}" for (x0, y0), (x1, y1) in pairwise(places))
        return f"M{self.at(points[0])}" + (f"l{steps}".replace(" -", "-") if steps else "")

    def clipped(self, drawing: str, spare: float = 0) -> str:
        """The drawing, cut off at the frame, or `spare` pixels above and below, where marks lie on the frame."""
        # To the sides there is nothing but a mark's other half.
        x, y = _short(self.left - 3), _short(self.top - spare)
        wide, high = _short(self.right - self.left + 6), _short(self.bottom - self.top + 2 * spare)
        return f'<svg x="{x}" y="{y}" width="{wide}" height="{high}" viewBox="{x} {y} {wide} {high}">{drawing}</svg>'


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
) -> str:
    """An account's balance over the last 60 days, and the fan of what is expected of it.

    - `history`: observed_at_utc (aware), balance_amount (money, or NULL where the reading failed). The newest reading
      of a UTC day is drawn; days without one are bridged by a dashed line.
    - `ahead`: horizon_days (from 1), p05_amount to p95_amount: quantiles of what is spent from the start of
      `issue_date` to that day's end, as forecasts.cost_total has them. The balance's quantiles are `day_start_amount`
      less these.
    - `note`: a few words on what the fan leaves out.

    The fan is cut off where it leaves the frame: how far below zero an account would fall is no news once it is dry.
    """
    account_id, unit_code, note = _cut(account_id, 100), _cut(unit_code, 20), _cut(note, 50)
    midnight = datetime.combine(issue_date, time(), UTC)
    start, threshold = _number(day_start_amount), None if threshold_amount is None else _number(threshold_amount)
    read = _newest_of_days(history, midnight)
    days = _by_day(ahead)
    below = {
        level: [(0.0, start), *((day, start - _number(row[f"p{level}_amount"])) for day, row in days)]
        for level in ("05", "10", "25", "50", "75", "90", "95")
    }
    last = days[-1][0]

    seen = [0.0, start, *(amount for _, amount in read), *([] if threshold is None else [threshold])]
    deepest, highest = min(amount for _, amount in below["95"]), max(amount for _, amount in below["05"])
    reach = max(map(abs, seen)) or max(abs(deepest), abs(highest)) or 1.0
    low, high = min(seen), max(seen)
    low, high = min(low, max(deepest, low - 0.25 * reach)), max(high, min(highest, high + 0.5 * reach))
    ticks, (low, high) = _ticks(low, high if high > low else low + reach)
    labels = [_tick_label(tick, ticks) for tick in ticks]
    frame = _Frame(
        x=(min([-1.0, *(day for day, _ in read)]), last),
        y=(low, high),
        left=14 + 6.6 * max(map(len, labels)),
        right=_WIDTH - 24,
        top=72,
        bottom=262,
    )

    shapes = []
    for lower, upper, opacity in _BANDS:
        edge = frame.line(_thin(below[lower]) + _thin(below[upper])[::-1])
        shapes.append(f'<path class="p{lower}" d="{edge}Z" fill="{_ACCENT}" fill-opacity="{opacity}"/>')
    shapes.append(_path("p50", frame.line(_thin(below["50"])), _ACCENT, "2"))
    shapes += _readings(frame, read)
    if threshold is not None:
        shapes.append(_path("threshold", frame.line([(frame.x[0], threshold), (last, threshold)]), dash="2 3"))
    step = next(step for step in (1, 2, 5, 10, 15, 30, 60, 3650) if (last - frame.x[0]) / step <= 9)
    offsets = range(math.ceil(frame.x[0] / step) * step, int(last) + 1, step)
    dates = [(float(day), _day(issue_date + timedelta(days=day))) for day in offsets]
    legend: list[tuple[str | float, str]] = [
        ("line", "balance"), ("accent", "median"), (0.44, "25 to 75 %"), (0.26, "10 to 90 %"), (0.12, "5 to 95 %"),
        *([] if threshold is None else [("dash", f"threshold {_amount(threshold)}")]),
    ]  # fmt: skip
    since = f"{_day(issue_date)} {issue_date.year}"
    ahead_words = f"its next {int(last)} days" if last > 1 else "its next day"
    half = min(30, int(last))
    at_half = {level: next(v for day, v in below[level] if day >= half) for level in ("10", "50", "90")}
    return _svg(
        frame,
        "balance",
        title=f"{account_id}: balance and {ahead_words}, {unit_code}",
        heading=(account_id, f"balance and {ahead_words}"),
        description=f"At the start of {since}: {_amount(start)} {unit_code}. After {half} "
        f"{'days' if half > 1 else 'day'} the median is {_amount(at_half['50'])}, and 80 % of what is expected lies "
        f"between {_amount(at_half['90'])} and {_amount(at_half['10'])}."
        + ("" if threshold is None else f" The threshold is {_amount(threshold)}.")
        + (f" {note[:1].upper()}{note[1:]}." if note else ""),
        body=_axes(frame, list(zip(ticks, labels, strict=True)), dates, zero=True)
        + _path("now", frame.line([(0.0, low), (0.0, high)]), opacity="0.5")
        + frame.clipped("".join(shapes), 1)
        + _legend(legend)
        + _text(8, 62, unit_code)
        + (_text(frame.right, 62, note, anchor="end") if note else "")
        + _text((frame.left + frame.right) / 2, 298, f"UTC day; forecast from {since}", "middle"),
        height=306,
    )


def curve(account_id: str, ahead: Iterable[Row], *, issue_date: date) -> str:
    """How probable it is that an account has run dry by a day, with the 7th and 30th day told in words.

    `ahead`: horizon_days (from 1), depleted_probability and below_threshold_probability (0 to 1; the latter NULL, or
    left out, without a threshold), as forecasts.runway_curve has them: by that day's end, counted from `issue_date`.
    """
    account_id, days = _cut(account_id, 100), _by_day(ahead)
    last = days[-1][0]
    dry = [(day, _share(row["depleted_probability"])) for day, row in days]
    below = [
        (day, _share(row["below_threshold_probability"]))
        for day, row in days
        if row.get("below_threshold_probability") is not None
    ]
    frame = _Frame(x=(0.0, max(last, 2.0)), y=(0.0, 1.0), left=52, right=_WIDTH - 24, top=72, bottom=222)
    told = [(day, share) for day, share in dry if day in MARKS]

    shapes = [_path("below", frame.line(below), dash="2 3")] if below else []
    shapes.append(_path("dry", frame.line(dry), _ACCENT, "2"))
    marks = []
    if len(dry) == 1:
        shapes.append(_dots("only", frame, dry, _ACCENT))
    for day, share in told:
        shapes.append(_dots("mark", frame, [(day, share)], _ACCENT))
        marks.append(_path("day", frame.line([(day, 0.0), (day, 1.0)]), opacity="0.5", dash="1 3"))
        across = float(frame.at((day, 0)).split()[0])
        marks.append(_text(across, 64, f"{int(day)} days: {_percent(share)}", "middle", bold=True))
    step = next(step for step in (1, 2, 5, 10, 15, 30, 3650) if last / step <= 9)
    each = [(float(day), str(day)) for day in range(0, int(last) + 1, step)]
    words = ", ".join(f"{_percent(share)} within {int(day)} days" for day, share in told if day < last)
    return _svg(
        frame,
        "runway",
        title=f"{account_id}: chance of having run dry, by day",
        heading=(account_id, "chance of having run dry"),
        description=f"{words + ', ' if words else ''}{_percent(dry[-1][1])} within {int(last)} days from "
        f"{_day(issue_date)} {issue_date.year}."
        + (f" Below the threshold within {int(below[-1][0])} days: {_percent(below[-1][1])}." if below else ""),
        body=_axes(frame, _PERCENTS, each)
        + "".join(marks)
        + frame.clipped("".join(shapes), 3)
        + _legend([("accent", "dry"), *([("dash", "below the threshold")] if below else [])])
        + _text(
            (frame.left + frame.right) / 2, 258, f"days, {_day(issue_date)} {issue_date.year} being the first", "middle"
        ),
        height=266,
    )


def calibration(rows: Iterable[Row], *, of: str) -> str:
    """How often what was spent stayed at or below each quantile, beside how often it should have.

    `rows`: nominal_ratio, observed_ratio (0 to 1; rows whose observed_ratio is NULL are left out) and optionally
    horizon_days, of which there may be four; as forecasts.calibration has them of one account, or of all. `of` names
    it.
    """
    horizons: dict[int, list[Point]] = {}
    for row in rows:
        if row["observed_ratio"] is not None:
            point = (_share(row["nominal_ratio"]), _share(row["observed_ratio"]))
            horizons.setdefault(int(row.get("horizon_days") or 0), []).append(point)
    if not horizons:
        raise ValueError("no row tells what was observed")
    if len(horizons) > len(_DASHES):
        raise ValueError(f"{len(horizons)} horizons cannot be told apart in one plot; {len(_DASHES)} can")
    frame = _Frame(x=(0.0, 1.0), y=(0.0, 1.0), left=52, right=352, top=52, bottom=352)
    shapes = [_path("ideal", frame.line([(0.0, 0.0), (1.0, 1.0)]), opacity="0.6", dash="1 3")]
    legend: list[tuple[str | float, str]] = [("dots", "as it should be")]
    for (horizon, points), dash in zip(sorted(horizons.items()), _DASHES, strict=False):
        points = sorted(points)
        shapes.append(_path(f"h{horizon}", frame.line(points), _ACCENT, "2", dash=dash))
        shapes.append(_dots(f"d{horizon}", frame, points, _ACCENT))
        name = f"{horizon} day{'' if horizon == 1 else 's'}" if horizon else "observed"
        legend.append((f"accent {dash}".strip(), name))
    widest = max(
        (point for points in horizons.values() for point in points), key=lambda point: abs(point[1] - point[0])
    )
    return _svg(
        frame,
        "calibration",
        title=f"{_cut(of, 100)}: calibration",
        heading=(of, "calibration"),
        description="Furthest from what it should be: totals were at or below the quantile of "
        f"{_percent(widest[0])} in {_percent(widest[1])} of cases.",
        body=_axes(frame, _PERCENTS, [(share, words) for share, words in _PERCENTS])
        + frame.clipped("".join(shapes), 3)
        + _legend(legend, x=372, y=72, is_column=True)
        + _text(8, 42, "totals at or below it, observed")
        + _text((frame.left + frame.right) / 2, 390, "quantile of the forecast", "middle"),
        height=398,
    )


def data_uri(svg: str) -> str:
    """The picture as a `data:` address, for an image in HTML or Markdown."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


# -- numbers ----------------------------------------------------------------------------------------------------------


def _number(value: Any) -> float:
    found = float(value)
    # No sum of money comes near; beyond, floats overflow on their way to the axis.
    if not abs(found) < 1e100:
        raise ValueError(f"{found} cannot be drawn")
    return found


def _share(value: Any) -> float:
    found = _number(value)
    if not -1e-9 <= found <= 1 + 1e-9:
        raise ValueError(f"{value} is not a share from 0 to 1")
    return min(max(found, 0.0), 1.0)


def _by_day(ahead: Iterable[Row]) -> list[tuple[float, Row]]:
    days = sorted(((_number(row["horizon_days"]), row) for row in ahead), key=lambda each: each[0])
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
            newest[instant.date()] = (since, _number(row["balance_amount"]))
    return list(newest.values())


def _thin(points: list[Point]) -> list[Point]:
    last = len(points) - 1
    return [point for place, point in enumerate(points) if place <= _EVERY_DAY or place % 2 == 0 or place == last]


def _ticks(low: float, high: float) -> tuple[list[float], Point]:
    """Round numbers, some five of them, and the ends of an axis that holds both numbers."""
    rough = (high - low) / 5
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(times * size for times in (1, 2, 5, 10) if times * size >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)], (first * step, last * step)


def _tick_label(tick: float, ticks: Sequence[float]) -> str:
    step, top = ticks[1] - ticks[0], max(abs(ticks[0]), abs(ticks[-1]))
    if not tick:
        return "0"
    if step < 1e-4 or top >= 1e18:
        return _minus(f"{tick:.3g}")
    factor, suffix = next(((size, name) for size, name in _SUFFIXES if top >= 100 * size), (1.0, ""))
    decimals = max(0, -math.floor(math.log10(step / factor) + 1e-9))
    return _minus(f"{tick / factor:,.{decimals}f}{suffix}")


def _amount(amount: float) -> str:
    if abs(amount) >= 1e12 or 0 < abs(amount) < 0.01:
        return _minus(f"{amount:.4g}")
    return _minus(f"{amount:,.2f}")


def _minus(number: str) -> str:
    return number.replace("-", "\N{MINUS SIGN}")


def _percent(share: float) -> str:
    """Never 0 or 100 % for what is possible or not certain."""
    if 0 < share < 0.01:
        return "< 1 %"
    if 0.99 < share < 1:
        return "> 99 %"
    return f"{100 * share:.0f} %"


def _day(day: date) -> str:
    return f"{day.day} {day:%b}"


def _short(pixels: float) -> str:
    return f"{pixels:.1f}".removesuffix(".0")


# -- drawing ----------------------------------------------------------------------------------------------------------


def _svg(
    frame: _Frame, kind: str, *, title: str, heading: tuple[str, str], description: str, body: str, height: int
) -> str:
    width = _WIDTH if frame.right > 400 else 520
    named, told = _words(title), _words(description)
    # Names that no other plot of one page has.
    key = f"{zlib.crc32((kind + named + told + body).encode()):08x}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="drawdown-{kind}" role="img" aria-labelledby="t{key}" '
        f'aria-describedby="d{key}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui,sans-serif" font-size="11" fill="currentColor">'
        f'<title id="t{key}">{named}</title><desc id="d{key}">{told}</desc><style>{_STYLE}</style>'
        f'<text x="8" y="18" font-size="13"><tspan font-weight="600">{_words(_cut(heading[0], 30))}</tspan> '
        f"<tspan>{_words(heading[1])}</tspan></text>{body}</svg>"
    )


def _words(words: str) -> str:
    return html.escape(_UNFIT.sub("\ufffd", words))


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


def _text(x: float, y: float, words: str, anchor: str = "start", *, bold: bool = False) -> str:
    more = ("" if anchor == "start" else f' text-anchor="{anchor}"') + (' font-weight="600"' if bold else "")
    return f'<text x="{_short(x)}" y="{_short(y)}"{more}>{_words(words)}</text>'


def _path(
    name: str, data: str, stroke: str = "currentColor", width: str = "1", *, dash: str = "", opacity: str = ""
) -> str:
    more = (f' stroke-dasharray="{dash}"' if dash else "") + (f' stroke-opacity="{opacity}"' if opacity else "")
    return f'<path class="{name}" d="{data}" fill="none" stroke="{stroke}" stroke-width="{width}"{more}/>'


def _dots(name: str, frame: _Frame, points: Iterable[Point], stroke: str = "currentColor") -> str:
    data = "".join(f"M{frame.at(point)}h0" for point in points)
    return f'<path class="{name}" d="{data}" stroke="{stroke}" stroke-width="5" stroke-linecap="round"/>'


def _readings(frame: _Frame, read: Sequence[Point]) -> list[str]:
    """Lines through readings of days that follow each other, dashes between the others, a dot on each that is alone."""
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
        *([_path("gaps", gaps, dash="3 3", opacity="0.5")] if gaps else []),
        *([_path("balance", lines, width="1.5")] if lines else []),
        *([_dots("read", frame, alone)] if alone else []),
    ]


def _axes(
    frame: _Frame, across: Sequence[tuple[float, str]], along: Sequence[tuple[float, str]], *, zero: bool = False
) -> str:
    """Lines across at numbers, and names below at numbers; the line at zero is the strongest where it means dry."""
    grid, ticks, names = "", "", []
    for value, name in across:
        line = frame.line([(frame.x[0], value), (frame.x[1], value)])
        if zero and not value:
            names.append(_path("zero", line, opacity="0.8"))
        else:
            grid += line
        names.append(_text(frame.left - 6, float(frame.at((0, value)).split()[1]) + 4, name, "end"))
    for value, name in along:
        place = float(frame.at((value, 0)).split()[0])
        ticks += f"M{_short(place)} {_short(frame.bottom)}v4"
        names.append(_text(place, frame.bottom + 16, name, "middle"))
    return _path("grid", grid, opacity="0.15") + _path("ticks", ticks) + "".join(names)


def _legend(items: Sequence[tuple[str | float, str]], x: float = 8, y: float = 38, *, is_column: bool = False) -> str:
    found = []
    for mark, name in items:
        here = f"M{_short(x)} {_short(y - 4)}h16"
        if isinstance(mark, float):
            found.append(
                f'<path d="M{_short(x)} {_short(y - 9)}h16v10h-16Z" fill="{_ACCENT}" fill-opacity="{mark:g}"/>'
            )
        elif mark.startswith("accent"):
            found.append(_path("key", here, _ACCENT, "2", dash=mark.removeprefix("accent").strip()))
        else:
            found.append(_path("key", here, dash={"dash": "2 3", "dots": "1 3"}.get(mark, "")))
        found.append(_text(x + 21, y, name))
        x, y = (x, y + 20) if is_column else (x + 21 + 6.4 * len(name) + 14, y)
    return "".join(found)

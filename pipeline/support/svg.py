"""SVG drawing without a charting library: the frame, axes, lines and texts of plots.

Each picture is self-contained: no script, no external reference, every text escaped. As an image or a separate file it
has background and foreground colours for light and dark; inside an HTML page it takes the page's colour
(`currentColor`). Amounts are placed as floats: a plot is for the eye.

Why no charting library: the 180 charts of a report of 54 accounts were drawn with this module and with Altair 6.3.0 and
vl-convert-python 1.9.0, on one core. They took 0.2 s and 0.5 MB with this module, 35 s and 1.8 MB with Altair: a page
of 1.7 MB instead of 3.0 MB. With Vega in the page instead (0.9 MB, and 1.0 MB of specifications) every chart needs a
script. The pictures looked alike, but Altair's have fixed colours, which do not follow a dark page, and the two
packages take 94 MB.
"""

from __future__ import annotations

import base64
import html
import math
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any, Final

Point = tuple[float, float]

Item = tuple[str | float, str]
"""An entry of a legend: a line (`line`, `dash`, `dots`, `accent` and its dashes) or an opacity, and its name."""

WIDTH: Final = 640
"""Default width in pixels."""

NARROW: Final = 360
"""Width in pixels of a picture that is also read on a phone: shown slightly smaller there, its text stays readable."""

ACCENT: Final = "#3b82f6"
"""At least 3 to 1 on white and on the dark background, which WCAG requires of lines and marks."""

# `svg:root` is this picture as a document; inside a page the root is `html`, and the page's colours apply.
_STYLE: Final = (
    "svg:root{color:#1f2933;background:#fff}"
    "@media(prefers-color-scheme:dark){svg:root{color:#e4e7eb;background:#15191e}}"
)
# Characters that XML does not allow, and those that change the writing direction.
_UNFIT: Final = re.compile("[^\t\n\r\x20-\u2029\u202f-\u2065\u206a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SUFFIXES: Final = ((1e12, "tn"), (1e9, "bn"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Plot area of a picture; pixels from its upper left corner."""

    x: Point
    y: Point
    """Lowest and highest number on each axis."""
    left: float
    right: float
    top: float
    bottom: float

    def tenths(self, point: Point) -> tuple[int, int]:
        """Position of a point, in tenths of pixels."""
        across = self.left + (point[0] - self.x[0]) / (self.x[1] - self.x[0]) * (self.right - self.left)
        down = self.bottom - (point[1] - self.y[0]) / (self.y[1] - self.y[0]) * (self.bottom - self.top)
        # The frame clips what is far outside; renderers need not handle its coordinates.
        return round(10 * across), round(10 * min(max(down, -9999.0), 9999.0))

    def at(self, point: Point) -> str:
        """Pixels of a point, as in an SVG path."""
        across, down = self.tenths(point)
        return f"{across / 10:g} {down / 10:g}"

    def line(self, points: Sequence[Point]) -> str:
        """Path data through the points: the first absolute, the others relative, which is half as long."""
        places = [self.tenths(point) for point in points]
        steps = " ".join(f"{(x1 - x0) / 10:g} {(y1 - y0) / 10:g}" for (x0, y0), (x1, y1) in pairwise(places))
        return f"M{self.at(points[0])}" + (f"l{steps}".replace(" -", "-") if steps else "")

    def clipped(self, drawing: str, spare: float = 0) -> str:
        """The drawing, clipped to the frame, or `spare` pixels above and below it, for marks on the frame."""
        # At the sides there is only the other half of a mark.
        x, y = short(self.left - 3), short(self.top - spare)
        wide, high = short(self.right - self.left + 6), short(self.bottom - self.top + 2 * spare)
        return f'<svg x="{x}" y="{y}" width="{wide}" height="{high}" viewBox="{x} {y} {wide} {high}">{drawing}</svg>'


def data_uri(svg: str) -> str:
    """The picture as a `data:` address, for an image in HTML or Markdown."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


# -- numbers ----------------------------------------------------------------------------------------------------------


def number(value: Any) -> float:
    """A number as a float; ValueError for one that cannot be drawn."""
    found = float(value)
    # Sums of money stay far below; beyond this, floats overflow on the axis.
    if not abs(found) < 1e100:
        raise ValueError(f"{found} cannot be drawn")
    return found


def share_of(value: Any) -> float:
    """A number from 0 to 1, as a float; ValueError for another one."""
    found = number(value)
    if not -1e-9 <= found <= 1 + 1e-9:
        raise ValueError(f"{value} is not a share from 0 to 1")
    return min(max(found, 0.0), 1.0)


def ticks_between(low: float, high: float) -> tuple[list[float], Point]:
    """Round numbers, about five, and the ends of an axis that includes both numbers."""
    rough = (high - low) / 5
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(times * size for times in (1, 2, 5, 10) if times * size >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [times * step for times in range(first, last + 1)], (first * step, last * step)


def tick_label(tick: float, ticks: Sequence[float]) -> str:
    """Label of one of an axis's round numbers, as short as possible."""
    step, top = ticks[1] - ticks[0], max(abs(ticks[0]), abs(ticks[-1]))
    if not tick:
        return "0"
    if step < 1e-4 or top >= 1e18:
        return minus(f"{tick:.3g}")
    factor, suffix = next(((size, name) for size, name in _SUFFIXES if top >= 100 * size), (1.0, ""))
    decimals = max(0, -math.floor(math.log10(step / factor) + 1e-9))
    return minus(f"{tick / factor:,.{decimals}f}{suffix}")


def minus(digits: str) -> str:
    """Digits with a minus sign instead of a hyphen."""
    return digits.replace("-", "\N{MINUS SIGN}")


def day_words(day: date) -> str:
    """A day without its year."""
    return f"{day.day} {day:%b}"


def short(pixels: float) -> str:
    """Format pixels to a tenth."""
    return f"{pixels:.1f}".removesuffix(".0")


# -- marks ------------------------------------------------------------------------------------------------------------


def svg_document(
    kind: str, *, title: str, heading: tuple[str, str], description: str, body: str, size: tuple[int, int]
) -> str:
    """The complete picture, `size` pixels wide and high; a narrow one has only the second part of the heading."""
    named, described = escaped(title), escaped(description)
    width, height = size
    # Ids that no other plot of the same page has.
    key = f"{zlib.crc32((kind + named + described + body).encode()):08x}"
    head = f'<tspan font-weight="600">{escaped(cut(heading[0], 30))}</tspan> ' if width > NARROW else ""
    weight = "" if head else ' font-weight="600"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="drawdown-{kind}" role="img" aria-labelledby="t{key}" '
        f'aria-describedby="d{key}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui,sans-serif" font-size="11" fill="currentColor">'
        f'<title id="t{key}">{named}</title><desc id="d{key}">{described}</desc><style>{_STYLE}</style>'
        f'<text x="8" y="18" font-size="13">{head}<tspan{weight}>{escaped(heading[1])}</tspan></text>{body}</svg>'
    )


def in_page(svg: str) -> str:
    """The picture for an HTML page, which has its own colours and style."""
    return svg.replace(f"<style>{_STYLE}</style>", "", 1).replace(' xmlns="http://www.w3.org/2000/svg"', "", 1)


def fit(words: str) -> str:
    """Remove characters that XML does not allow or that change the writing direction."""
    return _UNFIT.sub("\ufffd", words)


def escaped(words: str) -> str:
    """Escape text for XML and HTML."""
    return html.escape(fit(words))


def cut(words: str, most: int) -> str:
    """Truncate text to a number of letters."""
    return words if len(words) <= most else words[: most - 1] + "…"


def text(x: float, y: float, words: str, anchor: str = "start", *, bold: bool = False) -> str:
    """Text at a position."""
    more = ("" if anchor == "start" else f' text-anchor="{anchor}"') + (' font-weight="600"' if bold else "")
    return f'<text x="{short(x)}" y="{short(y)}"{more}>{escaped(words)}</text>'


def path(
    name: str, data: str, stroke: str = "currentColor", width: str = "1", *, dash: str = "", opacity: str = ""
) -> str:
    """A line along path data."""
    more = (f' stroke-dasharray="{dash}"' if dash else "") + (f' stroke-opacity="{opacity}"' if opacity else "")
    # A width of 1 is the default, and a page has thousands of lines.
    wide = "" if str(width) == "1" else f' stroke-width="{width}"'
    return f'<path class="{name}" d="{data}" fill="none" stroke="{stroke}"{wide}{more}/>'


def dots(name: str, frame: Frame, points: Iterable[Point], stroke: str = "currentColor") -> str:
    """A dot on each point."""
    data = "".join(f"M{frame.at(point)}h0" for point in points)
    return f'<path class="{name}" d="{data}" stroke="{stroke}" stroke-width="5" stroke-linecap="round"/>'


def axes(
    frame: Frame, across: Sequence[tuple[float, str]], along: Sequence[tuple[float, str]], *, zero: bool = False
) -> str:
    """Horizontal lines at numbers, and names below at numbers; the line at zero is emphasised if it means dry."""
    grid, ticks, names = "", "", []
    for value, name in across:
        line = frame.line([(frame.x[0], value), (frame.x[1], value)])
        if zero and not value:
            names.append(path("zero", line, opacity="0.8"))
        else:
            grid += line
        names.append(text(frame.left - 6, float(frame.at((0, value)).split()[1]) + 4, name, "end"))
    for value, name in along:
        place = float(frame.at((value, 0)).split()[0])
        ticks += f"M{short(place)} {short(frame.bottom)}v4"
        names.append(text(place, frame.bottom + 16, name, "middle"))
    return path("grid", grid, opacity="0.15") + path("ticks", ticks) + "".join(names)


def legend(
    items: Sequence[Item], width: int, x: float = 8, y: float = 38, *, is_column: bool = False
) -> tuple[str, int]:
    """Legend, and the pixels that it needs beyond one line: it wraps at the picture's width."""
    found, top = [], y
    for mark, name in items:
        wide = 21 + 6.4 * len(name)
        if not is_column and x > 8 and x + wide > width:
            x, y = 8.0, y + 18
        here = f"M{short(x)} {short(y - 4)}h16"
        if isinstance(mark, float):
            found.append(f'<path d="M{short(x)} {short(y - 9)}h16v10h-16Z" fill="{ACCENT}" fill-opacity="{mark:g}"/>')
        elif mark.startswith("accent"):
            found.append(path("key", here, ACCENT, "2", dash=mark.removeprefix("accent").strip()))
        else:
            found.append(path("key", here, dash={"dash": "2 3", "dots": "1 3"}.get(mark, "")))
        found.append(text(x + 21, y, name))
        x, y = (x, y + 20) if is_column else (x + wide + 14, y)
    return "".join(found), 0 if is_column else round(y - top)

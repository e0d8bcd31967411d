"""Plots: numbers are in the right place, every text is escaped, and stored plots are bounded in size."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest

from pipeline.forecasts import plots
from pipeline.support import svg as drawing
from tests.forecasts.plot_rows import ISSUED, MIDNIGHT, SVG, ahead, chances, history, number, read

HOSTILE = "</title><script>alert(1)</script>\"'&]](x)\x00\ud800‮" + "W" * 5000
MOST = 12_000
Points = list[tuple[float, float]]


def draw(**changes: Any) -> str:
    asked: dict[str, Any] = {
        "account_id": "acme",
        "unit_code": "EUR",
        "history": history(),
        "ahead": ahead(),
        "issue_date": ISSUED,
        "day_start_amount": Decimal("100"),
        "threshold_amount": Decimal("25"),
    } | changes
    return plots.fan(**asked)


def pixels(root: ElementTree.Element, name: str) -> Points:
    """The points of the path of that class, in pixels."""
    [path] = [each for each in root.iter(f"{SVG}path") if each.get("class") == name]
    return followed(path.get("d", ""))


def followed(data: str) -> Points:
    """Points of path data with moves (M), steps (l) and dots (h0)."""
    found: Points = []
    for command, numbers in re.findall(r"([Mlh])([^Mlh]*)", data):
        read = [float(each) for each in re.findall(r"-?[\d.]+", numbers)]
        for x, y in zip(read[::2], read[1::2], strict=False):
            found.append((x, y) if command == "M" else (found[-1][0] + x, found[-1][1] + y))
    return found


def texts(root: ElementTree.Element) -> list[ElementTree.Element]:
    return list(root.iter(f"{SVG}text"))


def amounts_at(root: ElementTree.Element, points: Points) -> list[float]:
    """Values of the points by the labels of the y axis."""
    labels = [(float(each.get("y", "")) - 4, number(each.text or "")) for each in texts(root) if each.get("text-anchor") == "end"
              and re.fullmatch(r"[\N{MINUS SIGN}\d,.e+-]+( %|tn|bn|M|k)?", each.text or "")]  # fmt: skip
    (y0, low), (y1, high) = max(labels), min(labels)
    return [low + (y0 - y) / (y0 - y1) * (high - low) for _, y in points]


def x_of(root: ElementTree.Element, label: str) -> float:
    [found] = [float(each.get("x", "")) for each in texts(root) if each.text == label]
    return found


def every_plot(words: str = "acme") -> dict[str, str]:
    rows = [
        {"horizon_days": days, "nominal_ratio": q, "observed_ratio": q**1.2}
        for days in (7, 30, 90)
        for q in (0.1, 0.5, 0.9)
    ]
    return {
        "fan": draw(account_id=words, unit_code=words, note=words),
        "curve": plots.curve(words, chances(), issue_date=ISSUED),
        "calibration": plots.calibration(rows, of=words),
    }


@pytest.mark.parametrize("words", ["acme", HOSTILE, "<b>&amp;</b>", "日本 é"])
def test_every_plot_is_small_well_formed_named_and_harmless(words: str) -> None:
    for kind, svg in every_plot(words).items():
        root = read(svg)
        assert len(svg.encode()) <= MOST, kind
        assert root.get("role") == "img"
        names = {each.get("id"): each for each in root.iter() if each.get("id")}
        assert names[root.get("aria-labelledby")].tag == f"{SVG}title"
        assert names[root.get("aria-describedby")].tag == f"{SVG}desc"
        title = names[root.get("aria-labelledby")].text or ""
        assert title.startswith(words[:20].replace("\x00", "\ufffd"))
        assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {
            "svg", "title", "desc", "style", "text", "tspan", "path"
        }  # fmt: skip
        attributes = {name for each in root.iter() for name in each.attrib}
        assert not {name for name in attributes if name.startswith("on") or "href" in name or name == "src"}
        assert "url(" not in svg
        assert "@import" not in svg


def test_two_plots_on_one_page_have_names_of_their_own() -> None:
    svgs = [*every_plot("one").values(), *every_plot("two").values()]
    names = [each.get("id") for svg in svgs for each in read(svg).iter() if each.get("id")]
    assert len(names) == 2 * len(svgs)
    assert len(set(names)) == len(names)


def test_inside_a_page_it_takes_the_pages_colour() -> None:
    for svg in every_plot().values():
        style = next(read(svg).iter(f"{SVG}style")).text or ""
        assert "prefers-color-scheme:dark" in style
        # A bare :root, or a class, would colour the surrounding page.
        assert re.sub(r"svg:root\{[^}]*\}|@media\([^)]*\)\{\s*|\}", "", style) == ""
        assert set(re.findall(r'(?:fill|stroke)="([^"]*)"', svg)) == {"currentColor", "none", drawing.ACCENT}


def test_the_fan_is_where_its_numbers_are() -> None:
    root = read(draw())

    median = pixels(root, "p50")
    assert amounts_at(root, median)[0] == pytest.approx(100, abs=0.5)
    assert median[-1][0] == max(x for x, _ in median)
    # The tick of a month later is thirty days ahead, when thirty have been spent.
    late = x_of(root, "6 Nov")
    [there] = [place for place, (x, _) in enumerate(median) if abs(x - late) < 0.2]
    assert amounts_at(root, median)[there] == pytest.approx(70, abs=0.5)
    for level, other in (("05", "95"), ("10", "90"), ("25", "75")):
        edge = pixels(root, f"p{level}")
        half = len(edge) // 2
        upper, lower = amounts_at(root, edge[:half]), amounts_at(root, edge[half:])[::-1]
        days = [0, *range(1, 15), *range(16, 91, 2)]
        assert len(upper) == len(days)
        rows = {row["horizon_days"]: row for row in ahead()}
        for day, high, low in list(zip(days, upper, lower, strict=True))[1:]:
            assert high == pytest.approx(100 - rows[day][f"p{level}_amount"], abs=0.6)
            assert low == pytest.approx(100 - rows[day][f"p{other}_amount"], abs=0.6)
    assert amounts_at(root, pixels(root, "threshold")) == pytest.approx([25, 25], abs=0.5)
    assert amounts_at(root, pixels(root, "zero")) == pytest.approx([0, 0], abs=0.5)
    assert [x for x, _ in pixels(root, "now")] == pytest.approx([x_of(root, "7 Oct")] * 2, abs=0.1)


def test_the_readings_are_the_newest_of_sixty_days_and_gaps_are_shown_as_such() -> None:
    rows = history(80)
    rows[40]["balance_amount"] = None
    rows.insert(0, {"observed_at_utc": MIDNIGHT + timedelta(hours=3), "balance_amount": 55.0})
    root = read(draw(history=rows))

    seen = amounts_at(root, pixels(root, "balance"))
    assert len(seen) == 60
    assert max(seen) == pytest.approx(160, abs=0.7)
    assert seen[-1] == pytest.approx(100, abs=0.5)
    gap = amounts_at(root, pixels(root, "gaps"))
    assert gap == pytest.approx([140, 138], abs=0.7)
    assert amounts_at(root, pixels(root, "read")) == pytest.approx([100], abs=0.5)


def test_no_threshold_no_line() -> None:
    assert "threshold" in draw()
    assert "threshold" not in draw(threshold_amount=None)


@pytest.mark.parametrize(
    "changes",
    [
        {"day_start_amount": Decimal("-40"), "history": history(level=-40.0), "threshold_amount": None},
        {"day_start_amount": Decimal(0), "history": history(level=0.0, step=0), "ahead": ahead(daily=0), "threshold_amount": None},
        {"ahead": ahead(daily=0)},
        {"ahead": ahead(daily=-3)},
        {"history": history(1)},
        {"history": []},
        {"ahead": ahead(1), "history": history(1)},
        {"day_start_amount": Decimal(10) ** 15, "history": history(level=1e15, step=1e12), "ahead": ahead(daily=1e13)},
        {"day_start_amount": Decimal(10) ** 29, "history": history(level=1e29), "ahead": ahead(daily=1e28)},
        {"day_start_amount": Decimal("0.000000009"), "history": history(level=9e-9, step=0), "ahead": ahead(daily=1e-9), "threshold_amount": None},
        {"day_start_amount": Decimal(5), "history": history(level=5.0), "ahead": ahead(daily=1e14)},
    ],
    ids=["negative", "nothing", "no spend", "refunds", "one day", "no reading", "one day each", "1e15", "1e29", "1e-9", "dry at once"],
)  # fmt: skip
def test_unusual_accounts_are_drawn_correctly_and_inside(changes: dict[str, Any]) -> None:
    svg = draw(**changes)
    root = read(svg)
    start = float(changes.get("day_start_amount", 100))

    assert len(svg.encode()) <= MOST
    assert not re.search(r"nan|inf", svg, re.IGNORECASE)
    ticks = [each for each in texts(root) if each.get("text-anchor") == "end"]
    assert 3 <= len({each.text for each in ticks}) == len(ticks) <= 12
    middle = amounts_at(root, pixels(root, "p50"))
    span = abs(amounts_at(root, [(0, 72)])[0] - amounts_at(root, [(0, 262)])[0])
    assert middle[0] == pytest.approx(start, abs=span / 150)
    known = list(changes.get("history", history()))
    if known:
        [newest] = amounts_at(root, pixels(root, "read"))[-1:]
        assert newest == pytest.approx(known[-1]["balance_amount"], abs=span / 150)
    for x, y in [*pixels(root, "read"), *pixels(root, "zero")] if known else pixels(root, "zero"):
        assert 0 < x < 640
        assert 72 <= y <= 262


def test_values_far_below_zero_do_not_flatten_the_plot() -> None:
    root = read(draw(ahead=ahead(daily=1000)))
    zero, start = pixels(root, "zero")[0][1], pixels(root, "p50")[0][1]
    assert zero - start > 60


def test_words_stay_inside_and_apart() -> None:
    for svg in (draw(account_id="m" * 63, unit_code="voxpria-credit", threshold_amount=Decimal("1234567.89")), draw()):
        root = read(svg)
        below = sorted(
            (float(each.get("x", "")), len(each.text or "") * 6.2) for each in texts(root) if each.get("y") == "278"
        )
        assert len(below) >= 5
        for (x, wide), (other, other_wide) in pairwise(below):
            assert x + wide / 2 + 4 < other - other_wide / 2
        assert below[-1][0] + below[-1][1] / 2 <= 640
        for each in texts(root):
            if each.get("text-anchor") == "end":
                assert float(each.get("x", "")) - 6.2 * len(each.text or "") >= 0
            elif each.text and each.get("text-anchor") is None:
                assert float(each.get("x", "")) + 6.2 * len(each.text) <= 640


def test_the_curve_rises_through_its_points_and_is_read_off_at_its_marks() -> None:
    root = read(plots.curve("acme", reversed(chances()), issue_date=ISSUED))

    dry = pixels(root, "dry")
    assert len(dry) == 90
    shares = [share / 100 for share in amounts_at(root, dry)]
    assert shares == pytest.approx([row["depleted_probability"] for row in chances()], abs=0.004)
    assert all(y1 <= y0 and x1 > x0 for (x0, y0), (x1, y1) in pairwise(dry))
    below = [share / 100 for share in amounts_at(root, pixels(root, "below"))]
    assert below == pytest.approx([row["below_threshold_probability"] for row in chances()], abs=0.004)
    marks = [followed(path.get("d", "")) for path in root.iter(f"{SVG}path") if path.get("class") == "mark"]
    assert [point for mark in marks for point in mark] == [
        pytest.approx(dry[6], abs=0.01),
        pytest.approx(dry[29], abs=0.01),
    ]
    words = [each.text for each in texts(root)]
    assert "7 days: 1.4 %" in words
    assert "30 days: 25 %" in words
    assert float(next(each.get("x", "") for each in texts(root) if each.text == "30")) == pytest.approx(
        dry[29][0], abs=0.1
    )


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0, "under 0.1 %"),
        (0.0004, "under 0.1 %"),
        (0.004, "0.4 %"),
        (0.5, "50 %"),
        (0.9997, "over 99.9 %"),
        (1.0, "over 99.9 %"),
    ],
)
def test_a_possibility_is_never_shown_as_certain(share: float, words: str) -> None:
    rows = [{"horizon_days": day, "depleted_probability": share} for day in range(1, 11)]
    root = read(plots.curve("acme", rows, issue_date=ISSUED))
    assert f"7 days: {words}" in [each.text for each in texts(root)]
    assert pixels(root, "dry")
    assert "30 days" not in ElementTree.tostring(root, encoding="unicode")
    assert "below" not in ElementTree.tostring(root, encoding="unicode")


def test_a_single_day_is_a_dot_and_not_nothing() -> None:
    root = read(plots.curve("acme", chances(1), issue_date=ISSUED))
    assert len(pixels(root, "only")) == 1
    assert "next 1 days" not in draw(ahead=ahead(1))


def test_calibration_has_a_line_for_each_horizon_on_equal_axes() -> None:
    rows = [
        {"horizon_days": days, "nominal_ratio": q, "observed_ratio": observed}
        for days, q, observed in ((7, 0.9, 0.8), (7, 0.1, 0.2), (30, 0.5, 0.65), (30, 0.9, None), (30, 0.25, 0.25))
    ]
    root = read(plots.calibration(rows, of="all accounts"))

    (x0, y0), (x1, y1) = pixels(root, "ideal")
    assert x1 - x0 == y0 - y1
    for name, expected in (("h7", [(0.1, 0.2), (0.9, 0.8)]), ("h30", [(0.25, 0.25), (0.5, 0.65)])):
        found = [((x - x0) / (x1 - x0), (y0 - y) / (y0 - y1)) for x, y in pixels(root, name)]
        assert [value for point in found for value in point] == pytest.approx(
            [value for point in expected for value in point], abs=0.002
        )
    assert {"7 days", "30 days"} <= {each.text for each in texts(root)}
    assert "50 % in 65 % of cases" in (next(root.iter(f"{SVG}desc")).text or "")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: draw(ahead=[]),
        lambda: draw(day_start_amount=float("nan")),
        lambda: draw(threshold_amount=Decimal("Infinity")),
        lambda: draw(day_start_amount=1e300),
        lambda: draw(ahead=[row | {"horizon_days": 0} for row in ahead(1)]),
        lambda: plots.curve("acme", [], issue_date=ISSUED),
        lambda: plots.curve("acme", [{"horizon_days": 1, "depleted_probability": 1.2}], issue_date=ISSUED),
        lambda: plots.curve("acme", [{"horizon_days": 1, "depleted_probability": float("nan")}], issue_date=ISSUED),
        lambda: plots.calibration([{"nominal_ratio": 0.5, "observed_ratio": None}], of="acme"),
        lambda: plots.calibration([{"horizon_days": d, "nominal_ratio": 0.5, "observed_ratio": 0.5} for d in range(1, 6)], of="acme"),
    ],
)  # fmt: skip
def test_numbers_that_cannot_be_drawn_are_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"draw|share|observed|one plot"):
        wrong()

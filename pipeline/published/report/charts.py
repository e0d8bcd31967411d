"""Charts of the report: spend by month with the forecast, and the bridge as a waterfall."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from pipeline.published.report.words import in_unit, money
from pipeline.support.svg import (
    ACCENT,
    NARROW,
    Frame,
    Item,
    axes,
    legend,
    number,
    short,
    svg_document,
    text,
    tick_label,
    ticks_between,
)
from pipeline.support.wording import count

Row = dict[str, Any]

STEPS: Final = (
    ("top_up_amount", "Top-ups"), ("refund_amount", "Refunds"), ("usage_amount", "Usage"),
    ("renewal_amount", "Renewals"), ("adjustment_amount", "Adjustments"), ("pending_amount", "Pending"),
    ("tax_amount", "Tax"), ("quota_reset_amount", "Quota resets"), ("unexplained_amount", "Unexplained"),
)  # fmt: skip
"""Components of the bridge between its two balances, in order."""

_LINE: Final = 18
"""Pixels from one line of the waterfall to the next."""


def months(account_id: str, unit_code: str, spent: Sequence[Row], ahead: Sequence[Row]) -> str:
    """Draw spend by month, and the expected totals of this month and the next.

    - `spent`: spend_month, spend_amount, is_complete, in order.
    - `ahead`: rows of outlook.sql: the total from the first of this month to its end and to that of the next.

    The next month is drawn as the difference of the two medians, without a range, because its quantiles are unknown.
    """
    expected = _expected(ahead)
    shown = [row for row in spent if not ahead or row["spend_month"] < expected[0][0]]
    names = [row["spend_month"] for row in shown] + [month for month, *_ in expected]
    tops = [number(row["spend_amount"]) for row in shown]
    reached = [0.0, *tops, *(number(each) for _, *amounts in expected for each in amounts if each is not None)]
    low, high = min(reached), max(reached)
    ticks, (low, high) = ticks_between(low, high if high > low else low + 1.0)
    labels = [tick_label(tick, ticks) for tick in ticks]
    items: list[Item] = [(0.85, "spent"), (0.45, "not whole"), *([(0.25, "expected (median)")] if expected else [])]
    keys, extra = legend(items, NARROW)
    frame = Frame(
        x=(0.0, float(len(names))),
        y=(low, high),
        left=14 + 6.6 * max(map(len, labels)),
        right=NARROW - 16,
        top=72 + extra,
        bottom=222 + extra,
    )
    bars = [
        _bar(frame, place, 0.0, top, 0.85 if row["is_complete"] else 0.45)
        for place, (row, top) in enumerate(zip(shown, tops, strict=True))
    ]
    for place, (_, spent_amount, middle, least, most) in enumerate(expected, len(shown)):
        done = number(spent_amount or 0)
        bars.append(_bar(frame, place, 0.0, done, 0.85) if done else "")
        bars.append(_bar(frame, place, done, number(middle), 0.25, is_edged=True))
        if least is not None:
            bars.append(_whisker(frame, place, number(least), number(most)))
    each = max(1, -(-len(names) // 6))
    last = len(names) - 1
    along = [(place + 0.5, f"{names[place]:%b}") for place in range(last, -1, -each)][::-1]
    description = f"{count(len(shown), 'month')} of spend"
    if shown:
        description += (
            f"; the newest, {shown[-1]['spend_month']:%B %Y}: {in_unit(shown[-1]['spend_amount'], unit_code)}"
        )
    if expected:
        first, _, middle, least, most = expected[0]
        description += f". Expected total of {first:%B %Y}: {in_unit(middle, unit_code)}, 80 %: {money(least)} to "
        description += f"{money(most)}"
    return svg_document(
        "months",
        title=f"{account_id}: spend by month, {unit_code}",
        heading=(account_id, "spend by month"),
        description=f"{description}.",
        body=axes(frame, list(zip(ticks, labels, strict=True)), along, zero=True)
        + "".join(bars)
        + keys
        + text(8, frame.top - 10, unit_code),
        size=(NARROW, round(frame.bottom) + 26),
    )


def _expected(ahead: Sequence[Row]) -> list[tuple[date, Decimal | None, Decimal, Decimal | None, Decimal | None]]:
    """Month, amount spent so far, its median, and its 80 % range if known."""
    found: list[tuple[date, Decimal | None, Decimal, Decimal | None, Decimal | None]] = []
    for place, row in enumerate(ahead):
        month = row["forecast_date"].replace(day=1)
        if place:
            found.append((month, None, row["p50_amount"] - ahead[0]["p50_amount"], None, None))
        else:
            found.append((month, row["spent_amount"], row["p50_amount"], row["p10_amount"], row["p90_amount"]))
    return found


def _bar(frame: Frame, place: int, bottom: float, top: float, opacity: float, *, is_edged: bool = False) -> str:
    (left, one), (right, other) = frame.tenths((place + 0.15, bottom)), frame.tenths((place + 0.85, top))
    edge = f' stroke="{ACCENT}" stroke-dasharray="2 2"' if is_edged else ""
    upper, high = min(one, other), max(abs(one - other), 5)
    return (
        f'<path class="bar" d="M{short(left / 10)} {short(upper / 10)}h{short((right - left) / 10)}'
        f'v{short(high / 10)}h{short((left - right) / 10)}Z" fill="{ACCENT}" fill-opacity="{opacity:g}"{edge}/>'
    )


def _whisker(frame: Frame, place: int, least: float, most: float) -> str:
    (middle, low), (_, high) = frame.tenths((place + 0.5, least)), frame.tenths((place + 0.5, most))
    ends = "".join(f"M{short(middle / 10 - 3)} {short(end / 10)}h6" for end in (low, high))
    data = f"M{short(middle / 10)} {short(low / 10)}V{short(high / 10)}{ends}"
    return f'<path class="range" d="{data}" fill="none" stroke="currentColor"/>'


def waterfall(account_id: str, bridge: Row) -> str:
    """Draw a row for each component from the opening to the closing balance, except zeros that are not unexplained.

    `bridge`: the columns of core.balance_bridge, added up over consecutive intervals.
    """
    unit = bridge["unit_code"]
    lines: list[tuple[str, Decimal, Decimal, Decimal, str]] = []
    level = bridge["opening_amount"]
    lines.append(("Opening", Decimal(0), level, level, "balance"))
    for column, name in STEPS:
        step = bridge[column]
        if step or column == "unexplained_amount":
            kind = "unexplained" if column == "unexplained_amount" else ("in" if step > 0 else "out")
            lines.append((name, level, level + step, step, kind))
            level += step
    lines.append(("Closing", Decimal(0), bridge["closing_amount"], bridge["closing_amount"], "balance"))
    ends = [number(end) for _, start, stop, *_ in lines for end in (start, stop)]
    low, high = min(ends), max(ends)
    words = [money(amount) if kind == "balance" else _signed(amount) for *_, amount, kind in lines]
    frame = Frame(
        # Rotated: amounts run from left to right.
        x=(low, high if high > low else low + 1.0),
        y=(0.0, 1.0),
        left=82,
        right=NARROW - 20 - 6.6 * max(map(len, words)),
        top=34,
        bottom=34 + _LINE * len(lines),
    )
    body = []
    for place, ((name, start, stop, _, kind), said) in enumerate(zip(lines, words, strict=True)):
        y = 34 + _LINE * place
        (one, _), (other, _) = frame.tenths((number(start), 0)), frame.tenths((number(stop), 0))
        left, wide = min(one, other) / 10, max(abs(one - other) / 10, 1)
        body.append(text(76, y + 12, name, "end", bold=kind == "balance"))
        body.append(
            f'<path class="{kind}" d="M{short(left)} {y + 2}h{short(wide)}v13h-{short(wide)}Z" {_FILLS[kind]}/>'
        )
        body.append(text(NARROW - 8, y + 12, said, "end", bold=kind == "balance"))
    zero = frame.tenths((0.0, 0))[0] / 10
    body.append(f'<path d="M{short(zero)} 34V{frame.bottom:g}" stroke="currentColor" stroke-opacity="0.5"/>')
    first, last = bridge["opened_at_utc"], bridge["closed_at_utc"]
    description = ", ".join(f"{name.lower()} {said}" for (name, *_), said in zip(lines, words, strict=True))
    return svg_document(
        "bridge",
        title=f"{account_id}: where the money went, {first:%Y-%m-%d} to {last:%Y-%m-%d}, {unit}",
        heading=(account_id, f"bridge of {count(max((last - first) // timedelta(days=1), 1), 'day')}, {unit}"),
        description=f"{description[:1].upper()}{description[1:]}.",
        body="".join(body),
        size=(NARROW, round(frame.bottom) + 8),
    )


_FILLS: Final = {
    "balance": 'fill="currentColor" fill-opacity="0.55"',
    "in": f'fill="{ACCENT}"',
    "out": f'fill="{ACCENT}" fill-opacity="0.4"',
    "unexplained": 'fill="none" stroke="currentColor" stroke-dasharray="2 2"',
}


def _signed(amount: Decimal) -> str:
    return f"+{money(amount)}" if amount > 0 else money(amount)

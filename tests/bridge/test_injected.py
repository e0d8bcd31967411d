"""A ledger and a usage listing with deliberate errors: the bridge's unexplained amounts are exactly those errors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.staging.landed import Workshop

START = datetime(2026, 3, 1, 6, tzinfo=UTC)
DAYS = 20

# Movement of the balance at noon, by day. Every third day is quiet.
_MOVES = {day: Decimal(-(3 + day)) for day in range(DAYS) if day % 3} | {6: Decimal("250.00")}
_MISSING, _DOUBLED, _LATE, _DIFFERENT, _UNTAXED = 4, 7, 10, 13, 16
_KNOWN_FROM = {_LATE: 5}
"""Days after which an entry appears in the listing."""


def _row(number: int, at: datetime, amount: Decimal, **more: Any) -> dict[str, Any]:
    kind = "deposit" if amount > 0 else "renewal"
    return {"id": number, "type": kind, "amount": str(amount), "created_at": at.isoformat(), "status": "paid"} | more


def _listing(today: int) -> list[dict[str, Any]]:
    """The vendor's ledger on a day, with all of its errors."""
    rows = []
    for day, amount in _MOVES.items():
        at = START + timedelta(days=day, hours=6)
        if day == _MISSING or day + _KNOWN_FROM.get(day, 0) >= today:
            continue
        if day == _DIFFERENT:
            amount += Decimal("0.75")
        if day == _UNTAXED:
            # Booked without the tax by which the balance moved.
            rows.append(_row(day, at, Decimal("-15.83"), amount_with_vat=str(amount)))
            continue
        rows.append(_row(day, at, amount))
        if day == _DOUBLED:
            rows.append(_row(900, at, amount))
    return rows


def _poll(workshop: Workshop, day: int) -> None:
    at = START + timedelta(days=day)
    moved = sum((amount for each, amount in _MOVES.items() if each < day), Decimal(0))
    run_id = f"run-{day:02d}"
    body = {"balance": str(Decimal(500) + moved), "currency": "EUR"}
    workshop.landing.answer("vpsbg", "balance", body, at=at, run_id=run_id)
    page = {"data": _listing(day), "links": {"next": None}, "meta": {}}
    workshop.landing.answer("vpsbg", "transactions", page, at=at, run_id=run_id)


def _unexplained(workshop: Workshop) -> dict[int, tuple[Decimal, str]]:
    """Unexplained amount and class, by the day on which money moved."""
    rows = workshop.rows(
        "SELECT opened_at_utc, unexplained_amount, unexplained_class FROM core.balance_bridge "
        "WHERE unexplained_class IS NOT NULL"
    )
    return {(opened - START).days: (amount, name) for opened, amount, name in rows}


def test_an_error_in_a_ledger_is_classified_to_the_digit(workshop: Workshop) -> None:
    workshop.landing.run({"main": {"vendor": "vpsbg"}}, at=START)
    wrong: dict[int, dict[int, tuple[Decimal, str]]] = {}
    for day in range(DAYS):
        _poll(workshop, day)
        workshop.load()
        workshop.recompute("core")
        wrong[day] = _unexplained(workshop)
    lasting = {
        _MISSING: (_MOVES[_MISSING], "missing_entry"),
        _DOUBLED: (-_MOVES[_DOUBLED], "duplicate_entry"),
        _DIFFERENT: (Decimal("-0.75"), "amount_mismatch"),
        _UNTAXED: (_MOVES[_UNTAXED] + Decimal("15.83"), "tax"),
    }
    for day, found in wrong.items():
        wanted = {each: stated for each, stated in lasting.items() if each < day}
        if _LATE < day <= _LATE + _KNOWN_FROM[_LATE]:
            wanted[_LATE] = (_MOVES[_LATE], "missing_entry")
        assert found == wanted, day
    [(history,)] = workshop.rows("SELECT history_class FROM core.balance_bridge WHERE entry_ids = '10'")
    assert history == "late_entry"
    assert workshop.rows("SELECT count(*) FROM core.balance_bridge WHERE history_class = 'late_entry'") == [(1,)]


def test_a_restated_day_of_usage_is_classified_to_the_digit(workshop: Workshop) -> None:
    workshop.landing.run({"main": {"vendor": "voxpria"}}, at=START)
    used = [Decimal(10 + day % 4) for day in range(8)]
    for day in range(8):
        for hour in (0, 8, 17):
            at = START + timedelta(days=day, hours=hour - 6)
            share = Decimal(hour) / 24
            balance = Decimal(1000) - sum(used[:day], Decimal(0)) - (used[day] * share).quantize(Decimal("0.01"))
            # From the sixth day on the vendor states more for the third; the balance never followed.
            stated = [amount + (Decimal("2.5") if day >= 5 and each == 2 else 0) for each, amount in enumerate(used)]
            rows = [
                {"date": str((START + timedelta(days=each)).date()), "calls": 1, "creditsUsed": str(stated[each])}
                for each in range(max(day - 3, 0), day)
            ]
            partial = (used[day] * share).quantize(Decimal("0.01"))
            rows.append({"date": str(at.date()), "calls": 1, "creditsUsed": str(partial)})
            run_id = f"run-{day}-{hour}"
            body = {"success": True, "data": {"balance": str(balance), "currency": "credits"}}
            workshop.landing.answer("voxpria", "credits", body, at=at, run_id=run_id)
            usage = {"success": True, "data": {"usage": rows, "total": None}}
            span = ((START + timedelta(days=max(day - 3, 0))).date(), at.date())
            workshop.landing.answer("voxpria", "usage", usage, at=at, run_id=run_id, days=span)
        workshop.load()
        workshop.recompute("core")
        wrong = workshop.rows(
            "SELECT closed_at_utc, unexplained_amount, unexplained_class, history_class FROM core.balance_bridge "
            "WHERE unexplained_amount <> 0"
        )
        midnight = datetime(2026, 3, 4, tzinfo=UTC)
        assert wrong == ([] if day < 5 else [(midnight, Decimal("2.5"), "restated", "restated")]), day

"""The table of anomalies, from issued forecasts and spend in the warehouse."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import dagster as dg
import pytest

from pipeline.forecasts.anomaly_table import rebuild_anomalies
from pipeline.models.asset_checks import warnings
from pipeline.models.checks import warned
from pipeline.schema.tables import ALL
from tests.sql.rows import insert
from tests.staging.landed import Workshop

TODAY = date(2026, 3, 18)
FIRST = date(2026, 3, 1)
"""The first day with an issue."""
USUAL = dict(zip(("05", "10", "25", "50", "75", "90", "95"), (6, 7, 8, 10, 12, 13, 14), strict=True))


def _issue(workshop: Workshop, day: date, *, horizons: int = 3, times: int = 1, **more: str) -> None:
    rows = [
        {
            "issue_date": str(day),
            "horizon_days": str(ahead),
            "forecast_date": str(day + timedelta(days=ahead - 1)),
            **{f"p{level}_amount": str(amount * times) for level, amount in USUAL.items()},
            **more,
        }
        for ahead in range(1, horizons + 1)
    ]
    insert(workshop.connection, "forecasts.cost_daily", rows)


def _spend(workshop: Workshop, amounts: dict[date, str], **more: str) -> None:
    """Eight usual weeks before the first issue, with ten on every day since then that is not given."""
    days = [FIRST + timedelta(days=day) for day in range(-56, (TODAY - FIRST).days)]
    usual = ("10", "11", "9", "12", "8", "10", "10")
    insert(
        workshop.connection,
        "core.spend_daily",
        [
            {"spend_date": str(day), "spend_amount": amounts.get(day, usual[place % 7]), **more}
            for place, day in enumerate(days)
            if amounts.get(day) != ""
        ],
    )


def _issue_each_day(workshop: Workshop, *, but: tuple[date, ...] = (), **more: Any) -> None:
    for number in range((TODAY - FIRST).days + 1):
        day = FIRST + timedelta(days=number)
        if day not in but:
            _issue(workshop, day, **more)


def _found(workshop: Workshop, columns: str = "first_date, last_date, anomaly_kind") -> list[tuple[Any, ...]]:
    with workshop.warehouse.transaction() as connection:
        rebuild_anomalies(connection)
    return workshop.rows(f"SELECT {columns} FROM forecasts.anomalies ORDER BY account_id, first_date")


def test_a_day_far_outside_its_forecast_is_a_row_with_its_unit_and_the_forecasts_are_as_they_were(
    workshop: Workshop,
) -> None:
    _issue_each_day(workshop)
    _spend(workshop, {date(2026, 3, 10): "1234.567890123"})
    before = workshop.rows("SELECT * FROM forecasts.cost_daily ORDER BY ALL")

    assert _found(workshop, "* EXCLUDE (tail_probability, reason)") == [
        (
            "main",
            date(2026, 3, 10),
            date(2026, 3, 10),
            "spike",
            Decimal("1234.567890123"),
            Decimal(10),
            Decimal(6),
            Decimal(14),
            "EUR",
        )
    ]
    [(probability, reason)] = workshop.rows("SELECT tail_probability, reason FROM forecasts.anomalies")
    assert 0 < probability < 0.001
    assert reason == (
        "1,234.57 EUR was spent on 2026-03-10, where 10.00 EUR was expected (6.00 to 14.00): one chance in 500,000. The "
        "next day was no longer above the range."
    )
    assert workshop.rows("SELECT * FROM forecasts.cost_daily ORDER BY ALL") == before
    assert _found(workshop, "*") == workshop.rows("SELECT * FROM forecasts.anomalies ORDER BY account_id, first_date")


def test_nothing_issued_or_nothing_unusual_is_no_row(workshop: Workshop) -> None:
    assert _found(workshop) == []
    _spend(workshop, {date(2026, 2, 10): "9999"})
    assert _found(workshop) == []
    _issue_each_day(workshop)
    assert _found(workshop) == []


def test_a_day_without_an_issue_is_compared_with_the_nearest_earlier_one(workshop: Workshop) -> None:
    day = date(2026, 3, 10)
    _issue_each_day(workshop, but=(day, day - timedelta(days=1)), horizons=5)
    _spend(workshop, {day: "1000"})
    # The issue of two days before has it as its third day; for earlier issues it is a later day.
    workshop.connection.execute(
        "UPDATE forecasts.cost_daily SET p50_amount = 11 WHERE issue_date = DATE '2026-03-08' AND horizon_days = 3"
    )
    assert _found(workshop, "first_date, expected_amount") == [(day, Decimal(11))]


def test_an_issue_of_the_same_day_counts_before_earlier_ones(workshop: Workshop) -> None:
    day = date(2026, 3, 10)
    _issue_each_day(workshop, but=(day,))
    _issue(workshop, day, times=100)
    _spend(workshop, {day: "1000"})
    assert _found(workshop) == []


def test_days_that_are_not_over_or_not_observed_are_not_judged(workshop: Workshop) -> None:
    day = date(2026, 3, 10)
    _issue_each_day(workshop)
    _spend(workshop, {day: "1000", date(2026, 3, 12): ""})
    workshop.connection.execute("UPDATE core.spend_daily SET is_complete = false WHERE spend_date = DATE '2026-03-10'")
    assert _found(workshop) == []


def test_days_in_another_unit_are_not_compared(workshop: Workshop) -> None:
    _issue_each_day(workshop)
    _spend(workshop, {date(2026, 3, 10): "1000"}, unit_code="USD")
    assert _found(workshop) == []


@pytest.mark.parametrize(("first", "kind"), [("-1000", "spike"), ("-10", "restatement")])
def test_a_ledger_entry_that_was_changed_makes_it_a_restatement(workshop: Workshop, first: str, kind: str) -> None:
    day = date(2026, 3, 10)
    _issue_each_day(workshop)
    _spend(workshop, {day: "1000"})
    insert(
        workshop.connection,
        "core.ledger_entries",
        [
            {
                "entry_id": "e",
                "effective_at_utc": f"{day}T08:00:00Z",
                "entry_amount": "-1000",
                "first_entry_amount": first,
            }
        ],
    )
    assert _found(workshop) == [(day, day, kind)]


@pytest.mark.parametrize(
    ("basis", "is_partial", "kind"),
    [("usage", "false", "restatement"), ("usage", "true", "spike"), ("ledger", "false", "spike")],
)
def test_usage_that_was_stated_otherwise_once_the_day_was_over_makes_it_a_restatement(
    workshop: Workshop, basis: str, is_partial: str, kind: str
) -> None:
    day = date(2026, 3, 10)
    _issue_each_day(workshop)
    _spend(workshop, {day: "1000"}, basis=basis)
    insert(
        workshop.connection,
        "staging.usage_statements",
        [
            {
                "usage_date": str(day),
                "observed_at_utc": "2026-03-11T00:30:00Z",
                "credits_amount": "10",
                "is_partial": is_partial,
            },
            {"usage_date": str(day), "observed_at_utc": "2026-03-12T00:30:00Z", "credits_amount": "1000"},
        ],
    )
    assert _found(workshop) == [(day, day, kind)]


@pytest.mark.parametrize(("day", "is_recent"), [(date(2026, 3, 11), True), (date(2026, 3, 10), False)])
def test_an_anomaly_of_the_last_seven_days_is_warned_of_by_name(
    workshop: Workshop, day: date, *, is_recent: bool
) -> None:
    insert(workshop.connection, "staging.build", [{"as_of_utc": f"{TODAY}T12:00:00Z"}])
    _issue_each_day(workshop)
    _spend(workshop, {day: "1000"})
    assert len(_found(workshop)) == 1
    [check] = warnings(ALL["forecasts.anomalies"], warned(workshop.connection, ALL["forecasts.anomalies"]))
    assert (check.passed, check.severity) == (not is_recent, dg.AssetCheckSeverity.WARN)
    assert ("main: spike: 1,000.00 EUR was spent" in (check.description or "")) == is_recent
    assert check.metadata["accounts"].value == (["main"] if is_recent else [])


def test_a_change_of_unit_is_an_anomaly_that_names_both_units_and_the_instant(workshop: Workshop) -> None:
    insert(
        workshop.connection,
        "core.account_units",
        [
            {"from_at_utc": "1970-01-01T00:00:00Z", "to_at_utc": "2026-03-12T06:00:00Z", "unit_code": "BGN"},
            {"from_at_utc": "2026-03-12T06:00:00Z", "unit_code": "EUR"},
        ],
    )
    [(first, kind, unit, actual, reason)] = _found(
        workshop, "first_date, anomaly_kind, unit_code, actual_amount, reason"
    )
    assert (first, kind, unit, actual) == (date(2026, 3, 12), "unit_changed", "EUR", None)
    assert reason == (
        "Until 2026-03-12 06:00 UTC the balance was in BGN, since then it is in EUR. Amounts of different units are "
        "never added: burn and forecasts start with the change."
    )


def test_two_changes_of_unit_on_one_day_are_one_anomaly_in_the_last_unit(workshop: Workshop) -> None:
    insert(
        workshop.connection,
        "core.account_units",
        [
            {"from_at_utc": "1970-01-01T00:00:00Z", "unit_code": "BGN"},
            {"from_at_utc": "2026-03-12T18:00:00Z", "unit_code": "USD"},
            {"from_at_utc": "2026-03-12T06:00:00Z", "unit_code": "EUR"},
        ],
    )
    [(first, last, unit, reason)] = _found(workshop, "first_date, last_date, unit_code, reason")
    assert (first, last, unit) == (date(2026, 3, 12), date(2026, 3, 12), "USD")
    assert reason.startswith(
        "Until 2026-03-12 06:00 UTC the balance was in BGN, since then it is in EUR. "
        "Until 2026-03-12 18:00 UTC the balance was in EUR, since then it is in USD. "
    )


def test_a_ledger_that_is_signed_otherwise_is_an_anomaly_of_the_day_that_proves_it(workshop: Workshop) -> None:
    connection = workshop.connection
    insert(connection, "core.accounts", [{}])
    insert(
        connection,
        "core.ledger_periods",
        [
            {"from_date": "1970-01-01", "to_date": "2026-02-28", "sign_convention": "signed",
             "assumed_convention": "signed"},
            {"from_date": "2026-03-01", "sign_convention": "by_kind", "assumed_convention": "signed"},
        ],
    )  # fmt: skip
    insert(
        connection,
        "core.ledger_evidence",
        [
            {"evidence_month": "2026-03-01", "reconciled_by": words, "interval_count": "2", "first_closed_at_utc": at}
            for words, at in (
                ("signed by_kind ", "2026-03-02T12:00:00Z"),
                ("by_kind ", "2026-03-05T12:00:00Z"),
            )
        ],
    )
    [(first, kind, reason)] = _found(workshop, "first_date, anomaly_kind, reason")
    assert (first, kind) == (date(2026, 3, 5), "convention_changed")
    assert reason == (
        "Until 2026-02-28 the amounts of the ledger were read as signed (stated), since 2026-03-01 as by_kind (stated), "
        "because of the balances or the kinds of the entries. Earlier months stay as they were."
    )


_PROOF = (
    "The balances prove that the amounts of the ledger are by_kind (stated). Until then they were read as inverted "
    "(stated), without proof. All earlier months follow the proof."
)


@pytest.mark.parametrize(("assumed", "found"), [("inverted", [("convention_changed", _PROOF)]), ("signed", [])])
def test_a_first_proof_against_what_was_assumed_is_an_anomaly(
    workshop: Workshop, assumed: str, found: list[tuple[str, str]]
) -> None:
    connection = workshop.connection
    insert(connection, "core.accounts", [{}])
    insert(connection, "staging.ledger_entries", [{"entry_id": "a", "stated_amount": "-5"}])
    insert(
        connection,
        "core.ledger_periods",
        [{"from_date": "1970-01-01", "sign_convention": "by_kind", "assumed_convention": assumed,
          "proven_month": "2026-03-01"}],
    )  # fmt: skip
    assert _found(workshop, "anomaly_kind, reason") == found

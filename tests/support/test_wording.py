"""Numbers are written for people in one way."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from pipeline.support.wording import (
    amount,
    chance,
    count,
    duration,
    exact_amount,
    exact_amounts,
    exact_percent,
    instant,
    odds,
    percent,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1234.565"), "1,234.57"),
        (Decimal("-1234.565"), "-1,234.57"),
        (Decimal("-4.2"), "-4.20"),
        (Decimal(0), "0.00"),
        (Decimal("-0.00"), "0.00"),
        (Decimal("0.004"), "0.004"),
        (Decimal("-0.000000001"), "-0.000000001"),
        (1e-7, "1e-07"),
        (-0.0, "0.00"),
    ],
)
def test_an_amount_is_rounded_and_never_looks_like_zero_when_it_is_not(value: Decimal | float, text: str) -> None:
    assert amount(value) == text
    assert amount(value, "EUR") == f"{text} EUR"


def test_exact_amounts_keep_every_digit_and_align_their_points() -> None:
    assert exact_amounts([Decimal("1000"), Decimal("0.125"), Decimal("-2.5")]) == ["1,000.000", "0.125", "-2.500"]
    assert exact_amount(Decimal("3.000000001"), "EUR") == "3.000000001 EUR"
    assert exact_amount(Decimal(7)) == "7.00"


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (0.0004, "under 0.1 %"),
        (0.0136, "1.4 %"),
        (0.0996, "10 %"),
        (0.424, "42 %"),
        (0.953, "95.3 %"),
        (0.9996, "over 99.9 %"),
        (1.0, "100 %"),
    ],
)
def test_a_share_is_as_precise_as_its_sample_and_certain_only_at_its_ends(share: float, text: str) -> None:
    assert percent(share) == text


def test_a_chance_is_never_certain_and_a_setting_is_exact() -> None:
    assert [chance(each) for each in (0.0, 0.5, 1.0)] == ["under 0.1 %", "50 %", "over 99.9 %"]
    assert [exact_percent(each) for each in (Decimal("0.196"), 0.05)] == ["19.6 %", "5 %"]


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.5, "one chance in 2"),
        (0.01, "one chance in 100"),
        (1 / 1234, "one chance in 1,200"),
        (2e-6, "one chance in 500,000"),
        (1e-6, "less than one chance in 1,000,000"),
        (0.0, "less than one chance in 1,000,000"),
    ],
)
def test_odds_have_two_digits_and_end_at_the_least(probability: float, text: str) -> None:
    assert odds(probability, 1e-6) == text


def test_counts_durations_and_instants() -> None:
    assert [count(each, "day") for each in (0, 1, 2000)] == ["0 days", "1 day", "2,000 days"]
    assert [duration(each) for each in (-9, 1, 119, 120, 86400)] == [
        "0 seconds", "1 second", "119 seconds", "2 minutes", "1 day"
    ]  # fmt: skip
    assert instant(datetime(2026, 3, 18, 14, 37, tzinfo=timezone(timedelta(hours=1)))) == "2026-03-18 13:37 UTC"
    assert instant(datetime(2026, 3, 18, 13, 37, 59, tzinfo=UTC)) == "2026-03-18 13:37 UTC"

"""Forecasts of accounts: each independent of the others' data."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.forecasts import account_forecasts
from pipeline.forecasts.account_forecasts import forecast_accounts
from pipeline.forecasts.forecast_inputs import Inputs
from pipeline.forecasts.issues import current_runway
from pipeline.vendors import discover

TODAY = date(2026, 3, 18)
_MONEY = pl.Decimal(27, 9)


def _inputs(*accounts: str, is_auto: bool = False, resets_at: datetime | None = None) -> Inputs:
    """Accounts that spend 10 a day and have 100 left."""
    days = [TODAY - timedelta(days=back) for back in range(60, 0, -1)]
    spend = pl.DataFrame(
        [
            {"account_id": name, "date": day, "spend_amount": 10.0, "vendor": "vpsbg"}
            for name in accounts
            for day in days
        ]
    )
    balances = pl.DataFrame(
        [
            {
                "account_id": name, "balance_amount": Decimal(100), "unit_code": "EUR", "threshold_amount": None,
                "unconfirmed_amount": None, "observed_at_utc": datetime(2026, 3, 18, 6, tzinfo=UTC),
                "observed_date": TODAY, "spent_amount": Decimal(0), "topup_lead_days": None,
                "topup_minimum_amount": None, "tax_rate": None, "is_auto": is_auto, "price_amount": None,
                "price_unit_code": None, "vendor": "vpsbg",
                "auto_threshold_amount": Decimal(20) if is_auto else None,
                "auto_topup_amount": Decimal(500) if is_auto else None,
                "resets_at_utc": resets_at, "quota_amount": Decimal(100) if resets_at else None,
                "last_reset_at_utc": None,
            }
            for name in accounts
        ],
        schema_overrides={
            **dict.fromkeys(
                ("balance_amount", "threshold_amount", "unconfirmed_amount", "spent_amount", "topup_minimum_amount",
                 "auto_threshold_amount", "auto_topup_amount", "quota_amount"), _MONEY
            ),
            **dict.fromkeys(("resets_at_utc", "last_reset_at_utc"), pl.Datetime("us", "UTC")),
            "tax_rate": pl.Decimal(18, 9), "topup_lead_days": pl.Float64,
        },
    )  # fmt: skip
    nothing = {"account_id": pl.String}
    return Inputs(
        as_of=TODAY - timedelta(days=1),
        spend=spend,
        balances=balances,
        known_charges=pl.DataFrame(schema={**nothing, "date": pl.Date, "charge_amount": pl.Float64}),
        priors=pl.DataFrame(schema={**nothing, "mean_daily_amount": pl.Float64}),
    )


def test_an_account_that_cannot_be_forecast_costs_no_other_its_forecast(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = _inputs("a", "b", "c")
    whole = forecast_accounts(inputs)
    topups = account_forecasts._topups

    def spoilt(paths: account_forecasts.Paths, fact: dict[str, object], observed: date) -> account_forecasts._TopUps:
        if paths.account_id == "b":
            raise ArithmeticError("a fault of this account's own")
        return topups(paths, fact, observed)

    monkeypatch.setattr(account_forecasts, "_topups", spoilt)
    failures: list[tuple[str, str]] = []
    rest = forecast_accounts(inputs, on_failure=lambda name, problem: failures.append((name, str(problem))))
    assert failures == [("b", "a fault of this account's own")]
    assert_frame_equal(rest, whole.filter(pl.col("account_id") != "b"))


def test_automatic_top_ups_keep_the_runway_without_them() -> None:
    with_them, without = forecast_accounts(_inputs("a", is_auto=True)), forecast_accounts(_inputs("a"))
    assert set(with_them["auto_topup_model"]) == {"modelled"}
    assert with_them["depleted_probability"].max() == 0.0
    assert with_them["depleted_without_topups_probability"].to_list() == without["depleted_probability"].to_list()
    assert without["depleted_probability"].max() == 1.0


def test_the_advice_is_worded_for_the_day_of_the_run_and_knows_the_price() -> None:
    inputs = _inputs("a")
    last: date = forecast_accounts(inputs).item(0, "order_by_date")
    assert TODAY < last < TODAY + timedelta(days=10)

    def advice(run: date, **more: object) -> str:
        balances = inputs.balances.with_columns(
            *(pl.lit(value).alias(name) for name, value in more.items()),
        )
        found = forecast_accounts(replace(inputs, as_of=run - timedelta(days=1), balances=balances))
        assert found["order_by_date"].unique().to_list() == [last]
        words: str = found.item(0, "topup_advice")
        return words

    assert advice(TODAY).split(":")[0].endswith(f" by {last.day} March")
    assert advice(last).split(":")[0].endswith(f" today, {last.day} March, the last day to order in time")
    assert f" now: the last day to order in time was {last.day} March, " in advice(last + timedelta(days=2))
    credits = {"unit_code": "voxpria-credit", "price_amount": Decimal("0.5"), "price_unit_code": "USD"}
    assert re.match(r"Order [\d,]+ voxpria-credit \([\d,.]+ USD\) by ", advice(TODAY, **credits))


def test_a_quota_only_has_to_last_until_its_reset_and_is_advised_no_top_up() -> None:
    # 100 left and 10 a day: enough until the 27th, and a month of a size of 100 is not.
    early, late = (forecast_accounts(_inputs("a", resets_at=datetime(2026, 3, day, tzinfo=UTC))) for day in (25, 30))
    plain = forecast_accounts(_inputs("a"))
    for found in (early, late):
        assert found["topup_advice"].null_count() == found.height
        assert set(found["auto_topup_model"]) == {"off"}
    assert early["depleted_before_reset_probability"].max() == 0.0
    assert early["depleted_probability"].to_list()[:7] == [0.0] * 7
    assert early["depleted_probability"].max() == 1.0
    assert late["depleted_before_reset_probability"].to_list()[:12] == plain["depleted_probability"].to_list()[:12]
    assert late["depleted_before_reset_probability"].max() == plain["depleted_probability"].to_list()[11] > 0.9
    assert plain["depleted_before_reset_probability"].null_count() == plain.height
    # Spend itself does not depend on it.
    spend = [name for name in plain.columns if name.startswith(("daily_", "total_"))]
    assert_frame_equal(early.select(spend), plain.select(spend))

    with duckdb.connect() as connection:
        connection.register("early", early)
        connection.register("late", late)
        dates = "SELECT runway_p10_date, runway_p50_date, depleted_before_reset_probability FROM ({})"
        assert connection.execute(dates.format(current_runway("early"))).fetchall() == [(None, None, 0.0)]
        connection.register("plain", plain)
        # Before the reset its dates are those of any balance.
        [(*late_dates, probability)] = connection.execute(dates.format(current_runway("late"))).fetchall()
        [(*plain_dates, _)] = connection.execute(dates.format(current_runway("plain"))).fetchall()
        assert late_dates == plain_dates
        assert max(plain_dates) < date(2026, 3, 30)
        assert probability > 0.9


def test_a_vendor_that_sells_additions_has_its_quota_topped_up_until_the_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    selling = {"vpsbg": replace(discover()["vpsbg"], sells_quota_additions=True)}
    monkeypatch.setattr(account_forecasts, "discover", lambda: selling)
    late = forecast_accounts(_inputs("a", resets_at=datetime(2026, 3, 31, tzinfo=UTC)))
    # The last day before the reset is the 30th: thirteen days of 10 or somewhat more, of which 100 are there.
    assert late.item(0, "cover_until_date") == date(2026, 3, 30)
    assert 30 <= late.item(0, "topup_amount") < 60
    assert "the last day before the reset" in late.item(0, "topup_advice")
    # An order of today would arrive after it.
    soon = forecast_accounts(_inputs("a", resets_at=datetime(2026, 3, 20, tzinfo=UTC)))
    assert soon["topup_advice"].null_count() == soon.height

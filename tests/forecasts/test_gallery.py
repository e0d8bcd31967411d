"""Plots that Dagster keeps with each run."""

from __future__ import annotations

import base64
import re
from datetime import timedelta
from decimal import Decimal

import duckdb
import polars as pl
import pytest

from pipeline.forecasts import gallery, plots
from pipeline.forecasts.account_forecasts import LEVELS
from tests.forecasts.plot_rows import ISSUED, MIDNIGHT, SVG, ahead, chances, history, read


def warehouse(risks: dict[str, float], days: int = 90) -> tuple[duckdb.DuckDBPyConnection, pl.DataFrame]:
    """Accounts with their probability of being dry within 30 days, as the asset leaves them, and their forecasts."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA core; CREATE SCHEMA forecasts")
    runway = pl.DataFrame(
        [
            {
                "account_id": account, "unit_code": "EUR", "day_start_amount": Decimal("100"), "threshold_amount": None,
                "observed_at_utc": MIDNIGHT + timedelta(hours=12), "auto_topup_model": "off", "runway_p50_date": None,
                "depleted_7d_probability": risk / 2, "depleted_30d_probability": risk, "beyond_horizon_probability": 0.0,
            }
            for account, risk in risks.items()
        ]
    )  # fmt: skip
    snapshots = pl.concat([pl.DataFrame(history()).with_columns(pl.lit(name).alias("account_id")) for name in risks])
    connection.execute("CREATE TABLE forecasts.current_runway AS FROM runway")
    connection.execute("CREATE TABLE core.balance_snapshots AS FROM snapshots")
    own = pl.DataFrame(ahead(days)).rename({f"p{level}_amount": f"total_p{level}" for level in LEVELS})
    own = own.join(pl.DataFrame(chances(days)), on="horizon_days").with_columns(pl.lit(ISSUED).alias("issue_date"))
    assert len(snapshots) == 60 * len(runway)
    return connection, pl.concat([own.with_columns(pl.lit(name).alias("account_id")) for name in risks])


def headings(markdown: str) -> list[str]:
    return [line.removeprefix("### ").replace("\\", "") for line in markdown.splitlines() if line.startswith("### ")]


def test_the_most_urgent_come_first_and_six_at_most() -> None:
    risks = {f"account-{number}": number / 10 for number in range(1, 10)}
    markdown = gallery.current_plots(*warehouse(risks))

    assert headings(markdown) == [f"account-{number}" for number in (9, 8, 7, 6, 5, 4)]
    assert markdown.endswith("3 less urgent accounts are not shown.")
    assert 50_000 < len(markdown.encode()) <= gallery.MOST_BYTES < 100_000
    images = re.findall(r"!\[[^\n]*\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", markdown)
    assert len(images) == 12
    for image in images:
        assert read(base64.b64decode(image).decode()).tag == f"{SVG}svg"


def test_accounts_without_risk_are_not_kept_hourly_but_one_is_always_shown() -> None:
    assert headings(gallery.current_plots(*warehouse({"a": 0.0, "b": 0.009, "c": 0.5, "d": 0.02}))) == ["c", "d"]
    assert headings(gallery.current_plots(*warehouse({"a": 0.0, "b": 0.0}))) == ["a"]


@pytest.mark.parametrize("most", [1_000, 16_000, 40_000])
def test_every_bound_is_respected(most: int) -> None:
    connection, ahead = warehouse({f"account-{number}": 0.5 for number in range(9)})
    markdown = gallery.current_plots(connection, ahead, most)
    assert len(markdown.encode()) <= most
    assert f"{9 - len(headings(markdown))} less urgent accounts are not shown." in markdown
    assert len(headings(markdown)) == {1_000: 0, 16_000: 1, 40_000: 2}[most]


def test_an_owners_words_are_words_in_markdown_too() -> None:
    name = "x](http://evil.example) <img src=y> ![z"
    markdown = gallery.current_plots(*warehouse({name: 0.9}))
    plain = re.sub(r"\\[^\w\s]", "", markdown)
    assert "evil" in plain
    assert plain.count("](") == 2
    assert "<" not in plain


def test_a_plot_that_cannot_be_drawn_fails_no_run() -> None:
    connection, ahead = warehouse({"acme": 0.9})
    broken = ahead.with_columns(pl.lit(float("nan")).alias("depleted_probability"))
    assert "Cannot be drawn" in gallery.current_plots(connection, broken)
    assert "Cannot be drawn" not in gallery.current_plots(connection, ahead)


def test_a_backtest_is_shown_for_a_day_over_all_accounts() -> None:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA staging; CREATE SCHEMA forecasts")
    rows = pl.DataFrame(
        [
            {"account_id": account, "horizon_days": horizon, "nominal_ratio": level, "observed_ratio": level * share,
             "backtested_at_utc": MIDNIGHT}
            for account, share in (("*", 0.5), ("acme", 1.0)) for horizon in (7, 30) for level in (0.1, 0.5, 0.9)
        ]
    )  # fmt: skip
    assert len(rows) == 12
    connection.execute("CREATE TABLE forecasts.calibration AS FROM rows")
    connection.execute("CREATE TABLE staging.build (as_of_utc TIMESTAMPTZ)")
    connection.execute("INSERT INTO staging.build VALUES (?)", [MIDNIGHT + timedelta(hours=23)])

    [image] = re.findall(r"base64,([A-Za-z0-9+/=]+)\)", gallery.calibration_plot(connection))
    assert base64.b64decode(image).decode() == plots.calibration(
        [row for row in rows.to_dicts() if row["account_id"] == "*"], of="all accounts"
    )
    connection.execute("UPDATE staging.build SET as_of_utc = ?", [MIDNIGHT + timedelta(hours=25)])
    assert gallery.calibration_plot(connection) == ""

"""Numbers of days that SQL models have once more are those of `pipeline.schema.limits`."""

from __future__ import annotations

import re

from pipeline.models.discovery import discover
from pipeline.published.report.report_queries import ACCOUNT_QUERIES, FLEET_QUERIES, sql_of
from pipeline.schema.limits import CRITICAL_DAYS, DUE_DAYS, HORIZON_DAYS, TOTAL_HORIZONS, WARNING_DAYS, WATCH_DAYS


def test_the_limits_of_days_are_those_of_the_account_table() -> None:
    sql = discover()["marts.account_status"].sql
    limits = {name: float(days) for days, name in re.findall(r"([0-9.]+) as (\w+_days)", sql)}
    assert [limits[name] for name in ("critical_days", "warning_days", "watch_days", "horizon_days")] == [
        CRITICAL_DAYS,
        WARNING_DAYS,
        WATCH_DAYS,
        HORIZON_DAYS,
    ]


def test_the_totals_that_are_shown_are_those_that_are_scored() -> None:
    [scored] = re.findall(r"horizon_days in \(([0-9, ]+)\)", discover()["marts.forecast_accuracy"].sql)
    assert tuple(int(days) for days in scored.split(",")) == TOTAL_HORIZONS


def test_the_reports_queries_have_numbers_where_their_files_have_names() -> None:
    texts = {query: sql_of(query, "main") for query in (*ACCOUNT_QUERIES, *FLEET_QUERIES)}
    assert not [query for query, text in texts.items() if "$" in text]
    assert f"horizon_days in (30, {HORIZON_DAYS})" in texts["fan"]
    assert f"as date) + {DUE_DAYS}\n" in texts["due"]

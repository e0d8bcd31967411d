"""Every combination of knowledge about an account gives one complete row, and never an error.

Each combination is a separate account, all of them in one build: an error of one would break the others.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from pipeline.models import discovery, recompute
from pipeline.schema.tables import ALL
from tests.staging.landed import NewWorkshop, Workshop

# Each dimension as rows of SQL; an account is one row of their product.
_DIMENSIONS = {
    "balances(balance_amount)": ("NULL, -12.5, 0, 0.000000001, 100, 900000000000000, 999999999999999999.999999999"),
    "readings(observed_ago)": ("INTERVAL '0 seconds', INTERVAL '1 day', INTERVAL '4000 days', INTERVAL '-400 days'"),
    "attempts(outcome, received_rows, accepted_rows, refused_newest_row)": (
        "(NULL, NULL, NULL, NULL), ('ok', 1, 1, NULL), ('timeout', NULL, NULL, NULL), ('ok', 1, 0, NULL), "
        "('ok', 0, 0, NULL), ('ok', 3, 2, 3)"
    ),
    # Days from the reading to being dry with 1, 5 and 9 chances in 10.
    "forecasts(method, p10_days, p50_days, p90_days, auto_topup_model)": (
        "(NULL, NULL, NULL, NULL, NULL), ('prior', NULL, NULL, NULL, 'off'), ('weeks', 20, NULL, NULL, 'not_modelled'), "
        "('full', 5, 40, NULL, 'off'), ('full', 5, 9, 20, 'off'), ('blocks', 0, 0, 0, 'off'), "
        "('blocks', -3, -2, -1, 'off'), ('full', NULL, NULL, NULL, 'modelled'), ('full', 5, 9, NULL, 'modelled')"
    ),
    "burns(spend_amount)": "NULL, 0, -4, 0.000000001, 5, 900000000000000, 999999999999999999",
    "limits(alert_below_days, alert_below_amount, threshold_amount, is_cut_off)": (
        "(NULL, NULL, NULL, NULL), (0, 0, 0, false), (1e300, 900000000000001, 900000000000001, false), "
        "(7.5, -1, 0.0000001, NULL), (1, 1, 40, true), (NULL, NULL, NULL, true)"
    ),
}
_NOW = "TIMESTAMPTZ '2026-03-18 12:00:00+00'"


@pytest.fixture(scope="module")
def lattice(new_workshop: NewWorkshop) -> Iterator[duckdb.DuckDBPyConnection]:
    """A warehouse with an account for each combination; every eleventh is not configured."""
    with new_workshop() as workshop:
        _fill(workshop)
        yield workshop.connection


def _fill(workshop: Workshop) -> None:
    connection = workshop.connection
    sources = ", ".join(f"(VALUES {_rows(values)}) AS {name}" for name, values in _DIMENSIONS.items())
    connection.execute(
        f"""
        CREATE TEMP TABLE combinations AS
        SELECT numbered.*, number % 11 <> 10 AS is_configured, 'a' || number AS account_id,
            ['EUR', 'unknown', 'voxpria-credit'][number % 3 + 1] AS unit_code,
            ['ledger', 'usage', 'balance'][number // 3 % 3 + 1] AS evidence_level,
            {_NOW} - observed_ago AS observed_at_utc,
            -- Of five accounts, one has a quota that resets later, one that was reset since its reading (if that is not
            -- of now), and one whose stated reset is past when it is read.
            CASE number % 5
                WHEN 0 THEN greatest({_NOW}, {_NOW} - observed_ago) + INTERVAL 10 DAY
                WHEN 1 THEN {_NOW} - observed_ago + INTERVAL 1 HOUR
                WHEN 2 THEN {_NOW} - observed_ago - INTERVAL 1 HOUR
            END AS resets_at_utc
        FROM (SELECT *, row_number() OVER () - 1 AS number FROM {sources}) AS numbered
        """
    )
    connection.execute(
        f"INSERT INTO staging.build BY NAME SELECT {_NOW} AS as_of_utc, 'EUR' AS reporting_unit_code, 45 AS fx_oldest_days, 'r' AS run_id, "
        "'v' AS version_id, 'f' AS fetch_id"
    )
    service = "'v' AS ServiceProviderName, 'v' AS ServiceName, 'Other' AS ServiceCategory, 'o' AS ServiceSubcategory"
    connection.execute(
        "INSERT INTO core.accounts BY NAME SELECT account_id, 'vpsbg' AS vendor, is_configured, unit_code, "
        "'gross' AS tax_basis, evidence_level, false AS has_documented_top_ups, 'EUR' AS reporting_unit_code, 93600 AS stale_after_seconds, '{}' AS tags, "
        f"alert_below_days, alert_below_amount, {service} FROM combinations"
    )
    connection.execute(
        f"INSERT INTO staging.fetches BY NAME SELECT account_id AS fetch_id, 'r' AS run_id, 'vpsbg' AS vendor, account_id, "
        f"'balance' AS endpoint, {_NOW} AS started_at_utc, {_NOW} AS fetched_at_utc, 1 AS page_number, "
        f"true AS is_complete, outcome, 1 AS attempt_count, 0.1 AS elapsed_seconds, true AS is_reading, "
        f"{_NOW} AS loaded_at_utc FROM combinations WHERE outcome IS NOT NULL"
    )
    connection.execute(
        "INSERT INTO staging.loads BY NAME SELECT account_id AS fetch_id, 'balances' AS record_kind, received_rows, "
        "accepted_rows, received_rows - accepted_rows AS rejected_rows, refused_newest_row FROM combinations "
        "WHERE received_rows IS NOT NULL"
    )
    connection.execute(
        "INSERT INTO core.balance_snapshots BY NAME SELECT account_id, observed_at_utc, balance_amount, unit_code, "
        "threshold_amount, is_cut_off, CASE WHEN balance_amount IS NOT NULL THEN resets_at_utc END AS resets_at_utc, "
        "CASE WHEN balance_amount IS NULL THEN 'unknown' ELSE 'fresh' END AS reading_state, "
        "account_id AS fetch_id FROM combinations"
    )
    day = "CAST(observed_at_utc AT TIME ZONE 'UTC' AS DATE)"
    connection.execute(
        f"INSERT INTO forecasts.current_runway BY NAME SELECT account_id, balance_amount, balance_amount AS "
        f"day_start_amount, unit_code, observed_at_utc, {day} + p10_days AS runway_p10_date, {day} + p50_days AS "
        f"runway_p50_date, {day} + p90_days AS runway_p90_date, 0 AS depleted_7d_probability, "
        "0 AS depleted_30d_probability, 1 AS beyond_horizon_probability, auto_topup_model, method, 0 AS history_days, "
        "CASE WHEN resets_at_utc > observed_at_utc THEN resets_at_utc ELSE resets_at_utc + INTERVAL 1 MONTH END "
        "AS resets_at_utc, CASE WHEN resets_at_utc IS NOT NULL THEN 0.25 END AS depleted_before_reset_probability, "
        f"{day} + p10_days AS runway_p50_without_topups_date "
        "FROM combinations WHERE method IS NOT NULL AND balance_amount IS NOT NULL"
    )
    connection.execute(
        "INSERT INTO core.spend_daily BY NAME SELECT account_id, DATE '2026-03-17' - days.number AS spend_date, "
        "spend_amount, unit_code, 'ledger' AS basis, 'ledger' AS evidence_level, true AS is_complete, "
        "false AS has_old_rate, false AS is_lower_bound, false AS is_spread, 'EUR' AS reporting_unit_code FROM combinations "
        "CROSS JOIN (VALUES (0), (1)) AS days(number) WHERE spend_amount IS NOT NULL"
    )
    with workshop.warehouse.transaction():
        recompute.recompute(connection, discovery.discover()["marts.account_status"])


def _rows(values: str) -> str:
    return values if values.startswith("(") else ", ".join(f"({each})" for each in values.split(", "))


def test_no_combination_of_inputs_gives_a_null_or_an_error(
    lattice: duckdb.DuckDBPyConnection,
) -> None:
    connection = lattice
    [configured] = _one(connection, "SELECT count(*) FROM combinations WHERE is_configured")
    assert configured > 20_000
    assert _one(connection, "SELECT count(*), count(DISTINCT account_id) FROM marts.account_status") == (
        configured,
        configured,
    )
    required = [each.name for each in ALL["marts.account_status"].columns if not each.is_nullable]
    assert {"reason", "severity", "reading_state", "method"} <= set(required)
    nulls = ", ".join(f"count(*) - count({name})" for name in required)
    assert set(_one(connection, f"SELECT {nulls} FROM marts.account_status")) == {0}
    assert _one(connection, "SELECT count(*) FROM marts.account_status WHERE reason !~ '^[A-Z0-9].*[^. ]\\.$'") == (0,)


def test_known_state_is_judged_after_any_result_of_the_newest_request(
    lattice: duckdb.DuckDBPyConnection,
) -> None:
    connection = lattice
    # The same account with a fresh and a stale reading: equally urgent, except that an owner's limit may be compared
    # with the expected balance.
    for condition, wrong in {
        "the severity of a balance at or below zero is critical": "balance_amount <= 0 AND severity <> 'critical' "
        "AND reason_code <> 'reset_passed'",
        "after a reset nothing is known": "reason_code = 'reset_passed' AND (severity, reading_state) <> "
        "('unknown', 'stale') OR reason_code = 'reset_passed' AND (runway_days IS NOT NULL OR "
        "expected_balance_amount IS NOT NULL OR runway_p50_date IS NOT NULL)",
        "a reset since the reading is seen": f"(resets_at_utc > observed_at_utc AND resets_at_utc <= {_NOW}) "
        "<> (reason_code = 'reset_passed')",
        "a quota lasts until its reset or runs dry before": "resets_at_utc > observed_at_utc AND method = 'mean_28d' AND "
        f"runway_days > date_diff('second', {_NOW}, resets_at_utc) / 86400 + 1e-6",
        "the reset is said": "resets_at_utc IS NOT NULL AND reason NOT LIKE '%eset%'",
        "only a quota has a reset": "resets_at_utc IS NULL AND (reason LIKE '%eset%' OR "
        "depleted_before_reset_probability IS NOT NULL)",
        "an account that was never read is unknown": "balance_amount IS NULL AND "
        "(severity, reading_state) <> ('unknown', 'unknown')",
        "nothing known is unknown": "balance_amount > 0 AND severity = 'unknown' AND history_days > 0 "
        "AND reason_code <> 'reset_passed'",
        "few days are critical": "runway_days <= 7 AND severity <> 'critical'",
        "no days are critical only where few are left": "severity = 'critical' AND balance_amount > 0 "
        "AND coalesce(runway_days, 8) > 7 AND is_cut_off IS DISTINCT FROM true",
        "cut off is critical and said": "is_cut_off AND reason_code <> 'reset_passed' AND (severity <> 'critical' "
        "OR reason NOT LIKE '%no longer creates instances%')",
        "a cut-off is of a reading, and said only where stated": "balance_amount IS NULL AND is_cut_off IS NOT NULL "
        "OR is_cut_off IS DISTINCT FROM true AND reason LIKE '%no longer creates%'",
        "no days are below zero": "runway_days < 0 OR expected_balance_amount < least(balance_amount, 0)",
        "no horizon is shown as a number of days": "runway_days = 90",
        "nothing is left is said": "balance_amount <= 0 AND reason NOT LIKE '%Nothing is left%' "
        "AND reason_code <> 'reset_passed'",
        "stale is said first": "reading_state = 'stale' AND reason NOT SIMILAR TO '(The last|Row|No new|Unknown since).*'",
    }.items():
        found = connection.execute(f"SELECT * FROM marts.account_status WHERE {wrong} LIMIT 1").fetchall()
        assert found == [], condition


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[int, ...]:
    [row] = connection.execute(query).fetchall()
    return row

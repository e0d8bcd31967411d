"""The check that warns of balances which are not in the fleet's total, with the reason."""

from __future__ import annotations

import dagster as dg
import pytest

from pipeline.models.asset_checks import warnings
from pipeline.models.checks import warned
from pipeline.schema.tables import ALL
from tests.sql.rows import insert
from tests.staging.landed import Workshop

_READ = {"observed_at_utc": "2026-03-18T23:59:59Z", "severity": "ok", "balance_amount": "10"}


@pytest.mark.faults(44)
def test_each_balance_that_is_not_converted_is_named_with_the_reason(workshop: Workshop) -> None:
    workshop.landing.run({"a": {}})
    workshop.load()
    insert(
        workshop.connection,
        "marts.account_status",
        [
            _READ | {"account_id": "a", "reporting_balance_amount": "10", "fx_source": "same_unit"},
            _READ | {"account_id": "b", "unit_code": "unknown"},
            _READ | {"account_id": "c", "unit_code": "voxpria-credit"},
            _READ | {"account_id": "d", "unit_code": "voxpria-credit"},
            _READ | {"account_id": "e", "unit_code": "INR"},
            _READ | {"account_id": "f", "unit_code": "JPY", "balance_amount": "10000000000"},
            {"account_id": "g", "severity": "unknown", "reading_state": "unknown"},
        ],
    )
    insert(
        workshop.connection,
        "core.credit_prices",
        [
            {"account_id": "c", "unit_code": "voxpria-credit", "from_date": "2026-03-19", "price_unit_code": "USD"},
            {"account_id": "d", "unit_code": "voxpria-credit", "from_date": "2026-03-18", "price_unit_code": "USD"},
            {"account_id": "e", "unit_code": "voxpria-credit", "from_date": "1970-01-01", "price_unit_code": "USD"},
        ],
    )
    insert(
        workshop.connection,
        "core.fx_rates",
        [{"rate_date": "2026-03-02", "unit_code": "USD", "eur_rate": "1", "fx_source": "ecb"}],
    )
    insert(
        workshop.connection,
        "core.conversion_rates",
        [{"unit_code": "JPY", "conversion_date": "2026-03-18", "eur_rate": "180", "fx_source": "ecb"}],
    )
    check, _ = warnings(ALL["marts.fleet_status"], warned(workshop.connection, ALL["marts.fleet_status"]))
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert (check.description or "").splitlines() == [
        "b: its unit is unknown",
        "c: accounts.toml names no price of a voxpria-credit for 2026-03-18",
        "d: no rate from USD to EUR in the 45 days up to 2026-03-18; the newest landed rate is of 2026-03-02",
        "e: no rate from INR to EUR in the 45 days up to 2026-03-18; the newest landed rate is of 2026-03-02",
        "f: the amount has more digits than can be converted exactly",
    ]


def test_the_check_passes_if_everything_is_converted(workshop: Workshop) -> None:
    insert(
        workshop.connection,
        "marts.account_status",
        [_READ | {"reporting_balance_amount": "10", "fx_source": "same_unit"}],
    )
    checks = warnings(ALL["marts.fleet_status"], warned(workshop.connection, ALL["marts.fleet_status"]))
    assert [(check.passed, check.description) for check in checks] == [(True, None)] * 2


def test_each_balance_that_is_converted_at_an_old_rate_is_named_with_its_day(workshop: Workshop) -> None:
    converted = _READ | {"reporting_balance_amount": "10", "fx_source": "ecb", "unit_code": "USD"}
    insert(
        workshop.connection,
        "marts.account_status",
        [
            converted | {"account_id": "a", "fx_rate_date": "2026-03-10", "has_old_rate": "true"},
            converted | {"account_id": "b", "fx_rate_date": "2026-03-17"},
        ],
    )
    _, check = warnings(ALL["marts.fleet_status"], warned(workshop.connection, ALL["marts.fleet_status"]))
    assert (check.check_name, check.passed) == ("has_current_rates", False)
    assert check.description == (
        "a: converted at a rate of 2026-03-10, more than 7 days before the balance of 2026-03-18"
    )

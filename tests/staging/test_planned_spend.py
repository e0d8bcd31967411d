"""Plans of accounts.toml, as runs landed them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from pipeline.landing.store import OWN, RUNS
from tests.staging.landed import Workshop, run_record

_PLANS = "SELECT * FROM staging.planned_spend ORDER BY account_id, plan_number"
_DAY = date(2026, 12, 1)


def _plan(**more: str | None) -> dict[str, str | None]:
    return {
        "from_date": str(_DAY),
        "to_date": str(_DAY),
        "planned_amount": None,
        "multiplier": None,
        "note": None,
    } | more


def _accounts(*plans: dict[str, str | None]) -> dict[str, dict[str, Any]]:
    return {"main": {"vendor": "vpsbg", "planned": list(plans)}}


def test_the_plans_of_the_newest_run_count(workshop: Workshop) -> None:
    workshop.landing.run(_accounts(_plan(planned_amount="12.5"), _plan(multiplier="0.000000001", note="pause")))
    workshop.load()
    assert workshop.rows(_PLANS) == [
        ("main", 1, _DAY, _DAY, Decimal("12.5"), None, None),
        ("main", 2, _DAY, _DAY, None, Decimal("0.000000001"), "pause"),
    ]
    workshop.landing.run(_accounts(_plan(multiplier="1000")))
    workshop.load()
    assert workshop.rows(_PLANS) == [("main", 1, _DAY, _DAY, None, Decimal(1000), None)]


def test_the_plans_of_an_account_that_left_the_file_stay_like_its_prices(workshop: Workshop) -> None:
    workshop.landing.run(_accounts(_plan(planned_amount="1")))
    workshop.landing.run({"other": {"vendor": "vpsbg"}})
    workshop.load()
    assert workshop.rows(_PLANS) == [("main", 1, _DAY, _DAY, Decimal(1), None, None)]


def test_a_run_that_is_found_late_changes_no_newer_plan(workshop: Workshop) -> None:
    workshop.landing.run(_accounts(_plan(planned_amount="2")), fetch_id=f"{9:016x}")
    workshop.load()
    late = _accounts(_plan(planned_amount="1"), _plan(planned_amount="3")) | {"gone": {"vendor": "vpsbg"}}
    workshop.landing.run(late, fetch_id=f"{3:016x}")
    workshop.load()
    assert workshop.rows(_PLANS) == [("main", 1, _DAY, _DAY, Decimal(2), None, None)]


def test_a_run_of_before_plans_has_none(workshop: Workshop) -> None:
    record = run_record(_accounts(_plan(planned_amount="1")))
    del record["accounts"]["main"]["planned"]
    workshop.landing.answer(OWN, RUNS, record, account_id="*")
    workshop.load()
    assert workshop.rows("SELECT account_id FROM staging.accounts") == [("main",)]
    assert workshop.rows(_PLANS) == []

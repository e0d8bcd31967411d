"""A table recomputed by month follows its SELECT and everything that this reads; a comment is no change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from pipeline.models.discovery import discover
from tests.changed_select import changed_select
from tests.staging.landed import NOW, NewWorkshop, Workshop

# No computation gives it, so a row with it was not recomputed.
_PLANTED = "987654.000000000"


@pytest.fixture
def workshop(new_workshop: NewWorkshop) -> Iterator[Workshop]:
    """Four months of a balance, all tables made, and one amount of the oldest month planted in each of two tables."""
    with new_workshop() as made:
        made.landing.run({"main": {"vendor": "deepvue", "unit_code": "INR"}}, at=NOW)
        for back in range(110, -1, -5):
            made.landing.answer(
                "deepvue", "wallet", {"current_balance": 1000 + back, "success": True}, at=NOW - timedelta(days=back)
            )
        made.load()
        made.recompute("core", "marts")
        made.connection.execute(
            f"UPDATE core.spend_daily SET spend_amount = {_PLANTED} "
            "WHERE spend_date = (SELECT min(spend_date) FROM core.spend_daily)"
        )
        made.connection.execute(
            f"UPDATE marts.balance_bridge_monthly SET usage_amount = {_PLANTED} "
            "WHERE bridge_month = (SELECT min(bridge_month) FROM marts.balance_bridge_monthly)"
        )
        yield made


def _planted(workshop: Workshop) -> tuple[int, int]:
    """Number of planted amounts left in spend and in the bridge."""
    [(spend,)] = workshop.rows(f"SELECT count(*) FROM core.spend_daily WHERE spend_amount = {_PLANTED}")
    [(bridge,)] = workshop.rows(f"SELECT count(*) FROM marts.balance_bridge_monthly WHERE usage_amount = {_PLANTED}")
    return spend, bridge


def test_months_that_nothing_happened_in_are_left_as_they_are(workshop: Workshop) -> None:
    workshop.recompute("core", "marts")
    assert _planted(workshop) == (1, 1)


def test_a_comment_and_the_layout_of_a_text_change_nothing(workshop: Workshop) -> None:
    model = discover()["core.spend_daily"]
    with changed_select("core.spend_daily", f"-- Other words.\n\n{model.select.replace('    ', '  ')}\n;\n"):
        workshop.recompute("core", "marts")
    assert _planted(workshop) == (1, 1)


def test_a_changed_select_recomputes_all_months_of_its_table_and_no_others(workshop: Workshop) -> None:
    model = discover()["core.spend_daily"]
    with changed_select("core.spend_daily", f"select * from ({model.select}) where true"):
        workshop.recompute("core", "marts")
        assert _planted(workshop) == (0, 1)


def test_a_changed_select_reaches_the_months_of_tables_downstream_over_views(workshop: Workshop) -> None:
    # The monthly bridge reads it through the view core.balance_bridge.
    model = discover()["core.balance_residuals"]
    with changed_select("core.balance_residuals", f"select * from ({model.select}) where true"):
        workshop.recompute("core", "marts")
        assert _planted(workshop) == (1, 0)

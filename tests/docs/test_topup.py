"""docs/forecasts.md: the worked example agrees with the code."""

from __future__ import annotations

import re
from dataclasses import fields
from decimal import Decimal

from pipeline.forecasts.topup import TopUpPlan
from tests.docs.pages import DOCS, blocks, section
from tests.forecasts.test_topup import TODAY, example

PAGE = DOCS / "forecasts.md"


def _rows() -> dict[str, str]:
    return dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", section(PAGE, "The arithmetic"), re.MULTILINE))


def test_the_sentence_is_the_one_that_is_made() -> None:
    (shown,) = blocks(PAGE, "text")
    assert shown.text.strip() == example().topup_advice


def test_the_arithmetic_is_the_one_that_is_done() -> None:
    found = example()
    for name, shown in _rows().items():
        value = getattr(found, name)
        assert (Decimal(shown) == value) if isinstance(value, Decimal) else (shown == str(value)), name
    assert f"on {TODAY.day} November {TODAY.year}" in section(PAGE, "The arithmetic")


def test_no_amount_and_no_date_is_left_out() -> None:
    amounts = {field.name for field in fields(TopUpPlan) if field.name.endswith(("_amount", "_probability", "_rate"))}
    # The example is in euros: only credits have a price.
    amounts -= {"price_amount"}
    dates = {"risk_passed_date", "order_by_date", "arrival_date", "cover_until_date"}
    dates |= {"topup_lead_days", "topup_cover_days"}
    assert amounts | dates == set(_rows())

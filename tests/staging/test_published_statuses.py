"""Statuses as published: their reasons, and rows of earlier versions, which had none."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime

import polars as pl
import pytest

from pipeline.landing.store import OWN, STATUSES
from tests.staging.landed import Workshop

_AT = datetime(2026, 3, 11, 6, tzinfo=UTC)
_ROW = {
    "account_id": "main", "status_date": date(2026, 3, 11), "as_of_utc": _AT, "severity": "ok",
    "reading_state": "fresh", "balance_amount": None, "unit_code": "EUR", "observed_at_utc": _AT, "runway_days": 9.0,
    "runway_p10_date": None, "runway_p50_date": None, "runway_p90_date": None, "depleted_7d_probability": 0.0,
    "depleted_30d_probability": 0.0, "reporting_balance_amount": None, "reporting_unit_code": "EUR",
}  # fmt: skip


def _land(workshop: Workshop, **more: str) -> None:
    body = io.BytesIO()
    pl.DataFrame([_ROW | more]).write_parquet(body)
    workshop.landing.run({"main": {}}, at=_AT)
    workshop.landing.answer(OWN, STATUSES, body.getvalue(), account_id="*", at=_AT)
    workshop.load()


_FOUND = "SELECT severity, reason_code, stale_code FROM staging.published_statuses"


@pytest.mark.parametrize(
    ("more", "found"),
    [({}, ("ok", None, None)), ({"reason_code": "no_spend", "stale_code": "too_old"}, ("ok", "no_spend", "too_old"))],
)
def test_the_reason_of_a_status_is_read_where_it_was_recorded(
    workshop: Workshop, more: dict[str, str], found: tuple[str | None, ...]
) -> None:
    _land(workshop, **more)
    assert workshop.rows(_FOUND) == [found]

"""A mean does not depend on the order in which rows are read, which differs after a rebuild."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from random import Random
from typing import Any

from pipeline.models import discovery, recompute
from tests.sql.rows import fill_in, insert
from tests.staging.landed import NewWorkshop, Workshop

_LEVELS = ("p05", "p10", "p25", "p50", "p75", "p90", "p95")
_DAYS = 60


def _issued() -> dict[str, list[dict[str, str]]]:
    """A forecast of each day for the day itself, with the actual amount."""
    random = Random(5)  # noqa: S311 - repeatable rows, not secrets
    found: dict[str, list[dict[str, str]]] = {
        name: [] for name in ("core.spend_daily", "forecasts.cost_total", "forecasts.runway_curve", "forecasts.runway")
    }
    for number in range(_DAYS):
        day = f"{date(2026, 1, 1) + timedelta(days=number)}"
        found["core.spend_daily"].append({"spend_date": day, "spend_amount": f"{random.randrange(1000)}"})
        levels = sorted(random.sample(range(1000), len(_LEVELS)))
        amounts = {f"{name}_amount": f"{level}" for name, level in zip(_LEVELS, levels, strict=True)}
        of_day = {"issue_date": day, "horizon_days": "1", "forecast_date": day}
        found["forecasts.cost_total"].append(of_day | amounts)
        found["forecasts.runway_curve"].append(of_day | {"depleted_probability": f"{random.random():.17f}"})
        found["forecasts.runway"].append({"issue_date": day, "day_start_amount": "500"})
    return found


def _accuracy(workshop: Workshop, rows: dict[str, list[dict[str, str]]]) -> Sequence[tuple[Any, ...]]:
    connection = workshop.connection
    for table, each in rows.items():
        insert(connection, table, each)
    fill_in(connection)
    with workshop.warehouse.transaction():
        recompute.recompute(connection, discovery.discover()["marts.forecast_accuracy"])
    return connection.execute("SELECT * FROM marts.forecast_accuracy ORDER BY ALL").fetchall()


def test_scores_of_forecasts_are_the_same_in_any_order_of_rows(new_workshop: NewWorkshop) -> None:
    rows = _issued()
    with new_workshop() as workshop:
        expected = _accuracy(workshop, rows)
    assert {row[4] for row in expected} >= {_DAYS}
    for seed in range(2):
        shuffled = {table: Random(seed).sample(each, len(each)) for table, each in rows.items()}  # noqa: S311
        with new_workshop() as workshop:
            assert _accuracy(workshop, shuffled) == expected

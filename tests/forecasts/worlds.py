"""Small histories for the tests of the forecaster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta

import numpy as np
import polars as pl

AS_OF = date(2026, 6, 30)


def frame(histories: Mapping[str, Iterable[float | None]], *, until: date = AS_OF) -> pl.DataFrame:
    """Spend whose last day is `until`; None is a day that was not observed."""
    rows = []
    for account_id, days in histories.items():
        listed = list(days)
        first = until - timedelta(days=len(listed) - 1)
        rows += [
            (account_id, first + timedelta(days=place), day) for place, day in enumerate(listed) if day is not None
        ]
    schema = {"account_id": pl.String, "date": pl.Date, "spend_amount": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def noise(days: int, *, seed: int = 0, level: float = 10.0) -> list[float]:
    """Usage around a level, weekends lower."""
    rng = np.random.default_rng(seed)
    return (level * rng.gamma(4, 0.25, days) * np.where(np.arange(days) % 7 < 5, 1.2, 0.5)).tolist()


def mixed() -> dict[str, list[float | None]]:
    """Accounts of every kind that the tests name."""
    rng = np.random.default_rng(7)
    kinds: dict[str, list[float | None]] = {f"usual-{number:02d}": noise(150, seed=number) for number in range(6)}
    kinds |= {f"days-{days:03d}": noise(days, seed=days) for days in (1, 3, 6, 7, 13, 27, 28, 60, 83, 84, 800)}
    kinds["zeros"] = [0.0] * 100
    kinds["constant"] = [10.0] * 100
    kinds["giant"] = [0.0] * 50 + [1000.0] + [0.0] * 49
    kinds["rare"] = (100 * (rng.random(200) < 0.08)).tolist()
    kinds["refunds"] = [*noise(60), -500.0, *noise(39, seed=1)]
    kinds["gap"] = [*noise(60), *[None] * 40, *noise(50, seed=2)]
    kinds["holes"] = [day if place % 3 else None for place, day in enumerate(noise(120, seed=3))]
    return kinds

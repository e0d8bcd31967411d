"""One forecast of many accounts in a separate process: CPU seconds and peak memory.

python -m benchmarks.forecast.cost 10000
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from datetime import date, timedelta
from typing import TypedDict

DAYS, PATHS, HORIZON = 180, 1000, 90


class Cost(TypedDict):
    """Cost of one process, its start and imports included."""

    cpu_seconds: float
    peak_gigabytes: float


def _forecast(count: int) -> None:
    import numpy as np
    import polars as pl

    from pipeline.forecasts import forecast

    rng = np.random.default_rng(0)
    as_of = date(2026, 6, 30)
    dates = pl.Series([as_of - timedelta(days=DAYS - 1 - day) for day in range(DAYS)], dtype=pl.Date)
    names = [f"account-{number:05d}" for number in range(count)]
    spend = pl.DataFrame(
        {
            "account_id": pl.Series(names).gather(np.repeat(np.arange(count), DAYS)),
            "date": dates.gather(np.tile(np.arange(DAYS), count)),
            "spend_amount": rng.gamma(1, 10, count * DAYS) * (rng.random(count * DAYS) < 0.8),
        }
    )
    balances = pl.DataFrame({"account_id": names, "balance_amount": np.full(count, 300.0)})
    result = forecast(spend, as_of, HORIZON, balances, paths=PATHS)
    if len(result.total) != count * HORIZON * 7:
        raise RuntimeError(f"{len(result.total)} rows of totals")


def measure(count: int) -> Cost:
    """Start the process and wait for it."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.forecast.cost", str(count)], check=True, capture_output=True, text=True
    )
    cost: Cost = json.loads(done.stdout)
    return cost


if __name__ == "__main__":
    _forecast(int(sys.argv[1]))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"cpu_seconds": used.ru_utime + used.ru_stime, "peak_gigabytes": used.ru_maxrss * 1024 / 1e9}))

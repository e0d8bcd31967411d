"""One forecast of many accounts in a separate process: CPU seconds and peak memory.

python -m benchmarks.forecast.cost 10000
python -m benchmarks.forecast.cost 100000 1000      a thousand at a time, with a pool of all
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from datetime import date, timedelta
from typing import TypedDict

import numpy as np
import polars as pl

from pipeline.forecasts.engine import forecast, learn_pool

DAYS, PATHS, HORIZON = 180, 1000, 90
_AS_OF = date(2026, 6, 30)


class Cost(TypedDict):
    """Cost of one process, its start and imports included."""

    cpu_seconds: float
    peak_gigabytes: float


def _spend(first: int, count: int) -> pl.DataFrame:
    """Return the spend of `count` accounts, numbered from `first`, a batch with its own seed."""
    rng = np.random.default_rng(first)
    dates = pl.Series([_AS_OF - timedelta(days=DAYS - 1 - day) for day in range(DAYS)], dtype=pl.Date)
    return pl.DataFrame(
        {
            "account_id": pl.Series(_names(first, count)).gather(np.repeat(np.arange(count), DAYS)),
            "date": dates.gather(np.tile(np.arange(DAYS), count)),
            "spend_amount": rng.gamma(1, 10, count * DAYS) * (rng.random(count * DAYS) < 0.8),
        }
    )


def _names(first: int, count: int) -> list[str]:
    return [f"account-{number:06d}" for number in range(first, first + count)]


def _forecast(count: int, batch: int) -> None:
    """Forecast `count` accounts, `batch` at a time with a pool of all of them."""
    places = range(0, count, batch)
    pool = learn_pool((_spend(first, batch) for first in places), _AS_OF) if batch < count else None
    for first in places:
        balances = pl.DataFrame({"account_id": _names(first, batch), "balance_amount": np.full(batch, 300.0)})
        result = forecast(_spend(first, batch), _AS_OF, HORIZON, balances, pool=pool, paths=PATHS)
        if len(result.total) != batch * HORIZON * 7:
            raise RuntimeError(f"{len(result.total)} rows of totals")


def measure(count: int, batch: int) -> Cost:
    """Start the process and wait for it. `count` is a multiple of `batch`."""
    command = [sys.executable, "-m", "benchmarks.forecast.cost", str(count), str(batch)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    cost: Cost = json.loads(done.stdout)
    return cost


if __name__ == "__main__":
    _forecast(int(sys.argv[1]), int(sys.argv[-1]))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"cpu_seconds": used.ru_utime + used.ru_stime, "peak_gigabytes": used.ru_maxrss * 1024 / 1e9}))

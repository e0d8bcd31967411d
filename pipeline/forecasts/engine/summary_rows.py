"""Step 8: the rows of quantiles and of running dry, collected an account at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

import numpy as np
import polars as pl

from pipeline.forecasts.engine.arrays import Floats

_ACCOUNTS: Final = 256
"""Accounts of a chunk. Chunks share the columns of their keys, which are most of a frame's memory."""


class SummaryRows:
    """Frames of the days, the totals and the runway of accounts that are added in the order of their ids.

    `dates` are those of the horizon, `quantiles` is (k,).
    """

    def __init__(self, *, dates: Sequence[date], quantiles: Floats) -> None:
        days, count = np.arange(len(dates)), len(quantiles)
        day = pl.Series("date", dates, pl.Date)
        horizon = pl.Series("horizon_days", days + 1, pl.Int64)
        places = np.repeat(days, count)
        quantile = pl.Series("quantile", np.tile(quantiles, len(days)))
        self._daily = _ChunkedRows([day.gather(places), quantile], ["spend_amount"])
        self._total = _ChunkedRows([horizon.gather(places), quantile], ["spend_amount"], like=self._daily)
        self._runway = _ChunkedRows([day], ["depleted_probability", "below_threshold_probability"])

    def add(self, account_id: str, daily: Floats, total: Floats) -> None:
        """Add an account's quantiles: two of (days, k)."""
        self._daily.add(account_id, [daily])
        self._total.add(account_id, [total])

    def add_runway(self, account_id: str, depleted: Floats, below_threshold: Floats | None) -> None:
        """Add an account's probabilities of having run dry, (days,), and of having been below its threshold, if any."""
        below = np.full(len(depleted), np.nan) if below_threshold is None else below_threshold
        self._runway.add(account_id, [depleted, below])

    def frames(self) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Return the days, the totals and the runway, as in Forecast."""
        below = pl.col("below_threshold_probability").fill_nan(None)
        return self._daily.frame(), self._total.frame(), self._runway.frame().with_columns(below)


class _ChunkedRows:
    """A frame of the same keys for each account, kept in chunks that share what they have in common."""

    def __init__(self, keys: Sequence[pl.Series], amounts: Sequence[str], like: _ChunkedRows | None = None) -> None:
        """`keys` are those of one account, `amounts` the names of the columns beside them.

        `like` are rows of the same accounts, and as many of each, that are added at the same time before these: their
        column of ids is used.
        """
        self._keys, self._amounts, self._like = keys, amounts, like
        self._repeated: list[pl.Series] = []
        self._ids: list[str] = []
        self._columns: list[list[Floats]] = [[] for _ in amounts]
        self._frames: list[pl.DataFrame] = []

    def add(self, account_id: str, columns: Sequence[Floats]) -> None:
        self._ids.append(account_id)
        for kept, column in zip(self._columns, columns, strict=True):
            kept.append(column.reshape(-1))
        if len(self._ids) == _ACCOUNTS:
            self._close()

    def frame(self) -> pl.DataFrame:
        if self._ids or not self._frames:
            self._close()
        return pl.concat(self._frames)

    def _close(self) -> None:
        """Make a chunk of the accounts added since the last one."""
        count, height = len(self._ids), len(self._keys[0])
        # Only the last chunk is shorter than the first.
        if not self._repeated:
            places = np.tile(np.arange(height), count)
            self._repeated = [key.gather(places) for key in self._keys]
        if self._like is None:
            ids = pl.Series("account_id", self._ids, pl.String).gather(np.repeat(np.arange(count), height))
        else:
            ids = self._like._frames[len(self._frames)]["account_id"]
        amounts = [
            pl.Series(name, np.concatenate(kept) if kept else np.zeros(0), pl.Float64)
            for name, kept in zip(self._amounts, self._columns, strict=True)
        ]
        self._frames.append(pl.DataFrame([ids, *(key.head(count * height) for key in self._repeated), *amounts]))
        self._ids, self._columns = [], [[] for _ in self._amounts]

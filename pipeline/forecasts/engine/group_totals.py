"""Step 8: totals of groups of accounts, such as teams, from the joint paths of their accounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl

from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.histories import InputError
from pipeline.forecasts.engine.scoring import quantiles_of

SCHEMA: Final = pl.Schema(
    {
        "group_id": pl.String,
        "horizon_days": pl.Int64,
        "quantile": pl.Float64,
        "spend_amount": pl.Float64,
        "forecast_account_count": pl.Int64,
    }
)


@dataclass(slots=True)
class GroupTotals:
    """Adds up the paths of the accounts of each group as they are drawn: one array of (days, paths) a group."""

    members: dict[str, list[str]]
    """By account: the groups that it belongs to."""
    _sums: dict[str, Floats] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def add(self, account_id: str, sums: Floats) -> None:
        """Add an account's totals, (days, paths), path by path. The order of accounts must be that of their ids."""
        for group in self.members.get(account_id, ()):
            if group in self._sums:
                self._sums[group] += sums
            else:
                self._sums[group] = sums.copy()
            self._counts[group] = self._counts.get(group, 0) + 1

    def frame(self, quantiles: Floats) -> pl.DataFrame:
        """Return the quantiles, as SCHEMA, by group and day. Groups without a forecast account have no rows."""
        frames = []
        for group in sorted(self._sums):
            days = len(self._sums[group])
            frames.append(
                pl.DataFrame(
                    {
                        "group_id": [group] * (days * len(quantiles)),
                        "horizon_days": np.repeat(np.arange(1, days + 1), len(quantiles)),
                        "quantile": np.tile(quantiles, days),
                        "spend_amount": quantiles_of(self._sums[group], quantiles).reshape(-1),
                        "forecast_account_count": [self._counts[group]] * (days * len(quantiles)),
                    },
                    schema=SCHEMA,
                )
            )
        return pl.concat(frames) if frames else pl.DataFrame(schema=SCHEMA)


def read_groups(groups: pl.DataFrame | None, ids: Sequence[str]) -> GroupTotals:
    """Check the groups, described in `forecaster.forecast`, of the accounts `ids`. Raises InputError."""
    if groups is None:
        return GroupTotals({})
    missing = [name for name in ("account_id", "group_id") if name not in groups.columns]
    if missing:
        raise InputError(f"groups has no column {', '.join(missing)}; it has {', '.join(groups.columns) or 'none'}")
    pairs = groups.select(pl.col("account_id", "group_id").cast(pl.String))
    if pairs.null_count().sum_horizontal().item():
        raise InputError("groups has a row without an account_id or a group_id; leave it out")
    doubled = pairs.filter(pairs.is_duplicated())
    if doubled.height:
        raise InputError(f"groups has {', '.join(doubled.row(0))} more than once; an account counts once in a group")
    unknown = sorted(set(pairs["account_id"].to_list()) - set(ids))
    if unknown:
        raise InputError(f"groups names account {unknown[0]}, of which nothing else is given")
    members: dict[str, list[str]] = {}
    for account_id, group_id in pairs.sort("account_id", "group_id").iter_rows():
        members.setdefault(account_id, []).append(group_id)
    return GroupTotals(members)

"""Rows of forecasts.current_spend_headroom: what each account can spend on top of its forecast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

import duckdb
import polars as pl

from pipeline.forecasts.account_forecasts import quota_of, rule_of, topup_scale
from pipeline.forecasts.engine import Paths
from pipeline.forecasts.forecast_inputs import Inputs
from pipeline.forecasts.topup.headroom import Headroom, headroom
from pipeline.schema.units import MONEY_PRECISION, MONEY_SCALE

HORIZONS: Final = (7, 14, 30, 60, 90)
"""Days of the forecast, of which the first is that of the run."""
RISKS: Final = (0.01, 0.05, 0.10, 0.20)

_DAY: Final = timedelta(days=1)
_SCHEMA: Final = pl.Schema(
    {
        "account_id": pl.String(),
        "horizon_days": pl.Int64(),
        "accepted_probability": pl.Float64(),
        "from_date": pl.Date(),
        "to_date": pl.Date(),
        "headroom_amount": pl.Decimal(MONEY_PRECISION, MONEY_SCALE),
        "unit_code": pl.String(),
        "headroom_code": pl.String(),
        "depleted_probability": pl.Float64(),
    }
)


@dataclass(slots=True)
class SpendHeadroom:
    """Collects what accounts can afford, by their sample paths, in any order."""

    inputs: Inputs
    accounts: Iterable[tuple[str, str]]
    """Id and unit of every account that has rows, with a forecast or without."""
    _facts: dict[str, dict[str, Any]] = field(init=False)
    _found: dict[str, Headroom] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._facts = {fact["account_id"]: fact for fact in self.inputs.balances.to_dicts()}

    @property
    def _from_date(self) -> date:
        # A build is read until the next one: on the day of the run a campaign could only start late.
        return self.inputs.as_of + 2 * _DAY

    def _to_date(self, horizon: int) -> date:
        return self.inputs.as_of + horizon * _DAY

    def add(self, paths: Paths) -> None:
        """Add the paths of an account; the same ones again change nothing."""
        fact = self._facts[paths.account_id]
        if quota_of(fact) is not None:
            # How much is left depends on the reset at which it is spent: only `afford` knows the days.
            return
        self._found[paths.account_id] = headroom(
            paths,
            balance=fact["balance_amount"] + fact["spent_amount"],
            from_date=self._from_date,
            to_dates=[self._to_date(horizon) for horizon in HORIZONS],
            risks=RISKS,
            scale=topup_scale(fact["unit_code"]),
        )

    def frame(self) -> pl.DataFrame:
        """Return the rows, as _SCHEMA, one for each account, horizon and accepted risk."""
        return pl.DataFrame(list(self._rows()), schema=_SCHEMA, orient="row")

    def _rows(self) -> Iterator[tuple[object, ...]]:
        for account_id, unit_code in self.accounts:
            found = self._found.get(account_id)
            is_quota = account_id in self._facts and quota_of(self._facts[account_id]) is not None
            is_topped_up = found is not None and rule_of(self._facts[account_id]).can_be_modelled
            for number, horizon in enumerate(HORIZONS):
                days = (self._from_date, self._to_date(horizon))
                for place, risk in enumerate(RISKS):
                    known: tuple[Decimal | None, str, str, float | None]
                    if is_quota:
                        known = (None, unit_code, "quota", None)
                    elif found is None:
                        known = (None, unit_code, "no_forecast", None)
                    elif number >= len(found.to_dates):
                        known = (None, unit_code, "beyond_forecast", None)
                    else:
                        amount = found.amounts[number][place]
                        code = "at_least" if is_topped_up else "largest" if amount is not None else "risk_exceeded"
                        known = (amount or Decimal(0), unit_code, code, found.depleted_probabilities[number])
                    yield (account_id, horizon, risk, *days, *known)


def read_accounts(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Ids and units of all configured accounts."""
    return connection.execute(
        "SELECT account_id, unit_code FROM core.accounts WHERE is_configured ORDER BY account_id"
    ).fetchall()

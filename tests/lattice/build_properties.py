"""Properties of a complete build: its keys, its fleet, and that no account changes another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pipeline.schema.tables import published
from tests.lattice.worlds import ORDINARY, Built

_ZERO = Decimal(0)
_FROM_FORECASTS = ("forecasts", "alerts")
_FLEET = {
    "marts.fleet_status": "totals of all accounts",
    "marts.build_info": "when the build was made, and how large it is",
    "marts.data_dictionary": "says nothing of accounts, and is compared where it is made",
}
"""Tables without accounts, which may depend on the other accounts."""
_DRAWN_BY_TIME = ("fetch_id",)
"""Forecasts and alerts are landed by the run itself, with ids of the real time."""


@dataclass(frozen=True, order=True)
class Violation:
    """A property that is violated."""

    name: str
    account_id: str | None
    """Account whose rows violate it; None if unclear."""
    words: str


def keys_are_unique(built: Built) -> Iterator[Violation]:
    for table in published():
        if not table.key:
            continue
        counts = Counter(tuple(row[name] for name in table.key) for row in built.rows(table.full_name))
        whose = next((table.key.index(name) for name in ("account_id", "x_AccountId") if name in table.key), None)
        for key, count in counts.items():
            if count > 1:
                account_id = None if whose is None else key[whose]
                yield Violation("keys_are_unique", account_id, f"{table.full_name}: {count} rows of {key}")


def the_fleet_counts_every_account(built: Built) -> Iterator[Violation]:
    status = list(built.rows("marts.account_status"))
    [fleet] = built.rows("marts.fleet_status")
    severities = Counter(row["severity"] for row in status)
    wanted = {f"{name}_account_count": severities[name] for name in ("ok", "watch", "warning", "critical", "unknown")}
    wanted["account_count"] = len(status)
    wanted["reporting_balance_amount"] = sum(
        (row["reporting_balance_amount"] for row in status if row["reporting_balance_amount"] is not None), _ZERO
    )
    for name, value in wanted.items():
        if (fleet[name] or 0) != value:
            yield Violation("the_fleet_counts_every_account", None, f"{name} is {fleet[name]}, and should be {value}")


def nobody_else_differs(built: Built, reference: Built, *, but_forecasts: bool = False) -> Iterator[Violation]:
    """The ordinary accounts' rows equal those of a build without the unusual ones, value for value.

    With `but_forecasts`, rows that depend on what accounts learn from each other are left out.
    """
    units = {row["unit_code"] for row in reference.rows("core.accounts")}
    for table in published():
        name = table.full_name
        if name in _FLEET or (but_forecasts and table.layer in _FROM_FORECASTS):
            continue
        columns = reference.tables[name][0]
        left_out = {column for column in columns if column in _DRAWN_BY_TIME and table.layer in _FROM_FORECASTS}
        if but_forecasts and name == "marts.account_status":
            left_out |= set(columns) - set(_OF_READINGS)
        if but_forecasts and name == "marts.month_outlook":
            left_out |= set(columns) - set(_OF_SPEND)
        kept = [place for place, column in enumerate(columns) if column not in left_out]

        def own(made: Built, name: str = name, kept: list[int] = kept) -> list[str]:
            rows = (dict(row) for row in made.rows(name))
            return sorted(
                repr([list(row.values())[place] for place in kept]) for row in rows if _is_ordinary(row, units)
            )

        wanted, found = own(reference), own(built)
        if wanted != found:
            more, less = (Counter(one) - Counter(other) for one, other in ((found, wanted), (wanted, found)))
            words = (
                f"{name}: {sum(more.values())} rows more, {sum(less.values())} less: {next(iter(more or less))[:300]}"
            )
            yield Violation("nobody_else_differs", None, words)


_OF_READINGS = (
    "account_id", "vendor", "team", "balance_amount", "unit_code", "observed_at_utc", "age_seconds", "reading_state",
    "threshold_amount", "unconfirmed_amount", "is_cut_off", "burn_7d_amount", "burn_28d_amount", "evidence_level", "fetch_id",
)  # fmt: skip

_OF_SPEND = (
    "scope", "scope_id", "spend_month", "month_state", "spent_amount", "unit_code", "reporting_spent_amount",
    "budget_amount", "budget_spent_amount", "open_day_count", "missing_day_count", "account_count",
    "converted_account_count",
)  # fmt: skip


def _is_ordinary(row: Mapping[str, Any], units: set[str]) -> bool:
    whose = row.get("account_id") or row.get("x_AccountId")
    if whose is not None:
        return whose in ORDINARY
    if "team" in row:
        return row["team"] == "ordinary"
    if "scope" in row:
        return {"account": row["scope_id"] in ORDINARY, "team": row["scope_id"] == "ordinary"}.get(row["scope"], False)
    # There are rates for the units of existing accounts.
    return "unit_code" not in row or row["unit_code"] in units

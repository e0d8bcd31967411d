"""Properties of every build, whatever state its accounts are in; each is compared with a separate oracle."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

from tests.lattice.build_properties import (
    _ZERO,
    Violation,
    keys_are_unique,
    nobody_else_differs,
    the_fleet_counts_every_account,
)
from tests.lattice.truth import NOW, SimulatedAccount
from tests.lattice.worlds import Built

_COMPONENTS = ("top_up", "refund", "usage", "renewal", "adjustment", "pending", "tax", "quota_reset", "unexplained")


@dataclass
class Facts:
    """Published rows by account, as the properties use them."""

    built: Built
    simulated: dict[str, SimulatedAccount]
    by_account: dict[str, dict[str, list[dict[str, Any]]]]

    def rows(self, simulated: SimulatedAccount, table: str) -> Iterator[dict[str, Any]]:
        """Rows of a table for an account, under any of its names."""
        for name in simulated.ids:
            yield from self.by_account[table].get(name, [])


_READ = (
    "core.balance_snapshots", "core.ledger_entries", "core.usage_days", "core.spend_daily", "core.balance_bridge",
    "core.accounts", "forecasts.current_runway", "marts.account_status", "marts.spend_monthly",
    "marts.balance_bridge_daily", "marts.balance_bridge_monthly", "marts.focus_cost_and_usage",
    "marts.focus_cost_and_usage_estimated",
)  # fmt: skip


def _facts(built: Built) -> Facts:
    by_account: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for table in _READ:
        found = by_account.setdefault(table, defaultdict(list))
        for row in built.rows(table):
            found[row.get("account_id") or row.get("x_AccountId")].append(row)
    return Facts(built, {each.account_id: each for each in built.simulated}, by_account)


def every_account_has_one_status_with_a_reason(facts: Facts, simulated: SimulatedAccount) -> Iterator[str]:
    rows = list(facts.rows(simulated, "marts.account_status"))
    if len(rows) != int(simulated.is_configured):
        yield f"{len(rows)} rows, and it is {'' if simulated.is_configured else 'not '}configured"
    for row in rows:
        for column in ("reason", "severity", "reading_state", "method", "unit_code"):
            if not row[column]:
                yield f"{column} is {row[column]!r}"


def _newest(simulated: SimulatedAccount) -> tuple[datetime, Decimal, str | None] | None:
    past = [(at, *reading) for at, reading in simulated.readings.items() if at <= NOW]
    return max(past, default=None, key=lambda each: each[0])


def the_status_is_the_newest_good_reading(facts: Facts, simulated: SimulatedAccount) -> Iterator[str]:
    newest = _newest(simulated)
    for row in facts.rows(simulated, "marts.account_status"):
        found = (row["observed_at_utc"], row["balance_amount"], row["unit_code"])
        wanted = (
            (newest[0], newest[1], simulated.unit or row["unit_code"]) if newest else (None, None, row["unit_code"])
        )
        if found != wanted:
            yield f"is {_words(found)}, and should be {_words(wanted)}"
        if newest is None and row["reading_state"] != "unknown":
            yield f"no balance was ever read, and it is {row['reading_state']}"
        if newest is not None and newest[1] <= 0 and row["severity"] != "critical":
            yield f"{newest[1]} is left, and it is {row['severity']} ({row['reading_state']})"


def readings_keep_their_units(facts: Facts, simulated: SimulatedAccount) -> Iterator[str]:
    found = {
        row["observed_at_utc"]: (row["balance_amount"], row["unit_code"])
        for row in facts.rows(simulated, "core.balance_snapshots")
        if row["balance_amount"] is not None
    }
    wanted = simulated.readings
    for at in found.keys() | wanted.keys():
        amount, unit = wanted.get(at, (None, None))
        is_unit_right = unit is None or found.get(at, (None, None))[1] == unit
        if found.get(at, (None, None))[0] != amount or not is_unit_right:
            yield f"{at} is {_words(found.get(at))}, and should be {_words((amount, unit))}"


def entries_are_as_they_moved(facts: Facts, simulated: SimulatedAccount) -> Iterator[str]:
    found = {
        row["entry_id"]: row for row in facts.rows(simulated, "core.ledger_entries") if row["entry_source"] == "ledger"
    }
    readings = sorted(simulated.readings.items())
    for name, row in found.items():
        entry = simulated.entries[name]
        unit = entry.unit
        if unit is None:
            # Of the balance that it moved, if both ends are known and in one unit.
            before = [reading[1] for at, reading in readings if at < entry.at][-1:]
            after = [reading[1] for at, reading in readings if at >= entry.at][:1]
            unit = before[0] if before and before == after else None
        if row["entry_amount"] != entry.moved:
            yield f"{entry.word} of {entry.moved} is {row['entry_amount']}"
        if unit is not None and row["unit_code"] != unit:
            yield f"entry {name} of {entry.at} in {unit} is in {row['unit_code']}"


def _is_spend(row: Mapping[str, Any]) -> bool:
    """Whether an entry is spend: paid for service, or given back from that."""
    kind, amount = row["entry_kind"], row["entry_amount"]
    return row["entry_status"] in ("settled", "unknown") and (
        kind in ("usage", "renewal", "tax", "adjustment")
        or (kind == "refund" and amount > 0)
        or (kind == "other" and amount < 0)
    )


def _day(instant: datetime) -> date:
    return instant.astimezone(UTC).date()


def _spent(facts: Facts, simulated: SimulatedAccount, basis: str) -> dict[tuple[date, str], Decimal]:
    """Spend by day and unit according to the ledger or usage."""
    spent: dict[tuple[date, str], Decimal] = defaultdict(Decimal)
    if basis == "ledger":
        for row in facts.rows(simulated, "core.ledger_entries"):
            if _is_spend(row):
                spent[_day(row["effective_at_utc"]), row["unit_code"]] -= row["entry_amount"]
    else:
        for row in facts.rows(simulated, "core.usage_days"):
            spent[row["usage_date"], row["unit_code"]] += row["credits_amount"]
    return spent


def spend_is_what_the_facts_say_by_unit(facts: Facts, simulated: SimulatedAccount) -> Iterator[str]:
    rows = list(facts.rows(simulated, "core.spend_daily"))
    daily: dict[tuple[date, str], Decimal] = defaultdict(Decimal)
    for row in rows:
        daily[row["spend_date"], row["unit_code"]] += row["spend_amount"]
    bases = {row["basis"] for row in rows}
    if bases <= {"balance"}:
        yield from _falls_are_spend(facts, simulated, daily)
        return
    for basis in bases:
        days = {row["spend_date"] for row in rows if row["basis"] == basis}
        spent = _spent(facts, simulated, basis)
        for key in {*spent, *daily}:
            if min(days) <= key[0] <= max(days) and daily[key] != spent[key]:
                yield f"{key[0]}: {daily[key]} {key[1]} is spent, and should be {spent[key]} by {basis}"


def _falls_are_spend(
    facts: Facts, simulated: SimulatedAccount, daily: Mapping[tuple[date, str], Decimal]
) -> Iterator[str]:
    """With balances only, the fall between two readings in one unit is spend, and nothing else."""
    readings = sorted(
        (
            (row["observed_at_utc"], row["balance_amount"], row["unit_code"])
            for row in facts.rows(simulated, "core.balance_snapshots")
            if row["balance_amount"] is not None
        ),
        key=lambda reading: reading[0],
    )
    fallen: dict[str, Decimal] = defaultdict(Decimal)
    for (_, opening, unit), (_, closing, other) in pairwise(readings):
        if unit == other and closing < opening:
            fallen[unit] += opening - closing
    spent: dict[str, Decimal] = defaultdict(Decimal)
    for (_, unit), amount in daily.items():
        spent[unit] += amount
    for unit in {*fallen, *spent}:
        if spent[unit] != fallen[unit]:
            yield f"{spent[unit]} {unit} is spent, and the balance fell by {fallen[unit]}"


def months_are_the_sums_of_their_days(facts: Facts, simulated: SimulatedAccount) -> Iterator[str]:
    for one, other, day, month, amounts in (
        ("core.spend_daily", "marts.spend_monthly", "spend_date", "spend_month", ("spend_amount",)),
        ("marts.balance_bridge_daily", "marts.balance_bridge_monthly", "bridge_date", "bridge_month",
         tuple(f"{name}_amount" for name in _COMPONENTS)),
    ):  # fmt: skip
        for amount in amounts:
            sums: dict[tuple[date, str], Decimal] = defaultdict(Decimal)
            for row in facts.rows(simulated, one):
                sums[row[day].replace(day=1), row["unit_code"]] += row[amount]
            for row in facts.rows(simulated, other):
                # A change between two stretches of one unit belongs to the month that contains both, and to no day.
                if amount != "unexplained_amount" or row["unexplained_class"] not in ("unit_change", "unknown"):
                    sums[row[month], row["unit_code"]] -= row[amount]
                else:
                    sums.pop((row[month], row["unit_code"]), None)
            for key, rest in sums.items():
                if rest:
                    yield f"{other}: {amount} of {key[0]} in {key[1]} is {rest} off its days"


def the_bridge_telescopes_by_unit(facts: Facts, simulated: SimulatedAccount) -> Iterator[str]:
    readings = sorted(
        (
            (row["observed_at_utc"], row["balance_amount"], row["unit_code"])
            for row in facts.rows(simulated, "core.balance_snapshots")
            if row["balance_amount"] is not None
        ),
        key=lambda reading: reading[0],
    )
    wanted = {
        closed[0]: (opened[0], opened[1], closed[1], closed[2])
        for opened, closed in pairwise(readings)
        if opened[2] == closed[2]
    }
    found = {}
    for row in facts.rows(simulated, "core.balance_bridge"):
        found[row["closed_at_utc"]] = (
            row["opened_at_utc"], row["opening_amount"], row["closing_amount"], row["unit_code"],
        )  # fmt: skip
        explained = sum((row[f"{name}_amount"] for name in _COMPONENTS), _ZERO)
        if row["opening_amount"] + explained != row["closing_amount"]:
            yield f"{row['closed_at_utc']}: its parts do not add up to the change of the balance"
    for at in found.keys() | wanted.keys():
        if found.get(at) != wanted.get(at):
            yield f"{at}: is {_words(found.get(at))}, and should be {_words(wanted.get(at))}"
    entries = [
        (row["effective_at_utc"], row["unit_code"], row["entry_kind"], row["entry_amount"])
        for row in facts.rows(simulated, "core.ledger_entries")
        if row["entry_status"] in ("settled", "unknown")
    ]
    for row in facts.rows(simulated, "core.balance_bridge"):
        mine = [
            amount
            for at, unit, kind, amount in entries
            if kind == "renewal" and unit == row["unit_code"] and row["opened_at_utc"] < at <= row["closed_at_utc"]
        ]
        if row["renewal_amount"] != sum(mine, _ZERO):
            yield f"{row['closed_at_utc']}: renewals are {row['renewal_amount']}, and should be {sum(mine, _ZERO)}"


def focus_is_what_the_facts_say_by_unit(facts: Facts, simulated: SimulatedAccount) -> Iterator[str]:
    """Charges for service by month and currency equal the spend of entries or usage; by day they equal spend_daily."""
    account = next(iter(facts.by_account["core.accounts"].get(simulated.account_id, [])), None)
    if account is None or account["evidence_level"] == "balance":
        return
    basis = account["evidence_level"]
    spent = {key: amount for key, amount in _spent(facts, simulated, basis).items() if "-" not in key[1]}
    charged: dict[tuple[date, str], Decimal] = defaultdict(Decimal)
    for row in facts.rows(simulated, "marts.focus_cost_and_usage"):
        if row["ChargeCategory"] != "Purchase" and row["x_CreditPrice"] is None:
            charged[_day(row["ChargePeriodStart"]), row["BillingCurrency"]] += row["EffectiveCost"]
    for key in {*charged, *spent}:
        if key[1] != "unknown" and charged[key] != spent.get(key, _ZERO):
            yield f"{key[0]}: {charged[key]} {key[1]} is charged, and {spent.get(key, _ZERO)} was spent"


def estimates_are_the_falls_by_unit(facts: Facts, simulated: SimulatedAccount) -> Iterator[str]:
    """For an account with balances only, estimated charges equal spend_daily, by unit."""
    if any(row for row in facts.rows(simulated, "core.ledger_entries")):
        return
    account = next(iter(facts.by_account["core.accounts"].get(simulated.account_id, [])), None)
    if account is None or account["evidence_level"] != "balance":
        return
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for row in facts.rows(simulated, "core.spend_daily"):
        sums[row["unit_code"]] += row["spend_amount"]
    for row in facts.rows(simulated, "marts.focus_cost_and_usage_estimated"):
        if row["x_IsEstimated"]:
            sums[row["PricingCurrency"]] -= row["PricingCurrencyEffectiveCost"]
    for unit, rest in sums.items():
        # An amount without a price in a currency is no charge.
        if rest and unit != "unknown" and "-" not in unit and unit != "Credits":
            yield f"estimated charges in {unit} are {-rest} beyond what was spent"


def forecasts_are_in_the_units_of_their_balances(facts: Facts, simulated: SimulatedAccount) -> Iterator[str]:
    newest = _newest(simulated)
    for row in facts.rows(simulated, "forecasts.current_runway"):
        found = (row["observed_at_utc"], row["balance_amount"], row["unit_code"])
        if newest is None or found != (newest[0], newest[1], simulated.unit or row["unit_code"]):
            yield f"is of {_words(found)}, and the newest reading is {_words(newest)}"


_OF_EACH: tuple[Callable[[Facts, SimulatedAccount], Iterable[str]], ...] = (
    every_account_has_one_status_with_a_reason,
    the_status_is_the_newest_good_reading,
    readings_keep_their_units,
    entries_are_as_they_moved,
    spend_is_what_the_facts_say_by_unit,
    months_are_the_sums_of_their_days,
    the_bridge_telescopes_by_unit,
    focus_is_what_the_facts_say_by_unit,
    estimates_are_the_falls_by_unit,
    forecasts_are_in_the_units_of_their_balances,
)
COUNT = len(_OF_EACH) + 4
"""Number of properties, `the build is published` among them."""


def violations(built: Built, reference: Built | None = None) -> list[Violation]:
    """All violations of a build; `reference` is a build of the ordinary accounts alone."""
    if built.failure is not None:
        return [Violation("the_build_is_published", None, built.failure)]
    found = [*keys_are_unique(built), *the_fleet_counts_every_account(built)]
    if reference is not None:
        found += nobody_else_differs(built, reference)
    facts = _facts(built)
    for simulated in built.simulated:
        for check in _OF_EACH:
            found += [Violation(check.__name__, simulated.account_id, words) for words in check(facts, simulated)]
    return sorted(set(found), key=repr)


def _words(values: Iterable[Any] | None) -> str:
    return "nothing" if values is None else ", ".join(str(value) for value in values)

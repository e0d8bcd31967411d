"""Fifty invented accounts, or a multiple, and their vendors' answers, run by run, landed as runs land them.

Nothing is random between runs: an hour's answers follow from its number.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.answers import good_answer
from pipeline import settings
from pipeline.landing.store import OWN, RUNS, Fetch, LandingWriter

HOURS_A_MONTH: Final = 730
VPSBG, VOXPRIA, DEEPVUE = 20, 20, 10
"""Accounts with a ledger, with usage by day, and with balances only."""
ACCOUNTS: Final = VPSBG + VOXPRIA + DEEPVUE
# Hours that may be landed after the history, to measure refreshes.
_SPARE_HOURS = 200
_PAGE = 100
"""Entries of a ledger's page, as the client requests them."""


@dataclass(frozen=True, slots=True)
class _Ledger:
    """A VPSBG account: two charges a day and a deposit a month, in cents."""

    account_id: str
    opening: int
    instants: list[int]
    sums: list[int]
    """Cumulative amounts, up to and including each entry."""
    rows: list[str]
    """Each entry as JSON."""

    def balance(self, at: datetime) -> str:
        known = bisect_right(self.instants, int(at.timestamp()))
        return _money(self.opening + (self.sums[known - 1] if known else 0))

    def page(self, at: datetime) -> str:
        known = bisect_right(self.instants, int(at.timestamp()))
        rows = reversed(self.rows[max(known - _PAGE, 0) : known])
        return (
            f'{{"data": [{", ".join(rows)}], "links": {{"first": null, "last": null, "prev": null, "next": null}}, '
            f'"meta": {{"current_page": 1, "last_page": 1, "per_page": {_PAGE}, "total": {known}}}}}'
        )


@dataclass(frozen=True, slots=True)
class _Meter:
    """An account that is used every hour and topped up when it runs low, in whole credits."""

    account_id: str
    balances: list[int]
    """By hour."""
    used_by_day: dict[date, int] = field(default_factory=dict)


def _money(cents: int) -> str:
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"


class Fleet:
    """The accounts' history of `hours` hours up to `end`, and the following hours.

    `times` multiplies the accounts of each kind. Runs are `run_every_hours` apart, and one is in the last hour.
    """

    def __init__(
        self,
        landing: Path,
        *,
        hours: int,
        end: datetime,
        times: int = 1,
        run_every_hours: int = 1,
        ledger_every_hours: int = 24,
    ) -> None:
        self.landing = landing
        self.hours = hours
        self.accounts = ACCOUNTS * times
        self.start = end - timedelta(hours=hours - 1)
        self.run_every_hours = run_every_hours
        self.ledger_every_hours = ledger_every_hours
        draw = random.Random(hours)
        self._ledgers = [self._ledger(f"vpsbg-{number:02d}", draw) for number in range(VPSBG * times)]
        self._voxpria = [self._meter(f"voxpria-{number:02d}", draw) for number in range(VOXPRIA * times)]
        self._deepvue = [self._meter(f"deepvue-{number:02d}", draw) for number in range(DEEPVUE * times)]
        self._record = b""

    def _ledger(self, account_id: str, draw: random.Random) -> _Ledger:
        instants, sums, rows, total, spent = [], [], [], 0, 0
        first = self.start.replace(hour=0, minute=0, second=0, microsecond=0)
        for day in range((self.hours + _SPARE_HOURS) // 24 + 2):
            for second in sorted(draw.sample(range(86_400), 2)):
                at = first + timedelta(days=day, seconds=second)
                is_deposit = spent > 30_000
                amount = spent if is_deposit else -draw.randint(100, 999)
                spent = 0 if is_deposit else spent - amount
                total += amount
                instants.append(int(at.timestamp()))
                sums.append(total)
                kind, words = ("deposit", "Deposit by card") if is_deposit else ("renew-service", "Renewal of a server")
                rows.append(
                    f'{{"id": {len(rows) + 1}, "type": "{kind}", "amount": {_money(amount)}, "currency": "EUR", '
                    f'"status": "completed", "description": "{words}", "created_at": "{at:%Y-%m-%dT%H:%M:%SZ}"}}'
                )
        return _Ledger(account_id, 50_000, instants, sums, rows)

    def _meter(self, account_id: str, draw: random.Random) -> _Meter:
        balances, used_by_day, balance = [], {}, 20_000
        for hour in range(self.hours + _SPARE_HOURS):
            used = draw.randint(0, 12)
            balance += (20_000 if balance < 2_000 else 0) - used
            balances.append(balance)
            day = (self.start + timedelta(hours=hour)).date()
            used_by_day[day] = used_by_day.get(day, 0) + used
        return _Meter(account_id, balances, used_by_day)

    def accounts_toml(self) -> str:
        """An accounts.toml with these accounts; their addresses are never requested."""
        lines = ['reporting_currency = "EUR"', 'fx.source = "package"']
        for each in self._ledgers:
            lines += [f"[accounts.{each.account_id}]", 'vendor = "vpsbg"', 'api_key_env = "BENCH_KEY"']
        for meter in self._voxpria:
            lines += [f"[accounts.{meter.account_id}]", 'vendor = "voxpria"', 'api_key_env = "BENCH_KEY"']
        for meter in self._deepvue:
            lines += [
                f"[accounts.{meter.account_id}]", 'vendor = "deepvue"', 'unit = "EUR"', 'api_key_env = "BENCH_KEY"',
                'client_id_env = "BENCH_KEY"',
            ]  # fmt: skip
        return "\n".join(lines) + "\n"

    def land_history(self, accounts_file: Path, *, is_merged: bool = True) -> int:
        """Land the complete history and return its fetches.

        One file for each finished day and endpoint, as after compaction; with `is_merged` False one file for each run.
        The last day always has a file for each run.
        """
        self._record = msgspec.json.encode(settings.load(accounts_file).to_record(), order="sorted")
        days: dict[date, list[int]] = {}
        for hour in range((self.hours - 1) % self.run_every_hours, self.hours, self.run_every_hours):
            days.setdefault(self.at(hour).date(), []).append(hour)
        last = self.at(self.hours - 1).date()
        count = 0
        for day, hours in days.items():
            for group in [hours] if is_merged and day != last else [[hour] for hour in hours]:
                count += self._land(group, day)
        return count

    def land_next_run(self) -> int:
        """Land the run after the history, which becomes part of it; returns its fetches."""
        self.hours += self.run_every_hours
        return self._land([self.hours - 1], self.at(self.hours - 1).date())

    def at(self, hour: int) -> datetime:
        """Start of an hour's run."""
        return self.start + timedelta(hours=hour)

    def _land(self, hours: Iterable[int], day: date) -> int:
        writers: dict[tuple[str, str], LandingWriter] = {}
        count = 0
        for hour in hours:
            for fetch in self._fetches(hour):
                key = (fetch.vendor, fetch.endpoint)
                if key not in writers:
                    writers[key] = LandingWriter(self.landing, *key, day)
                writers[key].add(fetch)
                count += 1
        for writer in writers.values():
            writer.close()
        return count

    def _fetches(self, hour: int) -> Iterator[Fetch]:
        at = self.at(hour)
        for number, (vendor, account_id, endpoint, body, days) in enumerate(self._answers(hour, at)):
            yield good_answer(
                vendor,
                account_id,
                endpoint,
                body if isinstance(body, bytes) else body.encode(),
                at=at,
                number=number,
                run_id=f"run-{hour:06d}",
                days=days,
                resume_json=f'{{"seen_through":"{at:%Y-%m-%d}","is_newest_first":true}}',
            )

    def _answers(
        self, hour: int, at: datetime
    ) -> Iterator[tuple[str, str, str, str | bytes, tuple[date, date] | None]]:
        yield OWN, "*", RUNS, self._record, None
        # Ledgers are requested in the last run of their stretch, so that the runs after the history always contain one.
        following = hour + self.run_every_hours
        has_ledger = hour >= self.hours - 1 or hour // self.ledger_every_hours < following // self.ledger_every_hours
        today = at.date()
        for ledger in self._ledgers:
            yield (
                "vpsbg", ledger.account_id, "balance",
                f'{{"balance": {ledger.balance(at)}, "balance_limit": 0, "estimated_expenses": 120, "shortfall": 0, '
                '"currency": "EUR", "has_valid_card": true, "last_deposit": {"amount": 250.00, "amount_with_vat": 300.00, '
                '"payment_method": "card", "payment_date": "2021-06-01T09:00:00Z"}, "unconfirmed_bitcoin_deposits": []}',
                None,
            )  # fmt: skip
            if has_ledger:
                span = (today - timedelta(days=35), today)
                yield "vpsbg", ledger.account_id, "transactions", ledger.page(at), span
        for meter in self._voxpria:
            yield (
                "voxpria", meter.account_id, "credits",
                f'{{"success": true, "data": {{"balance": {meter.balances[hour]}, "currency": "credits", '
                f'"lastUpdated": "{at:%Y-%m-%dT%H:%M:%SZ}"}}}}',
                None,
            )  # fmt: skip
            days = [day for back in range(4) if (day := today - timedelta(days=back)) in meter.used_by_day]
            used = [meter.used_by_day[day] for day in days]
            rows = ", ".join(
                f'{{"date": "{day}", "calls": {amount // 3}, "creditsUsed": {amount}, "cost": "${amount / 10:.2f}"}}'
                for day, amount in zip(days, used, strict=True)
            )
            total = f'{{"calls": 0, "creditsUsed": {sum(used)}, "cost": "${sum(used) / 10:.2f}"}}'
            yield (
                "voxpria", meter.account_id, "usage",
                f'{{"success": true, "data": {{"usage": [{rows}], "total": {total}}}}}',
                (today - timedelta(days=3), today),
            )  # fmt: skip
        for meter in self._deepvue:
            balance = meter.balances[hour]
            yield "deepvue", meter.account_id, "wallet", f'{{"current_balance": {balance}, "success": true}}', None


END: Final = datetime(2026, 10, 31, 12, tzinfo=UTC)
"""Last hour of the history: in the middle of a month's last day, so that the month is as full as possible."""

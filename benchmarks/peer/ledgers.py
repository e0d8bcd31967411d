"""Twenty invented accounts with long ledgers and a balance a day, as landed for both sides of the comparison."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.answers import good_answer
from pipeline import settings
from pipeline.landing.store import OWN, RUNS, Fetch, LandingWriter

ACCOUNTS: Final = 20
ENTRIES_A_PAGE: Final = 100
DAYS: Final = 400
NOW: Final = datetime(2026, 10, 31, 12, tzinfo=UTC)
UNEXPLAINED_EVERY_DAYS: Final = 50
"""One balance in so many moved by what no entry tells."""
_OPENING_CENTS: Final = 500_000
# How often each kind of entry occurs, its words, and its least and greatest amount in cents.
_KINDS: Final = (
    (3, "deposit", "Deposit by card", (50_000, 250_000)),
    (4, "refund", "Refund of a renewal", (1, 999)),
    (60, "new-service", "New server", (-999, -1)),
    (433, "renew-service", "Renewal of a server", (-999, -1)),
)


def account_ids() -> list[str]:
    """The accounts that `land` writes."""
    return [f"vpsbg-{number:02d}" for number in range(ACCOUNTS)]


def accounts_toml() -> str:
    """An accounts.toml with these accounts; their addresses are never requested."""
    tables = (f'[accounts.{each}]\nvendor = "vpsbg"\napi_key_env = "BENCH_KEY"\n' for each in account_ids())
    return "".join(['fx.source = "package"\n', *tables])


def land(landing: Path, accounts_file: Path, *, entries: int) -> int:
    """Land a balance a day, and at the end the complete ledgers of about `entries` entries; returns their number."""
    record = msgspec.json.encode(settings.load(accounts_file).to_record(), order="sorted")
    writers: dict[tuple[object, ...], LandingWriter] = {}
    pages = max(entries // (ACCOUNTS * ENTRIES_A_PAGE), 1)
    for number, account_id in enumerate(account_ids()):
        for answer in _answers(account_id, number, pages):
            key = (answer.vendor, answer.endpoint, answer.fetched_at_utc.date())
            if key not in writers:
                writers[key] = LandingWriter(landing, *key)
            writers[key].add(answer)
    own = LandingWriter(landing, OWN, RUNS, _noon(0).date())
    own.add(good_answer(OWN, "*", RUNS, record, at=_noon(0), number=0, run_id=_run(0)))
    for writer in (own, *writers.values()):
        writer.close()
    return pages * ENTRIES_A_PAGE * ACCOUNTS


def _noon(day: int) -> datetime:
    return NOW - timedelta(days=DAYS - day)


def _run(day: int) -> str:
    return f"run-{day:04d}"


def _answers(account_id: str, number: int, pages: int) -> Iterator[Fetch]:
    draw = random.Random(number)
    count = pages * ENTRIES_A_PAGE
    step = timedelta(days=DAYS) / count
    first_id = 1 + number * 1_000_000
    weights = [kind[0] for kind in _KINDS]
    rows: list[str] = []
    cents, day = _OPENING_CENTS, 0
    for place, (_, kind, words, (low, high)) in enumerate(draw.choices(_KINDS, weights, k=count)):
        at = _noon(0) + step * place + timedelta(seconds=1)
        while _noon(day) < at:
            yield _balance(account_id, number, day, cents)
            day += 1
        amount = draw.randint(low, high)
        cents += amount
        rows.append(
            f'{{"id": {first_id + place}, "type": "{kind}", "amount": {_money(amount)}, "currency": "EUR", '
            f'"status": "completed", "description": "{words}", "created_at": "{at:%Y-%m-%dT%H:%M:%SZ}"}}'
        )
    for rest in range(day, DAYS + 1):
        yield _balance(account_id, number, rest, cents)
    rows.reverse()
    for page in range(1, pages + 1):
        listed = ", ".join(rows[(page - 1) * ENTRIES_A_PAGE : page * ENTRIES_A_PAGE])
        following = "null" if page == pages else f'"https://vpsbg.example/balance/transactions?page={page + 1}"'
        body = f'{{"data": [{listed}], "links": {{"next": {following}}}, "meta": {{"current_page": {page}}}}}'
        yield good_answer(
            "vpsbg", account_id, "transactions", body.encode(), at=NOW, number=ACCOUNTS + number * pages + page,
            run_id=_run(DAYS), page=page, is_last=page == pages, days=(None, NOW.date()),
        )  # fmt: skip


def _balance(account_id: str, number: int, day: int, cents: int) -> Fetch:
    moved = 100 if day % UNEXPLAINED_EVERY_DAYS == UNEXPLAINED_EVERY_DAYS - 1 else 0
    body = f'{{"balance": {_money(cents - moved)}, "balance_limit": 0, "currency": "EUR"}}'
    return good_answer(
        "vpsbg", account_id, "balance", body.encode(), at=_noon(day), number=1 + number, run_id=_run(day)
    )


def _money(cents: int) -> str:
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"

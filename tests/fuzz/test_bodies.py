"""Ten thousand mutated bodies for each endpoint of each vendor, through landing and staging into a real warehouse.

No exception is raised, received = accepted + rejected for every answer, and every accepted number is the one that an
independent, strict reader finds in the body. By default a share of them; `DRAWDOWN_TEST_BODIES=10000` for all, and
`DRAWDOWN_TEST_SEED` for others.
"""

from __future__ import annotations

import os
from collections import Counter
from datetime import datetime
from fractions import Fraction
from typing import Any

import pytest

from pipeline.schema.columns import COLUMNS
from pipeline.schema.tables import vendor_table
from pipeline.support.exact_json import NotJson, decode_json
from pipeline.support.tabular import NotCsv, decode_csv
from pipeline.vendors._port import Endpoint, Field, Reads, Records, Vendor
from tests.fuzz import oracle
from tests.fuzz.bodies import body
from tests.staging.landed import NOW, NewWorkshop, Workshop, write
from tests.vendors.examples import EVERY_ENDPOINT

pytestmark = pytest.mark.long

_BODIES = int(os.environ.get("DRAWDOWN_TEST_BODIES", "300"))
_SEED = int(os.environ.get("DRAWDOWN_TEST_SEED", "1"))
_AT_ONCE = 1000
"""Bodies of one load: each belongs to a separate account, and a load's work for an account depends on the others."""
_DAYS = (NOW.date(), NOW.date())

_EACH = pytest.mark.parametrize(
    ("vendor", "endpoint"),
    EVERY_ENDPOINT,
    ids=[f"{vendor.name}-{endpoint.name}" for vendor, endpoint in EVERY_ENDPOINT],
)


def _outcome(endpoint: Endpoint, text: bytes) -> str:
    """The client's outcome for a body, by its own decoder."""
    try:
        decode_csv(text) if endpoint.body == "csv" else decode_json(text)
    except (NotJson, NotCsv):
        return "not_json"
    return "ok"


def _land(workshop: Workshop, vendor: Vendor, endpoint: Endpoint, numbers: range) -> dict[str, tuple[bytes, str]]:
    """Land the bodies, each as the answer of a separate account; returns them by fetch id, with their outcome."""
    landed = {}
    fetches = []
    for number in numbers:
        text = body(_SEED, vendor, endpoint, number)
        fetch = workshop.landing.fetch(
            vendor.name, endpoint.name, text, account_id=f"{vendor.name}-{number}", days=_DAYS, run_id="run",
            outcome=_outcome(endpoint, text),
        )  # fmt: skip
        fetches.append(fetch)
        landed[fetch.fetch_id] = text, fetch.outcome
    write(fetches, workshop.home.landing)
    return landed


@_EACH
def test_no_body_stops_a_load_and_every_accepted_number_is_the_bodys(
    new_workshop: NewWorkshop, vendor: Vendor, endpoint: Endpoint
) -> None:
    total: Counter[str] = Counter()
    for first in range(0, _BODIES, _AT_ONCE):
        with new_workshop() as workshop:
            landed = _land(workshop, vendor, endpoint, range(first, min(first + _AT_ONCE, _BODIES)))
            report = workshop.load()
            assert report.fetches == len(landed)
            assert report.received == report.accepted + report.rejected
            payloads = {
                fetch_id: oracle.parse(text, endpoint.body)
                for fetch_id, (text, outcome) in landed.items()
                if outcome == "ok"
            }
            total += _check_counts(workshop, vendor, endpoint, payloads)
            total["values"] += sum(
                _check_values(workshop, vendor, endpoint, each, payloads) for each in endpoint.records
            )
            total += Counter(outcome for _, outcome in landed.values())
    # The bodies are of all kinds: some unreadable, some partly rejected, some nearly unchanged.
    assert total["ok"] > total["not_json"] > 0
    assert min(total["accepted"], total["rejected"]) > 0
    assert total["values"] > 0
    print(
        f"\nsoak: fuzz: {_BODIES:,} bodies, {total['not_json']:,} of them unreadable; "
        f"{total['accepted'] + total['rejected']:,} rows = {total['accepted']:,} accepted + {total['rejected']:,} "
        f"rejected; {total['values']:,} values compared"
    )


def _check_counts(workshop: Workshop, vendor: Vendor, endpoint: Endpoint, payloads: dict[str, Any]) -> Counter[str]:
    """Every answer's rows are accounted for, as many as in the body."""
    loads: dict[tuple[str, str], tuple[int, int, int]] = {
        (fetch_id, kind): (rows, accepted, rejected)
        for fetch_id, kind, rows, accepted, rejected in workshop.rows(
            "SELECT fetch_id, record_kind, received_rows, accepted_rows, rejected_rows FROM staging.loads"
        )
    }
    total: Counter[str] = Counter()
    for fetch_id, payload in payloads.items():
        expected: Counter[str] = Counter()
        for records in endpoint.records:
            expected[records.kind] += oracle.received(endpoint, payload, records)
        for kind, count in expected.items():
            rows, accepted, rejected = loads.pop((fetch_id, kind))
            assert rows == count == accepted + rejected, (fetch_id, kind, payload)
            total += Counter(accepted=accepted, rejected=rejected)
    assert not loads, "an answer that cannot be read gave rows"
    return total


def _check_values(
    workshop: Workshop, vendor: Vendor, endpoint: Endpoint, records: Records, payloads: dict[str, Any]
) -> int:
    """Every accepted value is the body's; returns the number of compared numbers."""
    table = vendor_table(vendor.name, records.kind)
    fields = [field for field in records.fields if field.reads is not Reads.CHOICE]
    where = " AND ".join(["true", *(f"{name} = '{value}'" for name, value in records.constants.items())])
    names = ", ".join(["fetch_id", "row_number", *(field.column for field in fields)])
    compared = 0
    for fetch_id, row_number, *values in workshop.rows(f"SELECT {names} FROM {table.full_name} WHERE {where}"):
        payload = payloads[fetch_id]
        assert not oracle.says_it_failed(endpoint, payload), payload
        rows = oracle.rows(payload, records)
        row = rows[row_number - 1]
        same = [row]
        if records.parts_add_up:
            key = next((field for field in fields if field.column in table.key), None)
            # Without a key of its own, such as a claim, all rows of the answer are parts of one.
            same = [each for each in rows if isinstance(each, dict)]
            if key is not None:
                day = oracle.expected(endpoint, key, row, is_float=False)
                same = [each for each in rows if _key(endpoint, key, each) == day]
        for field, value in zip(fields, values, strict=True):
            try:
                parts = [_expected(endpoint, field, each, is_float=vendor.money_is_float) for each in same]
            except KeyError:
                continue
            except oracle.Unreadable as problem:
                pytest.fail(
                    f"{vendor.name} {endpoint.name} {field.column}: {value!r} was accepted from {problem} in {row}"
                )
            is_number = field.reads in (Reads.MONEY, Reads.DOLLARS, Reads.NUMBER)
            expected = oracle.added_up(parts) if is_number else parts[0]
            assert _same(value, expected), f"{field.column} became {value!r} instead of {expected!r} in {same}"
            compared += is_number and value is not None
    return compared


def _expected(endpoint: Endpoint, field: Field, row: dict[str, Any], *, is_float: bool) -> Any:
    """Expected value of a field, or NULL for an unreadable optional field."""
    try:
        value = oracle.expected(endpoint, field, row, is_float=is_float)
    except oracle.Unreadable:
        if oracle.costs_only_itself(field):
            return None
        raise
    least = COLUMNS[field.column].minimum
    return (
        None if oracle.costs_only_itself(field) and least is not None and value is not None and value < least else value
    )


def _key(endpoint: Endpoint, field: Field, row: Any) -> Any:
    try:
        return oracle.expected(endpoint, field, row, is_float=False) if isinstance(row, dict) else None
    except oracle.Unreadable:
        return None


def _same(value: Any, expected: Any) -> bool:
    if isinstance(expected, Fraction):
        return value is not None and Fraction(value) == expected
    if isinstance(expected, datetime):
        return isinstance(value, datetime) and value == expected
    return bool(value == expected)


@_EACH
def test_a_body_is_the_same_whenever_it_is_made(vendor: Vendor, endpoint: Endpoint) -> None:
    made = [body(_SEED, vendor, endpoint, number) for number in range(20)]
    assert made == [body(_SEED, vendor, endpoint, number) for number in range(20)]
    assert len(set(made)) > 10
    assert made != [body(_SEED + 1, vendor, endpoint, number) for number in range(20)]

"""`drawdown vendors`: the vendors that accounts may name, and what a declaration would read from a saved answer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from pipeline.settings import taken_keys
from pipeline.staging.answers import Landed, RecordReading
from pipeline.staging.record_reading import read_endpoint
from pipeline.support.errors import UsageError
from pipeline.support.exact_json import NotJson, decode_json
from pipeline.support.redacted_places import redact_places
from pipeline.vendors import declared_folder, discover, shipped
from pipeline.vendors._declared import read_declaration
from pipeline.vendors._port import Endpoint, Field, Records, Vendor

LISTED = ("vendor", "title", "unit", "records", "settings", "from")
"""Columns of the list of vendors."""


def listed() -> list[tuple[str, str, str, str, str, str]]:
    """Every vendor in the columns of LISTED, in alphabetical order. Raises UsageError for a wrong declaration."""
    own = declared_folder()
    rows = []
    for name, vendor in discover().items():
        required = [*vendor.secret_settings, *vendor.placeholders, *([] if vendor.base_url else ["path"])]
        settings = ", ".join(required + [f"[{key}]" for key in vendor.settings])
        where = "Drawdown" if name in shipped() else str(own / f"{name}.toml")
        unit = vendor.unit_code or ("set by unit" if "unit" in vendor.settings else "in its answers")
        rows.append((name, vendor.title, unit, ", ".join(vendor.kinds), settings, where))
    return rows


def declaration(path: Path) -> Vendor:
    """Read a declaration. Raises UsageError with its first mistake, or if Drawdown has a vendor of its name."""
    vendor = read_declaration(path, path.stem)
    if vendor.name in shipped():
        raise UsageError(f"{path}: Drawdown has a vendor {vendor.name} already; rename the file")
    if taken := taken_keys(vendor):
        raise UsageError(
            f"{path}: {taken[0]} is a key of every account in accounts.toml; give the vendor's own another name"
        )
    return vendor


def summary(vendor: Vendor) -> Iterator[str]:
    """Lines about a declaration: each request, and the source of each column."""
    yield f"{vendor.title} ({vendor.name}): settings {', '.join((*vendor.secret_settings, *vendor.placeholders))}"
    for endpoint in vendor.endpoints:
        yield f"{endpoint.name}: GET {vendor.base_url}{endpoint.listing.path}, {endpoint.refresh}"
        for records in endpoint.records:
            places = [*((each.column, _place(each)) for each in records.fields)]
            places += [(column, f"always {value}") for column, value in records.constants.items()]
            width = max(len(column) for column, _ in places)
            yield f"  {records.kind}"
            yield from (f"    {column:<{width}}  {place}" for column, place in places)


def _place(field: Field) -> str:
    words = field.expression or field.sources[0]
    return words if field.is_required else f"{words} (optional)"


@dataclass(frozen=True, slots=True)
class BodyReading:
    """What a declaration reads from one saved answer."""

    records: Records
    rows: list[dict[str, Any]]
    """Accepted rows, with the columns that have a value."""
    problems: list[str]
    """One line for each rule that a row breaks."""
    notes: list[str]
    """One line for each key that nothing reads, or that is missing."""


def endpoint_of(vendor: Vendor, name: str | None) -> Endpoint:
    """The endpoint of that name, or else the one with the balance. Raises UsageError for an unknown name."""
    if name is None:
        return vendor.balance_endpoint
    try:
        return vendor.endpoint(name)
    except KeyError:
        known = ", ".join(each.name for each in vendor.endpoints)
        raise UsageError(f"--endpoint {name}: {vendor.name} has no such endpoint; it has {known}") from None


def body_of(path: Path) -> bytes:
    """Contents of a saved answer; `-` is stdin. Raises UsageError if it cannot be read."""
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as problem:
        raise UsageError(f"{path}: cannot be read: {problem.strerror}") from None


def read_body(vendor: Vendor, endpoint: Endpoint, body: bytes, about: str) -> list[BodyReading]:
    """Read an answer as a run would, the redaction of its places included. Raises UsageError if it is not JSON."""
    redacted, _ = redact_places(body, endpoint.redacted)
    try:
        payload = decode_json(redacted if endpoint.redacted else body)
    except NotJson as problem:
        raise UsageError(f"{about}: {problem}") from None
    now = datetime.now(UTC)
    answer = Landed(
        fetch_id="check",
        run_id="check",
        account_id="check",
        window_from_date=now.date(),
        window_to_date=now.date(),
        fetched_at_utc=now,
        payload=payload,
    )
    readings = read_endpoint(endpoint, [answer], money_is_float=vendor.money_is_float)
    return [
        BodyReading(reading.records, list(_rows(reading)), list(_problems(reading)), list(_notes(reading)))
        for reading in readings
    ]


def shown(value: object) -> str:
    """A value as it is printed: an amount without an exponent, so that zero is not 0E-9."""
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _rows(reading: RecordReading) -> Iterator[dict[str, Any]]:
    made = {field.column for field in reading.records.fields} | set(reading.records.constants)
    for row in reading.accepted.iter_rows(named=True):
        yield {column: value for column, value in row.items() if column in made and value is not None}


def _problems(reading: RecordReading) -> Iterator[str]:
    fields = {field.column: field for field in reading.records.fields}
    if not sum(reading.received) and not reading.records.is_optional:
        yield f"no rows at {reading.records.at or 'the top'}"
    for each in reading.rejects:
        field = fields.get(each.column_name)
        source = f" ({_place(field)})" if field else ""
        found = "nothing" if each.value is None else each.value
        yield f"row {each.row_number}: {each.column_name}{source}: {each.check_name} fails: found {found}"


def _notes(reading: RecordReading) -> Iterator[str]:
    words = {
        "unknown_field": "nothing reads this key; list it under ignored if that is right",
        "missing_field": "is missing",
        "unreadable_field": "cannot be read and is left out",
        "unreadable_in_every_row": "cannot be read in any row",
        "rounded_amount": "has more than nine decimals and is rounded",
    }
    for each in reading.drift:
        found = f": {each.value}" if each.value is not None and each.check_name != "rounded_amount" else ""
        yield f"{each.column_name}: {words.get(each.check_name, each.check_name)}{found}"

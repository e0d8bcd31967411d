"""Documented example bodies: `tests/vendors/<vendor>/<endpoint>.json` (or `.csv`).

Those of a vendor that is declared in TOML are beside its declaration, in `examples`: `<endpoint>.json`, and further
ones as `<endpoint>.<case>.json`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pipeline.vendors
from pipeline.staging.record_reading import Landed, RecordReading, read_endpoint
from pipeline.support.exact_json import decode_json
from pipeline.support.tabular import decode_csv
from pipeline.vendors import discover
from pipeline.vendors._port import Endpoint, Vendor

PACKAGE = Path(pipeline.vendors.__file__).parent
EVERY_ENDPOINT = [(vendor, endpoint) for vendor in discover().values() for endpoint in vendor.endpoints]

NOW = datetime(2026, 3, 18, 12, tzinfo=UTC)


def example(vendor: str, endpoint: str, body: str = "json") -> bytes:
    """The documented example of an endpoint's answer, byte for byte."""
    declared = PACKAGE / vendor / "examples"
    folder = declared if declared.is_dir() else Path(__file__).parent / vendor
    return (folder / f"{endpoint}.{body}").read_bytes()


def decoded(body: bytes, kind: str = "json") -> object:
    """A body as staging decodes it."""
    return decode_csv(body) if kind == "csv" else decode_json(body)


def read(vendor: Vendor, endpoint: Endpoint, *bodies: bytes) -> list[RecordReading]:
    """Read JSON bodies as answers of an endpoint, instead of its own."""
    return read_payloads(vendor, endpoint, *(decode_json(body) for body in bodies))


def read_payloads(vendor: Vendor, endpoint: Endpoint, *payloads: object) -> list[RecordReading]:
    """Read decoded bodies as answers of an endpoint."""
    answers = [
        Landed(
            fetch_id=f"f{number}",
            run_id="run",
            account_id="main",
            window_from_date=date(2026, 3, 1),
            window_to_date=date(2026, 3, 18),
            fetched_at_utc=NOW,
            payload=payload,
        )
        for number, payload in enumerate(payloads, start=1)
    ]
    return read_endpoint(endpoint, answers, money_is_float=vendor.money_is_float)


def read_example(
    vendor: Vendor, endpoint: Endpoint, other: Vendor | None = None, sibling: Endpoint | None = None
) -> list[RecordReading]:
    """Read an endpoint's own example, or that of another endpoint."""
    holder, told = other or vendor, sibling or endpoint
    return read_payloads(vendor, endpoint, decoded(example(holder.name, told.name, told.body), told.body))

"""Documented example bodies: `tests/vendors/<vendor>/<endpoint>.json`."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

from pipeline.exact import decode_json
from pipeline.staging.read import Landed, Reading, read_endpoint
from pipeline.vendors import discover
from pipeline.vendors._port import Endpoint, Vendor

EVERY_ENDPOINT = [(vendor, endpoint) for vendor in discover().values() for endpoint in vendor.endpoints]

NOW = datetime(2026, 3, 18, 12, tzinfo=UTC)


def example(vendor: str, endpoint: str) -> bytes:
    """The documented example of an endpoint's answer, to the byte."""
    return (Path(__file__).parent / vendor / f"{endpoint}.json").read_bytes()


def landed(body: bytes, *, fetch_id: str = "f1", account_id: str = "main", at: datetime = NOW) -> Landed:
    """A body as staging gets it."""
    return Landed(
        fetch_id=fetch_id,
        run_id=f"run-{fetch_id}",
        account_id=account_id,
        window_from_date=date(2026, 3, 1),
        window_to_date=date(2026, 3, 18),
        fetched_at_utc=at,
        payload=decode_json(body),
    )


def read(vendor: Vendor, endpoint: Endpoint, *bodies: bytes) -> list[Reading]:
    """Read bodies as answers of an endpoint."""
    answers = [landed(body, fetch_id=f"f{number}") for number, body in enumerate(bodies, start=1)]
    return read_endpoint(endpoint, answers, money_is_float=vendor.money_is_float)

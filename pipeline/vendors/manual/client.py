"""Endpoint of readings kept by hand: the file that the account's `path` names."""

from __future__ import annotations

from datetime import timedelta

from pipeline.http import RateLimit
from pipeline.vendors._port import Endpoint, Once, Vendor
from pipeline.vendors.manual import parse

VENDOR = Vendor(
    name="manual",
    title="Readings kept by hand",
    base_url=None,
    auth=(),
    rate_limit=RateLimit(requests=1000, per_seconds=1, scope="account"),
    endpoints=(
        Endpoint(
            name="readings",
            doc="A CSV file with the columns observed_at_utc, balance_amount, unit_code.",
            listing=Once(path=""),
            records=(parse.READINGS,),
            body="csv",
            refresh="hourly",
        ),
    ),
    assumptions=(
        "Readings by hand are rare: one is stale after 45 days, not after 26 hours.",
        "A time without an offset is UTC, as the column's name says; a day without a time is its midnight.",
        "From its first reading on, the current file defines the readings: a row that is removed, or given another "
        "time, is withdrawn. Readings from before its first row are kept, so that a file may be started afresh. A file "
        "that cannot be read, or has no good row, withdraws nothing.",
        "A row later than the run's clock is not a reading yet: the run names its line, and reads it once its time has "
        "come.",
        "If the newest row cannot be read, the account is stale, and the run names the line.",
        "Blank lines, and columns without a name and values, are ignored. A value in a column without a name rejects "
        "the file, with line and column: 1,234.50 without quotes is two fields, the first another amount.",
    ),
    stale_after=timedelta(days=45),
)

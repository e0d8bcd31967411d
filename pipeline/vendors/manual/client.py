"""Where readings kept by hand are: in the file that the account's `path` names."""

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
        "Nobody writes a reading down every hour: one is stale after 45 days, not after 26 hours.",
        "A time without an offset is UTC, as the column's name says; a bare day is its midnight.",
        "From its first reading on, the file as it is now says which readings there are: a row that is taken out, or "
        "given another time, is taken back. Readings from before its first row stay, so that a file may begin again. A "
        "file that cannot be read, or has no good row, takes nothing back.",
        "A row from later than the run's clock is no reading yet: the run names its line, and it is read once its time "
        "has come.",
        "Where the newest row cannot be read, the account is stale, and the run names the line.",
        "Blank lines, and columns without a name or a value, are passed over. A value in a column without a name "
        "refuses the file, by line and column: 1,234.50 without quotes is two fields, the first another amount.",
    ),
    stale_after=timedelta(days=45),
)

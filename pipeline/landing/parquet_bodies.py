"""Rows of Drawdown's own as Parquet bodies in landing: forecasts, backtests, and what builds said."""

from __future__ import annotations

import io
from typing import Final

import polars as pl

from pipeline.landing.own import land_own
from pipeline.support.clock import Clock
from pipeline.support.home import Home

_CONTENT_TYPE: Final = "application/vnd.apache.parquet"


def land_parquet(
    home: Home, clock: Clock, run_id: str, kind: str, rows: pl.DataFrame, format_version: int | None = None
) -> str:
    """Land rows as one body under `landing/_drawdown/<kind>`; return its fetch id. Raises OSError if the disk fails.

    In the newest format of the kind, unless one is given.
    """
    body = parquet_body(rows)
    return land_own(home, clock, run_id, kind, body, content_type=_CONTENT_TYPE, format_version=format_version)


def parquet_body(rows: pl.DataFrame) -> bytes:
    """Rows as a Parquet body."""
    body = io.BytesIO()
    rows.write_parquet(body, compression="zstd")
    return body.getvalue()


def read_parquet(body: bytes) -> pl.DataFrame:
    """Read a Parquet body; raises ValueError for a damaged one."""
    try:
        return pl.read_parquet(io.BytesIO(body))
    except pl.exceptions.PolarsError as problem:
        raise ValueError(type(problem).__name__) from None

"""Files of exchange rates in the European Central Bank's formats: XML, CSV, and a ZIP archive of one CSV.

The XML is a message in the namespace of GESMES: a `Cube` with a `time` for each day, and in it a `Cube` with `currency`
and `rate` for each rate. The CSV has a line for each day and a column for each currency; the file of one day writes its
day as `27 November 2026` and a space after each comma. https://www.ecb.europa.eu/stats/eurofxref
"""

from __future__ import annotations

import io
import re
from typing import Final
from xml.parsers import expat
from zipfile import BadZipFile, ZipFile
from zlib import error as zlib_error

import polars as pl

XML: Final = "application/xml"
CSV: Final = "text/csv"
ZIP: Final = "application/zip"

LARGEST_BYTES: Final = 16 * 1024 * 1024
"""Of a file, and of what an archive contains. The history since 1999 is 2 MB of CSV."""

EXACT_RATE: Final = r"^[0-9]{1,9}(\.[0-9]{1,9})?$"
"""Stored without rounding by DECIMAL(18,9)."""

_ENVELOPE: Final = "http://www.gesmes.org/xml/2002-08-01 Envelope"
_CUBE: Final = "http://www.ecb.int/vocabulary/2002-08-01/eurofxref Cube"
_ABSENT: Final = ("N/A", "")
"""The ECB's text for a currency without a rate on the day."""
_CURRENCY: Final = re.compile("[A-Z]{3}")
_COLUMNS: Final = ("row_number", "rate_date", "unit_code", "text")


def format_of(body: bytes) -> str | None:
    """The media type of a file by its first bytes: XML, CSV or ZIP; None for anything else, such as a web page."""
    start = body[:512].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"PK"):
        return ZIP
    if re.match(rb"Date\s*,", start):
        return CSV
    return XML if start.startswith(b"<") and not re.match(rb"(?i)<(!doctype\s+html|html)\b", start) else None


def is_usable() -> pl.Expr:
    """Whether a row of `read_rates` has a day, and a rate above zero that is stored without rounding."""
    text = pl.col("text")
    return text.str.contains(EXACT_RATE) & text.str.contains("[1-9]") & pl.col("rate_date").is_not_null()


def read_rates(body: bytes) -> pl.DataFrame:
    """Read the rates of a file, with their texts as they are.

    Columns: row_number (of its day in the file, from 1), rate_date (NULL if the day cannot be read), unit_code,
    text (units of the currency for one euro). A day or a currency without a rate has no row.

    Raises ValueError with a few words if the file is in none of the formats, is damaged, or is too large.
    """
    if len(body) > LARGEST_BYTES:
        raise ValueError(f"is larger than {LARGEST_BYTES} bytes")
    match format_of(body):
        case "application/zip":
            return _read_csv(_unzip(body))
        case "text/csv":
            return _read_csv(body)
        case "application/xml":
            return _read_xml(body)
    raise ValueError("is neither XML, CSV nor a ZIP archive")


def _unzip(body: bytes) -> bytes:
    try:
        with ZipFile(io.BytesIO(body)) as archive:
            names = archive.namelist()
            if len(names) != 1:
                raise ValueError(f"is a ZIP archive of {len(names)} files, not of one")
            with archive.open(names[0]) as file:
                # The size in the archive's directory may be wrong.
                text = file.read(LARGEST_BYTES + 1)
    except (BadZipFile, zlib_error, EOFError, NotImplementedError, RuntimeError, OSError) as problem:
        raise ValueError(f"is a damaged ZIP archive ({type(problem).__name__})") from None
    if len(text) > LARGEST_BYTES:
        raise ValueError(f"is a ZIP archive of more than {LARGEST_BYTES} bytes")
    return text


def _read_csv(body: bytes) -> pl.DataFrame:
    try:
        table = pl.read_csv(io.BytesIO(body), infer_schema=False, truncate_ragged_lines=True)
        table = table.rename({name: name.strip() for name in table.columns})
    except pl.exceptions.PolarsError as problem:
        raise ValueError(f"is a damaged CSV ({type(problem).__name__})") from None
    if "Date" not in table.columns:
        raise ValueError("is a CSV without a column of days")
    day = pl.col("Date").str.strip_chars()
    return (
        table.with_row_index("row_number", offset=1)
        .with_columns(
            row_number=pl.col("row_number").cast(pl.Int64),
            rate_date=pl.coalesce(day.str.to_date("%Y-%m-%d", strict=False), day.str.to_date("%d %B %Y", strict=False)),
        )
        .unpivot(
            [name for name in table.columns if _CURRENCY.fullmatch(name)],
            index=["row_number", "rate_date"],
            variable_name="unit_code",
            value_name="text",
        )
        .with_columns(pl.col("text").str.strip_chars())
        .filter(pl.col("text").is_not_null() & ~pl.col("text").is_in(_ABSENT))
        .select(_COLUMNS)
    )


def _read_xml(body: bytes) -> pl.DataFrame:
    rows: list[tuple[int, str, str, str]] = []
    day, day_count, depth = "", 0, 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal day, day_count, depth
        if depth == 0 and name != _ENVELOPE:
            raise ValueError("is XML, but no message of exchange rates")
        depth += 1
        if name != _CUBE:
            return
        if "time" in attributes:
            day, day_count = attributes["time"], day_count + 1
        elif "currency" in attributes and "rate" in attributes:
            rows.append((day_count, day, attributes["currency"], attributes["rate"]))

    def refuse(*_: object) -> None:
        raise ValueError("is XML with a DOCTYPE, which is not read")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = start
    # Without a DOCTYPE there are no entities that could expand, or lead to other files.
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(body, True)
    except expat.ExpatError as problem:
        raise ValueError(f"is damaged XML ({expat.ErrorString(problem.code)})") from None
    names = ["row_number", "day", "unit_code", "text"]
    return (
        pl.DataFrame(rows, schema=dict(zip(names, [pl.Int64, *[pl.String] * 3], strict=True)), orient="row")
        .filter(pl.col("unit_code").str.contains("^[A-Z]{3}$"))
        .with_columns(rate_date=pl.col("day").str.to_date("%Y-%m-%d", strict=False))
        .select(_COLUMNS)
    )

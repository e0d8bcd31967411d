"""What the command line prints: tables that keep every digit, and files of the same rows."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, BinaryIO, Final

if TYPE_CHECKING:
    import duckdb
    from rich.console import Console
    from rich.table import Table

SEVERITY_STYLES: Final = {
    "critical": "bold red",
    "warning": "yellow",
    "watch": "cyan",
    "unknown": "magenta",
    "ok": "green",
}
# Text that a spreadsheet would run as a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def console(*, stderr: bool = False) -> Console:
    """A terminal that keeps to its width, or plain text where there is none."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=False)


def show_rows(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows as a table on stdout; every digit and every character is shown, however wide it gets."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(names):
        is_number = all(isinstance(row[index], int | float | Decimal | None) for row in rows) and bool(rows)
        table.add_column(name, justify="right" if is_number else "left", no_wrap=True, overflow="ignore")
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row))
    measuring = Console(width=100_000, file=io.StringIO())
    width = measuring.measure(table).maximum
    Console(width=max(width, 20), highlight=False, no_color=not sys.stdout.isatty()).print(table)
    print(f"{len(rows)} row{'' if len(rows) == 1 else 's'}", file=sys.stderr)


def cell(value: Any) -> str:
    """A value as text, exact and in one form everywhere: instants in UTC with Z, NULL empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return value.isoformat(sep=" ")
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)


def write_csv(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows as CSV; text that a spreadsheet would run as a formula gets an apostrophe in front."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([_harmless(name) for name in names])
    for row in rows:
        writer.writerow([_harmless(value) if isinstance(value, str) else cell(value) for value in row])


def _harmless(text: str) -> str:
    return "'" + text if text.startswith(_FORMULA_STARTS) else text


def write_json(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows as a JSON array of objects; decimals are exact JSON numbers."""
    import msgspec

    objects = [dict(zip(names, (_jsonable(value) for value in row), strict=True)) for row in rows]
    encoded = msgspec.json.Encoder(decimal_format="number").encode(objects)
    print(msgspec.json.format(encoded, indent=2).decode())


def _jsonable(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return cell(value)
    return value if isinstance(value, str | int | float | bool | Decimal | list | dict | None) else str(value)


def write_parquet(result: duckdb.DuckDBPyRelation, target: BinaryIO) -> None:
    """Write a query's result as Parquet, types kept."""
    import pyarrow.parquet as pq

    table = result.to_arrow_table()
    pq.write_table(table, target, compression="zstd")


def status_table(rows: Sequence[dict[str, Any]], width: int) -> Table:
    """The account table: one line an account, within `width` columns, most urgent first."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), width=width)
    table.add_column("account", no_wrap=True, ratio=3)
    table.add_column("balance", justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    table.add_column("days left", justify="right", no_wrap=True)
    table.add_column("dry by", no_wrap=True)
    table.add_column("severity", no_wrap=True)
    table.add_column("reading", no_wrap=True)
    for row in rows:
        style = SEVERITY_STYLES[row["severity"]]
        days = row["runway_days"]
        table.add_row(
            row["account_id"],
            "" if row["balance_amount"] is None else _two_decimals(row["balance_amount"]),
            _short_unit(row["unit_code"], row["vendor"]),
            "" if days is None else f"{days:.1f}",
            cell(row["runway_p50_date"]),
            Text(row["severity"], style=style),
            row["reading_state"],
        )
    return table


def _two_decimals(value: Decimal) -> str:
    return f"{value:,.2f}"


def _short_unit(unit_code: str, vendor: str) -> str:
    """`voxpria-credit` of a Voxpria account reads `credit` in a narrow table."""
    return unit_code.removeprefix(f"{vendor}-")


def age_words(seconds: float) -> str:
    """An age as people say it."""
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        count = int(seconds // size)
        if count >= 2 or (count == 1 and size == 86400):
            return f"{count} {name}{'' if count == 1 else 's'}"
    return f"{int(max(seconds, 0))} seconds"

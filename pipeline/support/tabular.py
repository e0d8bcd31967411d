"""CSV: bodies as the rows that JSON would have held, and what a spreadsheet must not be given."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Final

FORMULA_STARTS: Final = (
    *"=+-@\t\r\n",
    # Some spreadsheets fold the full-width signs to the plain ones.
    "\N{FULLWIDTH EQUALS SIGN}",
    "\N{FULLWIDTH PLUS SIGN}",
    "\N{FULLWIDTH HYPHEN-MINUS}",
    "\N{FULLWIDTH COMMERCIAL AT}",
)
"""A text that begins so is run as a formula by spreadsheets; an apostrophe in front keeps it a text."""


class NotCsv(ValueError):
    """The body is no CSV text with a header; the message says what is wrong and where."""


def decode_csv(body: bytes) -> list[dict[str, str | None]]:
    """Rows as objects of texts, empty fields as None, in the order of the file.

    UTF-8 with or without a byte order mark; comma or semicolon between fields, as the header has it. Lines that hold
    nothing but separators are no rows. A column without a name is passed over as long as it holds nothing; what stands
    beyond the header's last column comes under `surplus`. Raises NotCsv.
    """
    names, records = _read(body)
    rows = []
    for line, fields in records:
        for place, name in enumerate(names):
            if not name and place < len(fields) and fields[place]:
                raise NotCsv(
                    f"line {line} holds a value in column {place + 1}, which has no name; name the column in the first "
                    "line, or empty it"
                )
        row = {name: (fields[place] if place < len(fields) else "") or None for place, name in enumerate(names) if name}
        surplus = fields[len(names) :]
        rows.append({**row, "surplus": ",".join(surplus)} if any(surplus) else row)
    return rows


def surplus_value(body: bytes) -> str | None:
    """What is wrong with a file that holds a value beyond its header's last column; None where nothing is.

    An amount such as 1,234.50 without quotes is two fields, the first of which is another amount. Bodies that were
    landed by earlier versions may hold such lines, so that reading them is no error. Raises NotCsv.
    """
    names, records = _read(body)
    for line, fields in records:
        for place, value in enumerate(fields[len(names) :], start=len(names) + 1):
            if value:
                return (
                    f"line {line} holds a value in column {place}, but the first line names {len(names)}; put an "
                    "amount that holds a separator into quotes, or name the column"
                )
    return None


def line_of_row(body: bytes, row_number: int) -> int:
    """The line of the file at which a row of `decode_csv` begins; both count from 1, the header is line 1 as a rule.

    Lines that are blank or within quotes count as lines, as they do in an editor. Raises NotCsv for a body that cannot
    be read, IndexError for a row that it does not have.
    """
    _, records = _read(body)
    if row_number < 1:
        raise IndexError(row_number)
    return [line for line, _ in records][row_number - 1]


def _read(body: bytes) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header's names, empty ones included, and each row's first line and fields, without blanks around them."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise NotCsv(f"not UTF-8 at byte {problem.start}; save it as CSV in UTF-8") from None
    records = list(_records(text))
    _, names = records[0] if records else (1, [])
    # Spreadsheets put a separator behind the last column.
    while names and not names[-1]:
        names = names[:-1]
    known = [name for name in names if name]
    if not known or len(set(known)) < len(known):
        raise NotCsv("the first line must name the columns, each once")
    return names, records[1:]


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    header = next((line for line in text.splitlines() if line.strip(",; \t")), "")
    delimiter = ";" if header.count(";") > header.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for record in reader:
            fields = [field.strip() for field in record]
            if any(fields):
                yield line, fields
            line = reader.line_num + 1
    except csv.Error as problem:
        raise NotCsv(f"not CSV at line {reader.line_num}: {problem}") from None

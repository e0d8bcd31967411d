"""CSV: bodies decoded to the rows that JSON would have, and text that is unsafe in spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Final

FORMULA_STARTS: Final = (
    *"=+-@\t\r\n",
    # Some spreadsheets convert full-width signs to the plain ones.
    "\N{FULLWIDTH EQUALS SIGN}",
    "\N{FULLWIDTH PLUS SIGN}",
    "\N{FULLWIDTH HYPHEN-MINUS}",
    "\N{FULLWIDTH COMMERCIAL AT}",
)
"""Spreadsheets run a text with such a beginning as a formula; an apostrophe in front keeps it a text."""


class NotCsv(ValueError):
    """The body is no CSV text with a header; the message has the problem and its place."""


def decode_csv(body: bytes) -> list[dict[str, str | None]]:
    """Decode rows as objects of texts, empty fields as None, in the order of the file.

    UTF-8 with or without a byte order mark; comma or semicolon between fields, as in the header. Lines that only have
    separators are skipped. A column without a name is ignored as long as it is empty; values beyond the header's last
    column are stored under `surplus`. Raises NotCsv.
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
    """Problem of a file with a value beyond its header's last column; None if there is none.

    An amount such as 1,234.50 without quotes is two fields, the first of which is another amount. Bodies landed by
    earlier versions may contain such lines, so reading them is no error. Raises NotCsv.
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
    """Line of the file at which a row of `decode_csv` begins; both count from 1, the header is usually line 1.

    Blank lines and line breaks within quotes count, as in an editor. Raises NotCsv for a body that cannot be read,
    IndexError for a row that it does not have.
    """
    _, records = _read(body)
    if row_number < 1:
        raise IndexError(row_number)
    return [line for line, _ in records][row_number - 1]


def _read(body: bytes) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header's names, empty ones included, and each row's first line and fields, stripped of blanks."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise NotCsv(f"not UTF-8 at byte {problem.start}; save it as CSV in UTF-8") from None
    records = list(_records(text))
    _, names = records[0] if records else (1, [])
    # Spreadsheets write a separator after the last column.
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

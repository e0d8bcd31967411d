"""CSV: bodies as the rows that JSON would have held, and what a spreadsheet must not be given."""

from __future__ import annotations

import csv
import io
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

    UTF-8 with or without a byte order mark; comma or semicolon between fields, as the header has it. Raises NotCsv.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise NotCsv(f"not UTF-8 at byte {problem.start}; save it as CSV in UTF-8") from None
    header = text.partition("\n")[0]
    delimiter = ";" if header.count(";") > header.count(",") else ","
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restkey="surplus", strict=True)
    try:
        names = [name.strip() for name in reader.fieldnames or []]
        if not names or len(set(names)) < len(names) or not all(names):
            raise NotCsv("the first line must name the columns, each once")
        reader.fieldnames = names
        return [
            {
                name: None
                if value is None or value == ""
                else ",".join(value)
                if isinstance(value, list)
                else value.strip()
                for name, value in row.items()
            }
            for row in reader
        ]
    except csv.Error as problem:
        raise NotCsv(f"not CSV at line {reader.line_num}: {problem}") from None


def line_of_row(body: bytes, row_number: int) -> int:
    """The line, from 1, on which a data row of a CSV body begins; rows are counted from 1, as `decode_csv` gives them.

    The header, empty lines and line breaks within quotes are counted as a text editor counts them. ValueError for a row
    that the body does not have.
    """
    text = body.decode("utf-8-sig")
    header = text.partition("\n")[0]
    delimiter = ";" if header.count(";") > header.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    last, rows = 0, -1
    for fields in reader:
        # A line without a character is no row; the header is row 0.
        rows += bool(fields)
        if fields and rows == row_number:
            return last + 1
        last = reader.line_num
    raise ValueError(f"there is no row {row_number}")

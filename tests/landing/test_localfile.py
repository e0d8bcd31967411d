"""A CSV file that is kept by hand: spreadsheets' additions are ignored, and invalid values are reported by line."""

from __future__ import annotations

import asyncio
import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.http import HttpResult
from pipeline.landing.localfile import LocalFile
from pipeline.support.tabular import NotCsv, decode_csv, line_of_row

HEADER = "observed_at_utc,balance_amount,unit_code"
ROWS = [
    {"observed_at_utc": "2026-03-01", "balance_amount": "10.00", "unit_code": "EUR"},
    {"observed_at_utc": "2026-03-02", "balance_amount": "9.00", "unit_code": "EUR"},
]


def _read(folder: Path, text: str | bytes) -> HttpResult:
    path = folder / "readings.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return asyncio.run(LocalFile(path, "main").get(""))


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\n2026-03-01,10.00,EUR\n2026-03-02,9.00,EUR\n",
        f"{HEADER}\r\n2026-03-01,10.00,EUR\r\n2026-03-02,9.00,EUR",
        f"\ufeff{HEADER}\n2026-03-01,10.00,EUR\n2026-03-02,9.00,EUR\n",
        f"{HEADER},\n2026-03-01,10.00,EUR,\n2026-03-02,9.00,EUR,\n",
        f"{HEADER},,,\n2026-03-01,10.00,EUR\n2026-03-02,9.00,EUR,, ,\n",
        f"{HEADER}\n2026-03-01,10.00,EUR,,\n2026-03-02,9.00,EUR\n",
        f"{HEADER.replace(',', ';')};;\n2026-03-01;10.00;EUR;;\n2026-03-02;9.00;EUR;;\n",
        "observed_at_utc,,balance_amount, ,unit_code\n2026-03-01,,10.00,,EUR\n2026-03-02,,9.00, ,EUR\n",
        ",observed_at_utc,balance_amount,unit_code\n,2026-03-01,10.00,EUR\n,2026-03-02,9.00,EUR\n",
        f"\n\n{HEADER}\n\n2026-03-01,10.00,EUR\n,,\n \n2026-03-02,9.00,EUR\n\n,,,,\n",
        f" {HEADER.replace(',', ' , ')} \n 2026-03-01 , 10.00 ,EUR \n2026-03-02,9.00,\tEUR\n",
    ],
)
def test_additions_of_a_spreadsheet_change_nothing(tmp_path: Path, text: str) -> None:
    answer = _read(tmp_path, text)
    assert (answer.outcome, answer.payload) == ("ok", ROWS)
    assert answer.body == (tmp_path / "readings.csv").read_bytes()


@pytest.mark.parametrize("text", [HEADER, f"{HEADER}\n", f"{HEADER},,\r\n\r\n", f"{HEADER}\n,,\n\n"])
def test_a_header_without_rows_is_no_failure(tmp_path: Path, text: str) -> None:
    answer = _read(tmp_path, text)
    assert (answer.outcome, answer.payload, answer.reason) == ("ok", [], "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            f"{HEADER},,note\n2026-03-01,10.00,EUR,,x\n\n2026-03-02,9.00,EUR,paid,x\n",
            "line 4 holds a value in column 4, which has no name; name the column in the first line, or empty it",
        ),
        (
            f"{HEADER}\n2026-03-01,10.00,EUR\n2026-03-02,1,234.50,EUR\n",
            "line 3 holds a value in column 4, but the first line names 3; put an amount that holds a separator into "
            "quotes, or name the column",
        ),
        (f"{HEADER},\n2026-03-01,10.00,EUR,x\n", "line 2 holds a value in column 4, but the first line names 3; put"),
        ("", "the first line must name the columns, each once"),
        (",,\n\n", "the first line must name the columns, each once"),
        ("a,b,a\n1,2,3\n", "the first line must name the columns, each once"),
        (f'{HEADER}\n2026-03-01,"10.00"x,EUR\n', "not CSV at line 2"),
        (f"{HEADER}\n".encode() + b"2026-03-01,\xff,EUR\n", "not UTF-8 at byte"),
    ],
)
def test_an_invalid_value_is_one_line_with_its_place(tmp_path: Path, text: str | bytes, words: str) -> None:
    answer = _read(tmp_path, text)
    assert answer.outcome == "unreadable"
    assert answer.reason.startswith(f"account main: {tmp_path}/readings.csv: {words}")


def test_a_body_that_an_earlier_version_landed_with_a_value_too_many_is_still_read() -> None:
    body = f"{HEADER}\n2026-03-01,1,234.50,EUR\n".encode()
    assert decode_csv(body) == [
        {"observed_at_utc": "2026-03-01", "balance_amount": "1", "unit_code": "234.50", "surplus": "EUR"}
    ]


def test_a_row_is_found_in_the_file_after_any_lines() -> None:
    body = (
        f'\n{HEADER},note\n2026-03-01,10.00,EUR,"two\nlines"\n\n,,,\n2026-03-02,9.00,EUR,"a ""b""\r\n\r\nc"\r\nx,y,z\n'
    )
    lines = [line_of_row(body.encode(), number) for number in (1, 2, 3)]
    assert lines == [3, 7, 10]
    assert line_of_row(f"{HEADER}\na,b,c\n".encode(), 1) == 2
    for number in (0, 4, -1):
        with pytest.raises(IndexError):
            line_of_row(body.encode(), number)
    with pytest.raises(NotCsv):
        line_of_row(b"\xff", 1)


_FIELD = st.text(alphabet='ab ,;"\n1.5', max_size=6)


@given(
    st.lists(st.lists(_FIELD, min_size=3, max_size=3), max_size=8), st.integers(0, 3), st.sampled_from(["\n", "\r\n"])
)
def test_every_row_is_read_with_its_line_number(rows: list[list[str]], empty: int, end: str) -> None:
    """As a spreadsheet writes them, with columns without a name after the others."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator=end)
    starts = []
    for row in [["one", "two", "three"], *rows]:
        starts.append(len(file.getvalue().splitlines()) + 1 if file.getvalue() else 1)
        writer.writerow([*row, *[""] * empty])
    body = file.getvalue().encode()
    held = [(start, row) for start, row in zip(starts[1:], rows, strict=True) if any(field.strip() for field in row)]
    assert [list(row.values()) for row in decode_csv(body)] == [
        [field.strip() or None for field in row] for _, row in held
    ]
    assert [line_of_row(body, number) for number in range(1, len(held) + 1)] == [start for start, _ in held]

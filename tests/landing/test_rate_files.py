"""Files of exchange rates: every format of the European Central Bank gives the same texts, and no other file is read."""

from __future__ import annotations

import io
from datetime import date
from zipfile import ZIP_DEFLATED, ZipFile

import polars as pl
import pytest

from pipeline.landing.rate_files import CSV, LARGEST_BYTES, XML, ZIP, format_of, is_usable, read_rates

NAMESPACES = (
    'xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref"'
)
DAILY = f"""<?xml version="1.0" encoding="UTF-8"?>
<gesmes:Envelope {NAMESPACES}>
\t<gesmes:subject>Reference rates</gesmes:subject>
\t<gesmes:Sender>
\t\t<gesmes:name>European Central Bank</gesmes:name>
\t</gesmes:Sender>
\t<Cube>
\t\t<Cube time='2026-11-27'>
\t\t\t<Cube currency='USD' rate='1.1172'/>
\t\t\t<Cube currency='GBP' rate='0.83380'/>
\t\t</Cube>
\t</Cube>
</gesmes:Envelope>
""".encode()
ROWS = [(1, date(2026, 11, 27), "USD", "1.1172"), (1, date(2026, 11, 27), "GBP", "0.83380")]


def zipped(*files: tuple[str, bytes]) -> bytes:
    body = io.BytesIO()
    with ZipFile(body, "w", ZIP_DEFLATED) as archive:
        for name, text in files:
            archive.writestr(name, text)
    return body.getvalue()


CSV_OF_ONE = b"Date, USD, GBP, \n27 November 2026, 1.1172, 0.83380, \n"
CSV_OF_MANY = b"Date,USD,CYP,GBP,\n2026-11-27,1.1172,N/A,0.83380,\n"


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (DAILY, XML),
        (b"\xef\xbb\xbf" + DAILY, XML),
        (DAILY.replace(b"?>", b"?><!-- a comment -->", 1), XML),
        (CSV_OF_ONE, CSV),
        (CSV_OF_MANY, CSV),
        (zipped(("eurofxref.csv", CSV_OF_ONE)), ZIP),
        (zipped(("eurofxref-hist.csv", CSV_OF_MANY)), ZIP),
    ],
)
def test_each_format_gives_the_same_texts(body: bytes, media_type: str) -> None:
    assert format_of(body) == media_type
    assert sorted(read_rates(body).rows(), reverse=True) == ROWS


def test_the_days_of_a_long_file_are_numbered() -> None:
    two = DAILY.replace(
        b"\t</Cube>\n</", b"\t<Cube time='2026-11-26'><Cube currency='USD' rate='1.1'/></Cube>\t</Cube>\n</"
    )
    assert read_rates(two).rows() == [*ROWS, (2, date(2026, 11, 26), "USD", "1.1")]


def test_a_day_without_rates_has_no_row() -> None:
    for empty in (
        DAILY.replace(b"<Cube currency='USD' rate='1.1172'/>", b"").replace(
            b"<Cube currency='GBP' rate='0.83380'/>", b""
        ),
        b"Date,USD,\n",
        b"Date,USD,\n2026-11-27,N/A,\n",
    ):
        assert read_rates(empty).height == 0


_DOCTYPE = b'<!DOCTYPE rates [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.faults(58)
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "is neither XML, CSV nor a ZIP archive"),
        (b"<!DOCTYPE html><html></html>", "is neither XML, CSV nor a ZIP archive"),
        (b"<html><body>Sorry</body></html>", "is neither XML, CSV nor a ZIP archive"),
        (b'{"USD": 1.1}', "is neither XML, CSV nor a ZIP archive"),
        (b"<rss/>", "is XML, but no message of exchange rates"),
        (DAILY[:-30], "is damaged XML"),
        (DAILY[:200], "is damaged XML"),
        (DAILY.replace(b"<gesmes:Envelope", _DOCTYPE + b"<gesmes:Envelope", 1), "is XML with a DOCTYPE"),
        (
            DAILY.replace(b"<gesmes:E", b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><gesmes:E', 1),
            "is XML with a DOCTYPE",
        ),
        (DAILY.replace(b"1.1172", b"&a;"), "is damaged XML"),
        (zipped(("eurofxref.csv", CSV_OF_ONE))[:-40], "is a damaged ZIP archive"),
        (b"PK\x03\x04", "is a damaged ZIP archive"),
        (zipped(("a.csv", CSV_OF_ONE), ("b.csv", CSV_OF_ONE)), "is a ZIP archive of 2 files"),
        (zipped(), "is a ZIP archive of 0 files"),
        (zipped(("a.csv", b"Date,USD\n" + b" " * LARGEST_BYTES)), "is a ZIP archive of more than"),
        (zipped(("a.csv", b"Day,USD\n2026-11-27,1\n")), "is a CSV without a column of days"),
        (b"Date, USD,USD\n2026-11-27,1,2\n", "is a damaged CSV"),
        (b"Date,USD\n\xff\xfe,1\n", "is a damaged CSV"),
        (b"Date," + b" " * LARGEST_BYTES, "is larger than"),
    ],
)
def test_any_other_file_is_refused_with_a_few_words(body: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_rates(body)


def test_a_damaged_byte_within_an_archive_is_found() -> None:
    body = bytearray(zipped(("eurofxref-hist.csv", CSV_OF_MANY * 50)))
    body[60] ^= 0xFF
    with pytest.raises(ValueError, match="is a damaged ZIP archive"):
        read_rates(bytes(body))


@pytest.mark.parametrize(
    ("text", "day", "is_good"),
    [
        ("1.1172", date(2026, 11, 27), True),
        ("1.123456789", date(2026, 11, 27), True),
        ("1.1234567891", date(2026, 11, 27), False),
        ("0", date(2026, 11, 27), False),
        ("-1", date(2026, 11, 27), False),
        ("NaN", date(2026, 11, 27), False),
        ("1.1172", None, False),
    ],
)
def test_a_rate_is_usable_if_it_has_a_day_and_is_stored_exactly(text: str, day: date | None, is_good: bool) -> None:
    rates = pl.DataFrame({"rate_date": [day], "text": [text]}, schema={"rate_date": pl.Date, "text": pl.String})
    assert rates.select(is_usable()).item() is is_good

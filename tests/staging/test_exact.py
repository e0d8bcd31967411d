"""Amounts, from the digits in a body to the digits in DuckDB."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.schema.columns import Type
from pipeline.schema.exact_amounts import exact_money
from pipeline.schema.render import polars_type
from pipeline.staging.convert import convert
from pipeline.support.exact_json import decode_json
from pipeline.vendors._port import dollars, money
from tests.staging.landed import NewWorkshop, Workshop

_WIDE = Context(prec=200)
_AMOUNT = money("stated_amount", "amount")
_LIMIT = Decimal(10) ** 29
_BELIEVED = Decimal(10) ** 15


def _texts(whole: str, fraction: str, sign: str, shift: int) -> str:
    """Digits of one number, with the point moved by an exponent."""
    if shift == 0:
        return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"
    return f"{sign}{whole}.{fraction or '0'}{'e' if shift % 2 else 'E'}{shift:+d}"


_DIGITS = st.text("0123456789", max_size=9)
_SMALL = st.one_of(st.just("0"), st.integers(1, 10**15 - 1).map(str), st.just("9" * 15), st.integers(1, 999).map(str))
_WHOLE = st.one_of(st.just("0"), st.integers(1, 10**29 - 1).map(str), st.just("9" * 29), st.integers(1, 999).map(str))
_FITTING = st.builds(_texts, _WHOLE, _DIGITS, st.sampled_from(["", "-"]), st.just(0))
_BELIEVABLE = st.builds(_texts, _SMALL, _DIGITS, st.sampled_from(["", "-"]), st.just(0))
_ANYTHING = st.builds(
    _texts,
    st.one_of(_WHOLE, st.integers(10**29, 10**40).map(str)),
    st.text("0123456789", max_size=20),
    st.sampled_from(["", "-"]),
    st.one_of(st.just(0), st.integers(-40, 40), st.sampled_from([-999, 999, 400])),
)


def _fits(text: str) -> Decimal | None:
    """The oracle: the number, if it has at most nine decimals and 29 integer digits."""
    number = Decimal(text)
    if not number:
        return Decimal(0)
    if number.copy_abs() >= _LIMIT or number.adjusted() < -9:
        return None
    normal = number.normalize(_WIDE)
    exponent = normal.as_tuple().exponent
    return normal if isinstance(exponent, int) and exponent >= -9 else None


@settings(max_examples=400, deadline=None)
@given(text=st.one_of(_FITTING, _ANYTHING))
def test_a_decimal_is_exact_or_refused_and_never_near(text: str) -> None:
    wanted = _fits(text)
    found = exact_money(text)
    assert (found is None) == (wanted is None), text
    if found is not None and wanted is not None:
        assert Decimal(found) == wanted
        assert re.fullmatch(r"-?[0-9]{1,29}(\.[0-9]{1,9})?", found)


@settings(max_examples=200, deadline=None)
@given(text=_ANYTHING)
def test_a_float_vendors_amount_is_rounded_half_to_even_or_refused_for_its_size(text: str) -> None:
    found = exact_money(text, rounds=True)
    number = Decimal(text)
    if number and number.adjusted() > 40:
        assert found is None
        return
    rounded = Decimal(0) if number.adjusted() < -60 else number.quantize(Decimal("1e-9"), ROUND_HALF_EVEN, _WIDE)
    assert found is None if rounded.copy_abs() >= _LIMIT else Decimal(found or "NaN") == rounded


@settings(max_examples=150, deadline=None)
@given(
    texts=st.lists(st.one_of(_FITTING, _ANYTHING), min_size=1, max_size=20),
    as_strings=st.booleans(),
    minor_digits=st.sampled_from([0, 2, 9]),
)
def test_a_column_of_money_converts_each_value_separately(
    texts: list[str], as_strings: bool, minor_digits: int
) -> None:
    body = "[" + ",".join(json.dumps(text) if as_strings else text for text in texts) + "]"
    raw = decode_json(body.encode())
    assert isinstance(raw, list)
    converted = convert(replace(_AMOUNT, minor_digits=minor_digits), raw)
    fitting = [_fits(f"{Decimal(text).scaleb(-minor_digits, _WIDE)}") for text in texts]
    wanted = [None if each is None or each.copy_abs() > _BELIEVED else each for each in fitting]
    assert converted.values.dtype == polars_type(Type.MONEY)
    assert converted.values.to_list() == wanted
    assert converted.refused.to_list() == [each is None for each in wanted]
    rules = {check: where.to_list() for where, check in converted.refusals()}
    assert rules["is_exact_amount"] == [each is None for each in fitting]
    assert converted.rounded_rows == ()


def test_amounts_in_cents_are_divided_however_they_are_written() -> None:
    raw = decode_json(b'[12345, 12345.0, "12345", 1.2345e4, -1, null, "12 EUR", true]')
    assert isinstance(raw, list)
    converted = convert(money("balance_amount", "cents", minor_digits=2), raw)
    assert converted.values.to_list() == [*[Decimal("123.45")] * 4, Decimal("-0.01"), None, None, None]
    assert converted.refused.to_list() == [*[False] * 6, True, True]


@settings(max_examples=15, deadline=None)
@given(texts=st.lists(_BELIEVABLE, min_size=1, max_size=40), as_strings=st.booleans())
def test_digits_in_a_body_are_the_digits_in_duckdb(
    new_workshop: NewWorkshop, texts: list[str], as_strings: bool
) -> None:
    rows = [
        f'{{"id": {number}, "amount": {json.dumps(text) if as_strings else text}, "created_at": "2026-03-01T00:00:00Z"}}'
        for number, text in enumerate(texts)
    ]
    with new_workshop() as workshop:
        workshop.landing.answer("vpsbg", "transactions", f'{{"data": [{",".join(rows)}], "links": {{}}, "meta": {{}}}}')
        workshop.load()
        found = dict(
            workshop.rows("SELECT CAST(entry_id AS BIGINT), CAST(stated_amount AS VARCHAR) FROM staging.ledger_entries")
        )
        assert workshop.rows("SELECT count(*) FROM staging.rejects") == [(0,)]
    # Written out by hand, so that no decimal library is involved.
    for number, text in enumerate(texts):
        sign, _, digits = text.rpartition("-")
        whole, _, fraction = digits.partition(".")
        plain = f"{whole}.{fraction:0<9}"
        assert found[number] == (f"-{plain}" if sign or text.startswith("-") else plain).replace(
            "-0.000000000", "0.000000000"
        )


_NO_AMOUNTS = [
    "1e999999", "-1e999999", "1e-999999", "1E+9999", "9" * 40, "0." + "1" * 10, "1.0000000001", "9" * 30,
    "1e29", "1" + "0" * 4000, "0." + "0" * 5000 + "1", '"1e999999"', '"NaN"', '"Infinity"', '"0x10"', '"1_000"',
    '"１２"', '"٣"', '" 5"', '"5 "', '"+5"', '".5"', '"5."', '"1,234.50"', '"$13.50"', '"--5"', '""', '"-"',
    "true", "[]", "{}", '"1e"', '"5e5.5"',
]  # fmt: skip


@pytest.mark.faults(25)
@pytest.mark.faults(26)
def test_an_inexact_amount_is_rejected_quickly_and_is_never_null(workshop: Workshop) -> None:
    for number, amount in enumerate(_NO_AMOUNTS):
        body = f'{{"balance": {amount}, "currency": "EUR"}}'
        workshop.landing.answer("vpsbg", "balance", body, account_id=f"account-{number}")
    started = time.process_time()
    report = workshop.load()
    # 1e999999 as an integer takes minutes, on any machine.
    assert time.process_time() - started < 20
    assert (report.received, report.accepted, report.rejected) == (len(_NO_AMOUNTS), 0, len(_NO_AMOUNTS))
    assert workshop.rows("SELECT DISTINCT column_name, check_name FROM staging.rejects") == [
        ("balance_amount", "is_exact_amount")
    ]
    assert workshop.rows("SELECT count(*) FROM staging.balances") == [(0,)]


@pytest.mark.parametrize(
    ("text", "plain"),
    [("$13.50", "13.50"), ("-$1,234,567.80", "-1234567.80"), ("$0", "0"), ("12", "12"), ("1,000", "1000")],
)
def test_dollars_may_carry_their_sign_and_well_formed_groups(text: str, plain: str) -> None:
    converted = convert(dollars("cost_amount", "cost"), [text])
    assert converted.values.to_list() == [Decimal(plain)]


@pytest.mark.parametrize("text", ["$1,2345", "1234,567", "$,1", "$-5", "$$5", "5$", "$1.5,0", "$１"])
def test_dollars_in_groups_that_are_not_well_formed_are_refused(text: str) -> None:
    converted = convert(dollars("cost_amount", "cost"), [text])
    assert (converted.values.to_list(), converted.refused.to_list()) == ([None], [True])


def test_an_absent_amount_is_null_and_not_refused() -> None:
    converted = convert(_AMOUNT, [None, "1"])
    assert (converted.values.to_list(), converted.refused.to_list()) == ([None, Decimal(1)], [False, False])


def test_a_column_of_nothing_has_the_columns_type() -> None:
    empty: list[Any] = []
    assert convert(_AMOUNT, empty).values.dtype == pl.Decimal(27, 9)
    assert convert(_AMOUNT, [None]).values.dtype == pl.Decimal(27, 9)


def test_a_float_that_a_port_computed_is_refused() -> None:
    found = convert(_AMOUNT, [1234 / 100, "12.34", 12, Decimal("12.34"), None])
    assert found.refused.to_list() == [True, False, False, False, False]
    assert found.values.to_list()[1:] == [Decimal("12.34"), Decimal(12), Decimal("12.34"), None]

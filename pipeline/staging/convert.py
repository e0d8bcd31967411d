"""Conversion of JSON values to typed columns: exact or rejected, never approximated.

Decoded JSON has fractions as their original text (`pipeline.support.exact_json.decode_json`), so a column of money is a
column of texts until it is known to be exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import polars as pl

from pipeline.schema.columns import COLUMNS
from pipeline.schema.exact_amounts import ANY_NUMBER, INTEGER_DIGITS, exact_money, in_units
from pipeline.schema.render import polars_type
from pipeline.schema.units import ISO_4217, MONEY_SCALE, MOST_AMOUNT, WIDEST_PRECISION
from pipeline.vendors._port import Field, Reads

# Read wider than stored, to distinguish a number that is too large from a value that is no number.
_READ_AS = pl.Decimal(WIDEST_PRECISION, MONEY_SCALE)
_PLAIN_MONEY = rf"^-?(0|[1-9][0-9]{{0,{INTEGER_DIGITS - 1}}})(\.[0-9]{{1,{MONEY_SCALE}}})?$"
_DOLLARS = r"^-?\$?([0-9]{1,3}(,[0-9]{3})+|[0-9]+)(\.[0-9]+)?$"
_VENDOR_UNIT = r"^[a-z][a-z0-9]*-[a-z][a-z0-9]*$"
_INSTANT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
# Seconds or milliseconds since 1970, as JSON numbers or texts: 10 or 13 digits distinguish them from 2001 to 2286.
_EPOCH = r"^[0-9]{10}([0-9]{3})?(\.[0-9]{1,9})?$"
_SECONDS_DIGITS = 10
# Years outside this range are placeholders or mistakes: no API with a balance is older, and a ledger that began in the
# year 1 would give centuries of days without spend.
_FIRST_YEAR, _LAST_YEAR = 2000, 2099


@dataclass(frozen=True, slots=True)
class Converted:
    """A converted column, and the positions of rejected values."""

    values: pl.Series
    """In the column's own type; NULL if absent or rejected."""
    refused: pl.Series
    """Boolean: a value was present and rejected."""
    check_name: str
    """Rule that the rejected values broke."""
    beyond: pl.Series | None = None
    """Boolean: rejected values that are well-formed numbers, but beyond the accepted amounts."""
    rounded_rows: tuple[int, ...] = ()
    """Positions of values that were rounded to nine decimals, if the vendor's money is float."""

    def refusals(self) -> list[tuple[pl.Series, str]]:
        """Rejected values, by the rule that they broke."""
        if self.beyond is None:
            return [(self.refused, self.check_name)]
        return [(self.refused & ~self.beyond, self.check_name), (self.beyond, "is_plausible_amount")]


def to_text(value: object) -> str | None:
    """Convert a decoded JSON value to text; None for null. Objects and lists become their JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return str(value)
    return msgspec.json.encode(value).decode()


def _texts(field: Field, raw: Sequence[object]) -> pl.Series:
    """Texts of the raw values; columns of only texts or only whole numbers are converted without a loop.

    Bodies are decoded without floats, so a float was computed by the port. As money it becomes a text that is refused.
    """
    types = set(map(type, raw))
    if types <= {str, type(None)}:
        texts = raw
    elif types == {int}:
        texts = list(map(str, raw))
    else:
        is_money = field.reads in (Reads.MONEY, Reads.DOLLARS)
        texts = ["a float" if is_money and isinstance(value, float) else to_text(value) for value in raw]
    return pl.Series(field.column, texts, dtype=pl.String)


def convert(field: Field, raw: Sequence[object], *, money_is_float: bool = False) -> Converted:
    """Convert one field's raw values. Absent (null) values become NULL and are not rejected."""
    if field.reads is Reads.CHOICE:
        return _choice(field, raw)
    texts = _texts(field, raw)
    target = polars_type(COLUMNS[field.column].type)
    beyond: pl.Series | None = None
    rounded_rows: tuple[int, ...] = ()
    match field.reads:
        case Reads.TEXT:
            structured = [isinstance(value, dict | list) for value in raw] if {dict, list} & set(map(type, raw)) else []
            values, check = texts.set(pl.Series(structured, dtype=pl.Boolean), None) if structured else texts, "is_text"
        case Reads.MONEY | Reads.DOLLARS:
            if field.reads is Reads.DOLLARS:
                is_dollars = texts.str.contains(_DOLLARS).fill_null(False)
                texts = texts.str.replace_all("[$,]", "").zip_with(is_dollars, texts)
            if field.minor_digits:
                texts = texts.map_elements(lambda text: in_units(text, field.minor_digits), return_dtype=pl.String)
            plain, rounded_rows = _plain_money(texts, rounds=money_is_float)
            amounts, check = plain.cast(_READ_AS, strict=False), "is_exact_amount"
            beyond = _beyond(amounts)
            values = amounts.set(beyond, None).cast(target)
            rounded_rows = tuple(row for row in rounded_rows if not beyond[row])
        case Reads.NUMBER:
            shaped = texts.set(~texts.str.contains(f"^({ANY_NUMBER})$").fill_null(False), None)
            numbers = shaped.cast(pl.Float64, strict=False)
            numbers, check = numbers.set(~numbers.is_finite().fill_null(False), None), "is_number"
            beyond = _beyond(numbers)
            values = numbers.set(beyond, None)
        case Reads.INSTANT | Reads.INSTANT_UTC:
            if field.reads is Reads.INSTANT_UTC:
                texts = texts.str.replace(r"^(\d{4}-\d{2}-\d{2})$", "${1}T00:00:00Z")
                texts = texts.str.replace(r"^(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2})(:\d{2}(\.\d+)?)?$", "${1}${2}Z")
                texts = texts.str.replace(r"^(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2})(Z|[+-])", "${1}:00${2}")
            texts = _epochs_in_words(texts)
            shaped = texts.set(~texts.str.contains(_INSTANT).fill_null(False), None).str.replace(" ", "T")
            values = shaped.str.to_datetime("%+", strict=False, time_unit="us", time_zone="UTC")
            values, check = _plausible(values), "is_instant_with_offset"
        case Reads.DATE:
            shaped = texts.set(~texts.str.contains(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$").fill_null(False), None)
            values, check = _plausible(shaped.str.to_date("%Y-%m-%d", strict=False)), "is_date"
        case Reads.FLAG:
            words = {"true": True, "false": False, "1": True, "0": False}
            values = texts.replace_strict(words, default=None, return_dtype=pl.Boolean)
            check = "is_true_or_false"
        case Reads.ANY_UNIT:
            stripped = texts.str.strip_chars()
            vendors_own = stripped.set(~stripped.str.contains(_VENDOR_UNIT).fill_null(False), None)
            currencies = _currencies(texts)
            values, check = currencies.zip_with(currencies.is_not_null(), vendors_own), "is_unit_code"
        case Reads.UNIT:
            values, check = _currencies(texts), "is_currency_code"
    values = values.rename(field.column)
    return Converted(values, texts.is_not_null() & values.is_null(), check, beyond, rounded_rows)


def _beyond(values: pl.Series) -> pl.Series:
    return (values.abs() > MOST_AMOUNT).fill_null(False)


def _currencies(texts: pl.Series) -> pl.Series:
    """Currency codes in capitals; NULL if a text is none."""
    codes = texts.str.strip_chars().str.to_uppercase()
    is_code = codes.is_in(list(ISO_4217)) & texts.str.contains(r"^\s*[A-Za-z]{3}\s*$")
    return codes.set(~is_code.fill_null(False), None)


def _epochs_in_words(texts: pl.Series) -> pl.Series:
    """Replace seconds or milliseconds since 1970 by instants as text."""
    where = texts.str.contains(_EPOCH).fill_null(False).arg_true()
    if not len(where):
        return texts
    written = []
    for text in texts.gather(where).to_list():
        is_seconds = len(text.partition(".")[0]) == _SECONDS_DIGITS
        microseconds = int(Decimal(text) * (1_000_000 if is_seconds else 1_000))
        written.append((datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)).isoformat())
    return texts.clone().scatter(where.to_list(), pl.Series(written, dtype=pl.String))


def _plausible(values: pl.Series) -> pl.Series:
    return values.set(~values.dt.year().is_between(_FIRST_YEAR, _LAST_YEAR).fill_null(True), None)


def _plain_money(texts: pl.Series, *, rounds: bool) -> tuple[pl.Series, tuple[int, ...]]:
    is_plain = texts.str.contains(_PLAIN_MONEY).fill_null(True)
    odd = (~is_plain).arg_true()
    if not len(odd):
        return texts, ()
    rewritten = [exact_money(text, rounds=rounds) for text in texts.gather(odd).to_list()]
    exactly = [exact_money(text) for text in texts.gather(odd).to_list()] if rounds else rewritten
    rounded = [
        position
        for position, one, other in zip(odd.to_list(), rewritten, exactly, strict=True)
        if one is not None and other is None
    ]
    # scatter() modifies its series, and the caller's values are needed to see what was rejected.
    return texts.clone().scatter(odd.to_list(), pl.Series(rewritten, dtype=pl.String)), tuple(rounded)


def _choice(field: Field, raw: Sequence[object]) -> Converted:
    texts = _texts(field, raw)
    words = texts.drop_nulls().unique().to_list()
    values = texts.replace_strict(
        words,
        [field.choices.get(word.strip().lower(), field.otherwise) for word in words],
        default=None,
        return_dtype=pl.String,
    )
    refused = texts.is_not_null() & values.is_null()
    return Converted(values.set(texts.is_null(), field.absent), refused, "is_known_word")

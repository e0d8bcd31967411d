"""An independent reading of a body: the standard library's JSON, fractions instead of decimals, row by row.

It shares no code with the code under test except the vendors' declarations. It is strict: a value that it cannot read
for certain must not have been accepted.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeVar

from pipeline.vendors._port import Endpoint, Field, Reads, Records
from tests.fuzz.declared import Unreadable, declared_sum, declared_value

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?")
_DOLLARS = re.compile(r"(-?)\$?([0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)((?:\.[0-9]+)?)")
_ISO_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?)?([Zz]|[+-][0-9]{2}(:?[0-9]{2}){0,2})?"
)
_MOST = Fraction(10) ** 15
_STEP = Fraction(1, 10**9)
_Day = TypeVar("_Day", bound=date)


class _Text(str):
    """The text of a JSON number with a fraction or an exponent."""


def parse(body: bytes, kind: str) -> Any:
    """Decode a body with the standard library; Unreadable if that refuses it."""
    if kind == "csv":
        return _parse_csv(body)

    def constant(word: str) -> Any:
        raise Unreadable(word)

    try:
        return _whole(json.loads(body.decode("utf-8"), parse_float=_Text, parse_constant=constant))
    except (ValueError, RecursionError) as problem:
        raise Unreadable(str(problem)) from None


def _whole(value: Any) -> Any:
    """The value, with a replacement character for each unpaired half of a surrogate pair."""
    if isinstance(value, dict):
        return {_whole(key): _whole(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, str) and not isinstance(value, _Text):
        return re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", value)
    return value


def _parse_csv(body: bytes) -> list[dict[str, str | None]]:
    try:
        text = body.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as problem:
        raise Unreadable(str(problem)) from None
    head = next((line for line in text.splitlines() if line.strip(" \t,;")), "")
    lines = csv.reader(
        io.StringIO(text, newline=""), delimiter=";" if head.count(";") > head.count(",") else ",", strict=True
    )
    try:
        # A line without a value is no row.
        (names, *rows) = [line for line in lines if "".join(line).strip()]
    except (csv.Error, ValueError) as problem:
        raise Unreadable(str(problem)) from None
    names = [name.strip() for name in names]
    return [
        {name: (row[index].strip() or None) if index < len(row) else None for index, name in enumerate(names) if name}
        for row in rows
    ]


def at(value: Any, path: str) -> Any:
    """Value at a dotted path of keys; None if there is none."""
    for key in path.split(".") if path else ():
        value = value.get(key) if isinstance(value, dict) else None
    return value


def rows(payload: Any, records: Records) -> list[Any]:
    """Rows of one kind of record in order, of any type; without any, the gap that counts as one."""
    found = at(payload, records.at)
    if isinstance(found, dict | list):
        return found if isinstance(found, list) else [found]
    return [] if found is None and records.is_optional else [found]


def says_it_failed(endpoint: Endpoint, payload: Any) -> bool:
    """Whether the answer's own flag is present and does not mean yes."""
    *above, key = endpoint.success_at.split(".")
    holder = at(payload, ".".join(above))
    if not key or not isinstance(holder, dict) or key not in holder:
        return False
    return str(holder[key]).strip().lower() not in endpoint.success_words


def received(endpoint: Endpoint, payload: Any, records: Records) -> int:
    """Number of rows of one kind of record in an answer. An absent optional claim counts as none."""
    found = rows(payload, records)
    if says_it_failed(endpoint, payload):
        # All of it is rejected, and an empty answer is one rejected row, too.
        held = len(found) if isinstance(at(payload, records.at), dict | list) else 0
        return held or int(not records.is_optional)
    if not records.is_optional:
        return len(found)
    value = next(each for each in records.fields if each.is_required)
    return sum(1 for row in found if not isinstance(row, dict) or _stated(value, row) is not None)


def _stated(field: Field, row: Mapping[str, Any]) -> Any:
    return next((value for source in field.sources if (value := at(row, source)) is not None), None)


def expected(endpoint: Endpoint, field: Field, row: Mapping[str, Any], *, is_float: bool) -> Any:
    """Expected value of a field of a row, as a Fraction, float, date, instant or text; None: absent.

    Raises Unreadable if it must not have been accepted, and KeyError for a field with its own reader and no number.
    """
    is_amount = field.reads in (Reads.MONEY, Reads.DOLLARS, Reads.NUMBER)
    if field.compute and not field.expression and is_amount:
        # Without an entry it would not be compared with anything.
        assert (endpoint.name, field.column) in _COMPUTED, f"add {endpoint.name}, {field.column} to _COMPUTED"
    if field.compute and field.expression:
        stated = declared_sum(field.expression, row) if is_amount else declared_value(field.expression, row)
    elif field.compute:
        stated = _COMPUTED[endpoint.name, field.column](row)
    else:
        stated = _stated(field, row)
    if stated is None:
        return None
    match field.reads:
        case Reads.MONEY | Reads.DOLLARS:
            has_dollars = field.reads is Reads.DOLLARS
            return money(stated, has_dollars=has_dollars, is_float=is_float, minor_digits=field.minor_digits)
        case Reads.NUMBER:
            if isinstance(stated, bool) or not _NUMBER.fullmatch(str(stated)):
                raise Unreadable(stated)
            number = float(str(stated))
            if abs(number) > float(_MOST):
                raise Unreadable(stated)
            return number
        case Reads.DATE:
            if not isinstance(stated, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", stated):
                raise Unreadable(stated)
            return _plausible(_read(date.fromisoformat, stated))
        case Reads.INSTANT | Reads.INSTANT_UTC:
            return _instant(stated, is_naive_utc=field.reads is Reads.INSTANT_UTC)
        case Reads.UNIT:
            if not isinstance(stated, str) or not re.fullmatch("[A-Za-z]{3}", stated.strip()):
                raise Unreadable(stated)
            return stated.strip().upper()
        case Reads.TEXT:
            if isinstance(stated, dict | list):
                raise Unreadable(stated)
            return json.dumps(stated) if isinstance(stated, bool) else str(stated)
    raise KeyError(field.column)


def money(stated: Any, *, has_dollars: bool = False, is_float: bool = False, minor_digits: int = 0) -> Fraction:
    """An amount exactly, or rounded half to even at nine decimals if the vendor's are floats."""
    if isinstance(stated, Fraction):
        amount = stated / 10**minor_digits
    elif isinstance(stated, bool) or not isinstance(stated, int | str):
        raise Unreadable(stated)
    else:
        text = str(stated)
        if has_dollars and (found := _DOLLARS.fullmatch(text)):
            text = found[1] + found[2].replace(",", "") + found[3]
        # No real amount has more characters.
        if len(text) > 80 or not _NUMBER.fullmatch(text):
            raise Unreadable(stated)
        amount = Fraction(Decimal(text)) / 10**minor_digits
    if is_float:
        # round() of a Fraction is half to even.
        amount = round(amount / _STEP) * _STEP
    if amount % _STEP or abs(amount) > _MOST:
        raise Unreadable(stated)
    return amount


def costs_only_itself(field: Field) -> bool:
    """Whether the field is optional: then it is NULL if a strict reader cannot read it."""
    decides = field.is_required or field.is_decisive
    return not decides and field.reads not in (Reads.UNIT, Reads.ANY_UNIT, Reads.CHOICE, Reads.FLAG)


def added_up(values: list[Any]) -> Any:
    """Sum of several rows of one key; None if one of them has no value."""
    return None if any(value is None for value in values) else sum(values[1:], values[0])


def _instant(stated: Any, *, is_naive_utc: bool) -> datetime:
    if type(stated) in (int, _Text, str) and (
        found := re.fullmatch(r"([0-9]{10}|[0-9]{13})(\.[0-9]{1,9})?", str(stated))
    ):
        seconds = Fraction(Decimal(str(stated))) / (1 if len(found[1]) == 10 else 1000)
        return _plausible(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(seconds * 10**6)))
    # Python 3.11 reads more: `15:55:-02`, and anything at all after the sixth decimal of a second.
    if not isinstance(stated, str) or not _ISO_INSTANT.fullmatch(stated):
        raise Unreadable(stated)
    # RFC 3339, 5.6: the letter may be small.
    stated = re.sub("z$", "Z", stated)
    # A leap second is the second after the 59th.
    is_leap = stated[16:19] == ":60"
    instant: datetime = _read(datetime.fromisoformat, stated[:17] + "59" + stated[19:] if is_leap else stated)
    instant += timedelta(seconds=is_leap)
    if instant.tzinfo is None:
        if not is_naive_utc:
            raise Unreadable(stated)
        instant = instant.replace(tzinfo=UTC)
    return _plausible(instant.astimezone(UTC))


def _plausible(found: _Day) -> _Day:
    """Other years are placeholders or mistakes."""
    if not 2000 <= found.year <= 2099:
        raise Unreadable(found)
    return found


def _read(how: Callable[[str], Any], text: str) -> Any:
    try:
        return how(text)
    except ValueError:
        raise Unreadable(text) from None


def _pending(row: Mapping[str, Any]) -> Fraction | None:
    """The pending deposits, each with VAT if stated."""
    deposits = row.get("unconfirmed_bitcoin_deposits")
    if not deposits:
        return None
    total = Fraction(0)
    for deposit in deposits if isinstance(deposits, list) else [deposits]:
        if not isinstance(deposit, dict):
            raise Unreadable(deposit)
        stated = deposit.get("amount_with_vat")
        stated = deposit.get("amount") if stated is None else stated
        if stated is None:
            continue
        amount = money(stated)
        if amount < 0:
            raise Unreadable(stated)
        total += amount
    return total


def _renewal(row: Mapping[str, Any]) -> Any:
    """The stated price of the renewal, or else the plan's monthly price times the months."""
    if row.get("renew_amount_with_vat") is not None:
        return row["renew_amount_with_vat"]
    price, months = at(row, "plan.price_with_vat"), row.get("billing_cycle")
    if price is None or months is None:
        return None
    if type(months) is not int or not 0 < months <= 120:
        raise Unreadable(months)
    return money(price) * months


def _cycle(row: Mapping[str, Any]) -> int | None:
    months = row.get("billing_cycle")
    return months if type(months) is int and 0 < months <= 120 else None


def _burn(row: Mapping[str, Any]) -> Any:
    """The price of 1,440 minutes, exactly; nothing for a resource that is gone, not billed, or without a price."""
    price = row.get("bill_per_minute")
    if price is None or str(row.get("active")).lower() in ("false", "0"):
        return 0
    if str(row.get("exclude_billing")).lower() in ("true", "1"):
        return 0
    return money(price, is_float=True) * 1440


_COMPUTED: dict[tuple[str, str], Callable[[Mapping[str, Any]], Any]] = {
    ("balance", "unconfirmed_amount"): _pending,
    ("servers", "charge_amount"): _renewal,
    ("servers", "cycle_months"): _cycle,
    ("usage", "claim_amount"): _burn,
}

"""Types of values in accounts.toml, each with the sentence for invalid ones.

The sentences contain neither file nor key, which the caller adds, nor the value, which may be a secret in the wrong
place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from pipeline.http import check_base_url
from pipeline.schema.units import IN_USE, MONEY_SCALE, MOST_AMOUNT, WIDEST_PRECISION, is_unit_code
from pipeline.settings.table import Requirement, mistake

ACCOUNT_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]{0,127}")
_PATH_PART: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_DECIMAL: Final = re.compile(rf"-?[0-9]{{1,{WIDEST_PRECISION - MONEY_SCALE}}}(\.[0-9]{{1,{MONEY_SCALE}}})?")


def _exact(value: Any) -> Decimal:
    if isinstance(value, Decimal):
        return value
    # A TOML float has already lost digits, so money is written as a string; whole numbers are exact.
    is_small = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**40
    if not (isinstance(value, str) or is_small) or not _DECIMAL.fullmatch(str(value)):
        raise mistake(f'must be an exact number in quotes, such as "12.50", with at most {MONEY_SCALE} decimals')
    return Decimal(value)


def exact_text(value: Decimal | int) -> str:
    """A number as run records hold it: exact, without an exponent."""
    return format(Decimal(value), "f")


def fits(test: Callable[[Any], object]) -> AfterValidator:
    """Refuse values for which `test` is not true; the following Requirement has the sentence."""

    def check(value: Any) -> Any:
        if not test(value):
            raise ValueError
        return value

    return AfterValidator(check)


def one_of(*words: str) -> BeforeValidator:
    """Refuse values that are none of these words."""

    def check(value: Any) -> str:
        if value not in words:
            raise mistake(f"must be one of {', '.join(words)}")
        return str(value)

    return BeforeValidator(check)


def checked_url(given: Any, about: str = "", *, example: str, loopback: bool) -> str:
    """Return a URL that requests may be sent to, in its normal form; `about` begins the sentence for any other."""
    if not isinstance(given, str):
        raise mistake(f"{about}must be a text in quotes, such as {example}")
    try:
        return check_base_url(given, allow_http_loopback=loopback)
    except ValueError as problem:
        # Without the address: it may contain a key, and the line names the setting already.
        raise mistake(f"{about}{str(problem).removeprefix('base_url').replace(repr(given), '').strip()}") from None


def is_loopback_url(url: str) -> bool:
    """Whether a checked URL is an address of this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > 200 or not value.isprintable():
        raise mistake("must be a text in quotes, of one line and at most 200 characters")
    return value


def _path(value: Any, info: ValidationInfo) -> Path:
    if info.context is None:
        return Path(value)
    try:
        return Path(info.context["source"]).absolute().parent / Path(_text(value)).expanduser()
    except RuntimeError:
        raise mistake("begins with the home folder of a user who is not known here") from None


Flag = Annotated[bool, Requirement("must be true or false")]
Text = Annotated[str, BeforeValidator(_text)]
Tags = Annotated[dict[Text, Text], Requirement('must be a table of texts, such as { product = "shop" }')]
FilePath = Annotated[Path, BeforeValidator(_path)]
"""Absolute; in a file, relative to its folder."""
# The arithmetic need not handle more than is accepted from vendors.
Amount = Annotated[
    Decimal,
    Field(ge=-MOST_AMOUNT, le=MOST_AMOUNT),
    BeforeValidator(_exact),
    Requirement(f"must not be further from zero than {MOST_AMOUNT:,}"),
]
NotNegative = Annotated[Amount, Field(ge=0), Requirement("must not be negative")]
Share = Annotated[
    Amount, Field(ge=0, le=1), Requirement('must be a share between 0 and 1 in quotes, such as "0.20" for 20 %')
]
_DAYS = "must be a whole number of days between {} and {}"
Days = Annotated[int, Field(ge=0, le=36_500), Requirement(_DAYS.format(0, 36_500))]
HistoryDays = Annotated[int, Field(ge=1, le=36_500), Requirement(_DAYS.format(1, 36_500))]
LeadDays = Annotated[int, Field(ge=0, le=60), Requirement(_DAYS.format(0, 60))]
"""A lead time beyond the forecast's horizon cannot be planned for."""
Currency = Annotated[str, fits(IN_USE.__contains__), Requirement("must be an ISO 4217 code such as EUR or USD")]
Unit = Annotated[
    str,
    fits(lambda text: text.isprintable() and is_unit_code(text)),
    Requirement("must be an ISO 4217 code such as INR, or a vendor's unit such as voxpria-credit"),
]
PathPart = Annotated[
    str,
    fits(_PATH_PART.fullmatch),
    Requirement("must be a text of letters, digits, - and _, as it is in the address of a request"),
]
AccountId = Annotated[str, fits(ACCOUNT_ID.fullmatch)]
VariableName = Annotated[str, fits(_VARIABLE.fullmatch)]
VARIABLE: Final = "must be the NAME of an environment variable in capitals, such as "
UrlVariable = Annotated[VariableName, Requirement(f"{VARIABLE}DRAWDOWN_NOTIFY_URL; never put the URL itself here")]

"""Vendors that are declared in TOML: one file becomes one `Vendor`, or one line that says what is wrong with it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from pipeline.http import HttpOutcome, RateLimit, Refusal, check_base_url
from pipeline.schema.units import is_vendor_unit
from pipeline.support.errors import UsageError
from pipeline.support.toml_lines import line_of
from pipeline.vendors._declared_records import DeclarationError, read_records
from pipeline.vendors._declared_tables import (
    AuthTable,
    EndpointTable,
    LimitTable,
    PagesTable,
    Place,
    RecordsTable,
    RefusalTable,
    VendorTable,
    first_mistake,
)
from pipeline.vendors._port import (
    PLACEHOLDER,
    SUCCEEDED,
    Auth,
    AuthBasic,
    AuthHeader,
    AuthQuery,
    Endpoint,
    Once,
    Pages,
    Service,
    Vendor,
    Window,
)

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LONGEST_NAME: Final = 30


def read_declaration(path: Path, name: str) -> Vendor:
    """Read a vendor's declaration from a TOML file.

    Raises UsageError with one line that names the file, the line and the key.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise UsageError(f"{path}: cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError as problem:
        raise UsageError(f"{path}: is not UTF-8: {problem.reason} at byte {problem.start}") from None
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise UsageError(
            f"{path}: the file's name is the vendor's: small letters, digits and single _, at most {_LONGEST_NAME} "
            "characters; rename the file"
        )
    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise UsageError(f"{path}: not TOML that can be read: nested too deeply") from None
    except ValueError as problem:
        raise UsageError(f"{path}: not TOML: {problem}") from None
    try:
        return _vendor(name, VendorTable.model_validate(document), _reading_hash(document))
    except ValidationError as problem:
        place, words = first_mistake(problem)
    except DeclarationError as problem:
        place, words = problem.place, str(problem)
    key = ".".join(f"{each + 1}" if isinstance(each, int) else each for each in place)
    raise UsageError(f"{path}:{line_of(text, place)}: {key}: {words}")


def _reading_hash(document: Mapping[str, object]) -> str:
    """Hash of the part of a declaration that decides what is read from a landed answer."""
    parts = {key: document.get(key) for key in ("endpoints", "unit", "rounds")}
    return sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _vendor(name: str, table: VendorTable, reading_hash: str) -> Vendor:
    try:
        base_url = check_base_url(table.base_url, allow_http_loopback=False)
    except ValueError as problem:
        words = str(problem).removeprefix(f"base_url {table.base_url!r} ").partition(";")[0]
        raise DeclarationError(("base_url",), f"{words}; only an account's base_url may name a sandbox") from None
    auth = tuple(_auth(each, ("auth", number), table.settings) for number, each in enumerate(table.auth))
    _check_credentials(auth, table)
    endpoints = tuple(_endpoint(key, each, ("endpoints", key), table) for key, each in table.endpoints.items())
    readings = [records for each in endpoints for records in each.records if records.kind == "balances"]
    if not readings:
        raise DeclarationError(
            ("endpoints",), 'no endpoint has kind = "balances": without readings there is nothing to forecast'
        )
    states_unit = all(
        "unit_code" in records.constants or any(field.column == "unit_code" for field in records.fields)
        for records in readings
    )
    for key in table.settings:
        if key.endswith("_env"):
            raise DeclarationError(("settings", key), "ends in _env as keys of secrets do, and would be in an address")
    settings: tuple[str, ...] = () if states_unit else ("unit",)
    if table.unit is not None and is_vendor_unit(table.unit):
        settings += ("credit_price_amount", "credit_price_currency", "credit_prices")
    return Vendor(
        name=name,
        title=table.title,
        base_url=base_url,
        auth=auth,
        rate_limit=_rate_limit(table.rate_limit),
        refusals=tuple(_refusal(each, ("refusals", number)) for number, each in enumerate(table.refusals)),
        sells_quota_additions=table.sells_quota_additions,
        endpoints=endpoints,
        assumptions=table.unproven,
        billing_url=table.billing_url,
        unit_code=table.unit,
        usage_prices=table.usage_prices,
        tax_basis=table.tax_basis,
        money_is_float=table.rounds,
        stale_after=timedelta(hours=table.stale_after_hours),
        settings=settings,
        placeholders=table.settings,
        source=table.source,
        reading_hash=reading_hash,
        service=Service(**table.service.model_dump()),
    )


def _rate_limit(table: LimitTable) -> RateLimit:
    try:
        return RateLimit(table.requests, table.seconds, table.scope, also=table.also, is_stated=table.stated)
    except ValueError as problem:
        raise DeclarationError(("rate_limit",), str(problem)) from None


def _refusal(table: RefusalTable, place: Place) -> Refusal:
    outcome = None if table.outcome is None else HttpOutcome(table.outcome)
    try:
        return Refusal(status_code=table.status, says=table.says, outcome=outcome, remedy=table.remedy)
    except ValueError as problem:
        raise DeclarationError(place, str(problem)) from None


def _auth(table: AuthTable, place: Place, settings: Mapping[str, str]) -> Auth:
    given = [key for key in ("header", "query", "basic") if getattr(table, key) is not None]
    if len(given) != 1:
        raise DeclarationError(place, "needs exactly one of header, query and basic")
    if table.header is not None:
        return AuthHeader(name=table.header, setting=table.env, prefix=table.prefix)
    if table.query is not None:
        return AuthQuery(name=table.query, setting=table.env)
    assert table.basic is not None  # noqa: S101 - one of the three is given
    user, password = table.basic
    if not user.endswith("_env") and user not in settings:
        raise DeclarationError(
            (*place, "basic"), f"{user} is neither a secret, which ends in _env, nor a key of settings"
        )
    return AuthBasic(user=user, password=password)


def _check_credentials(auth: tuple[Auth, ...], table: VendorTable) -> None:
    """Refuse a credential that another one or a parameter of a request would replace."""
    taken: set[tuple[str, str]] = set()
    for number, each in enumerate(auth):
        kind = "query parameter" if isinstance(each, AuthQuery) else "header"
        name = "Authorization" if isinstance(each, AuthBasic) else each.name
        key = (kind, name if kind == "query parameter" else name.lower())
        if key in taken:
            raise DeclarationError(("auth", number), f"the {kind} {name} has a key already")
        taken.add(key)
    keys = [each.name for each in auth if isinstance(each, AuthQuery)]
    for name, endpoint in table.endpoints.items():
        for place, parameter in _parameters(endpoint):
            if any(parameter == key or parameter.startswith(f"{key}[") for key in keys):
                raise DeclarationError(
                    ("endpoints", name, *place), f"{parameter} would replace the query parameter that carries the key"
                )


def _parameters(table: EndpointTable) -> Iterator[tuple[Place, str]]:
    yield from ((("params", each), each) for each in table.params)
    if table.pages and not table.pages.next_link:
        yield ("pages", "parameter"), table.pages.parameter
    if table.window:
        yield ("window", "first"), table.window.first
        yield ("window", "last"), table.window.last


def _endpoint(name: str, table: EndpointTable, place: Place, vendor: VendorTable) -> Endpoint:
    if not _NAME.fullmatch(name):
        raise DeclarationError(place, "must be named with small letters, digits and single _")
    used = set(PLACEHOLDER.findall(table.path))
    if unknown := sorted(used - vendor.settings.keys()):
        raise DeclarationError((*place, "path"), f"{{{unknown[0]}}} is no key of settings")
    if "{" in PLACEHOLDER.sub("", table.path) or "}" in PLACEHOLDER.sub("", table.path):
        raise DeclarationError((*place, "path"), "has a brace that is not part of {setting}")
    if table.records and table.fields:
        raise DeclarationError((*place, "records"), "either the endpoint has fields, or each of its records")
    if not table.records and not table.fields:
        raise DeclarationError((*place, "fields"), "is missing")
    own = RecordsTable(
        kind=table.kind, rows=table.rows, fields=table.fields, ignored=table.ignored, keeps_extra=table.keeps_extra
    )
    parts = [((*place, "records", number), each) for number, each in enumerate(table.records)] or [(place, own)]
    beside = _keys_beside(table)
    records = tuple(read_records(each, where, vendor, beside) for where, each in parts)
    is_reading = any(each.kind == "balances" for each in records)
    success = table.success
    return Endpoint(
        name=name,
        listing=_listing(table, place),
        records=records,
        doc=f"GET {table.path}, {table.doc}",
        envelope=table.envelope,
        success_at=success.at if success else "",
        success_words=frozenset(map(_word, success.values)) if success and success.values else SUCCEEDED,
        redacted=table.redact,
        refresh=table.refresh or ("hourly" if is_reading else "daily"),
        is_optional=table.optional,
        is_extra=table.extra,
    )


def _word(value: str | int | bool) -> str:
    return str(value).strip().lower()


def _listing(table: EndpointTable, place: Place) -> Once | Pages | Window:
    if table.pages and table.window:
        raise DeclarationError((*place, "window"), "a listing has pages or a window, not both")
    if table.pages:
        return _pages(table.path, table.params, table.pages, (*place, "pages"))
    if table.window:
        window = table.window
        return Window(
            path=table.path,
            params=table.params,
            from_param=window.first,
            to_param=window.last,
            bounds=window.bounds,
            look_back_days=window.look_back_days,
            chunk_days=window.chunk_days,
        )
    if table.params:
        raise DeclarationError((*place, "params"), "only a listing with pages or a window has parameters")
    return Once(path=table.path)


def _pages(path: str, params: Mapping[str, str], table: PagesTable, place: Place) -> Pages:
    if table.next_link and table.cursor:
        raise DeclarationError((*place, "cursor"), "a page has either next_link or cursor, not both")
    if bool(table.newest_first_by) != bool(table.look_back_days):
        raise DeclarationError((*place, "look_back_days"), "newest_first_by and look_back_days go together")
    numbered = not table.next_link and not table.cursor
    return Pages(
        path=path,
        params={**params, table.parameter: "1"} if numbered else params,
        page_param=table.parameter,
        next_is="link" if table.next_link else "cursor" if table.cursor else "number",
        next_at=table.next_link or table.cursor or "",
        rows_at=table.rows,
        newest_first_by=table.newest_first_by,
        look_back_days=table.look_back_days,
    )


def _keys_beside(table: EndpointTable) -> list[str]:
    """First keys of the body that the declaration itself names, besides those of its fields."""
    keys = [path.first_key for path in table.redact]
    return [key for key in (*keys, *([table.success.at.partition(".")[0]] if table.success else [])) if key]

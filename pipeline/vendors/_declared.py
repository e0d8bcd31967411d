"""Vendors that are declared in TOML: one file becomes one `Vendor`, or one line that says what is wrong with it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from pipeline.http import HttpOutcome, RateLimit, Refusal, check_base_url
from pipeline.schema.columns import Type
from pipeline.schema.exact_amounts import exact_sum
from pipeline.schema.tables import RECORDS, TableColumn
from pipeline.schema.units import is_vendor_unit
from pipeline.support.errors import UsageError
from pipeline.support.json_paths import JsonPath
from pipeline.support.toml_lines import line_of
from pipeline.vendors._declared_tables import (
    AuthTable,
    EndpointTable,
    FieldTable,
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
    Field,
    Once,
    Pages,
    Reads,
    Records,
    Service,
    Vendor,
    Window,
)

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LONGEST_NAME: Final = 30
_OWN_COLUMNS: Final = frozenset(
    {
        "account_id",
        "fetch_id",
        "row_number",
        "observed_at_utc",
        "loaded_at_utc",
        "extra_json",
        "first_observed_at_utc",
        "first_stated_amount",
        "is_partial",
        "covers_from_date",
        "covers_to_date",
    }
)
"""Columns of records that no declaration fills."""
_READS: Final = {
    Type.TEXT: Reads.TEXT,
    Type.MONEY: Reads.MONEY,
    Type.NUMBER: Reads.NUMBER,
    Type.INSTANT: Reads.INSTANT,
    Type.DATE: Reads.DATE,
    Type.BOOLEAN: Reads.FLAG,
}


class _Mistake(Exception):
    """A mistake at a place of the declaration; the message is a sentence without the place."""

    def __init__(self, place: Place, words: str) -> None:
        super().__init__(words)
        self.place = place


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
        return _vendor(name, VendorTable.model_validate(document))
    except ValidationError as problem:
        place, words = first_mistake(problem)
    except _Mistake as problem:
        place, words = problem.place, str(problem)
    key = ".".join(f"{each + 1}" if isinstance(each, int) else each for each in place)
    raise UsageError(f"{path}:{line_of(text, place)}: {key}: {words}")


def _vendor(name: str, table: VendorTable) -> Vendor:
    try:
        base_url = check_base_url(table.base_url, allow_http_loopback=False)
    except ValueError as problem:
        words = str(problem).removeprefix(f"base_url {table.base_url!r} ").partition(";")[0]
        raise _Mistake(("base_url",), f"{words}; only an account's base_url may name a sandbox") from None
    auth = tuple(_auth(each, ("auth", number), table.settings) for number, each in enumerate(table.auth))
    endpoints = tuple(_endpoint(key, each, ("endpoints", key), table) for key, each in table.endpoints.items())
    readings = [records for each in endpoints for records in each.records if records.kind == "balances"]
    if not readings:
        raise _Mistake(
            ("endpoints",), 'no endpoint has kind = "balances": without readings there is nothing to forecast'
        )
    states_unit = all(
        "unit_code" in records.constants or any(field.column == "unit_code" for field in records.fields)
        for records in readings
    )
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
        service=Service(**table.service.model_dump()),
    )


def _rate_limit(table: LimitTable) -> RateLimit:
    try:
        return RateLimit(table.requests, table.seconds, table.scope, also=table.also, is_stated=table.stated)
    except ValueError as problem:
        raise _Mistake(("rate_limit",), str(problem)) from None


def _refusal(table: RefusalTable, place: Place) -> Refusal:
    outcome = None if table.outcome is None else HttpOutcome(table.outcome)
    try:
        return Refusal(status_code=table.status, says=table.says, outcome=outcome, remedy=table.remedy)
    except ValueError as problem:
        raise _Mistake(place, str(problem)) from None


def _auth(table: AuthTable, place: Place, settings: Mapping[str, str]) -> Auth:
    given = [key for key in ("header", "query", "basic") if getattr(table, key) is not None]
    if len(given) != 1:
        raise _Mistake(place, "needs exactly one of header, query and basic")
    if table.header is not None:
        return AuthHeader(name=table.header, setting=table.env, prefix=table.prefix)
    if table.query is not None:
        return AuthQuery(name=table.query, setting=table.env)
    assert table.basic is not None  # noqa: S101 - one of the three is given
    user, password = table.basic
    if not user.endswith("_env") and user not in settings:
        raise _Mistake((*place, "basic"), f"{user} is neither a secret, which ends in _env, nor a key of settings")
    return AuthBasic(user=user, password=password)


def _endpoint(name: str, table: EndpointTable, place: Place, vendor: VendorTable) -> Endpoint:
    if not _NAME.fullmatch(name):
        raise _Mistake(place, "must be named with small letters, digits and single _")
    used = set(PLACEHOLDER.findall(table.path))
    if unknown := sorted(used - vendor.settings.keys()):
        raise _Mistake((*place, "path"), f"{{{unknown[0]}}} is no key of settings")
    if "{" in PLACEHOLDER.sub("", table.path) or "}" in PLACEHOLDER.sub("", table.path):
        raise _Mistake((*place, "path"), "has a brace that is not part of {setting}")
    if table.records and table.fields:
        raise _Mistake((*place, "records"), "either the endpoint has fields, or each of its records")
    if not table.records and not table.fields:
        raise _Mistake((*place, "fields"), "is missing")
    own = RecordsTable(
        kind=table.kind, rows=table.rows, fields=table.fields, ignored=table.ignored, keeps_extra=table.keeps_extra
    )
    parts = [((*place, "records", number), each) for number, each in enumerate(table.records)] or [(place, own)]
    beside = _keys_beside(table)
    records = tuple(_records(each, where, vendor, beside) for where, each in parts)
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
        raise _Mistake((*place, "window"), "a listing has pages or a window, not both")
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
        raise _Mistake((*place, "params"), "only a listing with pages or a window has parameters")
    return Once(path=table.path)


def _pages(path: str, params: Mapping[str, str], table: PagesTable, place: Place) -> Pages:
    if table.next_link and table.cursor:
        raise _Mistake((*place, "cursor"), "a page leads to the next one by next_link or by cursor, not by both")
    if bool(table.newest_first_by) != bool(table.look_back_days):
        raise _Mistake((*place, "look_back_days"), "newest_first_by and look_back_days go together")
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
    paths = [*table.redact, *([JsonPath.parse(table.success.at)] if table.success else [])]
    return [path.first_key for path in paths if path.first_key]


def _records(table: RecordsTable, place: Place, vendor: VendorTable, beside: list[str]) -> Records:
    if table.kind not in RECORDS:
        raise _Mistake((*place, "kind"), f"must be one of {', '.join(RECORDS)}")
    columns = {each.name: each for each in RECORDS[table.kind].columns if each.name not in _OWN_COLUMNS}
    constants: dict[str, str] = {}
    fields: list[Field] = []
    # Where the body is the row, its other keys are the row's.
    ignored = [*table.ignored, *([] if table.rows else beside)]
    for name, each in table.fields.items():
        where = (*place, "fields", name)
        if name not in columns:
            raise _Mistake(where, f"is no column of {table.kind}; its columns: {', '.join(columns)}")
        if each.constant is not None:
            if each.path:
                raise _Mistake(where, "has a path or a constant, not both")
            constants[name] = _allowed(each.constant, columns[name], where)
            continue
        fields.append(_field(columns[name], each, where))
        # The keys of a computed field, besides the first.
        ignored += _first_keys(each.path) if fields[-1].compute else ()
    if vendor.unit is not None and "unit_code" in columns and "unit_code" not in table.fields:
        constants["unit_code"] = vendor.unit
    given = constants.keys() | {each.column for each in fields}
    in_window = {"usage_date"} if table.day_is_window else set()
    for name, column in columns.items():
        if not column.is_nullable and name not in given | in_window:
            raise _Mistake((*place, "fields"), f"{name} is missing: every row of {table.kind} has one")
    if not any(each.is_required for each in fields):
        raise _Mistake((*place, "fields"), "needs a required field: otherwise nothing tells that the rows are gone")
    return Records(
        kind=table.kind,  # type: ignore[arg-type]  # one of RECORDS
        at=table.rows,
        fields=tuple(fields),
        constants=constants,
        ignored=tuple(dict.fromkeys(ignored)),
        keeps_extra=table.keeps_extra,
        parts_add_up=table.parts_add_up,
        is_optional=table.optional,
        covers_window=table.covers == "window",
        covers_day_before=table.covers == "day_before",
        is_of_window=table.day_is_window,
    )


def _field(column: TableColumn, table: FieldTable, place: Place) -> Field:
    reads = _reads(column, table, place)
    is_amount = reads in (Reads.MONEY, Reads.DOLLARS, Reads.NUMBER)
    if not table.path:
        raise _Mistake(place, "needs a path or a constant")
    if len(table.path) > 1 and not is_amount:
        raise _Mistake((*place, "path"), "only amounts and numbers are added up; give one path")
    if table.scale and reads is not Reads.MONEY:
        raise _Mistake((*place, "scale"), "only an amount has a scale")
    terms = [_term(text, (*place, "path"), is_amount=is_amount) for text in table.path]
    [(sign, path, is_optional), *others] = terms
    is_plain = not others and sign > 0 and not is_optional and path.is_plain
    # An amount whose declared unit is missing would be in another one.
    is_needed = not column.is_nullable or column.name == "unit_code"
    is_required = is_needed if table.required is None else table.required
    return Field(
        column=column.name,
        sources=(path.text if is_plain else path.first_key,),
        reads=reads,
        is_required=is_required,
        # What a vendor only sometimes states is no drift.
        is_documented=is_required if table.documented is None else table.documented,
        choices={word.strip().lower(): _allowed(made, column, place) for word, made in table.choices.items()},
        otherwise=None if table.otherwise is None else _allowed(table.otherwise, column, place),
        absent=None if table.absent is None else _allowed(table.absent, column, place),
        minor_digits=table.scale,
        compute=None if is_plain else _sum_of(terms) if is_amount else _only_value_of(path),
        expression="" if is_plain and not table.scale else _expression(table),
    )


def _reads(column: TableColumn, table: FieldTable, place: Place) -> Reads:
    if table.choices:
        if column.column.type is not Type.TEXT:
            raise _Mistake((*place, "choices"), f"{column.name} is no word")
        return Reads.CHOICE
    if table.otherwise is not None or table.absent is not None:
        raise _Mistake(place, "otherwise and absent belong to choices")
    if column.name.endswith("unit_code"):
        return Reads.UNIT
    reads = _READS[column.column.type]
    if table.dollars:
        if reads is not Reads.MONEY:
            raise _Mistake((*place, "dollars"), f"{column.name} is no amount")
        return Reads.DOLLARS
    if table.utc:
        if reads is not Reads.INSTANT:
            raise _Mistake((*place, "utc"), f"{column.name} is no instant")
        return Reads.INSTANT_UTC
    if column.column.allowed:
        raise _Mistake(place, f"needs choices: {column.name} is one of {', '.join(column.column.allowed)}")
    return reads


def _allowed(value: str, column: TableColumn, place: Place) -> str:
    if column.column.allowed and value not in column.column.allowed:
        raise _Mistake(place, f"{value!a} is no value of {column.name}: {', '.join(column.column.allowed)}")
    return value


_Term = tuple[int, JsonPath, bool]
"""Sign, path, and whether an absent value counts as nothing."""


def _term(text: str, place: Place, *, is_amount: bool) -> _Term:
    sign = -1 if text.startswith("-") else 1
    bare = text.removeprefix("-") if sign < 0 else text.removeprefix("+")
    is_optional = bare.endswith("?")
    bare = bare.removesuffix("?").strip()
    if not is_amount and bare != text:
        raise _Mistake(place, "only paths of amounts and numbers have a sign or end in ?")
    if not bare:
        raise _Mistake(place, "is empty")
    try:
        return sign, JsonPath.parse(bare), is_optional
    except ValueError as problem:
        raise _Mistake(place, str(problem)) from None


def _sum_of(terms: list[_Term]) -> Callable[[Mapping[str, object]], object]:
    def compute(row: Mapping[str, object]) -> object:
        parts: list[tuple[int, object]] = []
        for sign, path, is_optional in terms:
            values = path.places(row)
            # A sum of which a part is missing would be a smaller one.
            if not is_optional and (not values or None in values):
                return None
            parts += [(sign, value) for value in values if value is not None]
        # No reader of money accepts a list: an amount of parts that cannot be added is rejected, with them as its text.
        return (exact_sum(parts) or [value for _, value in parts]) if parts else None

    return compute


def _only_value_of(path: JsonPath) -> Callable[[Mapping[str, object]], object]:
    def compute(row: Mapping[str, object]) -> object:
        values = path.find(row)
        is_one = len({str(value) for value in values}) == 1
        return values[0] if is_one else values or None

    return compute


def _first_keys(paths: tuple[str, ...]) -> Iterator[str]:
    for text in paths:
        first = JsonPath.parse(text.lstrip("+-").removesuffix("?").strip()).first_key
        if first:
            yield first


def _expression(table: FieldTable) -> str:
    words = " ".join(text if text[0] in "+-" else f"+{text}" for text in table.path).removeprefix("+")
    return f"({words}) / 10^{table.scale}" if table.scale else words

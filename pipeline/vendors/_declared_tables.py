"""The tables of a vendor's TOML declaration, and the sentence for each mistake in one.

`pipeline.vendors._declared` makes a `Vendor` of them. The keys are documented in docs/declaring.md.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from pipeline.schema.units import is_unit_code
from pipeline.support.json_paths import JsonPath

Place = tuple[str | int, ...]
"""Keys from the top of the declaration, and positions in its lists."""

_SETTING: Final = re.compile(r"[a-z][a-z0-9_]{0,40}")
_PARAMETER: Final = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")
_HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_URL: Final = re.compile(r"https://[A-Za-z0-9.-]+(/[A-Za-z0-9._~/#%?=&-]*)?")
_ENDPOINT_PATH: Final = re.compile(r"(/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~{}-]+)+")
_DOTTED: Final = re.compile(r"[^.\[\]\"]+(\.[^.\[\]\"]+)*")
_PREFIX: Final = re.compile(r"[ -~]{0,100}")
_LONGEST_TEXT: Final = 300
_MOST_REQUESTS: Final = 1_000_000_000
_LONGEST_WINDOW_SECONDS: Final = 31 * 86_400
# Headers that the connection itself needs.
_OWN_HEADERS: Final = frozenset({"accept-encoding", "connection", "content-length", "host", "transfer-encoding"})
_TYPES: Final = {
    "string_type": "must be a text in quotes",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "missing": "is missing",
    "too_short": "must not be empty",
    "too_long": "has too many items",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}


def mistake(words: str) -> PydanticCustomError:
    """Error for a validator to raise; `words` follow the file, the line and the key."""
    return PydanticCustomError("mistake", words)


def first_mistake(problem: ValidationError) -> tuple[Place, str]:
    """Place and sentence of the first mistake."""
    error = problem.errors(include_url=False, include_input=False, include_context=True)[0]
    place = tuple(each for each in error["loc"] if each != "[key]")
    if error["type"] == "extra_forbidden":
        return place, f"is no key here; known keys: {', '.join(sorted(_keys_at(place[:-1])))}"
    context = error.get("ctx", {})
    if error["type"] == "literal_error":
        return place, f"must be one of {context['expected']}"
    if len(place) > 1 and isinstance(place[-2], int) and place[-1] in ("str", "int", "bool"):
        return place[:-1], "must be a text in quotes, a whole number, true or false"
    if error["type"] == "mistake":
        return place, error["msg"]
    words = _TYPES.get(error["type"])
    return place, words.format(**context) if words else error["msg"][:1].lower() + error["msg"][1:]


def _matching(pattern: re.Pattern[str], words: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise mistake(words)
        return value

    return AfterValidator(check)


def _sentence(value: str) -> str:
    if not value.endswith(".") or not value.isprintable():
        raise mistake("must be a sentence of one line that ends with a full stop")
    return value


def _text(value: str) -> str:
    if not value or not value.isprintable() or len(value) > _LONGEST_TEXT:
        raise mistake(f"must be a text of one line, of 1 to {_LONGEST_TEXT} characters")
    return value


def _header(value: str) -> str:
    if value.lower() in _OWN_HEADERS:
        raise mistake(f"{value} is a header of the connection, which has no key")
    return value


def _unit(value: str) -> str:
    if not is_unit_code(value):
        raise mistake("must be an ISO 4217 code such as USD, or a unit of the vendor such as acme-credit")
    return value


def parsed_path(value: str) -> JsonPath:
    """Compile a path; raises the mistake of one that is none."""
    try:
        return JsonPath.parse(value)
    except ValueError as problem:
        raise mistake(str(problem)) from None


def _as_path(value: Any) -> JsonPath:
    if not isinstance(value, str) or not value:
        raise mistake("must be a path in quotes, such as owner.token")
    # Such a path would find nothing, and what it is about would be kept.
    if value[0] in "+-" or value.endswith("?"):
        raise mistake("only paths of amounts and numbers have a sign or end in ?; put a key that has them in quotes")
    return parsed_path(value)


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _as_field(value: Any) -> Any:
    if isinstance(value, str | list):
        return {"path": value}
    return value


Text = Annotated[str, AfterValidator(_text)]
Dotted = Annotated[Text, _matching(_DOTTED, "must be keys with dots between them, such as data.items")]
Rows = Annotated[str, _matching(re.compile(f"({_DOTTED.pattern})?"), "must be keys with dots, such as data.items")]
Sentence = Annotated[str, AfterValidator(_sentence)]
Url = Annotated[str, _matching(_URL, "must be an address such as https://api.example.com/v1")]
Unit = Annotated[str, AfterValidator(_unit)]
SettingKey = Annotated[
    str, _matching(_SETTING, "must be a key of accounts.toml: small letters, digits and _, such as team_id")
]
SecretKey = Annotated[
    str, _matching(re.compile(r"[a-z][a-z0-9_]*_env"), "must be a key that ends in _env, such as api_key_env")
]
Parameter = Annotated[str, _matching(_PARAMETER, "must be the name of a query parameter")]
Path = Annotated[JsonPath, BeforeValidator(_as_path)]
Price = Annotated[str, _matching(re.compile(r"[0-9]+(\.[0-9]+)?"), "must be a price in quotes, such as 0.05")]
Params = dict[Parameter, Text]
Requests = Annotated[int, Field(ge=1, le=_MOST_REQUESTS)]
Seconds = Annotated[int, Field(ge=1, le=_LONGEST_WINDOW_SECONDS)]


class DeclarationTable(BaseModel):
    """Base of all tables of a declaration: known keys and strict types."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True
    )


class AuthTable(DeclarationTable):
    """`auth`: exactly one of `header`, `query` and `basic`."""

    header: (
        Annotated[
            str, _matching(_HEADER, "must be the name of a header, such as Authorization"), AfterValidator(_header)
        ]
        | None
    ) = None
    prefix: Annotated[str, _matching(_PREFIX, "must be at most 100 printable characters of ASCII")] = ""
    """Text before the key in the header, such as `Bearer `."""
    query: Parameter | None = None
    basic: Annotated[tuple[SettingKey, SecretKey], Field(strict=False)] | None = None
    """Keys of accounts.toml: the user's name, plain or `_env`, and the password, `_env`."""
    env: SecretKey = "api_key_env"
    """accounts.toml key that names the environment variable of the key."""


class LimitTable(DeclarationTable):
    """`rate_limit`: what the vendor allows."""

    requests: Requests
    seconds: Seconds
    scope: Literal["key", "account", "address"] = "key"
    also: Annotated[tuple[Annotated[tuple[Requests, Seconds], Field(strict=False)], ...], Field(strict=False)] = ()
    """Further windows that hold at the same time, as `[requests, seconds]`, the shortest first."""
    stated: bool = False
    """Whether answers state the limit in a header, so that a smaller one is kept."""


class RefusalTable(DeclarationTable):
    """An item of `refusals`: a 4xx with a documented meaning or remedy of its own."""

    status: Annotated[int, Field(ge=400, le=499)]
    says: str = ""
    outcome: Literal["unauthorised", "forbidden", "not_found"] | None = None
    remedy: Text


class ServiceTable(DeclarationTable):
    """`service`: the names of FOCUS."""

    name: Text | None = None
    category: Text = "Other"
    subcategory: Text = "Other (Other)"
    virtual_currency: Text | None = None


class SuccessTable(DeclarationTable):
    """`success`: where a body states whether it succeeded, and the values that mean yes."""

    at: Dotted
    values: Annotated[tuple[str | int | bool, ...], Field(strict=False, min_length=1)] | None = Field(None, alias="is")
    """None: true, 1, and words such as yes, ok and success."""


class FieldTable(DeclarationTable):
    """One column of a record. A text or a list in its place is its `path`."""

    path: Annotated[tuple[Text, ...], BeforeValidator(_as_list), Field(strict=False)] = ()
    """Signed paths that are added up for an amount; one path for anything else."""
    constant: Text | None = None
    required: bool | None = None
    documented: bool | None = None
    """Whether its absence is recorded as drift; by default if it is required."""
    scale: Annotated[int, Field(ge=0, le=18)] = 0
    """Decimal digits by which an amount is divided: 2 for cents."""
    choices: dict[str, Text] = {}
    otherwise: Text | None = None
    absent: Text | None = None
    dollars: bool = False
    """Whether an amount may be written as $1,234.50."""
    utc: bool = False
    """Whether an instant without an offset is in UTC."""


FieldValue = Annotated[FieldTable, BeforeValidator(_as_field)]


class RecordsTable(DeclarationTable):
    """How one kind of record is read from an answer."""

    kind: str = "balances"
    rows: Rows = ""
    fields: dict[str, FieldValue]
    ignored: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    optional: bool = False
    keeps_extra: bool = False
    parts_add_up: bool = False
    covers: Literal["window", "day_before"] | None = None
    day_is_window: bool = False


class PagesTable(DeclarationTable):
    """`pages`: a listing in pages."""

    next_link: Dotted | None = None
    """Where a page has the link to the next one."""
    cursor: Dotted | None = None
    """Where a page has the next cursor, which `parameter` carries."""
    parameter: Parameter = "page"
    """Query parameter of the cursor, or of the page's number if neither `next_link` nor `cursor` is given."""
    rows: Rows
    newest_first_by: Dotted | None = None
    look_back_days: Annotated[int, Field(ge=0, le=400)] = 0


class WindowTable(DeclarationTable):
    """`window`: a listing by days."""

    first: Parameter
    last: Parameter
    bounds: Literal["days", "instants"] = "days"
    look_back_days: Annotated[int, Field(ge=1, le=400)] = 3
    chunk_days: Annotated[int, Field(ge=1, le=400)] = 31


class EndpointTable(DeclarationTable):
    """`endpoints.NAME`: one address, and what its answers contain."""

    path: Annotated[str, _matching(_ENDPOINT_PATH, "must be a path such as /v1/balance, without a query")]
    doc: Text
    params: Params = {}
    refresh: Literal["hourly", "daily"] | None = None
    optional: bool = False
    extra: bool = False
    success: SuccessTable | None = None
    redact: Annotated[tuple[Path, ...], BeforeValidator(_as_list), Field(strict=False)] = ()
    pages: PagesTable | None = None
    window: WindowTable | None = None
    envelope: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    records: Annotated[tuple[RecordsTable, ...], Field(strict=False)] = ()
    """Several kinds of record; for one kind, its keys may be in the endpoint itself."""
    kind: str = "balances"
    rows: Rows = ""
    fields: dict[str, FieldValue] = {}
    ignored: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    keeps_extra: bool = False


class VendorTable(DeclarationTable):
    """A whole declaration."""

    title: Text
    base_url: Url
    source: Url | None = None
    unit: Unit | None = None
    """Unit of all amounts; without it `unit_code` is a field, or the owner names it."""
    billing_url: Url | None = None
    unproven: Annotated[tuple[Sentence, ...], Field(strict=False)] = ()
    auth: Annotated[tuple[AuthTable, ...], BeforeValidator(_as_list), Field(strict=False, min_length=1)]
    rate_limit: LimitTable = LimitTable(requests=60, seconds=60)
    settings: dict[SettingKey, Text] = {}
    usage_prices: dict[Text, Price] = {}
    tax_basis: Literal["gross", "net", "unknown"] = "unknown"
    rounds: bool = False
    """Whether amounts have digits beyond nine decimals, which are then rounded half to even."""
    stale_after_hours: Annotated[int, Field(ge=1, le=24 * 90)] = 26
    service: ServiceTable = ServiceTable()
    refusals: Annotated[tuple[RefusalTable, ...], Field(strict=False)] = ()
    sells_quota_additions: bool = False
    endpoints: Annotated[dict[str, EndpointTable], Field(min_length=1)]


_TABLES: Final[dict[str, type[DeclarationTable]]] = {
    "auth": AuthTable,
    "rate_limit": LimitTable,
    "service": ServiceTable,
    "refusals": RefusalTable,
    "success": SuccessTable,
    "records": RecordsTable,
    "pages": PagesTable,
    "window": WindowTable,
}


def _keys_at(place: Place) -> list[str]:
    """Keys of the table at a place."""
    names = [each for each in place if isinstance(each, str)]
    if not names:
        table: type[DeclarationTable] = VendorTable
    elif len(names) > 1 and names[-2] == "fields":
        table = FieldTable
    elif len(names) > 1 and names[-2] == "endpoints":
        table = EndpointTable
    else:
        table = _TABLES[names[-1]]
    return [field.alias or name for name, field in table.model_fields.items()]

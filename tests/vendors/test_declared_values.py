"""Any value at any key of a declaration: a vendor whose requests can be made, or one line."""

from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.declaration_check import declaration, shown
from pipeline.http._address import check_path
from pipeline.settings import load
from pipeline.support.errors import UsageError
from pipeline.vendors._declared import read_declaration
from pipeline.vendors._port import AuthHeader, Vendor, addressed

_HEAD = """
title = "Acme"
base_url = "https://api.acme.example/v1"
source = "https://acme.example/docs"
unit = "USD"
unproven = ["A sentence."]
auth = [{ query = "api_key" }, { header = "X-Key", prefix = "B " }, { basic = ["project", "token_env"] }]
settings = { project = "id of the project" }
usage_prices = { minutes = "0.5" }
stale_after_hours = 5
refusals = [{ status = 401, says = "x", outcome = "forbidden", remedy = "do {variables}" }]
rate_limit = { requests = 5, seconds = 1, scope = "key", also = [[100, 60]] }
service = { name = "A", category = "Other" }

[endpoints.wallet]
path = "/projects/{project}/wallet"
doc = "documented: the wallet."
redact = ["owner.token"]
ignored = ["echo"]
success = { at = "code", is = [20000, "ok", true] }
fields.balance_amount = { path = ["paid_cents", "-used_cents"], scale = 2 }
fields.effective_at_utc = { path = "as_of", utc = true }
"""
_MOVEMENTS = """
[endpoints.movements]
path = "/movements"
doc = "documented: every movement."
kind = "ledger_entries"
rows = "items"
params = { limit = "100" }
pages = { cursor = "next", parameter = "after", rows = "items", newest_first_by = "at", look_back_days = 30 }
fields.entry_id = "id"
fields.effective_at_utc = "at"
fields.stated_amount = "amount"
fields.entry_kind = { path = "what", choices = { paid = "top_up" }, otherwise = "other" }
fields.entry_status = { constant = "settled" }
"""
_DAYS = """
[endpoints.days]
path = "/days"
doc = "documented: each day."
window = { first = "from", last = "to" }
records = [{ kind = "usage_days", rows = "days", covers = "window", fields = { usage_date = "day", cost_amount = "cost" } }]
"""
_VALUES: list[Any] = [
    *(
        None,
        0,
        -1,
        10**30,
        1.5,
        float("nan"),
        "",
        " ",
        "x",
        "a..b",
        "-",
        "?",
        "[",
        "items[*]",
        '"',
        "a\nb",
        "\0",
        "\x1b[31m",
    ),
    *("{", "{}", "{x}", "{project}", "/..", "/./a", "/a/../b", "//", "true", "a?", "-a", "a" * 400, "ключ", "api_key"),
    *([], [[]], [1], [""], ["a..b"], {}, {"x": 1}, {"": ""}, {"path": "a..b"}, {"at": "a..b"}, {"rows": "a..b"}),
    *({"constant": "x"}, {"path": []}, True, [[[[[[[[]]]]]]]]),
]
"""None takes the key away."""


def _places(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if place:
        yield place
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _places(each, (*place, key))


def _changed(document: dict[str, Any], place: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    holder: Any = changed
    for key in place[:-1]:
        holder = holder[key]
    if value is None:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    return changed


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return "nan" if value != value else json.dumps(value)


def _read(folder: Path, document: dict[str, Any]) -> Vendor:
    path = folder / "acme.toml"
    path.write_text("".join(f"{key} = {_toml(value)}\n" for key, value in document.items()), encoding="utf-8")
    return read_declaration(path, "acme")


@pytest.mark.parametrize("text", [_HEAD + _MOVEMENTS, _HEAD + _DAYS], ids=["pages", "window"])
def test_every_key_with_any_value_makes_a_vendor_or_one_line(tmp_path: Path, text: str) -> None:
    document = tomllib.loads(text.replace('cost_amount = "cost"', 'cost_amount = { path = "cost", required = true }'))
    _read(tmp_path, document)
    for place in _places(document):
        for value in _VALUES:
            try:
                vendor = _read(tmp_path, _changed(document, place, value))
            except UsageError as problem:
                words = str(problem)
                assert words.startswith(f"{tmp_path}/acme.toml:"), (place, value)
                assert words.isprintable(), (place, value)
                assert not any(jargon in words for jargon in ("after validation", "instance of", "nput should")), words
                continue
            assert vendor.title.isprintable()
            for endpoint in vendor.endpoints:
                assert endpoint.doc.isprintable()
                check_path(addressed(endpoint.listing, {"project": "p-17"}).path)
            for refusal in vendor.refusals:
                refusal.remedy.format(variables="A_KEY", setting="base_url")
            for auth in vendor.auth:
                assert not isinstance(auth, AuthHeader) or (auth.prefix.isascii() and auth.prefix.isprintable())


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"as_of", utc = true', '"as_of" }\nfields.threshold_amount = { constant = "5"', "is a text, but threshold_amount is none"),
        ('{ path = "as_of", utc = true }', '{ constant = "now" }', "is a text, but effective_at_utc is none: give it a path"),
        ("fields.effective_at_utc", 'fields.unit_code = { constant = "dollars" }\nfields.effective_at_utc', "must be an ISO 4217"),
        ('header = "X-Key"', 'header = "authorization"', "the header Authorization has a key already"),
        ('header = "X-Key"', 'header = "Host"', "Host is a header of the connection, which has no key"),
        ('{ header = "X-Key", prefix = "B " }', '{ query = "api_key", env = "b_env" }', "query parameter api_key has a key already"),
        ('limit = "100"', 'api_key = "1"', "api_key would replace the query parameter that carries the key"),
        ('limit = "100"', '"api_key[]" = "1"', "api_key[] would replace the query parameter that carries the key"),
        ('parameter = "after"', 'parameter = "api_key"', "api_key would replace the query parameter that carries the key"),
        ('redact = ["owner.token"]', 'redact = "owner.token?"', "only paths of amounts and numbers have a sign or end in ?"),
        ('project = "id of the project"', 'project = "id", key_env = "key"', "ends in _env as keys of secrets do"),
        ('rows = "items"\nparams', 'rows = "items[*]"\nparams', "must be keys with dots, such as data.items"),
    ],
)  # fmt: skip
def test_what_a_request_or_a_row_could_not_be_made_of_is_refused(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    text = _HEAD + _MOVEMENTS
    assert old in text
    (tmp_path / "acme.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UsageError) as refused:
        read_declaration(tmp_path / "acme.toml", "acme")
    assert words in str(refused.value)


@pytest.mark.parametrize("key", ["vendor", "base_url", "path", "team", "tags", "history_days", "unit"])
def test_an_accounts_own_keys_are_not_a_vendors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    vendors = tmp_path / "vendors"
    vendors.mkdir()
    monkeypatch.setenv("DRAWDOWN_VENDORS", str(vendors))
    text = _HEAD.replace("project", key).replace('unit = "USD"\n', "")
    (vendors / "acme.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=f"{key} is a key of every account"):
        declaration(vendors / "acme.toml")
    own = "" if key == "vendor" else f'{key} = "acme"'
    (tmp_path / "accounts.toml").write_text(f'[accounts.a]\nvendor = "acme"\n{own}\n', encoding="utf-8")
    with pytest.raises(UsageError, match=f"vendor: acme declares {key} as its own"):
        load(tmp_path / "accounts.toml")


def test_an_amount_of_zero_is_printed_without_an_exponent() -> None:
    assert shown(Decimal("0E-9")) == "0.000000000"
    assert shown("a text") == "a text"

"""Declarations in TOML: what they read, and one line for each mistake in one."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.support.errors import UsageError
from pipeline.support.toml_lines import line_of
from pipeline.vendors import discover, shipped
from pipeline.vendors._declared import read_declaration
from pipeline.vendors._port import AuthBasic, AuthQuery, Pages, Vendor, Window, addressed
from tests.vendors.examples import read_payloads

_HEAD = """\
title = "Acme"
base_url = "https://api.acme.example/v1"
source = "https://acme.example/docs"
unit = "USD"
auth = { header = "X-Key" }

"""
_WALLET = """\
[endpoints.wallet]
path = "/wallet"
doc = "documented: the wallet."
fields.balance_amount = "cash"
"""


def declared(folder: Path, text: str, name: str = "acme") -> Vendor:
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return read_declaration(folder / f"{name}.toml", name)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(UsageError) as refused:
        declared(folder, text)
    words = str(refused.value)
    assert "\n" not in words
    return words.removeprefix(f"{folder}/acme.toml")


def balance(vendor: Vendor, payload: object) -> Any:
    """The balance read from one answer; the rejects if there is none."""
    [reading] = read_payloads(vendor, vendor.endpoints[0], payload)
    if reading.accepted.height:
        return reading.accepted["balance_amount"].item()
    return [(each.column_name, each.check_name, each.value) for each in reading.rejects]


# -- mistakes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('title = "Acme"\n', ""), ":1: title: is missing"),
        (('title = "Acme"', "title = 5"), ":1: title: must be a text in quotes"),
        (("title", "colour"), ":1: title: is missing"),
        (('unit = "USD"', 'unit = "USD"\ncolour = "red"'),
         ":5: colour: is no key here; known keys: auth, base_url, billing_url, endpoints, rate_limit, refusals, rounds, "
         "sells_quota_additions, service, settings, source, stale_after_hours, tax_basis, title, unit, unproven, usage_prices"),
        (("https://api", "http://api"), ":2: base_url: must be an address such as https://api.example.com/v1"),
        (("https://api.acme.example", "https://localhost"),
         ":2: base_url: points at this computer; only an account's base_url may name a sandbox"),
        (('"USD"', '"dollars"'), ":4: unit: must be an ISO 4217 code such as USD, or a unit of the vendor such as acme-credit"),
        (('{ header = "X-Key" }', '{ header = "X-Key", query = "key" }'),
         ":5: auth.1: needs exactly one of header, query and basic"),
        (('{ header = "X-Key" }', "{}"), ":5: auth.1: needs exactly one of header, query and basic"),
        (('{ header = "X-Key" }', '{ header = "X-Key", env = "API_KEY" }'),
         ":5: auth.1.env: must be a key that ends in _env, such as api_key_env"),
        (('{ header = "X-Key" }', '{ basic = ["user", "password_env"] }'),
         ":5: auth.1.basic: user is neither a secret, which ends in _env, nor a key of settings"),
        (('path = "/wallet"', 'path = "/{team}/wallet"'), ":8: endpoints.wallet.path: {team} is no key of settings"),
        (('path = "/wallet"', 'path = "/wallet?x=1"'),
         ":8: endpoints.wallet.path: must be a path such as /v1/balance, without a query"),
        (('"cash"', '"cash..x"'),
         ":10: endpoints.wallet.fields.balance_amount.path: expects a key at character 6 of the path"),
        (('"cash"', '["cash", "pools[x].left"]'),
         ":10: endpoints.wallet.fields.balance_amount.path: expects [0], [*] or [key=value] at character 6 of the path"),
        (('balance_amount = "cash"', 'balance = "cash"'),
         ":10: endpoints.wallet.fields.balance: is no column of balances; its columns: "),
        (('fields.balance_amount = "cash"', 'fields.unit_code = "cash"'),
         ":10: endpoints.wallet.fields: balance_amount is missing: every row of balances has one"),
        (('"cash"', '{ path = "cash", scale = -2 }'),
         ":10: endpoints.wallet.fields.balance_amount.scale: must be at least 0"),
        (('"cash"', '{ path = "cash", digits = 2 }'),
         ":10: endpoints.wallet.fields.balance_amount.digits: is no key here; known keys: absent, choices, constant, "
         "documented, dollars, otherwise, path, required, scale, utc"),
        (('"cash"', '"cash"\nfields.effective_at_utc = ["a", "b"]'),
         ":11: endpoints.wallet.fields.effective_at_utc.path: only amounts and numbers are added up; give one path"),
        (('"cash"', '"cash"\nfields.effective_at_utc = "-at"'),
         ":11: endpoints.wallet.fields.effective_at_utc.path: only paths of amounts and numbers have a sign or end in ?"),
        (('"cash"', '"cash"\nfields.unit_code = { path = "u", choices = { usd = "USD", USD = "EUR" } }'),
         ":11: endpoints.wallet.fields.unit_code.choices.USD: is there twice, in another letter case"),
        (('"cash"', '"cash"\nkind = "movements"'), ":11: endpoints.wallet.kind: must be one of auto_topups, balances, "),
        (('"cash"', '"cash"\nsuccess = { at = "code", is = [] }'), ":11: endpoints.wallet.success.is: "),
        (('"cash"', '"cash"\npages = { rows = "data", newest_first_by = "at" }'),
         ":11: endpoints.wallet.pages.look_back_days: newest_first_by and look_back_days go together"),
        (('"cash"', '"cash"\nparams = { a = "1" }'),
         ":11: endpoints.wallet.params: only a listing with pages or a window has parameters"),
        (('"cash"', '"cash'), ": not TOML: "),
        (("[endpoints.wallet]", "[endpoints.Wallet]"), ":7: endpoints.Wallet: must be named with small letters, digits and single _"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_file_line_and_key(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    text = _HEAD + _WALLET
    assert change[0] in text
    assert refusal(tmp_path, text.replace(*change, 1)).startswith(words)


def test_a_declaration_without_readings_is_refused(tmp_path: Path) -> None:
    text = _HEAD + _WALLET.replace(
        'fields.balance_amount = "cash"',
        'kind = "vendor_claims"\nfields.claim = { constant = "shortfall" }\nfields.claim_amount = "cash"',
    )
    assert refusal(tmp_path, text) == (
        ':7: endpoints: no endpoint has kind = "balances": without readings there is nothing to forecast'
    )


@pytest.mark.parametrize("name", ["Acme", "a-b", "1a", "a__b", "a" * 31, "a b"])
def test_a_file_whose_name_is_no_vendors_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="the file's name is the vendor's"):
        declared(tmp_path, _HEAD + _WALLET, name)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_file_is_a_vendor_or_one_line(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "acme.toml"
    path.write_bytes(_HEAD.encode() + content)
    with pytest.raises(UsageError) as refused:
        read_declaration(path, "acme")
    assert str(refused.value).startswith(str(path))
    assert len(str(refused.value).splitlines()) == 1


def test_lines_are_found_by_key() -> None:
    text = 'a = 1\n[b]\nc.d = 2\n"e f" = 3\n[[g]]\nh = 1\n[[g]]\nh = 2\n[g.i]\nj = 3\n'
    places = [("a",), ("b", "c", "d"), ("b", "e f"), ("g", 0, "h"), ("g", 1, "h"), ("b", "c", "d", "x"), ("z",)]
    assert [line_of(text, place) for place in places] == [1, 3, 4, 6, 8, 3, 1]
    assert line_of('a = "\u2028\u0085"\r\nb = 2\r\n', ("b",)) == 2


# -- the owner's folder


def test_the_owners_declarations_are_vendors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAWDOWN_ACCOUNTS", str(tmp_path / "accounts.toml"))
    assert discover() == shipped()
    own = tmp_path / "vendors"
    own.mkdir()
    (own / "acme.toml").write_text(_HEAD + _WALLET)
    (own / ".hidden.toml").write_text("not TOML")
    (own / "notes.txt").write_text("not a declaration")
    assert discover().keys() == {*shipped(), "acme"}
    (own / "acme.toml").write_text((_HEAD + _WALLET).replace('"Acme"', '"Acme Storage"'))
    assert discover()["acme"].title == "Acme Storage"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv("DRAWDOWN_VENDORS", str(elsewhere))
    assert discover() == shipped()


def test_an_owners_declaration_cannot_replace_a_shipped_vendor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAWDOWN_VENDORS", str(tmp_path))
    (tmp_path / "vpsbg.toml").write_text(_HEAD + _WALLET)
    with pytest.raises(UsageError, match=r"vpsbg\.toml: Drawdown has a vendor vpsbg already; rename the file"):
        discover()


# -- what is read

_AMOUNTS = st.decimals(-(10**12), 10**12, places=4)


def _field(path: str, more: str = "") -> str:
    return _HEAD + _WALLET.replace('"cash"', path) + more


@given(st.lists(_AMOUNTS, min_size=1, max_size=5), _AMOUNTS, st.booleans(), st.integers(0, 5))
def test_sums_are_exact_whatever_their_spelling(
    tmp_path_factory: pytest.TempPathFactory, added: list[Decimal], taken: Decimal, is_text: bool, scale: int
) -> None:
    vendor = declared(
        tmp_path_factory.mktemp("sum"),
        _field(f'{{ path = ["rows[*].n", "-taken", "+absent?"], scale = {scale} }}'),
    )
    # Decoded JSON has other numbers than integers as their text, so both spellings are texts.
    spelled = (lambda number: f"{number:f}") if is_text else (lambda number: f"{number:e}")
    payload = {"rows": [{"n": spelled(each)} for each in added], "taken": spelled(taken)}
    assert balance(vendor, payload) == (sum(added) - taken).scaleb(-scale)


@pytest.mark.parametrize(
    ("payload", "outcome"),
    [
        ({"a": 5, "b": 7}, Decimal(-2)),
        ({"a": "5.50", "b": "7.500"}, Decimal(-2)),
        ({"a": 1, "b": 2}, Decimal(-1)),
        ({"a": 5}, [("balance_amount", "is_present", None)]),
        ({"a": 5, "b": None}, [("balance_amount", "is_present", None)]),
        ({"a": 5, "b": "7,5"}, [("balance_amount", "is_exact_amount", '[5,"7,5"]')]),
        ({"a": 5, "b": True}, [("balance_amount", "is_exact_amount", "[5,true]")]),
        ({"a": 5, "b": {"c": 1}}, [("balance_amount", "is_exact_amount", '[5,{"c":1}]')]),
        ({"a": 5, "b": "NaN"}, [("balance_amount", "is_exact_amount", '[5,"NaN"]')]),
        ({"a": 5, "b": "1e-12"}, [("balance_amount", "is_exact_amount", "4.999999999999")]),
        ({"a": 5, "b": "1e999999"}, [("balance_amount", "is_exact_amount", '[5,"1e999999"]')]),
        ({"a": 5, "b": 10**20}, [("balance_amount", "is_plausible_amount", "-99999999999999999995")]),
    ],
)
def test_a_sum_is_exact_or_rejected(tmp_path: Path, payload: object, outcome: object) -> None:
    assert balance(declared(tmp_path, _field('["a", "-b"]')), payload) == outcome


def test_a_sum_over_a_list_needs_every_item(tmp_path: Path) -> None:
    rows = {"rows": [{"n": 5}, {"m": 7}, {"n": 1}]}
    assert balance(declared(tmp_path, _field('"rows[*].n"')), rows) == [("balance_amount", "is_present", None)]
    assert balance(declared(tmp_path, _field('"rows[*].n?"')), rows) == Decimal(6)
    assert balance(declared(tmp_path, _field('"rows[*].n"')), {"rows": []}) == [("balance_amount", "is_present", None)]


def test_a_debt_of_exactly_one_is_a_balance_but_a_stated_minus_one_is_not(tmp_path: Path) -> None:
    assert balance(declared(tmp_path, _field('"-owed"')), {"owed": 1}) == Decimal(-1)
    assert balance(declared(tmp_path, _field('{ path = "cents", scale = 2 }')), {"cents": -100}) == Decimal(-1)
    assert balance(declared(tmp_path, _field('"cash"')), {"cash": -1}) == [("balance_amount", "is_no_sentinel", "-1")]


@pytest.mark.parametrize(
    ("units", "outcome"),
    [
        (["usd", "usd"], Decimal(3)),
        (["USD", "usd"], [("unit_code", "is_currency_code", '["USD","usd"]')]),
        (["usd", "hour"], [("unit_code", "is_currency_code", '["usd","hour"]')]),
        (["hour", "hour"], [("unit_code", "is_currency_code", "hour")]),
    ],
)
def test_amounts_in_several_units_are_never_added(tmp_path: Path, units: list[str], outcome: object) -> None:
    text = _field('"rows[*].n"', 'fields.unit_code = "rows[*].unit"\n').replace('unit = "USD"\n', "")
    payload = {"rows": [{"n": number, "unit": unit} for number, unit in enumerate(units, 1)]}
    assert balance(declared(tmp_path, text), payload) == outcome


@pytest.mark.parametrize(
    ("flag", "is_good"), [(20000, True), ("20000", True), (50000, False), (True, False), (None, False)]
)
def test_a_body_states_its_success_by_the_declared_values(tmp_path: Path, flag: object, is_good: bool) -> None:
    vendor = declared(tmp_path, _field('"cash"', 'success = { at = "code", is = [20000] }\n'))
    found = balance(vendor, {"cash": 5, "code": flag, "message": "try later"})
    assert found == (Decimal(5) if is_good else [("code", "is_success", "try later")])
    assert balance(vendor, {"cash": 5}) == Decimal(5)


def test_authentication_and_addresses(tmp_path: Path) -> None:
    text = (_HEAD + _WALLET).replace("/wallet", "/accounts/{sid}/wallet")
    text = text.replace(
        'auth = { header = "X-Key" }', 'auth = { basic = ["sid", "token_env"] }\nsettings = { sid = "account SID" }'
    )
    vendor = declared(tmp_path, text)
    assert vendor.auth == (AuthBasic(user="sid", password="token_env"),)
    assert (vendor.secret_settings, dict(vendor.placeholders)) == (("token_env",), {"sid": "account SID"})
    assert addressed(vendor.endpoints[0].listing, {"sid": "AC1"}).path == "/accounts/AC1/wallet"
    vendor = declared(
        tmp_path, (_HEAD + _WALLET).replace('header = "X-Key"', 'query = "api_key", env = "serp_key_env"')
    )
    assert vendor.auth == (AuthQuery(name="api_key", setting="serp_key_env"),)


def test_listings(tmp_path: Path) -> None:
    movements = """
[endpoints.movements]
path = "/movements"
doc = "documented: every movement."
kind = "ledger_entries"
rows = "items"
pages = { PAGES rows = "items" }
fields = { entry_id = "id", effective_at_utc = "at", stated_amount = "n" }
fields.entry_kind = { constant = "usage" }
fields.entry_status = { constant = "settled" }
""".replace(
        "fields = { entry_id",
        'fields = { entry_kind = { constant = "usage" }, entry_status = { constant = "settled" }, entry_id',
    )
    movements = "\n".join(line for line in movements.splitlines() if not line.startswith("fields.entry"))
    expected = {
        "": Pages(path="/movements", params={"page": "1"}, next_is="number", next_at="", rows_at="items", newest_first_by=None),
        'cursor = "next", parameter = "after",': Pages(
            path="/movements", page_param="after", next_is="cursor", next_at="next", rows_at="items", newest_first_by=None
        ),
        'next_link = "links.next",': Pages(
            path="/movements", next_is="link", next_at="links.next", rows_at="items", newest_first_by=None
        ),
    }  # fmt: skip
    for pages, listing in expected.items():
        vendor = declared(tmp_path, _HEAD + _WALLET + movements.replace("PAGES", pages))
        assert vendor.endpoint("movements").listing == listing
        assert vendor.endpoint("movements").refresh == "daily"
    usage = """
[endpoints.usage]
path = "/usage"
doc = "documented: usage by day."
kind = "usage_days"
rows = "days"
window = { first = "from", last = "to" }
fields = { usage_date = "day", credits_amount = "spent" }
"""
    vendor = declared(tmp_path, _HEAD + _WALLET + usage)
    assert vendor.endpoint("usage").listing == Window(
        path="/usage", from_param="from", to_param="to", look_back_days=3, chunk_days=31
    )

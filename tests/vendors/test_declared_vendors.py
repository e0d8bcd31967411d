"""The vendors declared in TOML: what each of their examples says, written by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from pipeline.support.redacted_places import redact_places
from pipeline.vendors import DECLARATION, shipped
from pipeline.vendors._port import AuthBasic, AuthHeader, AuthQuery
from tests.vendors.examples import PACKAGE, read

# Those with examples only: Deepvue and Voxpria have a world of their own.
DECLARED = {name: vendor for name, vendor in shipped().items() if vendor.source}
EXAMPLES = {
    f"{name} {path.name.removesuffix('.json')}": path
    for name in DECLARED
    for path in sorted((PACKAGE / name / "examples").glob("*.json"))
}

# Amount and unit of the one balance.
BALANCES: dict[str, tuple[str, str | None]] = {
    "deepgram balances": ("182.47630915", "USD"),
    "deepgram balances.several": ("212.5", "USD"),
    "deepseek balance": ("64.3", "USD"),
    "deepseek balance.currencies": ("7.5", "USD"),
    "deepseek balance.spent": ("0", "USD"),
    "digitalocean balance": ("83.6", "USD"),
    "digitalocean balance.debt": ("-27.35", "USD"),
    "elevenlabs subscription": ("61750", "elevenlabs-character"),
    "elevenlabs subscription.overage": ("-12400", "elevenlabs-character"),
    "moonshot balance": ("31.20755", None),
    "moonshot balance.debt": ("0", None),
    "openrouter credits": ("84.75", "USD"),
    "openrouter credits.debt": ("-0.042317089", "USD"),
    "serpapi account": ("665", "serpapi-search"),
    "serpapi account.no_plan": ("0", "serpapi-search"),
    "siliconflow user_info": ("41.2", "USD"),
    "siliconflow user_info.debt": ("-0.315", "USD"),
    "telnyx balance": ("212.4", "USD"),
    "telnyx balance.debt": ("-8.75", "AUD"),
    "twilio balance": ("148.206", "USD"),
    "twilio balance.debt": ("-3.1", "EUR"),
    "vastai user": ("57.38251947", "USD"),
    "vastai user.debt": ("-0.7431", "USD"),
    "vonage balance": ("74.18620455", "EUR"),
    "vonage balance.debt": ("-0.5", "EUR"),
    "vultr account": ("212.49", "USD"),
    "vultr account.debt": ("-22.25", "USD"),
    "xai prepaid_balance": ("42.75", "USD"),
    "xai prepaid_balance.debt": ("-3.9", "USD"),
    "xai prepaid_balance.zero": ("0", "USD"),
}

# Other columns of balances that an example fills.
_MORE: dict[str, dict[str, Any]] = {
    "deepgram balances.several": {"extra_json": '{"balance_amount":"212.5000000004"}'},
    "openrouter credits.debt": {"extra_json": '{"balance_amount":"-0.0423170894501"}'},
    "digitalocean balance": {"effective_at_utc": datetime(2026, 3, 18, 11, 40, 2, tzinfo=UTC)},
    "digitalocean balance.debt": {"effective_at_utc": datetime(2026, 3, 18, 11, 40, 2, tzinfo=UTC)},
    "elevenlabs subscription": {
        "resets_at_utc": datetime(2026, 4, 1, tzinfo=UTC),
        "quota_amount": Decimal(100_000),
    },
    "elevenlabs subscription.overage": {"quota_amount": Decimal(500_000)},
    "serpapi account": {"resets_at_utc": datetime(2026, 4, 5, tzinfo=UTC), "quota_amount": Decimal(1025)},
    "serpapi account.no_plan": {"quota_amount": Decimal(0)},
    "telnyx balance": {"limit_amount": Decimal(50)},
    "telnyx balance.debt": {"limit_amount": Decimal(50)},
}

# Other kinds of records: their rows, without columns that are NULL.
_OTHERS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "digitalocean prepayment_config": (
        "auto_topups",
        [{"is_on": True, "threshold_amount": Decimal(15), "topup_amount": Decimal(80), "unit_code": "USD"}],
    ),
    "digitalocean prepayment_config.off": ("auto_topups", [{"is_on": False, "unit_code": "USD"}]),
    "vonage balance": ("auto_topups", [{"is_on": True, "unit_code": "EUR"}]),
    "vonage balance.debt": ("auto_topups", [{"is_on": False, "unit_code": "EUR"}]),
    "twilio usage": (
        "usage_days",
        [
            {"usage_date": date(2026, 3, 17), "credits_amount": Decimal("6.4125"), "is_partial": False},
            {"usage_date": date(2026, 3, 16), "credits_amount": Decimal("0.8"), "is_partial": False},
        ],
    ),
    "twilio usage.empty": ("usage_days", []),
}

# Columns of an answer, and not of what it says.
_OWN = {"account_id", "fetch_id", "row_number", "observed_at_utc", "first_observed_at_utc", "loaded_at_utc", "_answer"}


def _stated(example: str) -> dict[str, list[dict[str, Any]]]:
    """Rows of an example by kind, without columns that are NULL. Nothing may be rejected, and nothing be unknown."""
    name, _, case = example.partition(" ")
    vendor = DECLARED[name]
    readings = read(vendor, vendor.endpoint(case.partition(".")[0]), EXAMPLES[example].read_bytes())
    for reading in readings:
        assert reading.rejects == []
        assert [each for each in reading.drift if each.check_name != "rounded_amount"] == []
    return {
        reading.records.kind: [
            {key: value for key, value in row.items() if value is not None and key not in _OWN}
            for row in reading.accepted.rows(named=True)
        ]
        for reading in readings
    }


def test_every_example_is_expected_here() -> None:
    assert BALANCES.keys() | _OTHERS.keys() == EXAMPLES.keys()
    assert _MORE.keys() <= BALANCES.keys()


@pytest.mark.parametrize("example", BALANCES)
def test_an_example_states_its_balance(example: str) -> None:
    amount, unit = BALANCES[example]
    expected = {"balance_amount": Decimal(amount), "unit_code": unit, **_MORE.get(example, {})}
    assert _stated(example)["balances"] == [{key: value for key, value in expected.items() if value is not None}]


@pytest.mark.parametrize("example", _OTHERS)
def test_an_example_states_its_other_records(example: str) -> None:
    kind, expected = _OTHERS[example]
    assert _stated(example)[kind] == expected


@pytest.mark.parametrize("name", DECLARED)
def test_each_vendor_has_an_example_of_a_peculiarity_beside_the_ordinary_one(name: str) -> None:
    names = [path.name for path in (PACKAGE / name / "examples").glob("*.json")]
    assert {f"{endpoint.name}.json" for endpoint in DECLARED[name].endpoints} <= set(names)
    assert any(each.count(".") > 1 for each in names)
    # What a declaration states is in one screen.
    assert len((PACKAGE / name / DECLARATION).read_text("utf-8").splitlines()) <= 40


@pytest.mark.parametrize(
    ("name", "endpoint", "body", "column"),
    [
        ("deepgram", "balances", b'{"balances":[]}', "balance_amount"),
        ("deepgram", "balances", b'{"balances":[{"amount":"many","units":"USD"}]}', "balance_amount"),
        (
            "deepgram",
            "balances",
            b'{"balances":[{"amount":5,"units":"USD"},{"amount":90,"units":"hour"}]}',
            "unit_code",
        ),
        ("deepseek", "balance", b'{"balance_infos":[{"currency":"CNY","total_balance":"9.00"}]}', "balance_amount"),
        (
            "deepseek",
            "balance",
            b'{"balance_infos":[{"currency":"USD","total_balance":"n/a"},{"currency":"CNY","total_balance":"9"}]}',
            "balance_amount",
        ),
        ("elevenlabs", "subscription", b'{"character_limit":10000}', "balance_amount"),
        ("moonshot", "balance", b'{"code":5,"data":{"available_balance":3},"status":false}', "code"),
        ("siliconflow", "user_info", b'{"code":30000,"data":{"totalBalance":"0"},"status":false}', "code"),
        ("telnyx", "balance", b'{"data":{"balance":"1.00","available_credit":"1.00"}}', "unit_code"),
        ("twilio", "balance", b'{"account_sid":"AC41","balance":null,"currency":"USD"}', "balance_amount"),
        ("vastai", "user", b'{"id":1,"balance":12.5}', "balance_amount"),
        ("vultr", "account", b'{"account":{"balance":-5}}', "balance_amount"),
        ("xai", "prepaid_balance", b'{"changes":[],"total":{}}', "balance_amount"),
        ("xai", "prepaid_balance", b'{"changes":[],"total":{"val":"-12,00"}}', "balance_amount"),
    ],
)
def test_an_answer_that_does_not_state_the_whole_balance_is_rejected(
    name: str, endpoint: str, body: bytes, column: str
) -> None:
    vendor = DECLARED[name]
    readings = read(vendor, vendor.endpoint(endpoint), body)
    assert all(reading.accepted.height == 0 for reading in readings)
    assert column in {reject.column_name for reading in readings for reject in reading.rejects}


@pytest.mark.parametrize(
    ("example", "secrets"),
    [
        ("serpapi account", ["5e4c0ffee8d1b2a3947761f0", "search@example.com"]),
        ("serpapi account.no_plan", ["5e4c0ffee8d1b2a3947761f0", "search@example.com"]),
        ("siliconflow user_info", ["team@example.com"]),
        ("vastai user", ["c0ffee5e11ab4d0f9be27710aa53cd84", "render@example.com", "render-team"]),
        ("vastai user.debt", ["c0ffee5e11ab4d0f9be27710aa53cd84", "AAAAC3NzaExampleKeyOfNobody"]),
        ("vultr account", ["ops@example.com", "Ops Team"]),
    ],
)
def test_keys_and_people_that_an_answer_repeats_are_not_kept(example: str, secrets: list[str]) -> None:
    name, _, case = example.partition(" ")
    vendor = DECLARED[name]
    endpoint = vendor.endpoint(case.partition(".")[0])
    body = EXAMPLES[example].read_bytes()
    kept, is_redacted = redact_places(body, endpoint.redacted)
    assert is_redacted
    for secret in secrets:
        assert secret.encode() in body
        assert secret.encode() not in kept
    [reading] = read(vendor, endpoint, kept)
    assert reading.accepted["balance_amount"].to_list() == [Decimal(BALANCES[example][0])]
    assert reading.drift == []


def test_each_vendor_is_asked_in_its_own_way() -> None:
    told = {}
    for name, vendor in DECLARED.items():
        [auth] = vendor.auth
        match auth:
            case AuthHeader():
                told[name] = f"{auth.name}: {auth.prefix}"
            case AuthQuery():
                told[name] = f"?{auth.name}="
            case AuthBasic():
                told[name] = f"{auth.user}:{auth.password}"
    bearer = "deepseek digitalocean moonshot openrouter siliconflow telnyx vastai vultr xai".split()
    assert told == dict.fromkeys(bearer, "Authorization: Bearer ") | {
        "deepgram": "Authorization: Token ",
        "elevenlabs": "xi-api-key: ",
        "serpapi": "?api_key=",
        "twilio": "account_sid:auth_token_env",
        "vonage": "api_key_env:api_secret_env",
    }


def test_a_unit_that_no_answer_names_is_the_owners_to_say() -> None:
    assert [name for name, vendor in DECLARED.items() if "unit" in vendor.settings] == ["moonshot"]

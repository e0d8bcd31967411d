"""The meaning of valid settings."""

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.settings import DEFAULT_HISTORY_DAYS, CreditPrice, PlannedSpend, Settings
from pipeline.settings.rate_source import RateSource
from pipeline.support.errors import UsageError
from pipeline.vendors import discover

CANARY = "canary-5d1e8Wm2c9t"
Loaded = Callable[[str], Settings]

ONE = '[accounts.main]\nvendor = "vpsbg"\napi_key_env = "DRAWDOWN_TEST_KEY"\n'
FULL = """\
reporting_currency = "USD"

monthly_budget_amount = "3000"

[teams.platform]
monthly_budgets = [{ from = 2026-06-01, amount = "900.50" }, { from = 2026-01-01, amount = 800, unit = "USD" }]

[fx]
source = "package"
url = "https://Rates.example.com/eurofxref/"
oldest_days = 30

[accounts.full]
vendor = "voxpria"
api_key_env = "DRAWDOWN_TEST_KEY"
base_url = "https://Example.com:443/voxpria/"
path = "/somewhere/earlier.csv"
history_days = 90
team = "platform"
tags = { product = "shop", area = "eu" }
alert_below_days = 10
alert_below_amount = "-25.000000001"
topup_lead_days = 2
topup_minimum_amount = 10
tax_rate = "0.20"
notify_url_env = "TELL_PLATFORM"
formerly = ["wallet", "old_wallet-2", "wallet"]
ignore_date_header = true
credit_price_amount = "0.10"
credit_price_currency = "USD"
credit_prices = [
    { from = 2026-06-01, amount = "0.008", currency = "EUR" },
    { from = 2026-01-01, amount = 1, currency = "USD" },
]

[[accounts.full.planned]]
from = 2026-12-01
to = 2026-12-14
amount = "1200"
note = "Christmas calls"

[[accounts.full.planned]]
from = 2026-12-07
to = 2026-12-07
multiplier = "1.5"
"""


def test_missing_settings_have_their_defaults(loaded: Loaded) -> None:
    settings = loaded(ONE)
    main = settings.accounts["main"]
    assert (settings.reporting_currency, settings.allow_http_loopback) == ("EUR", False)
    assert settings.fx == RateSource(kind="ecb", url="https://www.ecb.europa.eu/stats/eurofxref", oldest_days=45)
    assert (main.base_url, main.vendor.name) == ("https://api.vpsbg.eu/v1", "vpsbg")
    assert main.history_days == DEFAULT_HISTORY_DAYS == 400
    assert main.secret_variables == {"api_key_env": "DRAWDOWN_TEST_KEY"}
    optional = {
        "team", "alert_below_days", "alert_below_amount", "topup_lead_days", "topup_minimum_amount", "tax_rate",
        "unit", "path", "credit_price_amount", "credit_price_currency",
    }  # fmt: skip
    assert {name for name in optional if getattr(main, name) is not None} == set()
    assert (main.tags, main.credit_prices, main.formerly, main.planned) == ({}, (), (), ())


def test_given_settings_are_read_exactly(loaded: Loaded) -> None:
    full = loaded(FULL).accounts["full"]
    given = {name: getattr(full, name) for name in type(full).model_fields}
    del given["source"], given["vendor"]
    assert given == {
        "account_id": "full",
        "base_url": "https://example.com/voxpria",
        "path": Path("/somewhere/earlier.csv"),
        "secret_variables": {"api_key_env": "DRAWDOWN_TEST_KEY"},
        "placeholders": {},
        "history_days": 90,
        "team": "platform",
        "tags": {"product": "shop", "area": "eu"},
        "alert_below_days": Decimal(10),
        "alert_below_amount": Decimal("-25.000000001"),
        "topup_lead_days": Decimal(2),
        "topup_minimum_amount": Decimal(10),
        "notify_variable": "TELL_PLATFORM",
        "tax_rate": Decimal("0.20"),
        "unit": None,
        "formerly": ("wallet", "old_wallet-2"),
        "ignore_date_header": True,
        "monthly_budget_amount": None,
        "monthly_budget_unit": None,
        "monthly_budgets": (),
        "credit_price_amount": Decimal("0.10"),
        "credit_price_currency": "USD",
        "credit_prices": (
            CreditPrice(from_date=date(2026, 1, 1), amount=Decimal(1), currency="USD"),
            CreditPrice(from_date=date(2026, 6, 1), amount=Decimal("0.008"), currency="EUR"),
        ),
        "planned": (
            PlannedSpend(
                from_date=date(2026, 12, 1), to_date=date(2026, 12, 14), amount=Decimal(1200), note="Christmas calls"
            ),
            PlannedSpend(from_date=date(2026, 12, 7), to_date=date(2026, 12, 7), multiplier=Decimal("1.5")),
        ),
    }


def test_the_longest_plan_and_the_largest_multiplier_are_taken(loaded: Loaded) -> None:
    text = f'{ONE}planned = [{{ from = 2026-01-01, to = 2027-01-01, multiplier = "1000" }}]'
    [plan] = loaded(text).accounts["main"].planned
    assert (plan.to_date - plan.from_date).days == 365
    assert (plan.multiplier, plan.amount) == (1000, None)


def test_the_plans_of_the_documentation_are_read(loaded: Loaded) -> None:
    page = (Path(__file__).parents[2] / "docs" / "planned-spend.md").read_text(encoding="utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]
    calls, pause = loaded(ONE.replace("main", "voxpria-campaign") + example).accounts["voxpria-campaign"].planned
    assert ((calls.to_date - calls.from_date).days, calls.amount, calls.note) == (13, 1200, "Christmas calls")
    assert (pause.amount, pause.multiplier) == (None, 0)


@pytest.mark.parametrize("most", ["1000000000000000", "-999999999999999.999999999"])
def test_the_largest_amount_that_is_believed_is_taken(loaded: Loaded, most: str) -> None:
    assert loaded(f'{ONE}alert_below_amount = "{most}"').accounts["main"].alert_below_amount == Decimal(most)


def test_many_accounts_of_a_vendor_keep_their_order_and_their_own_secrets(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"shop-{number}" for number in range(50, 0, -1)]
    text = "".join(
        f'[accounts.{name}]\nvendor = "vpsbg"\napi_key_env = "KEY_{name[5:]}"\nteam = "t{name[5:]}"\n' for name in names
    )
    settings = loaded(text)
    assert list(settings.accounts) == names
    assert [each.account_id for each in settings.select([])] == names
    assert [each.account_id for each in settings.select(["shop-3", "shop-40", "shop-3"])] == ["shop-40", "shop-3"]
    for name in names:
        monkeypatch.setenv(f"KEY_{name[5:]}", f"key-of-{name}")
    secrets = {name: settings.accounts[name].secrets()["api_key_env"] for name in names}
    assert {name: secret.reveal() for name, secret in secrets.items()} == {name: f"key-of-{name}" for name in names}


def test_an_unknown_account_is_answered_with_the_known_ones(loaded: Loaded) -> None:
    settings = loaded(ONE)
    with pytest.raises(UsageError) as refused:
        settings.select(["main", "nobody"])
    assert str(refused.value) == f"{settings.source}: there is no account 'nobody'; it knows: main"
    settings = loaded(f'{ONE}formerly = ["wallet"]')
    with pytest.raises(UsageError) as refused:
        settings.select(["wallet"])
    assert str(refused.value) == f"{settings.source}: account wallet is called main now"


def test_secrets_are_read_late_and_never_kept(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAWDOWN_TEST_KEY", "an earlier key")
    settings = loaded(ONE)
    monkeypatch.setenv("DRAWDOWN_TEST_KEY", CANARY)
    secret = settings.accounts["main"].secrets()["api_key_env"]
    assert secret.reveal() == CANARY
    assert repr(secret) == "Secret(DRAWDOWN_TEST_KEY)"
    assert CANARY not in repr(settings)
    assert CANARY not in str(settings.to_record())


def test_the_record_of_a_run_contains_no_secret_and_no_variable_name_of_one(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRAWDOWN_TEST_KEY", CANARY)
    record = loaded(FULL).to_record()
    text = json.dumps(record)
    for hidden in (CANARY, "DRAWDOWN_TEST_KEY", "api_key_env", "example.com"):
        assert hidden not in text
    assert record["reporting_currency"] == "USD"
    assert record["fx_oldest_days"] == 30
    assert (
        record["accounts"]["full"].items()
        >= {
            "vendor": "voxpria",
            "unit_code": "voxpria-credit",
            "tax_basis": "unknown",
            "team": "platform",
            "tags": {"area": "eu", "product": "shop"},
            "formerly": ["wallet", "old_wallet-2"],
            "identity": None,
            "same_as": None,
            "alert_below_days": "10",
            "alert_below_amount": "-25.000000001",
            "topup_lead_days": "2",
            "topup_minimum_amount": "10",
            "tax_rate": "0.20",
            "credit_price_amount": "0.10",
            "credit_price_unit_code": "USD",
            "credit_prices": [
                {"from_date": "2026-01-01", "price_amount": "1", "price_unit_code": "USD"},
                {"from_date": "2026-06-01", "price_amount": "0.008", "price_unit_code": "EUR"},
            ],
            "planned": [
                {
                    "from_date": "2026-12-01",
                    "to_date": "2026-12-14",
                    "planned_amount": "1200",
                    "multiplier": None,
                    "note": "Christmas calls",
                },
                {
                    "from_date": "2026-12-07",
                    "to_date": "2026-12-07",
                    "planned_amount": None,
                    "multiplier": "1.5",
                    "note": None,
                },
            ],
        }.items()
    )


def test_a_path_is_relative_to_the_settings_or_in_a_home_folder(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = loaded(f'{ONE}path = "kept/earlier.csv"')
    assert settings.accounts["main"].path == Path(settings.source).parent / "kept" / "earlier.csv"
    monkeypatch.setenv("HOME", "/home/somebody")
    assert loaded(f'{ONE}path = "~/earlier.csv"').accounts["main"].path == Path("/home/somebody/earlier.csv")


def test_every_vendor_can_be_configured(loaded: Loaded) -> None:
    parts = []
    for name, vendor in discover().items():
        names = "".join(f'{key} = "SOME_{key.upper()}"\n' for key in vendor.secret_settings)
        names += "".join(f'{key} = "part"\n' for key in vendor.placeholders)
        names += 'path = "readings.csv"\n' if vendor.base_url is None else ""
        parts.append(f'[accounts.{name}-main]\nvendor = "{name}"\n{names}')
    settings = loaded("\n".join(parts))
    assert [each.vendor.name for each in settings.accounts.values()] == list(discover())
    for each in settings.accounts.values():
        assert each.base_url == (each.vendor.base_url or "")


@pytest.mark.parametrize(
    ("url", "is_loopback"),
    [
        ("http://127.0.0.1:8700/vpsbg/v1", True),
        ("https://127.8.9.1", True),
        ("http://localhost:8700", True),
        ("http://[::1]:8700", True),
        ("https://127.example.com", False),
        ("https://127.0.0.1.example.com/v1", False),
        ("https://localhost.example.com", False),
        ("https://8.8.8.8", False),
    ],
)
def test_only_this_machine_is_loopback(loaded: Loaded, url: str, is_loopback: bool) -> None:
    settings = loaded(f'allow_http_loopback = true\n{ONE}base_url = "{url}"')
    assert settings.accounts["main"].is_loopback is is_loopback

"""Any text is valid settings or one line of error, and no value is shown."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.settings import load
from pipeline.support.errors import UsageError
from pipeline.vendors import discover
from tests.settings.texts import CANARY, VARIABLE, account, quoted


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any") / "accounts.toml"


TOP_KEYS = [
    "notify_url_env",
    "alerts",
    "fx",
    "notify_url",
    "reporting_currency",
    "allow_http_loopback",
    "accounts",
    "token",
    "colour",
]
KEYS = sorted(
    {"vendor", "base_url", "api_key", "key", "colour", "history_days", "team", "tags", "alert_below_days",
     "alert_below_amount", "topup_lead_days", "topup_minimum_amount", "tax_rate", "path", "notify_url_env", "formerly", "ignore_date_header",
     "planned"}
    | {key for vendor in discover().values() for key in (*vendor.secret_settings, *vendor.placeholders)}
    | {key for vendor in discover().values() for key in vendor.settings}
)  # fmt: skip
ANY_TEXT = st.tuples(st.text(max_size=12), st.text(max_size=12)).map(CANARY.join)
URLS = ANY_TEXT.flatmap(
    lambda text: st.sampled_from(
        [f"https://good.com/{text}", f"https://{text}", f"https://x:{text}@good.com", f"http:{text}"]
    )
)
VALUES = st.one_of(
    (ANY_TEXT | URLS | ANY_TEXT.map("~".__add__)).map(quoted),
    ANY_TEXT.map(lambda text: f"[{quoted(text)}]"),
    ANY_TEXT.map(lambda text: f"{{ x = {quoted(text)} }}"),
    ANY_TEXT.map(lambda text: f"[[{quoted(text)}], 1.5]"),
)


def refusal(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8", newline="")
    words = ""
    try:
        load(path)
    except UsageError as refused:
        words = str(refused)
    assert not words or words.startswith(f"{path}: ")
    assert words.isprintable()
    return words


@given(st.sampled_from(list(discover())), st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=3))
@example("vpsbg", {"base_url": quoted(f"https://good.com?key={CANARY}")})
@example("voxpria", {"vendor": f"[{quoted(CANARY)}]"})
def test_no_value_of_any_key_is_shown_or_breaks_more_than_the_settings(
    scratch: Path, vendor: str, values: dict[str, str]
) -> None:
    table = {"vendor": quoted(vendor), "api_key_env": quoted(VARIABLE), "client_id_env": quoted(VARIABLE)} | values
    if vendor in ("vpsbg", "voxpria") and "client_id_env" not in values:
        del table["client_id_env"]
    text = "[accounts.main]\n" + "".join(f"{key} = {value}\n" for key, value in table.items())
    assert CANARY not in refusal(scratch, text)


@given(st.sampled_from(TOP_KEYS), VALUES)
def test_no_value_at_the_top_is_shown(scratch: Path, key: str, value: str) -> None:
    assert CANARY not in refusal(scratch, f"{key} = {value}\n")


@given(st.text(), st.text())
@example("", "\r")
def test_any_text_is_settings_or_one_line(scratch: Path, before: str, after: str) -> None:
    assert CANARY not in refusal(scratch, f"{before}{account(f'team = {json.dumps(CANARY)}')}{after}")
    refusal(scratch, before)

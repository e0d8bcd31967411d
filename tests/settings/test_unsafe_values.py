"""Unsafe account ids, base URLs and secrets are refused, and not shown."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.settings import load
from pipeline.support.errors import UsageError
from pipeline.vendors import discover
from pipeline.vendors._port import Vendor
from tests.settings.conftest import Line
from tests.settings.texts import CANARY, VARIABLE, account, quoted

NO_NAME = "must be the NAME of an environment variable in capitals, such as VPSBG_API_KEY; never put a secret here"
NOT_NAMES = [
    CANARY,
    "sk_live_51Hxyz",
    "vpsbg_api_key",
    "",
    " VPSBG_API_KEY",
    "VPSBG_API_KEY ",
    "VPSBG_API_KEY\n",
    "VPSBG API KEY",
    "$VPSBG_API_KEY",
    "${VPSBG_API_KEY}",
    "1VPSBG",
    "VPSBG-API-KEY",
    "VPSBG=KEY",
    "VPSBG_\N{CYRILLIC CAPITAL LETTER A}PI_KEY",
    "A" * 129,
]


@pytest.mark.parametrize("value", NOT_NAMES, ids=ascii)
def test_an_invalid_variable_name_is_refused_unseen(line: Line, value: str) -> None:
    words = line(f'[accounts.main]\nvendor = "vpsbg"\napi_key_env = {quoted(value)}')
    assert words == f"account main: api_key_env: {NO_NAME}"


@pytest.mark.parametrize("value", ["5", "true", "['VPSBG_API_KEY']", "{ name = 'VPSBG_API_KEY' }"])
def test_a_variables_name_is_a_text(line: Line, value: str) -> None:
    assert line(f'[accounts.main]\nvendor = "vpsbg"\napi_key_env = {value}') == f"account main: api_key_env: {NO_NAME}"


def test_a_missing_variable_name_is_requested(line: Line) -> None:
    words = line('[accounts.main]\nvendor = "vpsbg"')
    assert words == "account main: api_key_env: is missing; give the NAME of the environment variable"


@pytest.mark.parametrize("vendor", [each for each in discover().values() if each.auth], ids=lambda each: each.name)
def test_every_secret_of_every_vendor_is_named_by_variable_only(line: Line, vendor: Vendor) -> None:
    for setting in vendor.secret_settings:
        others = {*vendor.secret_settings} - {setting}
        rest = "".join(f'{each} = "{VARIABLE}"\n' for each in others)
        rest += "".join(f'{each} = "part"\n' for each in vendor.placeholders)
        text = f'[accounts.main]\nvendor = "{vendor.name}"\n{rest}'
        assert line(f'{text}{setting} = "{CANARY}"') == f"account main: {setting}: {NO_NAME}"


@pytest.mark.faults(43)
@pytest.mark.parametrize(
    "name",
    ["t; drop table t", "../x", "..", "Main", "", "a" * 64, "-main", "_main", "a b", "a.b", "a/b", "a'b", 'a"b', "a\n",
     "m\N{LATIN SMALL LETTER A WITH DIAERESIS}in", "\N{CYRILLIC SMALL LETTER A}", "a\x1b[2J", "a\u202eb"],
    ids=ascii,
)  # fmt: skip
def test_an_unsafe_account_id_is_refused(line: Line, name: str) -> None:
    words = line(account(name=quoted(name)))
    assert words == (f"accounts: unsafe account id {name[:40]!a}; use small letters, digits, - and _, at most 63")


@pytest.mark.faults(43)
@pytest.mark.parametrize("name", ["a", "0", "a" * 63, "vpsbg-main", "a_b-c0"])
def test_a_plain_account_id_is_taken(write: Callable[[str], Path], name: str) -> None:
    assert list(load(write(account(name=name))).accounts) == [name]


UNSAFE_URLS = [
    "https://good.com\\@evil.com",
    "https://good.com\\.evil.com",
    "https://user@good.com",
    "https://user:pw@good.com",
    "https://good.com:443@evil.com",
    "http://good.com",
    "http://8.8.8.8/v1",
    "http://127.0.0.1.evil.com",
    "ftp://good.com",
    "good.com",
    "//good.com",
    "https:good.com",
    "https://",
    "",
    "https://10.0.0.1",
    "https://172.16.0.1",
    "https://192.168.1.1/v1",
    "https://169.254.169.254/latest",
    "https://100.64.0.1",
    "https://0.0.0.0",
    "https://2130706433",
    "https://0x7f.1",
    "https://0177.0.0.1",
    "https://127.1",
    "https://[::ffff:127.0.0.1]",
    "https://[fe80::1]",
    "https://[fc00::1]",
    "https://intranet",
    "https://evil.localhost",
    "https://xn--80ak6aa92e.com",
    "https://good.com/v1?api_key=" + CANARY,
    "https://good.com/#" + CANARY,
    "https://good.com/../v1",
    "https://good.com/a b",
    "https://good.com\n",
    "https://good.com:0",
    "https://good.com\x00",
    f"https://{CANARY}@good.com",
    f"https://x:{CANARY}@good.com\\",
]


@pytest.mark.faults(40)
@pytest.mark.parametrize("allow", ["true", "false"])
@pytest.mark.parametrize("url", UNSAFE_URLS, ids=ascii)
def test_an_unsafe_base_url_is_refused_unseen(line: Line, url: str, allow: str) -> None:
    words = line(account(f"base_url = {quoted(url)}", top=f"allow_http_loopback = {allow}"))
    place, reason = words.split(": base_url: ")
    assert place == "account main"
    assert reason.startswith(("must ", "points ", "has "))
    assert CANARY not in words
    assert "evil" not in words


@pytest.mark.faults(40)
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8700/vpsbg/v1", "https://127.0.0.1", "http://localhost:1", "http://[::1]:8700"]
)
def test_loopback_needs_its_permission(line: Line, write: Callable[[str], Path], url: str) -> None:
    text = f"base_url = {quoted(url)}"
    expected = "points at this computer; set allow_http_loopback to permit that for a sandbox"
    assert line(account(text)) == f"account main: base_url: {expected}"
    assert load(write(account(text, top="allow_http_loopback = true"))).accounts["main"].base_url == url


UNUSABLE = {
    "": "is empty",
    f"{CANARY}\n": "begins or ends with white space or a line break",
    f" {CANARY}": "begins or ends with white space or a line break",
    f"{CANARY}\r\nX-Evil: 1": "holds a control character",
    f"{CANARY}\x7f": "holds a control character",
    f"{CANARY}\N{EURO SIGN}": "holds a character that is not ASCII",
    f"{CANARY}\udcff": "holds a character that is not ASCII",
}


@pytest.mark.faults(39)
@pytest.mark.parametrize("value", UNUSABLE, ids=ascii)
def test_a_key_that_is_invalid_in_a_header_is_refused_unseen(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    path = write(account())
    found = load(path).accounts["main"]
    with pytest.raises(UsageError) as refused:
        found.secrets()
    assert str(refused.value) == (
        f"{path}: account main: api_key_env: the environment variable {VARIABLE} {UNUSABLE[value]}; "
        "its value is not shown"
    )


def test_a_variable_that_is_not_set_is_named(write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    path = write(account())
    with pytest.raises(UsageError) as refused:
        load(path).accounts["main"].secrets()
    assert str(refused.value) == (
        f"{path}: account main: api_key_env: the environment variable {VARIABLE} is not set; export it first"
    )


def test_a_recipients_variable_must_not_be_empty(write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(account(top=f'notify_url_env = "{VARIABLE}"'))
    assert load(write(account())).recipients() == {"main": ()}
    assert load(path).recipients() == {"main": (VARIABLE,)}
    monkeypatch.setenv(VARIABLE, f"slack://{CANARY}")
    url = load(path).notify_url(VARIABLE)
    assert (url.reveal(), repr(url)) == (f"slack://{CANARY}", f"Secret({VARIABLE})")
    own = write(account(f'notify_url_env = "{VARIABLE}"'))
    assert load(own).recipients() == {"main": (VARIABLE,)}
    for value, words in (
        (None, f"the environment variable {VARIABLE} is not set; export it first"),
        (f"{CANARY}\n", f"the environment variable {VARIABLE} {UNUSABLE[CANARY + chr(10)]}; its value is not shown"),
    ):
        monkeypatch.delenv(VARIABLE) if value is None else monkeypatch.setenv(VARIABLE, value)
        for file, whose in ((path, ""), (own, "account main: ")):
            with pytest.raises(UsageError) as refused:
                load(file).check_recipients()
            assert str(refused.value) == f"{file}: {whose}notify_url_env: {words}"

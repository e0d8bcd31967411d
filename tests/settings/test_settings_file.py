"""The settings file itself: its location, its encoding and its TOML."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.settings import accounts_path, load
from pipeline.support.errors import UsageError
from tests.settings.conftest import Line
from tests.settings.texts import CANARY, account


def test_two_accounts_of_one_name_are_not_toml(line: Line) -> None:
    words = line(account() + account())
    assert words.startswith("not TOML: Cannot declare ('accounts', 'main') twice (at line ")
    assert words.endswith(" (is an account or a key there twice?)")


def test_two_keys_of_one_name_are_not_toml(line: Line) -> None:
    words = line(account(f"team = 'a'\nteam = {CANARY!r}"))
    assert words.startswith("not TOML: Cannot overwrite a value (at line ")
    assert CANARY not in words


NOT_TOML = {
    "bare words": f"{CANARY} {CANARY}",
    "an open string": f'[accounts.main]\napi_key_env = "{CANARY}',
    "an unknown escape": f'team = "{CANARY}\\q"',
    "a control character": f"team = '{CANARY}\x00'",
    "an open table": f"[accounts.{CANARY}",
    "a value without quotes": f"api_key_env = {CANARY}",
    "too many digits": "history_days = " + "9" * 5000,
    "a date that is none": "team = 2026-02-30",
    "a nest": "team = " + "[" * 100_000,
}


@pytest.mark.parametrize("name", NOT_TOML)
def test_invalid_toml_is_reported_by_place_and_not_by_text(line: Line, name: str) -> None:
    words = line(NOT_TOML[name])
    assert words.startswith("not TOML")
    assert "twice" not in words
    assert CANARY not in words


def test_other_encodings_than_utf8_are_refused(line: Line) -> None:
    assert line(b'[accounts.main]\nteam = "\xff"\n') == "is not UTF-8: invalid start byte at byte 24"


def test_a_byte_order_mark_is_accepted(write: Callable[[bytes], Path]) -> None:
    assert "main" in load(write(b"\xef\xbb\xbf" + account().encode())).accounts


def test_a_missing_file_names_the_command_that_writes_one(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    with pytest.raises(UsageError) as refused:
        load(path)
    assert str(refused.value) == f"{path}: no such file; `drawdown init` writes one to start from"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        load(tmp_path)
    assert str(refused.value) == f"{tmp_path}: cannot be read: Is a directory; DRAWDOWN_ACCOUNTS names the file"


def test_the_environment_names_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DRAWDOWN_ACCOUNTS", raising=False)
    assert accounts_path() == Path("accounts.toml")
    monkeypatch.setenv("DRAWDOWN_ACCOUNTS", str(tmp_path / "mine.toml"))
    with pytest.raises(UsageError, match=r"mine\.toml: no such file"):
        load()

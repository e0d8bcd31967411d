"""Which accounts are the same: by vendor, address and secrets, whatever they and their variables are called."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.settings import Settings, compare, identify, identity_key, known_key, load, warnings
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home

Loaded = Callable[[str], Settings]

KEY = bytes(range(32))
URL = "https://vpsbg.example.com/v1"


def api(name: str, *, url: str = URL, key: str = "KEY_ONE", vendor: str = "vpsbg", more: str = "") -> str:
    return f'[accounts.{name}]\nvendor = "{vendor}"\nbase_url = "{url}"\napi_key_env = "{key}"\n{more}\n'


def csv(name: str, path: str) -> str:
    return f'[accounts.{name}]\nvendor = "manual"\npath = "{path}"\n'


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_ONE", "canary-one-4k2Lw8Zt")
    monkeypatch.setenv("KEY_ALSO_ONE", "canary-one-4k2Lw8Zt")
    monkeypatch.setenv("KEY_TWO", "canary-two-9Qx7Rb3m")


def same_as(settings: Settings) -> dict[str, str | None]:
    found = identify(settings.accounts.values(), KEY)
    return {account_id: each.same_as for account_id, each in found.accounts.items()}


# -- two names at one time ------------------------------------------------------------------------------------------

ONE_ACCOUNT = {
    "the variable": api("copy"),
    "another variable of the same key": api("copy", key="KEY_ALSO_ONE"),
    "a slash at the end": api("copy", url=f"{URL}/"),
    "capitals in the host": api("copy", url="https://VPSBG.Example.com/v1"),
    "the port that https has": api("copy", url="https://vpsbg.example.com:443/v1"),
    "a file of earlier readings": api("copy", more='path = "earlier.csv"'),
    "a team of its own": api("copy", more='team = "shop"'),
}


@pytest.mark.parametrize("how", ONE_ACCOUNT)
def test_one_key_at_one_address_is_one_account(loaded: Loaded, how: str) -> None:
    assert same_as(loaded(api("shop") + ONE_ACCOUNT[how])) == {"shop": None, "copy": "shop"}


TWO_ACCOUNTS = {
    "another key": api("other", key="KEY_TWO"),
    "another base path": api("other", url=f"{URL}/other"),
    "another path in capitals": api("other", url="https://vpsbg.example.com/V1"),
    "another port": api("other", url="https://vpsbg.example.com:8443/v1"),
    "another host": api("other", url="https://api.example.com/v1"),
    "another vendor": api("other", vendor="hyperstack"),
    "a key that is not set": api("other", key="KEY_THAT_IS_NOT_SET"),
}


@pytest.mark.parametrize("how", TWO_ACCOUNTS)
def test_a_different_vendor_address_or_key_is_another_account(loaded: Loaded, how: str) -> None:
    assert same_as(loaded(api("shop") + TWO_ACCOUNTS[how])) == {"shop": None, "other": None}


def test_every_secret_counts_and_each_in_its_place(loaded: Loaded) -> None:
    def deepvue(name: str, key: str, client: str) -> str:
        return api(name, vendor="deepvue", key=key, more=f'client_id_env = "{client}"')

    settings = loaded(
        deepvue("first", "KEY_ONE", "KEY_TWO")
        + deepvue("same", "KEY_ALSO_ONE", "KEY_TWO")
        + deepvue("client", "KEY_ONE", "KEY_ONE")
        + deepvue("swapped", "KEY_TWO", "KEY_ONE")
    )
    assert same_as(settings) == {"first": None, "same": "first", "client": None, "swapped": None}


def test_the_first_in_the_file_is_the_one_that_counts(loaded: Loaded) -> None:
    one, two, three = api("a-third"), api("z-first"), api("m-second")
    assert same_as(loaded(two + three + one)) == {"z-first": None, "m-second": "z-first", "a-third": "z-first"}


def test_a_file_of_readings_is_one_account_under_any_path(loaded: Loaded, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "a.csv").touch()
    (tmp_path / "kept" / "b.csv").touch()
    (tmp_path / "link.csv").symlink_to(tmp_path / "kept" / "a.csv")
    settings = loaded(
        csv("first", "kept/a.csv")
        + csv("absolute", str(tmp_path / "kept" / "a.csv"))
        + csv("around", "kept/../kept/a.csv")
        + csv("link", "link.csv")
        + csv("other", "kept/b.csv")
        + api("vendor", more='path = "kept/a.csv"')
    )
    assert same_as(settings) == {
        "first": None, "absolute": "first", "around": "first", "link": "first", "other": None, "vendor": None,
    }  # fmt: skip


def test_a_folder_whose_name_is_no_text_is_a_place_as_any_other(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    path = folder / "accounts.toml"
    path.write_text(csv("a", "kept.csv") + csv("b", "kept.csv") + csv("c", "other.csv"))
    assert same_as(load(path)) == {"a": None, "b": "a", "c": None}


def test_two_accounts_with_unset_keys_are_not_the_same(loaded: Loaded) -> None:
    found = identify(loaded(api("a", key="UNSET_1") + api("b", key="UNSET_1")).accounts.values(), KEY).accounts
    assert [(each.identity, each.same_as) for each in found.values()] == [(None, None)] * 2
    # What is known is still reported: they have the same address.
    assert found["a"].address_hash == found["b"].address_hash


# -- the hash -------------------------------------------------------------------------------------------------------


def test_an_identity_is_sixteen_digits_that_hang_on_the_key_and_on_no_name(loaded: Loaded) -> None:
    settings = loaded(api("shop") + api("other", key="KEY_TWO"))
    record = settings.to_record(identify(settings.accounts.values(), KEY))
    shop, other = record["accounts"]["shop"], record["accounts"]["other"]
    for digits in (shop["identity"], shop["address_hash"], record["identity_key_id"]):
        assert len(digits) == 16
        assert set(digits) <= set("0123456789abcdef")
    assert shop["identity"] != other["identity"]
    assert shop["address_hash"] == other["address_hash"]
    renamed = loaded(api("renamed", key="KEY_ALSO_ONE"))
    assert identify(renamed.accounts.values(), KEY).accounts["renamed"].identity == shop["identity"]
    elsewhere = settings.to_record(identify(settings.accounts.values(), bytes(32)))
    assert elsewhere["accounts"]["shop"]["identity"] != shop["identity"]
    assert elsewhere["accounts"]["shop"]["address_hash"] != shop["address_hash"]
    assert elsewhere["identity_key_id"] != record["identity_key_id"]


def test_a_record_with_identities_contains_no_secret_address_or_key(loaded: Loaded) -> None:
    settings = loaded(api("shop", more='path = "earlier.csv"') + csv("by-hand", "kept.csv"))
    text = json.dumps(settings.to_record(identify(settings.accounts.values(), KEY)))
    for hidden in ("canary", "KEY_ONE", "example.com", "earlier.csv", "kept.csv", KEY.hex()):
        assert hidden not in text


SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


@pytest.fixture(scope="module")
def deepvue_pair(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    def table(name: str, key: str, client: str) -> str:
        return api(name, vendor="deepvue", key=key, more=f'client_id_env = "{client}"')

    path = tmp_path_factory.mktemp("pair") / "accounts.toml"
    path.write_text(table("a", "A_KEY", "A_CLIENT") + table("b", "B_KEY", "B_CLIENT"))
    return load(path)


@given(SECRETS, SECRETS, SECRETS, SECRETS)
def test_two_accounts_are_one_exactly_if_all_their_secrets_are_equal(
    deepvue_pair: Settings, a_key: str, a_client: str, b_key: str, b_client: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("A_KEY", a_key), ("A_CLIENT", a_client), ("B_KEY", b_key), ("B_CLIENT", b_client)):
            patch.setenv(name, value)
        expected = "a" if (a_key, a_client) == (b_key, b_client) else None
        assert same_as(deepvue_pair)["b"] == expected
        # However the same characters are distributed.
        patch.setenv("B_KEY", a_key)
        patch.setenv("B_CLIENT", a_client)
        assert same_as(deepvue_pair)["b"] == "a"


# -- its key --------------------------------------------------------------------------------------------------------


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "state")
    assert known_key(home) is None
    assert not home.path.exists(), "looking makes nothing"
    key = identity_key(home)
    assert len(key) == 32
    assert home.identity_key.stat().st_mode & 0o777 == 0o600
    assert home.path.stat().st_mode & 0o777 == 0o700
    assert identity_key(home) == known_key(home) == home.identity_key.read_bytes() == key
    assert identity_key(Home(tmp_path / "another")) != key


@pytest.mark.parametrize("content", [b"", b"cut short", bytes(33)])
def test_a_key_that_was_cut_short_is_made_again(tmp_path: Path, content: bytes) -> None:
    home = Home(tmp_path)
    home.identity_key.write_bytes(content)
    assert known_key(home) is None
    key = identity_key(home)
    assert (len(key), known_key(home)) == (32, key)
    assert key != bytes(32)


def test_a_folder_in_the_place_of_the_key_is_named_with_what_to_do(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.identity_key.mkdir()
    with pytest.raises(DrawdownError, match=r"identity\.key cannot be used: Is a directory; remove it"):
        identity_key(home)


def test_first_runs_side_by_side_end_up_with_one_key(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from pipeline.support.home import Home; from pipeline.settings import identity_key; "
    )
    code += f"print(identity_key(Home(Path({str(tmp_path)!r}))).hex())"
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        for _ in range(4)
    ]
    keys = [process.communicate(timeout=60)[0].strip() for process in started]
    assert keys == [(tmp_path / "identity.key").read_bytes().hex()] * 4


# -- from one run to the next ---------------------------------------------------------------------------------------


def record(*, key_id: str | None = "k", **accounts: str | dict[str, Any]) -> dict[str, Any]:
    """A run record: an account is its identity (None if it begins with ?), its address the part before the /."""
    made = {}
    for account_id, words in accounts.items():
        more = {"is": words} if isinstance(words, str) else dict(words)
        identity = str(more.pop("is"))
        made[account_id.replace("_", "-")] = {
            "vendor": "vpsbg",
            "identity": None if identity.startswith("?") else identity,
            "address_hash": identity.strip("?").split("/")[0],
            "same_as": None,
            "formerly": [],
            **more,
        }
    return {"identity_key_id": key_id, "accounts": made}


def before_0_2(**vendors: str) -> dict[str, Any]:
    """A record of a version without identities."""
    return {"accounts": {account_id: {"vendor": vendor} for account_id, vendor in vendors.items()}}


NOTHING: tuple[dict[str, Any], dict[str, Any], dict[str, Any]] = ({}, {}, {})
REUSED: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, str]]] = {
    "another account has the id": (record(shop="x/1"), record(shop="x/2", moved="x/1"), {"shop": "moved"}),
    "exchanged": (record(a="x/1", b="x/2"), record(a="x/2", b="x/1"), {"a": "b", "b": "a"}),
    "the key of it is not set": (record(shop="x/1"), record(shop="?x", moved="x/1"), {}),
    "only another key": (record(shop="x/1", b="x/2"), record(shop="x/3", b="x/2"), {}),
    "another key for one of two names": (
        record(shop="x/1", copy={"is": "x/1", "same_as": "shop"}), record(shop="x/3", copy="x/1"), {},
    ),
}  # fmt: skip
CASES: dict[str, tuple[dict[str, Any] | None, dict[str, Any], tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]] = {
    "a first run": (None, record(shop="x/1"), NOTHING),
    "nothing new": (record(shop="x/1"), record(shop="x/1"), NOTHING),
    "one more": (record(shop="x/1"), record(shop="x/1", more="x/2"), NOTHING),
    "one less": (record(shop="x/1", more="x/2"), record(shop="x/1"), NOTHING),
    "another key for the same account": (record(shop="x/1"), record(shop="x/2"), NOTHING),
    "renamed": (record(old="x/1"), record(new="x/1"), ({}, {"old": "new"}, {})),
    "renamed beside another": (
        record(old="x/1", stays="x/2"), record(new="x/1", stays="x/2"), ({}, {"old": "new"}, {}),
    ),
    "renamed, and known already under the other name": (
        record(old="x/1", new={"is": "x/1", "same_as": "old"}), record(new="x/1"), ({}, {"old": "new"}, {}),
    ),
    "two renamed": (
        record(a="x/1", b="x/2"), record(c="x/2", d="x/1"), ({}, {"a": "d", "b": "c"}, {}),
    ),
    "renamed to two names": (
        record(old="x/1"), record(new="x/1", copy={"is": "x/1", "same_as": "new"}),
        ({"new": ("copy",)}, {"old": "new"}, {}),
    ),
    "renamed with another key": (record(old="x/1"), record(new="x/2"), ({}, {}, {"new": ("old",)})),
    "renamed, and the key is not set": (record(old="x/1"), record(new="?x"), ({}, {}, {"new": ("old",)})),
    "the key was not set, then renamed": (record(old="?x"), record(new="x/1"), ({}, {}, {"new": ("old",)})),
    "moved to another address": (record(old="x/1"), record(new="y/1"), NOTHING),
    "another vendor": (record(old="x/1"), record(new={"is": "x/2", "vendor": "hyperstack"}), NOTHING),
    "renamed with another key, and said so": (
        record(old="x/1"), record(new={"is": "x/2", "formerly": ["old"]}), ({}, {"old": "new"}, {}),
    ),
    "moved, and said so": (record(old="x/1"), record(new={"is": "y/2", "formerly": ["old"]}), ({}, {"old": "new"}, {})),
    "what is said goes before what is seen": (
        record(old="x/1"), record(a="x/1", new={"is": "x/2", "formerly": ["old"]}), ({}, {"old": "new"}, {}),
    ),
    "said of an account that had left before": (
        record(other="x/9"), record(other="x/9", new={"is": "x/2", "formerly": ["old"]}), NOTHING,
    ),
    "one of two that left is it": (
        record(a="x/1", b="x/2"), record(new="x/3"), ({}, {}, {"new": ("a", "b")}),
    ),
    "one is known, so the other is not it": (
        record(a="x/1", b="x/2"), record(c="x/1", new="x/3"), ({}, {"a": "c"}, {"new": ("b",)}),
    ),
    "two names at one time": (
        record(shop="x/1"), record(shop="x/1", copy={"is": "x/1", "same_as": "shop"}), ({"shop": ("copy",)}, {}, {}),
    ),
    "the second name taken out again": (
        record(shop="x/1", copy={"is": "x/1", "same_as": "shop"}), record(shop="x/1"), NOTHING,
    ),
    "the second name taken out, and another account added": (
        record(shop="x/1", copy={"is": "x/1", "same_as": "shop"}), record(shop="x/1", new="x/2"), NOTHING,
    ),
    "from a version without identities, renamed": (before_0_2(old="vpsbg"), record(new="x/1"), ({}, {}, {"new": ("old",)})),
    "from a version without identities, the same": (before_0_2(shop="vpsbg"), record(shop="x/1"), NOTHING),
    "from a version without identities, another vendor": (before_0_2(old="manual"), record(new="x/1"), NOTHING),
    "renamed after the state folder's key was lost": (
        record(old="x/1"), record(key_id="another", new="z/3"), ({}, {}, {"new": ("old",)}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CASES)
def test_two_records_show_renames_lookalikes_and_duplicates(what: str) -> None:
    earlier, now, expected = CASES[what]
    found = compare(earlier, now)
    assert (found.duplicates, found.renames, found.lookalikes) == expected
    assert found.reused == {}


def test_a_former_name_removed_from_the_settings_is_reported_once() -> None:
    said = record(shop={"is": "x/2", "formerly": ["old", "older", "other"]}, stays="x/3")
    now = record(shop={"is": "x/2", "formerly": ["older"]}, stays={"is": "x/3", "formerly": ["other"]})
    found = compare(said, now)
    assert found.dropped == {"shop": ("old",)}
    assert warnings(found, now, "accounts.toml") == [
        "account shop no longer lists old under formerly: the history under the former name counts as another account's, "
        'unless it had the same address and key. If it is the same account, put formerly = ["old"] back into '
        "[accounts.shop], so that its spend is not counted twice; if not, there is nothing to do"
    ]
    # An account of that name is no former one, and nothing is reported as dropped for accounts that are gone, or were
    # never listed.
    assert compare(said, record(shop="x/2", old="x/1", older="x/4", other="x/5")).dropped == {}
    assert compare(said, record(stays="x/3")).dropped == {}
    assert compare(now, now).dropped == {}


@pytest.mark.parametrize("what", REUSED)
def test_an_id_that_another_account_got_is_found_by_the_continued_account(what: str) -> None:
    earlier, now, expected = REUSED[what]
    found = compare(earlier, now)
    assert found.reused == expected
    assert (found.duplicates, found.renames, found.lookalikes) == NOTHING
    assert len(warnings(found, now, "accounts.toml")) == len(expected)
    if what == "another account has the id":
        assert warnings(found, now, "accounts.toml") == [
            "account moved was called shop until now, and shop now names another account: the histories of both mix "
            'under shop. Give the other account its own id, and add formerly = ["shop"] to [accounts.moved]'
        ]


def test_each_error_is_one_line_with_the_remedy() -> None:
    said = {what: warnings(compare(earlier, now), now, "accounts.toml") for what, (earlier, now, _) in CASES.items()}
    assert said["nothing new"] == []
    assert said["two names at one time"] == [
        "accounts shop and copy are the same (vendor, address and key): only shop counts in totals; remove copy from "
        "accounts.toml"
    ]
    assert said["renamed"] == ["account new was called old until now: its history is kept"]
    assert said["renamed with another key"] == [
        "account new looks like old, which accounts.toml no longer names: same vendor and address. If it is the same "
        'account, add formerly = ["old"] to [accounts.new], so that its history is kept and its spend is not '
        "counted twice; if not, there is nothing to do"
    ]
    assert "looks like a or b, which" in said["one of two that left is it"][0]
    assert 'formerly = ["a"] or ["b"]' in said["one of two that left is it"][0]


def test_many_names_in_one_line_are_counted() -> None:
    many = {f"old{number}": f"x/{number}" for number in range(8)}
    now = record(new="x/new")
    [line] = warnings(compare(record(**many), now), now, "accounts.toml")
    assert "looks like old0, old1, old2, old3, old4 or 3 others, which" in line
    copies = {name: {"is": "x/1", "same_as": "shop"} for name in ("b", "c")}
    now = record(shop="x/1", **copies)
    [line] = warnings(compare(None, now), now, "accounts.toml")
    assert line.startswith("accounts shop, b and c are the same")
    assert line.endswith("only shop counts in totals; remove the others from accounts.toml")


def test_two_names_for_a_file_are_called_so(loaded: Loaded) -> None:
    settings = loaded(csv("a", "kept.csv") + csv("b", "kept.csv"))
    now = settings.to_record(identify(settings.accounts.values(), KEY))
    [line] = warnings(compare(None, now), now, "accounts.toml")
    assert line.startswith("accounts a and b are the same (vendor and file): only a counts")

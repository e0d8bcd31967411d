"""Accounts are divided among pollers: each has one, and what a rate limit counts together stays together."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.landing.pollers import Poller, pollers_of
from pipeline.settings import Settings, load
from pipeline.support.errors import UsageError


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        monkeypatch.setenv(f"KEY_{number}", f"a-key-of-the-vendor-{number}")
        monkeypatch.setenv(f"ALSO_{number}", f"a-key-of-the-vendor-{number}")


def _settings(folder: Path, accounts: list[str], pollers: int) -> Settings:
    head = f'engine = "spark"\n[spark]\nmaster = "local[1]"\nstorage = "file:///nowhere"\npollers = {pollers}\n'
    path = folder / "accounts.toml"
    path.write_text(head + "".join(accounts))
    return load(path)


def _vpsbg(number: int, key: str) -> str:
    return f'[accounts.v{number}]\nvendor = "vpsbg"\napi_key_env = "{key}"\n'


def _hyperstack(number: int) -> str:
    return f'[accounts.h{number}]\nvendor = "hyperstack"\napi_key_env = "KEY_{number}"\n'


@settings(max_examples=30)
@given(
    count=st.integers(1, 9), chosen=st.lists(st.integers(0, 39), min_size=1, max_size=40, unique=True), data=st.data()
)
def test_every_account_has_one_poller_whatever_the_others_and_their_order(
    tmp_path_factory: pytest.TempPathFactory, count: int, chosen: list[int], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("accounts")
    found = _settings(folder, [_vpsbg(number, f"KEY_{number}") for number in chosen], count)
    mine = [
        {each.account_id for each in Poller.of(found, number).accounts(found.accounts.values())}
        for number in range(1, count + 1)
    ]
    assert sum(map(len, mine)) == len(chosen)
    assert set().union(*mine) == set(found.accounts)
    some = data.draw(st.lists(st.sampled_from(chosen), min_size=1, unique=True))
    fewer = _settings(folder, [_vpsbg(number, f"KEY_{number}") for number in some], count)
    where = {account.account_id: poller for account, poller in pollers_of(fewer.accounts.values(), count)}
    assert all(account_id in mine[poller - 1] for account_id, poller in where.items())


def test_accounts_are_spread_about_evenly(tmp_path: Path) -> None:
    found = _settings(tmp_path, [_vpsbg(number, f"KEY_{number}") for number in range(40)], 4)
    sizes = [len(Poller.of(found, number).accounts(found.accounts.values())) for number in range(1, 5)]
    assert min(sizes) >= 4


def test_two_names_of_one_key_have_one_poller(tmp_path: Path) -> None:
    """VPSBG counts requests for each key."""
    texts = [_vpsbg(number, f"KEY_{number}") for number in range(20)]
    texts += [_vpsbg(100 + number, f"ALSO_{number}") for number in range(20)]
    found = _settings(tmp_path, texts, 7)
    where = {account.account_id: poller for account, poller in pollers_of(found.accounts.values(), 7)}
    assert all(where[f"v{number}"] == where[f"v{100 + number}"] for number in range(20))
    assert len(set(where.values())) > 1


def test_accounts_of_a_vendor_that_counts_requests_by_address_have_one_poller(tmp_path: Path) -> None:
    found = _settings(tmp_path, [_hyperstack(number) for number in range(20)], 7)
    assert len({poller for _, poller in pollers_of(found.accounts.values(), 7)}) == 1


@pytest.mark.parametrize("number", [0, 5, -1])
def test_a_poller_that_the_settings_lack_is_refused(tmp_path: Path, number: int) -> None:
    found = _settings(tmp_path, [_vpsbg(1, "KEY_1")], 4)
    with pytest.raises(UsageError, match=rf"there is no poller {number}: .*accounts.toml has spark.pollers = 4"):
        Poller.of(found, number)


def test_without_a_cluster_one_run_requests_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _settings(tmp_path, [_vpsbg(1, "KEY_1")], 4)
    assert found.poller_count == 4
    monkeypatch.setenv("DRAWDOWN_ENGINE", "duckdb")
    assert found.poller_count == 1

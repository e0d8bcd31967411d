"""`drawdown run` with a mistake: one line, exit code 2, nothing sent, nothing written."""

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.forked import run_forked

CANARY = "canary-2c8f6Rb1h7n"
VARIABLE = "DRAWDOWN_TEST_KEY"


class Counter:
    """A socket that counts who connects."""

    def __init__(self) -> None:
        self.count = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.count += 1
            connection.close()


@contextmanager
def counting() -> Iterator[Counter]:
    counter = Counter()
    try:
        yield counter
    finally:
        counter._listener.close()


@dataclass
class Refusal:
    process: subprocess.CompletedProcess[str]
    accounts: Path
    home: Path
    connections: int


MISTAKES = {
    "unknown vendor": ("vendor = 'vpsgb'", "key-1"),
    "secret for a name": (f"vendor = 'vpsbg'\napi_key_env = '{CANARY}'", "key-1"),
    "not ASCII": (f"vendor = 'vpsbg'\napi_key_env = '{VARIABLE}'", f"{CANARY}\N{EURO SIGN}"),
    "literal secret": (f"vendor = 'vpsbg'\napi_key = '{CANARY}'", "key-1"),
    "missing variable": (f"vendor = 'vpsbg'\napi_key_env = '{VARIABLE}'", None),
    "line break in a key": (f"vendor = 'vpsbg'\napi_key_env = '{VARIABLE}'", f"{CANARY}\nX-Evil: 1"),
}


def attempt(name: str, folder: Path) -> Refusal:
    text, key = MISTAKES[name]
    home, accounts = folder / "home", folder / "accounts.toml"
    environment = {name: value for name, value in os.environ.items() if name not in (VARIABLE, "DAGSTER_HOME")}
    environment |= {"DRAWDOWN_HOME": str(home), "DRAWDOWN_ACCOUNTS": str(accounts)}
    if key is not None:
        environment[VARIABLE] = key
    with counting() as counter:
        # The first account is valid, and is not requested either.
        accounts.write_text(
            f"allow_http_loopback = true\n[accounts.good]\nvendor = 'vpsbg'\napi_key_env = 'PATH'\n"
            f"base_url = 'http://127.0.0.1:{counter.port}/v1'\n"
            f"[accounts.main]\n{text}\nbase_url = 'http://127.0.0.1:{counter.port}/v1'\n"
        )
        process = run_forked(["run"], environment=environment, folder=folder)
        return Refusal(process, accounts, home, counter.count)


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Refusal]:
    return {name: attempt(name, tmp_path_factory.mktemp("refused")) for name in MISTAKES}


@pytest.mark.faults(39)
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_ends_the_run_before_it_begins(refusals: dict[str, Refusal], name: str) -> None:
    refusal = refusals[name]
    assert refusal.process.returncode == 2
    assert refusal.process.stdout == ""
    (line,) = refusal.process.stderr.splitlines()
    assert line.startswith(f"drawdown: {refusal.accounts}: account main: ")
    assert CANARY not in line
    assert refusal.connections == 0
    assert not refusal.home.exists()
    assert [path.name for path in refusal.accounts.parent.iterdir()] == ["accounts.toml"]


def test_the_counting_socket_counts() -> None:
    with counting() as counter:
        socket.create_connection(("127.0.0.1", counter.port)).close()
        while not counter.count:
            pass
        assert counter.count == 1

"""Requests that `drawdown run` refuses before anything is requested or written."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import NOW, Desk, Done
from tests.sandbox_faults import Sandbox

REAL = '[accounts.real]\nvendor = "vpsbg"\napi_key_env = "SOME_KEY"\nbase_url = "https://api.example.com/v1"\n'


@pytest.fixture(scope="module")
def proxy() -> Iterator[tuple[str, list[object]]]:
    """The https proxy for other computers, and its connections."""
    came: list[object] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            came.append(connection)
            connection.close()

    threading.Thread(target=accept, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", came
    listener.close()


@pytest.fixture(scope="module")
def refused(
    world: Sandbox, proxy: tuple[str, list[object]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Desk, Done]]:
    def desk(toml: str) -> Desk:
        return Desk(tmp_path_factory.mktemp("refused"), toml, {**world.keys, "SOME_KEY": "key-1"})

    mixed, sandbox = desk(f"{world.accounts_toml()}{REAL}"), desk(world.accounts_toml())
    demo = desk(REAL)
    demo.home.mkdir(mode=0o700)
    (demo.home / "sandbox-accounts.toml").write_text("# the demo's")
    commands = {
        "a clock where one account of many is real": (mixed, ["run", "--as-of", NOW.isoformat()]),
        "a clock that is none": (sandbox, ["run", "--as-of", "garbage"]),
        "a clock without a zone": (sandbox, ["run", "--as-of", "2026-03-18T12:00:00"]),
        "an account that is not there": (sandbox, ["run", "--account", "nobody"]),
        "real accounts among the demo's data": (demo, ["run"]),
        "a window that ends before it begins": (
            sandbox,
            ["backfill", "--from", "2026-03-18", "--to", "2026-03-17"],
        ),
        "a day that is none": (sandbox, ["backfill", "--from", "2026-02-30"]),
    }
    return {
        name: (where, where(*arguments, HTTPS_PROXY=proxy[0], NO_PROXY=""))
        for name, (where, arguments) in commands.items()
    }


LINES = {
    "a clock where one account of many is real": (
        "the clock can be set only for a sandbox: account real asks https://api.example.com/v1, which runs in "
        "real time; leave --as-of out"
    ),
    "a clock that is none": "--as-of: 'garbage' is not an instant; write it as 2026-11-21T05:00:00Z",
    "a clock without a zone": (
        "--as-of: '2026-03-18T12:00:00' names no time zone; write it as 2026-03-18T12:00:00Z for UTC"
    ),
    "an account that is not there": (
        "{accounts}: there is no account 'nobody'; it knows: "
        "vpsbg-main, vpsbg-agency, vpsbg-idle, voxpria-main, voxpria-campaign"
    ),
    "real accounts among the demo's data": (
        "{home} holds the demo's data, which must not mix with real accounts; remove it, or set DRAWDOWN_HOME to "
        "another folder"
    ),
    "a window that ends before it begins": "--to 2026-03-17 is before --from 2026-03-18; give the earlier day to --from",
    "a day that is none": "'2026-02-30' is not a day; write it as 2026-11-21",
}


@pytest.mark.parametrize("name", LINES)
def test_a_request_that_makes_no_sense_is_refused_in_one_line(refused: dict[str, tuple[Desk, Done]], name: str) -> None:
    desk, done = refused[name]
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"drawdown: {LINES[name].format(accounts=desk.accounts, home=desk.home)}\n"


def test_nothing_was_requested_or_written(
    refused: dict[str, tuple[Desk, Done]], proxy: tuple[str, list[object]]
) -> None:
    assert proxy[1] == []
    for desk, _ in refused.values():
        left = {path.relative_to(desk.folder) for path in desk.folder.rglob("*")}
        assert left - {Path("data"), Path("data/sandbox-accounts.toml")} == {Path("accounts.toml")}

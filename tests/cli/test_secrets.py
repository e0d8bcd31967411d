"""After a run, no key is stored anywhere, and files are private to their owner."""

import json
import stat
from dataclasses import replace

import pytest

from tests.canary import contents_of, leaks
from tests.cli.conftest import NOW, Built, Desk, Done
from tests.sandbox_faults import Sandbox

CANARY = 'canary-7f3b/Zq+9<&"k3y'
VARIABLE = "SANDBOX_VPSBG_MAIN_KEY"


def texts(desk: Desk) -> list[bytes]:
    """Text in the bodies of landed answers, and in every other column of a Parquet file."""
    return [content for place, content in contents_of(desk.home) if ".parquet: " in place]


def found(desk: Desk, done: Done) -> list[str]:
    return leaks(desk.keys.values(), desk.home, said={"stdout": done.stdout, "stderr": done.stderr})


def test_keys_are_stored_nowhere_after_a_run_even_if_a_vendor_echoed_one(built: Built) -> None:
    echoed = f"[redacted:{VARIABLE}]".encode()
    assert any(echoed in text for text in texts(built.desk)), "the echo was landed, redacted"
    assert len(built.desk.keys) == 5
    assert found(built.desk, built.run) == []


def test_every_file_is_0600_and_every_folder_0700_after_a_run(built: Built) -> None:
    modes = {
        path: stat.S_IMODE(path.stat().st_mode)
        for path in [built.desk.home, *built.desk.home.rglob("*")]
        if not path.is_symlink()
    }
    assert len(modes) > 20
    assert {path for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)} == set()


@pytest.fixture(scope="module")
def refused(world: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> tuple[Desk, Done]:
    """A run with a wrong key, which the vendor repeats in its refusal."""
    toml = world.accounts_toml().split("\n[accounts.vpsbg-agency]")[0]
    desk = Desk(tmp_path_factory.mktemp("canary"), toml, {VARIABLE: CANARY})
    world.put_fault("echo_key", vendor="vpsbg", code=401)
    try:
        return desk, desk("run", "--as-of", NOW.isoformat(), "--json")
    finally:
        world.clear_faults()


def test_a_wrong_key_that_the_vendor_echoes_is_stored_nowhere(refused: tuple[Desk, Done]) -> None:
    desk, done = refused
    assert done.returncode == 1
    assert any(f"[redacted:{VARIABLE}] was refused".encode() in text for text in texts(desk))
    assert found(desk, done) == []
    searched = replace(desk, accounts_toml="", keys={"the search": "vpsbg-main"})
    assert len(found(searched, done)) > 10, "what does stand there is found"


def test_a_wrong_key_is_reported_with_its_account_and_variable(refused: tuple[Desk, Done]) -> None:
    desk, done = refused
    (outcome,) = json.loads(done.stdout)
    assert outcome["is_ok"] is False
    assert outcome["problems"]
    for problem in outcome["problems"]:
        assert "vpsbg-main" in problem
        assert f"check the value of {VARIABLE}" in problem
    status = desk("status", "--fail-on", "unknown")
    assert status.returncode == 1
    assert "unknown" in status.stdout


def test_output_of_later_commands_contains_no_key(refused: tuple[Desk, Done]) -> None:
    desk, _ = refused
    for done in desk.run_all(
        ["status"], ["sql", "FROM marts.data_freshness", "--format", "json"], ["sql", "FROM staging.rejects"]
    ):
        assert done.returncode == 0
        assert leaks([CANARY], said={"stdout": done.stdout, "stderr": done.stderr}) == []

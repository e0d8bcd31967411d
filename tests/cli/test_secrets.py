"""After a run no key stands anywhere, and what is there is for its owner only."""

import json
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import duckdb
import pyarrow.parquet as pq
import pytest

from pipeline.sandbox import Sandbox
from tests.cli.conftest import NOW, Built, Desk, Done

CANARY = 'canary-7f3b/Zq+9<&"k3y'
VARIABLE = "SANDBOX_VPSBG_MAIN_KEY"


def disguises(secret: str) -> set[str]:
    return {secret, json.dumps(secret)[1:-1], quote(secret), quote(secret, safe=""), secret[:14], secret[-14:]}


def places(desk: Desk) -> Iterator[tuple[Path, bytes]]:
    """Every file of the state folder as it lies there, and again as a reader of its format sees it."""
    for path in sorted(desk.home.rglob("*")):
        if not path.is_file():
            continue
        yield path, path.read_bytes()
        if path.suffix == ".parquet":
            yield path, repr(pq.read_table(path).to_pylist()).encode()
        if path.suffix == ".duckdb":
            with duckdb.connect(path, read_only=True) as connection:
                tables = "SELECT schema_name, table_name FROM duckdb_tables()"
                for schema, table in connection.execute(tables).fetchall():
                    yield path, repr(connection.table(f"{schema}.{table}").fetchall()).encode()


def leaks(desk: Desk, done: Done) -> set[str]:
    forms = {form for key in desk.keys.values() for form in disguises(key)}
    found = {str(path) for path, content in places(desk) if any(form.encode() in content for form in forms)}
    return found | {name for name in ("stdout", "stderr") if any(form in getattr(done, name) for form in forms)}


def test_keys_stand_nowhere_after_a_run_even_where_a_vendor_echoed_one(built: Built) -> None:
    texts = [content for path, content in places(built.desk) if path.suffix == ".parquet"]
    assert any(f"[redacted:{VARIABLE}]".encode() in text for text in texts), "the echo was landed, redacted"
    assert len(built.desk.keys) == 5
    assert leaks(built.desk, built.run) == set()


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


def test_a_wrong_key_that_the_vendor_repeats_stands_nowhere(refused: tuple[Desk, Done]) -> None:
    desk, done = refused
    assert done.returncode == 1
    texts = [content for path, content in places(desk) if path.suffix == ".parquet"]
    assert any(f"[redacted:{VARIABLE}] was refused".encode() in text for text in texts)
    assert leaks(desk, done) == set()
    searched = replace(desk, accounts_toml="", keys={"the search": "vpsbg-main"})
    assert len(leaks(searched, done)) > 10, "what does stand there is found"


def test_a_wrong_key_is_told_by_its_account_and_variable(refused: tuple[Desk, Done]) -> None:
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


def test_what_later_commands_print_of_that_run_holds_no_key(refused: tuple[Desk, Done]) -> None:
    desk, _ = refused
    for done in desk.run_all(
        ["status"], ["sql", "FROM marts.data_freshness", "--format", "json"], ["sql", "FROM staging.rejects"]
    ):
        assert done.returncode == 0
        assert not [form for form in disguises(CANARY) if form in done.stdout + done.stderr]

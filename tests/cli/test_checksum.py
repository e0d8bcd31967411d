"""`drawdown checksum`: one checksum for each table of a build."""

import json
from pathlib import Path

import duckdb

from pipeline.schema.checksums import PER_BUILD_TABLES
from pipeline.schema.tables import published
from tests.cli.conftest import Desk


def test_each_published_table_has_a_line_and_all_of_them_the_last_one(desk: Desk) -> None:
    done = desk("checksum")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    names = [line.split()[0] for line in lines[2:]]
    assert names == [*sorted({each.full_name for each in published()} - set(PER_BUILD_TABLES)), "*"]
    found = json.loads(desk.here("checksum", "--json").stdout)
    assert [f"{each['table']} {each['rows']} {each['checksum']}" for each in found] == [
        " ".join(line.split()) for line in lines[2:]
    ]


def test_a_warehouse_and_the_build_made_of_it_agree_on_every_table_that_both_have(desk: Desk) -> None:
    build, warehouse = (
        {each["table"]: each for each in json.loads(desk.here("checksum", "--json", *file).stdout)}
        for file in ((), (str(desk.home / "warehouse.duckdb"),))
    )
    shared = {name for name in build if name != "*"}
    assert shared < warehouse.keys()
    assert {name: warehouse[name] for name in shared} == {name: build[name] for name in shared}
    assert {"staging.fetches", "staging.vpsbg_ledger_entries"} <= warehouse.keys()


def test_a_file_without_a_checksum_is_one_line(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "text.duckdb").write_text("no database")
    for arguments, code, words in (
        (("nowhere.duckdb",), 2, "nowhere.duckdb is not a file; name a DuckDB file"),
        ((str(tmp_path / "text.duckdb"),), 1, "text.duckdb cannot be opened"),
    ):
        done = desk.here("checksum", *arguments)
        assert (done.returncode, done.stdout) == (code, "")
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_warehouse_that_is_being_written_is_reported(desk: Desk, tmp_path: Path) -> None:
    with duckdb.connect(tmp_path / "open.duckdb") as connection:
        connection.execute("CREATE TABLE t (a INTEGER)")
        # Another process: within one, DuckDB shares the open file.
        done = desk("checksum", str(tmp_path / "open.duckdb"))
    assert done.returncode == 1
    assert "open.duckdb is being written by process" in done.stderr


def test_without_a_build_the_error_names_the_remedy(empty_desk: Desk) -> None:
    done = empty_desk.here("checksum")
    assert done.returncode == 1
    assert "nothing is published yet" in done.stderr

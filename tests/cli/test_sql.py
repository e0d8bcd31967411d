"""`drawdown sql`: every digit of every row, read-only."""

import csv
import fcntl
import io
import json
import os
import pty
import struct
import subprocess
import termios
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import DRAWDOWN, Desk

MIXED = """
    SELECT * FROM (VALUES
        ('one', 12.5::DECIMAL(38,9), 7, 0.5::DOUBLE, true, DATE '2026-03-18', TIMESTAMPTZ '2026-03-18 12:00:00+02'),
        (NULL, -1234.000000001::DECIMAL(38,9), NULL, 1e300::DOUBLE, false, NULL, NULL)
    ) AS mixed(word, amount, number, ratio, flag, day, instant)
"""


def test_a_table_shows_all_digits_with_numbers_right_and_the_rest_left(desk: Desk) -> None:
    done = desk("sql", MIXED)
    assert (done.returncode, done.stderr) == (0, "2 rows\n")
    assert done.stdout.splitlines() == [
        "word           amount  number   ratio  flag   day         instant",
        "────  ───────────────  ──────  ──────  ─────  ──────────  ────────────────────",
        "one      12.500000000       7     0.5  true   2026-03-18  2026-03-18T10:00:00Z",
        "      -1234.000000001          1e+300  false",
    ]


def test_a_wide_table_is_complete_without_a_terminal(desk: Desk) -> None:
    done = desk("sql", "SELECT repeat('x', 500) AS a, 1 AS b", COLUMNS="80")
    assert done.stdout.splitlines()[-1] == "x" * 500 + "  1"
    assert done.stderr == "1 row\n"


def on_a_terminal(desk: Desk, *arguments: str, columns: int) -> str:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = desk.environment(TERM="xterm")
    del environment["COLUMNS"]
    process = subprocess.Popen([DRAWDOWN, *arguments], env=environment, stdout=theirs, stderr=theirs, stdin=theirs)
    os.close(theirs)
    parts = []
    try:
        while part := os.read(ours, 65536):
            parts.append(part)
    except OSError:
        pass  # Linux's error when the other end is closed
    finally:
        os.close(ours)
        process.wait(timeout=60)
    return b"".join(parts).decode().replace("\r\n", "\n")


def test_on_a_terminal_that_is_too_narrow_each_row_is_a_block(desk: Desk) -> None:
    query = "SELECT 'a' AS word, 1.5::DECIMAL(38,9) AS amount, repeat('x', 100) AS long, NULL AS nothing FROM range(2)"
    block = f"word     a\namount   1.500000000\nlong     {'x' * 100}\nnothing\n"
    assert on_a_terminal(desk, "sql", query, columns=80) == f"── 1 ──\n{block}── 2 ──\n{block}2 rows\n"
    table = on_a_terminal(desk, "sql", query, columns=140)
    assert table.splitlines()[0].split() == ["word", "amount", "long", "nothing"]


def test_parquet_is_not_written_to_a_terminal(desk: Desk) -> None:
    shown = on_a_terminal(desk, "sql", "SELECT 1", "--format", "parquet", columns=200)
    assert shown == (
        "drawdown: --format parquet writes binary; redirect it to a file: drawdown sql ... --format parquet > x.parquet\n"
    )


def test_no_text_can_break_a_row_or_command_the_terminal(desk: Desk) -> None:
    done = desk("sql", "SELECT 'a' || chr(10) || 'b' || chr(27) || '[2J' || chr(8238) AS t, 'é中' AS u, 'z' AS e")
    assert done.stdout.splitlines() == [
        "t                  u    e",
        "─────────────────  ───  ─",
        "a\\nb\\x1b[2J\\u202e  é中  z",
    ]


def test_a_plan_is_printed_as_it_is_drawn(desk: Desk) -> None:
    done = desk("sql", "EXPLAIN SELECT count(*) FROM core.accounts WHERE vendor = 'vpsbg'")
    # DuckDB 2 rounds the corners.
    assert done.stdout.startswith(("┌───", "╭─"))
    assert len(done.stdout.splitlines()) > 5
    assert "\\n" not in done.stdout


def test_lists_and_structs_are_json_with_exact_numbers(desk: Desk) -> None:
    query = "SELECT [1.10, 0.00]::DECIMAL(9,2)[] AS l, {'a': 1.5::DECIMAL(38,9), 'day': DATE '2026-03-18'} AS s"
    table, as_csv, as_json = desk.run_all(
        ["sql", query], ["sql", query, "--format", "csv"], ["sql", query, "--format", "json"]
    )
    expected = ["[1.10,0.00]", '{"a":1.500000000,"day":"2026-03-18"}']
    assert table.stdout.splitlines()[2].split("  ") == expected
    assert list(csv.reader(io.StringIO(as_csv.stdout)))[1] == expected
    assert json.loads(as_json.stdout, parse_float=Decimal) == [
        {"l": [Decimal("1.10"), Decimal("0.00")], "s": {"a": Decimal("1.500000000"), "day": "2026-03-18"}}
    ]


def raw(desk: Desk, *arguments: str) -> bytes:
    """Output of a command on stdout, byte for byte."""
    command = [str(DRAWDOWN), *arguments]
    done = subprocess.run(command, env=desk.environment(), cwd=desk.folder, capture_output=True, check=True, timeout=60)
    return done.stdout


def test_csv_is_quoted_where_a_reader_would_stumble_and_keeps_each_row_in_its_line(desk: Desk) -> None:
    odd = "'e' || chr(13) || 'f' AS e, 'g' || chr(10) AS g, '' AS h, NULL AS n"
    query = f"SELECT 'a,b' AS a, 'c\"d' AS c, {odd}, 'é' AS i"
    text = raw(desk, "sql", query, "--format", "csv").decode()
    assert text == 'a,c,e,g,h,n,i\n"a,b","c""d",e\\rf,g\\n,"",,é\n'


FORMULAS = ["=HYPERLINK(1)", "+1", "@SUM(A1)", "-x", "-1.5", "\t=1", "\r=1", "\n=1", "\N{FULLWIDTH EQUALS SIGN}1"]


@pytest.mark.faults(42)
def test_csv_keeps_spreadsheets_from_running_text_and_leaves_numbers_alone(desk: Desk) -> None:
    values = ", ".join(f"('{text}', -1.5::DECIMAL(38,9), -7, -0.5::DOUBLE, 'a=b')" for text in FORMULAS)
    query = f'SELECT t AS "=t", m, i, d, plain FROM (VALUES {values}) AS made(t, m, i, d, plain)'
    text = raw(desk, "sql", query, "--format", "csv").decode()
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert header == ["'=t", "m", "i", "d", "plain"]
    # Text that begins with a tab or a line end is escaped, and then begins with a backslash.
    assert [row[0] for row in rows] == [f"'{text}" if text[0] >= " " else ascii(text)[1:-1] for text in FORMULAS]
    assert {tuple(row[1:]) for row in rows} == {("-1.500000000", "-7", "-0.5", "a=b")}


def test_csv_of_a_published_table_is_read_back_whole(desk: Desk) -> None:
    query = "SELECT * FROM core.ledger_entries ORDER BY ALL"
    as_csv, as_json = desk.run_all(["sql", query, "--format", "csv"], ["sql", query, "--format", "json"])
    rows = list(csv.DictReader(io.StringIO(as_csv.stdout)))
    objects = json.loads(as_json.stdout, parse_float=Decimal)
    assert len(rows) == len(objects) > 10
    for row, made in zip(rows, objects, strict=True):
        assert Decimal(row["entry_amount"]) == made["entry_amount"]
        assert row["entry_id"] == made["entry_id"]
        assert row["effective_at_utc"] == made["effective_at_utc"]
        assert row["effective_at_utc"].endswith("Z")


def test_json_numbers_are_exact_decimals(desk: Desk) -> None:
    most = "9" * 29 + ".999999999"
    query = (
        f"SELECT {most}::DECIMAL(38,9) AS most, 0::DECIMAL(38,9) AS none, {10**30}::HUGEINT AS huge, NULL AS nothing"
    )
    done = desk("sql", query, "--format", "json")
    (made,) = json.loads(done.stdout, parse_float=str, parse_int=str)
    assert made == {"most": most, "none": "0.000000000", "huge": str(10**30), "nothing": None}


def test_json_refuses_to_lose_one_of_two_columns_of_one_name(desk: Desk) -> None:
    done = desk("sql", "SELECT 1 AS a, 2 AS a", "--format", "json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "drawdown: two columns are called 'a'; give one of them another name with AS\n"


def test_parquet_keeps_the_types(desk: Desk) -> None:
    query = "SELECT account_id, balance_amount, observed_at_utc, severity FROM marts.account_status ORDER BY ALL"
    table = pq.read_table(io.BytesIO(raw(desk, "sql", query, "--format", "parquet")))
    assert {name: str(table.schema.field(name).type) for name in table.column_names} == {
        "account_id": "string",
        "balance_amount": "decimal128(27, 9)",
        "observed_at_utc": "timestamp[us, tz=UTC]",
        "severity": "string",
    }
    exact = json.loads(desk("sql", query, "--format", "json").stdout, parse_float=Decimal)
    assert table.column("balance_amount").to_pylist() == [each["balance_amount"] for each in exact]


def test_an_interval_is_written_as_duckdb_writes_it(desk: Desk) -> None:
    query = """SELECT INTERVAL '1 year 2 days' AS i, [INTERVAL '40 days 3 hours'] AS "INTERVAL", 'INTERVAL' AS word"""
    assert desk("sql", query, "--format", "csv").stdout.splitlines() == [
        "i,INTERVAL,word",
        '1 year 2 days,"[""40 days 03:00:00""]",INTERVAL',
    ]
    row = {"i": "1 year 2 days", "INTERVAL": ["40 days 03:00:00"], "word": "INTERVAL"}
    assert json.loads(desk("sql", query, "--format", "json").stdout) == [row]
    assert pq.read_table(io.BytesIO(raw(desk, "sql", query, "--format", "parquet"))).to_pylist() == [row]


def test_parquet_is_refused_in_a_line_where_readers_would_fail(desk: Desk) -> None:
    for query, line in {
        "SELECT 1 AS a, 2 AS a": "two columns are called 'a'; give one of them another name with AS",
        "SELECT 1::UNION(x INTEGER, y VARCHAR) AS u": "Parquet has no type for a column: ",
    }.items():
        done = desk("sql", query, "--format", "parquet")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert done.stderr.startswith(f"drawdown: {line}")


def test_statements_come_from_the_argument_standard_input_or_a_file(desk: Desk, tmp_path: Path) -> None:
    text = "SELECT 'π' AS a;\n\nSELECT 2 AS b -- the last\n"
    shown = "a\n─\nπ\n\nb\n─\n2\n"
    script = tmp_path / "two.sql"
    script.write_text(text, encoding="utf-8-sig")
    piped = subprocess.run(
        [DRAWDOWN, "sql", "-"], env=desk.environment(), input=text, capture_output=True, text=True, check=False
    )
    for done in (desk("sql", text), desk("sql", "--file", str(script)), piped):
        assert (done.returncode, done.stdout, done.stderr) == (0, shown, "1 row\n1 row\n")


@pytest.mark.parametrize("output_format", ["table", "csv", "json"])
def test_a_pivot_which_duckdb_splits_in_two_is_one_result(desk: Desk, output_format: str) -> None:
    query = "PIVOT (SELECT unnest(['x', 'y', 'x']) AS word, 1 AS one) ON word USING sum(one)"
    done = desk("sql", query, "--format", output_format)
    assert (done.returncode, done.stderr) == (0, "1 row\n" if output_format == "table" else "")
    assert (
        done.stdout.split()
        == {
            "table": ["x", "y", "─", "─", "2", "1"],
            "csv": ["x,y", "2,1"],
            "json": ["[", "{", '"x":', "2,", '"y":', "1", "}", "]"],
        }[output_format]
    )
    assert pq.read_table(io.BytesIO(raw(desk, "sql", query, "--format", "parquet"))).to_pylist() == [{"x": 2, "y": 1}]


def test_a_file_of_statements_that_cannot_be_read_is_named(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "latin.sql").write_bytes("SELECT 'é'".encode("latin-1"))
    for name, words in {"latin.sql": ": byte 9 is not UTF-8; save it as UTF-8", "none.sql": ": No such file"}.items():
        done = desk("sql", "--file", str(tmp_path / name))
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert f"{name}{words}" in done.stderr


NO_STATEMENT = 'there is no statement to run; try: drawdown sql "from marts.account_status"'
READ_ONLY = "attached in read-only mode"
NO_FILES = "File system LocalFileSystem has been disabled by configuration"
LOCKED = "the configuration has been locked"
NO_EXTENSIONS = "Loading external extensions is disabled through configuration"
ABSENT = "does not exist"
WRITES = {
    "INSERT INTO marts.build_info VALUES ('a', 'b')": READ_ONLY,
    "UPDATE marts.build_info SET value = ''": READ_ONLY,
    "DELETE FROM core.accounts": READ_ONLY,
    "DROP TABLE core.accounts": READ_ONLY,
    "ALTER TABLE core.accounts ADD COLUMN a INTEGER": READ_ONLY,
    "COMMENT ON TABLE core.accounts IS 'mine'": READ_ONLY,
    "CREATE TABLE t (a INTEGER)": READ_ONLY,
    "CREATE VIEW core.v AS SELECT 1": READ_ONLY,
    "CREATE MACRO m() AS 1": READ_ONLY,
    "SELECT 1; DROP TABLE core.accounts": READ_ONLY,
    "COPY core.accounts TO '{folder}/stolen.csv'": NO_FILES,
    "COPY core.accounts TO '{folder}/stolen' (FORMAT parquet, PARTITION_BY (vendor))": NO_FILES,
    # A file that DuckDB would read as the build's own log next time.
    "COPY (SELECT 1) TO '{build}.wal'": NO_FILES,
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{build}.wal'": NO_FILES,
    "PREPARE p AS COPY (SELECT 1) TO '{build}.wal'; EXECUTE p": NO_FILES,
    "COPY (SELECT 1 AS a, 2 AS b) TO '{build}.tmp' (PARTITION_BY (a))": NO_FILES,
    "COPY (SELECT 1) TO '{build}'": NO_FILES,
    "COPY (SELECT 1) TO '/dev/stdout'": NO_FILES,
    "COPY core.accounts FROM '/etc/passwd'": NO_FILES,
    "EXPORT DATABASE '{folder}/stolen'": NO_FILES,
    "IMPORT DATABASE '{folder}'": NO_FILES,
}
REACHES = {
    "FROM '/etc/passwd'": ABSENT,
    "FROM '{folder}/accounts.toml'": ABSENT,
    "FROM query('FROM ''/etc/passwd''')": ABSENT,
    "FROM names": ABSENT,
    "FROM read_csv('/etc/passwd')": NO_FILES,
    "FROM read_csv('/dev/stdin')": NO_FILES,
    "FROM sniff_csv('/etc/passwd')": NO_FILES,
    "FROM read_text('{folder}/accounts.toml')": NO_FILES,
    "FROM read_blob('/proc/self/environ')": NO_FILES,
    "FROM read_blob('{build}')": NO_FILES,
    "FROM read_json('{folder}/accounts.toml')": NO_FILES,
    "FROM read_parquet('{folder}/data/landing/*/*/*/*/*/*.parquet')": NO_FILES,
    "FROM read_parquet('https://127.0.0.1:1/a.parquet')": NO_FILES,
    "FROM parquet_metadata('{folder}/a.parquet')": NO_FILES,
    "CREATE TEMP VIEW v AS FROM read_text('/etc/passwd')": NO_FILES,
    "PREPARE p AS FROM read_csv('/etc/passwd')": NO_FILES,
    "FROM glob('/*')": NO_FILES,
    "SELECT getenv('HOME')": "getenv does not exist",
    "ATTACH '{folder}/other.duckdb'": NO_FILES,
    "ATTACH '{folder}/data/warehouse.duckdb' (READ_ONLY)": NO_FILES,
    "ATTACH '{build}' AS again": NO_FILES,
    "DETACH drawdown": "it is the default database",
    "INSTALL httpfs": NO_FILES,
    "FORCE INSTALL httpfs FROM 'http://127.0.0.1:1'": NO_FILES,
    "LOAD httpfs": NO_EXTENSIONS,
    "LOAD '{folder}/a.duckdb_extension'": NO_EXTENSIONS,
    "UPDATE EXTENSIONS": NO_FILES,
}
SETTINGS = {
    "SET threads = 1": LOCKED,
    "SET GLOBAL threads = 1": LOCKED,
    "RESET threads": LOCKED,
    "SET TimeZone = 'Europe/Sofia'": LOCKED,
    "SET enable_external_access = true": LOCKED,
    "RESET enable_external_access": LOCKED,
    "SET disabled_filesystems = ''": LOCKED,
    "SET lock_configuration = false": LOCKED,
    "SET allowed_paths = ['/etc/passwd']": LOCKED,
    "SET temp_directory = '{folder}'": LOCKED,
    "SET custom_extension_repository = 'http://127.0.0.1:1'": LOCKED,
    "PRAGMA profiling_output = '{folder}/profile.json'": LOCKED,
    "PRAGMA enable_profiling = 'json'": LOCKED,
    # The older DuckDB only checks the file system that it writes to.
    "CALL enable_logging(storage = 'file', storage_path = '{folder}/log')": f"LocalFileSystem disabled|{LOCKED}",
}
WRONG = {
    "SELEC 1": 'syntax error at or near "SELEC"',
    "SELECT nothing FROM core.accounts": 'Referenced column "nothing" not found',
}


@pytest.mark.parametrize("query", [*WRITES, *REACHES, *SETTINGS, *WRONG])
def test_only_reading_the_published_tables_is_possible(desk: Desk, query: str) -> None:
    build = (desk.home / "published" / "current.duckdb").resolve()
    before = {path: path.stat().st_mtime_ns for path in desk.folder.rglob("*")}
    done = desk.here("sql", query.format(folder=desk.folder, build=build))
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert all(line.startswith("drawdown: ") for line in lines)
    first, *rest = (line.removeprefix("drawdown: ") for line in lines)
    says = (WRITES | REACHES | SETTINGS | WRONG)[query]
    assert any(each in first for each in says.split("|"))
    if says in (READ_ONLY, NO_FILES, LOCKED, NO_EXTENSIONS):
        assert rest[-1] == (
            "`drawdown sql` reads the published tables and nothing else; for files, settings and tables of your own, "
            f"open {build} in DuckDB with read_only"
        )
    assert {path: path.stat().st_mtime_ns for path in desk.folder.rglob("*")} == before


def test_readers_open_the_newest_build_only(desk: Desk) -> None:
    assert desk("sql", "SELECT count(*) > 0 FROM core.accounts", "--format", "csv").stdout.endswith("\ntrue\n")
    catalogs = "SELECT DISTINCT database_name FROM duckdb_databases() WHERE NOT internal"
    assert desk("sql", catalogs, "--format", "csv").stdout == "database_name\ndrawdown\n"


def test_a_query_that_takes_long_draws_nothing_among_its_rows(desk: Desk) -> None:
    shown = desk("sql", "SELECT current_setting('enable_progress_bar') AS is_drawn", "--format", "csv").stdout
    assert shown == "is_drawn\nfalse\n"


def test_a_request_that_means_nothing_is_refused_as_such(desk: Desk) -> None:
    wrong = {
        ("", "--format", "table"): NO_STATEMENT,
        ("  ;", "--format", "json"): NO_STATEMENT,
        ("/* only a comment */",): NO_STATEMENT,
        ("SELECT 1", "--format", "xml"): "--format xml: known formats are table, csv, json, parquet",
        (): "give a statement, or - to read standard input, or --file with a path",
        ("SELECT 1", "--file", "x.sql"): "give a statement, or - to read standard input, or --file with a path",
        ("SELECT 1; SELECT 2", "--format", "csv"): "--format csv holds the rows of one statement, and 2 return rows: "
        "run each by itself",
        ("BEGIN", "--format", "parquet"): "--format parquet needs a statement that returns rows, such as a SELECT",
    }
    for arguments, line in wrong.items():
        done = desk.here("sql", *arguments)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", f"drawdown: {line}\n")


def test_a_reader_that_goes_away_ends_the_command_quietly(desk: Desk) -> None:
    process = desk.start("sql", "SELECT i, repeat('x', 200) AS x FROM range(20000) AS r(i)", "--format", "csv")
    assert process.stdout is not None
    assert process.stdout.readline() == "i,x\n"
    process.stdout.close()
    assert process.wait(timeout=60) == 1
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()

"""Every wrong request through the command: what is wrong, where, and the remedy, without a traceback."""

import os
import re
import shutil
import socket
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.orchestration import refresh
from tests.cli.accounts import account
from tests.cli.conftest import Desk, Publish
from tests.forked import run_forked
from tests.sandbox_faults import Sandbox


@dataclass(frozen=True)
class Wrong:
    """A request, its folder, its exit code and its message."""

    command: str
    says: str
    """A regular expression that stderr must match."""
    code: int = 2
    toml: str | None = None
    environment: dict[str, str] = field(default_factory=dict)


VPSBG = '[accounts.main]\nvendor = "vpsbg"\napi_key_env = "SOME_KEY"\n'
MANUAL = 'fx.source = "package"\n[accounts.main]\nvendor = "manual"\npath = "readings.csv"\n'
NO_BUILD = r"nothing is published yet\. `drawdown run` makes the first build, `drawdown demo` one to look at; or set DRAWDOWN_HOME"
NO_TOML = r"accounts\.toml: no such file; `drawdown init` writes one to start from"

# In an empty folder, without a build; `toml` is its accounts.toml, if any.
EMPTY = [
    Wrong("status", NO_BUILD, 1),
    Wrong("explain main", NO_BUILD, 1),
    Wrong("sql x", NO_BUILD, 1),
    Wrong("run", NO_TOML),
    Wrong("doctor", NO_TOML),
    Wrong("backfill --from 2026-01-01", NO_TOML),
    Wrong("rebuild", r"landing does not exist: there is nothing to rebuild from\. `drawdown run` begins it, or set DRAWDOWN_HOME", 1),
    Wrong("compact", r"landing does not exist: there is nothing to compact\. `drawdown run` begins it, or set DRAWDOWN_HOME", 1),
    Wrong("backtest", r"warehouse\.duckdb does not exist: there is no history yet\. `drawdown run` begins one", 1),
    Wrong("run", r"account main: api_key_env: the environment variable SOME_KEY is not set; export it first", toml=VPSBG),
    Wrong("run --account mian", r"there is no account 'mian'; it knows: main", toml=VPSBG, environment={"SOME_KEY": "k"}),
    Wrong("run", r"accounts\.toml: not TOML: Invalid value \(at ", toml="accounts ="),
    Wrong("run", r"accounts: names no account; add a table such as \[accounts\.vpsbg-main\]", toml="# empty\n"),
    Wrong("run", r"account main: vendor: unknown vendor in Drawdown [0-9.]+; known vendors: deepgram, ", toml='[accounts.main]\nvendor = "nobody"\n'),
    Wrong("run", r"account main: api_key_env: must be the NAME of an environment variable", toml='[accounts.main]\nvendor = "vpsbg"\napi_key_env = "sk-secret"\n'),
    Wrong("init", r"accounts\.toml already exists and is left unchanged; edit it, then try `drawdown doctor`", toml=VPSBG),
    Wrong("init", r"cannot be written: No such file or directory; make its folder", environment={"DRAWDOWN_ACCOUNTS": "no/such/accounts.toml"}),
    Wrong("run --as-of soon", r"--as-of: 'soon' is not an instant; write it as 2026-"),
    Wrong("run --as-of 2026-11-21T05:00:00.1234567:99Z", r"is not an instant; write it as 2026-"),
    Wrong("backfill --from 2026-02-30", r"'2026-02-30' is not a day; write it as 2026-"),
    Wrong("backfill --from 2026-02-02 --to 2026-02-01", r"--to 2026-02-01 is before --from 2026-02-02; give the earlier day to --from"),
    Wrong("rebuild --as-of 2026-01-01T00:00:00Z", r"--as-of and --to need each other: an instant, and the file"),
    Wrong("run", r"\.: cannot be read: Is a directory; DRAWDOWN_ACCOUNTS names the file", environment={"DRAWDOWN_ACCOUNTS": "."}),
    Wrong("dictionary core.balances", r"there is no table 'core\.balances'; did you mean .*core\.balance_bridge.* `drawdown dictionary` lists them all"),
    Wrong("dictionary --format xml", r"--format xml: known formats are table, json, markdown"),
    Wrong("sql x --format xml", r"--format xml: known formats are table, csv, json, parquet"),
    Wrong("status --fail-on urgent", r"--fail-on urgent: must be one of ok, watch, warning, critical, unknown, stale, run_failed"),
    Wrong("run", r"DAGSTER_HOME is no/such, which is no folder: `drawdown init --dagster` makes it; or unset it", toml=MANUAL, environment={"DAGSTER_HOME": "no/such"}),
    # Messages of the command line parser.
    Wrong("statsu", r"^drawdown: No such command 'statsu'\. Did you mean 'status'\?; see `drawdown --help`$"),
    Wrong("status --jsn", r"^drawdown: No such option: --jsn.*--json.*; see `drawdown status --help`$"),
    Wrong("status --fail-on", r"^drawdown: Option '--fail-on' requires an argument; see `drawdown --help`$"),
    Wrong("status extra", r"^drawdown: Got unexpected extra argument\(s\) \(extra\); see `drawdown status --help`$"),
    Wrong("backfill", r"^drawdown: Missing option '--from'; see `drawdown backfill --help`$"),
    Wrong("explain", r"^drawdown: Missing argument 'ACCOUNT'; see `drawdown explain --help`$"),
    Wrong("demo --days 0", r"Invalid value for '--days'"),
    Wrong("sandbox --port 99999999", r"Invalid value for '--port'"),
    Wrong("sandbox --days 0", r"Invalid value for '--days'"),
]  # fmt: skip


def hold(wrong: Wrong, code: int, out: str, err: str) -> None:
    assert code == wrong.code, err
    assert out == ""
    assert "Traceback" not in err
    assert re.search(wrong.says, err, re.DOTALL), err


@pytest.mark.parametrize("wrong", EMPTY, ids=lambda wrong: f"{wrong.command}: {wrong.says[:40]}")
def test_in_an_empty_folder(wrong: Wrong, tmp_path: Path) -> None:
    desk = Desk(tmp_path, wrong.toml or "")
    done = desk.here(*wrong.command.split(), **wrong.environment)
    hold(wrong, done.returncode, done.stdout, done.stderr)
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("drawdown: ")
    assert "sk-secret" not in done.stderr
    assert {path.name for path in tmp_path.rglob("*")} <= {"accounts.toml"}


BUILT = [
    Wrong("explain vpsbg-mian", r"has no account 'vpsbg-mian'; did you mean vpsbg-main or .* known accounts: voxpria-campaign, "),
    Wrong("explain vpsbg-main --bytes 0", r"landing holds no answer '0'; `drawdown explain ACCOUNT` names those"),
    Wrong("sql ;", r"there is no statement to run; try: drawdown sql"),
    Wrong("sql from~marts.acount_status", r"`drawdown dictionary` lists the tables", 1),
    Wrong("sql select~balance~from~marts.account_status", r"`drawdown dictionary TABLE` lists a table's columns", 1),
    Wrong("sql begin --format parquet", r"needs a statement that returns rows, such as a SELECT"),
    Wrong("backtest --account nobody", r"--account nobody: the newest run had no such account; known accounts: voxpria-campaign, "),
    Wrong("run --select nothing_at_all", r"--select 'nothing_at_all' matches no asset; try 'group:core'"),
    Wrong("run --select (((", r"--select '\(\(\(' "),
    Wrong("rebuild --as-of 1999-01-01T00:00:00Z --to then.duckdb", r"nothing had arrived by 1999-01-01T00:00:00Z; the first answers are from \d{4}-\d\d-\d\d: give a later --as-of"),
    Wrong("rebuild --as-of 2026-03-19T00:00:00Z --to accounts.toml", r"accounts\.toml exists already; name another file, or remove it first"),
    Wrong("rebuild --as-of 2026-03-19T00:00:00Z --to no/such/then.duckdb", r"no/such is not a folder; create it first"),
]  # fmt: skip


@pytest.mark.parametrize("wrong", BUILT, ids=lambda wrong: f"{wrong.command}: {wrong.says[:40]}")
def test_with_a_build(wrong: Wrong, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk.folder)
    done = desk.here(*(word.replace("~", " ") for word in wrong.command.split()), **wrong.environment)
    hold(wrong, done.returncode, done.stdout, done.stderr)


def test_a_state_folder_that_is_a_file_or_that_cannot_be_made(tmp_path: Path, world: Sandbox) -> None:
    desk = Desk(tmp_path, world.accounts_toml(), world.keys)
    desk.home.write_text("a file")
    done = desk("run", "--as-of", "2026-03-18T13:37:00Z")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    assert "DRAWDOWN_HOME names the state folder" in done.stderr


def test_without_the_variable_the_state_folder_is_data_and_is_named(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    environment = {name: value for name, value in desk.environment().items() if name != "DRAWDOWN_HOME"}
    done = run_forked(["status"], environment=environment, folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"drawdown: {tmp_path}/data/published/current.duckdb does not exist: ")
    assert re.search(NO_BUILD, done.stderr)


def test_a_damaged_build_names_the_command_that_rebuilds_it(publish: Publish) -> None:
    desk = publish([account("main")])
    path = desk.home / "published" / "current.duckdb"
    path.write_bytes(os.urandom(8192))
    for command in ("status", "explain main", "sql x"):
        done = desk.here(*command.split())
        assert (done.returncode, done.stdout) == (1, "")
        assert "`drawdown rebuild` recreates it" in done.stderr
    shutil.rmtree(desk.home)


def test_a_used_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = Desk(tmp_path).here("sandbox", "--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"drawdown: port {port} on 127.0.0.1 is not available: Address already in use; `--port 0` picks a free one\n"
    )


@pytest.mark.parametrize(
    ("problem", "ending"),
    [
        (refresh.RunFailed("r", ["a", "b"]), ("r", ("a", "b"))),
        (KeyboardInterrupt(), (None, ("interrupted",))),
        (OSError("the disk\nis full"), (None, ("the disk", "is full"))),
        (ValueError(), (None, ("ValueError",))),
    ],
)
def test_how_a_run_ended_is_told_in_lines_with_its_id_where_it_had_begun(
    problem: BaseException, ending: tuple[str | None, tuple[str, ...]]
) -> None:
    assert refresh.ending(problem) == ending

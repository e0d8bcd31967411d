"""`drawdown init`, `doctor`, `--help`: first steps of a new user."""

import json
import os
import re
import signal
import time
from importlib.metadata import version
from pathlib import Path

import pytest
import typer.main

from pipeline.cli import app
from pipeline.settings import load
from pipeline.vendors import discover
from tests.cli.conftest import Desk
from tests.sandbox_faults import Sandbox

CANARY = "canary-9h4s7Jx5v2b"


@pytest.fixture
def bare(tmp_path: Path) -> Desk:
    """An empty folder."""
    return Desk(tmp_path)


def test_init_writes_accounts_that_are_read_at_once(bare: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    done = bare("init")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"wrote {bare.accounts}; set the variables that it names, then try `drawdown doctor`\n"
    assert bare.accounts.stat().st_mode & 0o777 == 0o600
    assert not bare.home.exists()
    settings = load(bare.accounts)
    assert {each.vendor.name for each in settings.accounts.values()} == {"vpsbg"}
    monkeypatch.setenv("VPSBG_API_KEY", CANARY)
    assert settings.accounts["vpsbg-main"].secrets()["api_key_env"].reveal() == CANARY


def test_every_line_of_it_may_be_uncommented(bare: Desk) -> None:
    bare("init")
    # Commented lines that look like TOML are meant to be used.
    lines = bare.accounts.read_text().splitlines()
    used = [
        line.removeprefix("# ") if line.startswith("# ") and (" = " in line or "[" in line) else line for line in lines
    ]
    bare.accounts.write_text("\n".join(used))
    settings = load(bare.accounts)
    assert {each.vendor.name for each in settings.accounts.values()} == set(discover())
    assert settings.allow_http_loopback
    main = settings.accounts["vpsbg-main"]
    assert (main.history_days, main.team, str(main.tax_rate)) == (400, "platform", "0.20")
    for account in settings.accounts.values():
        for setting, variable in account.secret_variables.items():
            assert variable == f"{account.vendor.name}_{setting.removesuffix('_env')}".upper()


def test_init_never_changes_an_existing_file(bare: Desk) -> None:
    bare.accounts.write_text("mine")
    done = bare("init")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == f"drawdown: {bare.accounts} already exists and is left unchanged; edit it, then try `drawdown doctor`\n"
    )
    assert bare.accounts.read_text() == "mine"


def test_init_names_a_path_that_it_cannot_write(bare: Desk) -> None:
    path = bare.folder / "none" / "accounts.toml"
    done = bare("init", DRAWDOWN_ACCOUNTS=str(path))
    assert (done.returncode, done.stderr) == (
        2,
        f"drawdown: {path} cannot be written: No such file or directory; make its folder, or name another place\n",
    )


def test_init_for_dagster_writes_its_settings_once(bare: Desk) -> None:
    path = bare.home / "dagster" / "dagster.yaml"
    first = bare("init", "--dagster")
    assert (first.returncode, first.stdout, first.stderr) == (0, f"wrote {path}\n", "")
    assert "\ntelemetry:\n  enabled: false\n" in path.read_text()
    assert "\nrun_monitoring:\n  enabled: true\n" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.write_text("mine")
    again, elsewhere = bare.run_all(["init", "--dagster"]) + bare.run_all(
        ["init", "--dagster"], DAGSTER_HOME=str(bare.folder / "own")
    )
    assert (again.returncode, again.stdout) == (0, f"{path} already exists and is left unchanged\n")
    assert path.read_text() == "mine"
    assert elsewhere.stdout == f"wrote {bare.folder}/own/dagster.yaml\n"
    assert not bare.accounts.exists()


# -- doctor -------------------------------------------------------------------------------------------------------


def findings(desk: Desk, **environment: str) -> tuple[int, list[tuple[str, str, str]]]:
    done = desk("doctor", "--json", **environment)
    assert done.stderr == ""
    found = [(each["state"], each["about"], each["finding"]) for each in json.loads(done.stdout)]
    # Other processes on this machine do not belong to the desk, and the age of its exchange rates and of its build is
    # that of the test.
    aged = ("exchange rates", "refreshes")
    return done.returncode, [each for each in found if "(process " not in each[1] and each[1] not in aged]


def test_a_doctor_without_findings_prints_ok_for_each_account(desk: Desk, world: Sandbox) -> None:
    before = len(world.requests())
    code, found = findings(desk)
    assert code == 0
    assert {state for state, _, _ in found} == {"ok"}
    assert [about for _, about, _ in found] == [str(desk.accounts), str(desk.home), *world.world.accounts]
    assert found[0][2] == "5 accounts"
    assert all(finding.startswith(("VPSBG answers in ", "Voxpria answers in ")) for _, _, finding in found[2:])
    asked = [(each.account, each.path) for each in world.requests()[before:]]
    assert sorted(asked) == sorted(
        (name, "/balance" if name.startswith("vpsbg") else "/api/v1/credits") for name in world.world.accounts
    )


def test_findings_of_the_doctor_are_aligned_lines(desk: Desk) -> None:
    done = desk("doctor")
    lines = [
        line for line in done.stdout.splitlines() if not re.search(r"\(process |  exchange rates  |  refreshes ", line)
    ]
    assert len(lines) == 7
    assert all(line.startswith("ok    ") for line in lines)
    assert len({line.index("answers") - len(line.split()[2]) for line in lines[2:]}) == 1


def test_a_wrong_key_fails_naming_account_and_variable(desk: Desk) -> None:
    done = desk("doctor", SANDBOX_VPSBG_AGENCY_KEY=CANARY)
    assert (done.returncode, done.stderr) == (1, "")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("fail ")]
    assert line.startswith("fail  vpsbg-agency ")
    assert "was answered 401" in line
    assert "check the value of SANDBOX_VPSBG_AGENCY_KEY" in line
    assert CANARY not in done.stdout


def test_an_unset_variable_fails_and_the_others_are_still_requested(empty_desk: Desk) -> None:
    empty_desk.keys = {name: key for name, key in empty_desk.keys.items() if name != "SANDBOX_VPSBG_MAIN_KEY"}
    code, found = findings(empty_desk)
    assert code == 1
    assert ("ok", str(empty_desk.home), "does not exist yet; the first run creates it") in found
    (failed,) = [each for each in found if each[0] == "fail"]
    assert failed[1:] == (
        "vpsbg-main",
        f"{empty_desk.accounts}: account vpsbg-main: api_key_env: the environment variable SANDBOX_VPSBG_MAIN_KEY "
        "is not set; export it first",
    )
    assert sum(" answers in " in finding for _, _, finding in found) == 4
    assert not empty_desk.home.exists()


def test_a_folder_of_the_demo_is_warned_of(empty_desk: Desk) -> None:
    empty_desk.home.mkdir(mode=0o700)
    (empty_desk.home / "sandbox-accounts.toml").touch()
    _, found = findings(empty_desk)
    assert ("warn", str(empty_desk.home)) in [each[:2] for each in found]


def test_a_file_of_readings_is_looked_at_too(empty_desk: Desk) -> None:
    readings = empty_desk.folder / "kept.csv"
    readings.write_text("observed_at_utc,balance_amount,unit_code\n2026-03-01,12.50,EUR\n")
    toml = empty_desk.accounts_toml.split("\n[accounts.vpsbg-agency]")[0]
    by_hand = '[accounts.by-hand]\nvendor = "manual"\n'
    empty_desk.accounts.write_text(f'{toml}path = "kept.csv"\n{by_hand}path = "kept.csv"\n')
    code, found = findings(empty_desk)
    assert code == 0
    assert [each for each in found if each[1] == "by-hand"] == [("ok", "by-hand", f"{readings} can be read")]
    assert len([each for each in found if each[1] == "vpsbg-main"]) == 2
    readings.unlink()
    code, found = findings(empty_desk)
    assert code == 1
    failed = [each for each in found if each[0] == "fail"]
    assert {about for _, about, _ in failed} == {"vpsbg-main", "by-hand"}
    assert all(str(readings) in finding for _, _, finding in failed)


def test_a_row_that_cannot_be_read_is_named_by_its_line(empty_desk: Desk) -> None:
    readings = empty_desk.folder / "kept.csv"
    header = "observed_at_utc,balance_amount,unit_code"
    readings.write_text(f'{header}\n2026-02-01,1.5x,EUR\n2026-03-01,12.50,EUR\n\n2026-03-02,"12,50",EUR\n')
    empty_desk.accounts.write_text('[accounts.by-hand]\nvendor = "manual"\npath = "kept.csv"\n')
    code, found = findings(empty_desk)
    assert code == 1
    assert [(level, words.split(" cannot")[0]) for level, about, words in found if about == "by-hand"] == [
        ("fail", f"{readings}, line 5: balance_amount '12,50'"),
        ("warn", f"{readings}, line 2: balance_amount '1.5x'"),
    ]
    readings.write_text(f"{header}\n2026-03-01,12.50,EUR\n2091-03-01,12.50,EUR\n")
    code, found = findings(empty_desk)
    assert code == 1
    assert [words for level, about, words in found if about == "by-hand"] == [
        f"{readings}, line 3: 2091-03-01T00:00:00Z is in the future, and is read then; correct the time if it is wrong"
    ]


def test_settings_that_cannot_be_read_are_one_line(bare: Desk) -> None:
    done = bare("doctor")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"drawdown: {bare.accounts}: no such file; `drawdown init` writes one to start from\n"


def test_an_interrupt_is_one_line(empty_desk: Desk, world: Sandbox) -> None:
    world.put_fault("hang")
    before = len(world.requests())
    process = empty_desk.start("doctor")
    deadline = time.monotonic() + 30
    while len(world.requests()) == before and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    said = "drawdown: interrupted; what was landed is kept, and the next run continues from there\n"
    assert (process.returncode, out, err) == (130, "", said)


# -- help ---------------------------------------------------------------------------------------------------------

COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_every_command_explains_itself(bare: Desk) -> None:
    wanted = [["--help"], *([name, "--help"] for name in COMMANDS)]
    done = [bare(*wanted[0]), *(bare.here(*command) for command in wanted[1:])]
    for command, each in zip(wanted, done, strict=True):
        assert (each.returncode, each.stderr) == (0, ""), command
        assert each.stdout.startswith("Usage: drawdown"), command
        assert max(map(len, each.stdout.splitlines())) <= 80, command
    for name in COMMANDS:
        assert f"\n  {name} " in done[0].stdout
    assert {"run", "status", "sql", "init", "doctor", "demo", "sandbox", "rebuild", "backfill", "compact"} <= set(
        COMMANDS
    )
    assert os.listdir(bare.folder) == []


def test_the_version_is_the_installed_one(bare: Desk) -> None:
    plain, nothing, wrong = bare.run_all(["--version"], [], ["statsu"])
    assert (plain.returncode, plain.stdout) == (0, f"drawdown {version('drawdown')}\n")
    assert nothing.stdout.startswith("Usage: drawdown") or nothing.stderr.startswith("Usage: drawdown")
    assert wrong.returncode == 2
    assert "statsu" in wrong.stderr

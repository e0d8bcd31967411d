"""docs/deploy/README.md: every command is run in order, and the result is a server that works."""

from __future__ import annotations

import re
import shutil
import socket
import stat
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import blocks
from tests.docs.shell import all_well
from tests.e2e.deployed import AWKWARD, COMMANDS, PAGE, Server, cron_commands, follow, is_root

pytestmark = pytest.mark.long

_SYSTEMD_READER = Path("/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator")
"""Reads files with systemd's parser of EnvironmentFile=; unlike that, it also expands `$NAME`."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    if not is_root():
        pytest.skip("only root can set the owners of files")
    # Other users must be able to reach it, unlike pytest's folders.
    root = Path(tempfile.mkdtemp(prefix="drawdown-deployed-"))
    root.chmod(0o755)
    try:
        yield follow(root)
    finally:
        shutil.rmtree(root)


@pytest.fixture
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not installed")
    return found


def _units(server: Server) -> list[Path]:
    return sorted(server.at("/etc/systemd/system").glob("*.service"))


def test_every_command_of_the_page_succeeds(server: Server) -> None:
    assert len(server.ran) == len(COMMANDS) == PAGE.read_text(encoding="utf-8").count("\n$ ")
    assert {block.language for block in blocks(PAGE)} == {"console"}
    all_well(server.ran)


def test_the_first_run_and_the_restored_landing_give_the_balance(server: Server) -> None:
    (status,) = [ran for ran in server.ran if ran.command.endswith("drawdown status")]
    assert any(line.startswith("registrar") and "1,000.00" in line for line in status.out)
    # Everything but the file of readings was deleted between the backup and the restoration.
    done = server.as_user(str(server.at("/usr/local/bin/drawdown")), "status")
    assert (done.returncode, "1,000.00" in done.stdout) == (0, True), done.stderr


def test_the_upgrade_installs_the_new_version(server: Server) -> None:
    assert server.ran[-1].out == ["drawdown 0.1.1"]


def test_packages_user_and_units_are_as_the_page_says(server: Server) -> None:
    recorded = server.recorded()
    assert recorded[0] == "apt-get update"
    assert re.match(r"useradd --system .* drawdown$", recorded[2])
    enabled = {word for line in recorded if " enable " in line for word in line.split()[3:]}
    assert enabled == {unit.name for unit in _units(server)}
    # New units are read before they are started.
    assert [line.split()[1] for line in recorded[-3:]] == ["stop", "daemon-reload", "start"]
    assert set(recorded[-1].split()[2:]) == enabled


@pytest.mark.parametrize(
    ("path", "mode", "is_the_services"),
    [
        ("/etc/drawdown", 0o750, False),
        ("/etc/drawdown/drawdown.env", 0o640, False),
        ("/etc/drawdown/accounts.toml", 0o640, False),
        ("/opt/drawdown/.venv/bin/python", 0o755, False),
        ("/usr/local/bin/drawdown", 0o755, False),
        ("/var/lib/drawdown", 0o700, True),
        ("/var/backups/drawdown", 0o700, True),
    ],
)
def test_only_the_service_reads_keys_and_state(server: Server, path: str, mode: int, is_the_services: bool) -> None:
    at = server.at(path)
    assert stat.S_IMODE(at.stat().st_mode) == mode
    assert at.owner() == (server.user if is_the_services else "root")
    if mode in (0o640, 0o750):
        assert at.group() == server.group


def test_backups_are_private_and_whole(server: Server) -> None:
    copies = list(server.at("/var/backups/drawdown").iterdir())
    assert copies
    for copy in copies:
        assert (stat.S_IMODE(copy.stat().st_mode), copy.owner()) == (0o600, server.user)
        names = subprocess.run(["tar", "-tzf", copy], capture_output=True, text=True, check=True).stdout.splitlines()
        assert "accounts.toml" in names
        assert any(re.match(r"landing/.*\.parquet$", name) for name in names)
        assert not any("drawdown.env" in name for name in names)


def test_another_user_cannot_read_the_keys(server: Server) -> None:
    read = ["runuser", "-u", "games", "--", "cat", str(server.at("/etc/drawdown/drawdown.env"))]
    assert subprocess.run(read, capture_output=True, check=False, cwd="/").returncode == 1


def _as_shell_reads(server: Server) -> dict[str, str]:
    file = server.at("/etc/drawdown/drawdown.env")
    done = server.as_user("sh", "-euc", f"set -a; . {file}; env -0")
    assert done.returncode == 0, done.stderr
    read = dict(entry.split("=", 1) for entry in done.stdout.split("\0") if entry)
    return {name: value for name, value in read.items() if name not in ("PATH", "PWD")}


def _quoted_as_documented(file: Path) -> dict[str, str]:
    """Variables by the rules of systemd.exec(5) for single quotes: everything up to the next one, unchanged."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line and line[0] not in "#;"]
    matches = [re.fullmatch(r"([A-Z_]+)='([^'\\]*)'", line) for line in lines]
    assert all(matches), lines
    return {match[1]: match[2] for match in matches if match}


def test_the_shell_reads_the_variables_as_systemds_rules_say(server: Server) -> None:
    shell = _as_shell_reads(server)
    assert shell == _quoted_as_documented(server.at("/etc/drawdown/drawdown.env"))
    assert shell["VPSBG_API_KEY"] == AWKWARD


def test_systemds_own_parser_reads_the_same_variables(server: Server, tmp_path: Path) -> None:
    if not _SYSTEMD_READER.exists():
        pytest.skip("systemd is not installed")
    folder = tmp_path / "environment.d"
    folder.mkdir()
    shutil.copy(server.at("/etc/drawdown/drawdown.env"), folder / "90.conf")
    done = subprocess.run(
        [_SYSTEMD_READER], env={"XDG_CONFIG_HOME": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    # It prints assignments for a shell.
    names = _as_shell_reads(server)
    shown = subprocess.run(
        ["env", "-i", "sh", "-euc", 'set -a; eval "$1"; env -0', "sh", done.stdout],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    read = dict(entry.split("=", 1) for entry in shown.split("\0") if entry)
    assert {name: read.get(name) for name in names} == names


def test_the_units_are_valid(server: Server, analyze: str) -> None:
    assert len(_units(server)) == 3
    done = subprocess.run(
        [analyze, "verify", "--man=no", *_units(server)], capture_output=True, text=True, check=False, timeout=60
    )
    ours = [line for line in done.stderr.splitlines() if "drawdown" in line and "Special user nobody" not in line]
    assert (done.returncode, ours) == (0, [])


def test_the_units_are_restricted(server: Server, analyze: str) -> None:
    for unit in _units(server):
        judge = [analyze, "security", "--offline=true", "--threshold=25", "--no-pager", str(unit)]
        done = subprocess.run(judge, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_cron_runs_its_commands_as_the_service(server: Server) -> None:
    backup, run, compact = cron_commands(server)
    last_run = server.at("/var/lib/drawdown/last_run")
    copies = server.at("/var/backups/drawdown")
    last_run.unlink(missing_ok=True)
    before = len(list(copies.iterdir()))
    for command in (backup, run, compact):
        done = server.as_user("/bin/bash", "-c", command)
        assert (done.returncode, done.stderr) == (0, ""), command
        # Printed output would be mailed. The installed package's exchange rates may be old.
        assert [line for line in done.stdout.splitlines() if ": exchange rates: " not in line] == [], command
    assert last_run.exists()
    assert len(list(copies.iterdir())) == before + 1


def test_the_server_starts_as_its_unit_says(server: Server) -> None:
    unit = server.at("/etc/systemd/system/drawdown-serve.service").read_text(encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)[0].replace("8710", str(port)).split()
    variables = re.findall(r"^Environment=(.*)$", unit, re.MULTILINE)
    process = subprocess.Popen(["runuser", "-u", server.user, "--", "env", "-i", *variables, *command], cwd="/")
    try:
        assert _get(f"http://127.0.0.1:{port}/healthz", process)
        assert b"drawdown_build_info" in _get(f"http://127.0.0.1:{port}/metrics", process)
    finally:
        process.terminate()
        process.wait(timeout=20)


def _get(url: str, process: subprocess.Popen[bytes]) -> bytes:
    for _ in range(200):
        assert process.poll() is None
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
                return bytes(answer.read())
        except urllib.error.URLError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")

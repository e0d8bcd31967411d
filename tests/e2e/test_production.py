"""The production recipe in docs/deploy, followed."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.canary import found_in, postgres_contents
from tests.e2e.conftest import NOW

pytestmark = pytest.mark.long

CLONE = Path(__file__).parents[2]
DEPLOY = CLONE / "docs" / "deploy"
BIN = Path(sys.executable).parent


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """A separate database on the local PostgreSQL."""
    if not _answers("127.0.0.1", 5432):
        pytest.skip("no PostgreSQL answers on 127.0.0.1:5432")
    import psycopg2

    name = f"drawdown_{uuid.uuid4().hex[:12]}"
    user = os.environ.get("PGUSER", "postgres")
    try:
        administration = psycopg2.connect(host="127.0.0.1", user=user, dbname="postgres")
    except psycopg2.OperationalError as problem:
        pytest.skip(f"PostgreSQL on 127.0.0.1:5432 does not let {user} in: {problem}")
    administration.autocommit = True
    with administration.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    yield f"postgresql+psycopg2://{user}@127.0.0.1:5432/{name}"
    with administration.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
    administration.close()


def test_a_run_is_recorded_in_postgresql_when_dagster_keeps_its_records_there(bench: Bench, postgres_url: str) -> None:
    import psycopg2

    dagster_home = bench.folder / "dagster"
    dagster_home.mkdir()
    shutil.copy(DEPLOY / "dagster-postgres.yaml", dagster_home / "dagster.yaml")
    environment = {"DAGSTER_HOME": str(dagster_home), "DAGSTER_POSTGRES_URL": postgres_url}
    subprocess.run(
        [str(BIN / "dagster"), "instance", "migrate"],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
    )

    done = bench.command("run", "--as-of", NOW.isoformat(), **environment)

    assert done.returncode == 0, done.stderr
    with psycopg2.connect(postgres_url.replace("+psycopg2", "")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT status FROM runs")
        assert cursor.fetchall() == [("SUCCESS",)]
        kept = list(postgres_contents(connection))
    assert {"PostgreSQL: public.event_logs", "PostgreSQL: public.runs"} <= {place for place, _ in kept}
    assert found_in(kept, bench.keys.values()) == []
    assert "PostgreSQL: public.event_logs" in found_in(kept, ["vpsbg-agency"])


@pytest.mark.parametrize("unit", sorted(DEPLOY.glob("*.service")), ids=lambda path: path.name)
def test_each_unit_starts_commands_that_the_environment_has(unit: Path) -> None:
    text = unit.read_text(encoding="utf-8")
    commands = re.findall(r"^Exec\w+=/opt/drawdown/\.venv/bin/(\S+)(.*)$", text, flags=re.MULTILINE)

    assert commands
    for command, arguments in commands:
        assert (BIN / command).exists(), command
        # The words before the first option are subcommands; each must accept --help.
        words = [word for word in arguments.split() if not word.startswith(("-", "/"))][:2]
        module = re.match(r" -m (\S+)", arguments)
        words = ["-m", module[1]] if module else words
        done = subprocess.run([str(BIN / command), *words, "--help"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        for option in re.findall(r"(?<=\s)(--?[a-z-]+)", arguments.removeprefix(module[0] if module else "")):
            assert option in done.stdout, f"{command} {option}"


@pytest.mark.parametrize("unit", sorted(DEPLOY.glob("*.service")), ids=lambda path: path.name)
def test_each_unit_is_one_that_systemd_understands(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on this machine")
    for other in DEPLOY.glob("*.service"):
        text = other.read_text(encoding="utf-8").replace("/opt/drawdown/.venv/bin", str(BIN))
        (tmp_path / other.name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / unit.name)], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if unit.name in line]
    assert not complaints


def test_the_cron_line_prints_nothing_while_all_is_well_and_the_table_when_it_is_not(
    bench: Bench,
) -> None:
    (line,) = re.findall(r"^5 \* \* \* \* drawdown (.*)$", (DEPLOY / "crontab.example").read_text(), flags=re.MULTILINE)
    settings = bench.folder / "drawdown.env"
    settings.write_text("".join(f"{name}='{value}'\n" for name, value in bench.environment.items()), encoding="utf-8")
    command = bench.folder / "drawdown.sh"
    command.write_text(
        (DEPLOY / "drawdown.sh")
        .read_text(encoding="utf-8")
        .replace("/etc/drawdown/drawdown.env", str(settings))
        .replace("cd /var/lib/drawdown", f"cd {CLONE}")
        .replace("/opt/drawdown/.venv/bin/drawdown", f"{sys.executable} -m pipeline.cli"),
        encoding="utf-8",
    )
    command.chmod(0o755)
    script = line.replace("/usr/local/bin/drawdown run", f"{command} run --as-of {NOW.isoformat()}").replace(
        "/usr/local/bin/drawdown status", f"{command} status --as-of {NOW.isoformat()}"
    )

    def cron() -> str:
        return subprocess.run(["/bin/bash", "-c", script], capture_output=True, text=True, check=False).stdout

    assert "voxpria-campaign" in cron()

    text = bench.accounts_toml
    start = text.index("[accounts.voxpria-campaign]")
    end = text.find("[accounts.", start + 1)
    bench.accounts.write_text(text[:start] + (text[end:] if end > 0 else ""), encoding="utf-8")
    assert cron() == ""

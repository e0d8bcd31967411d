""".ci/run, with a test Makefile instead of the project's."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import CLONE

RUN = CLONE / ".ci" / "run"
PASSED = "@echo '12 passed, 1 skipped in 3.21s'"
FAILED = "@echo '2 failed, 10 passed in 3.21s'; exit 1"
NOTHING = "@echo 'no tests ran in 0.01s'; exit 5"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".ci").mkdir()
    shutil.copy(RUN, tmp_path / ".ci" / "run")
    return tmp_path


def _run(
    project: Path, *, check: str = "@echo checked", duckdb2: str = PASSED, test: str = PASSED, **environment: str
) -> tuple[int, list[str]]:
    (project / "Makefile").write_text(
        f".PHONY: check test test-duckdb2\ncheck:\n\t{check}\ntest-duckdb2:\n\t{duckdb2}\ntest:\n\t{test}\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        ["bash", str(project / ".ci" / "run")],
        cwd="/",
        env={"PATH": os.environ["PATH"], "PYTHON": sys.executable, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout.splitlines()


def test_its_last_line_is_pytests_own_and_it_needs_no_home(project: Path) -> None:
    code, lines = _run(project)

    assert (code, lines[-1]) == (0, "12 passed, 1 skipped in 3.21s")
    steps = [line for line in lines if line.startswith("== ")]
    assert [step.partition(" TESTS=")[0] for step in steps] == [
        "== make --no-print-directory check",
        "== make --no-print-directory test-duckdb2",
        "== make test",
    ]
    assert all((CLONE / path).exists() for path in steps[1].partition(" TESTS=")[2].split())


@pytest.mark.parametrize(
    ("broken", "last"),
    [
        ({"check": "exit 1"}, "12 passed, 1 skipped in 3.21s"),
        ({"duckdb2": FAILED}, "12 passed, 1 skipped in 3.21s"),
        ({"test": FAILED}, "2 failed, 10 passed in 3.21s"),
        ({"test": NOTHING}, "no tests ran in 0.01s"),
        ({"duckdb2": NOTHING}, "12 passed, 1 skipped in 3.21s"),
    ],
    ids=str,
)
def test_any_failure_fails_ci_and_the_tests_still_run(project: Path, broken: dict[str, str], last: str) -> None:
    code, lines = _run(project, **broken)

    assert (code, lines[-1]) == (1, last)


def test_duckdb_2_is_left_out_on_request(project: Path) -> None:
    code, lines = _run(project, duckdb2="exit 1", DRAWDOWN_SKIP_DUCKDB2="1")

    assert (code, lines[-1]) == (0, "12 passed, 1 skipped in 3.21s")


def test_only_a_missing_tool_is_installed(project: Path) -> None:
    # Every tool but make; the fake installer provides this machine's make.
    tools = project / "tools"
    tools.mkdir()
    for name in ("bash", "env", "dirname", "mktemp", "rm", "tee", "grep", "tail", "id", "ln", "echo"):
        (tools / name).symlink_to(str(shutil.which(name)))
    (tools / "chromium").symlink_to(str(shutil.which("true")))
    make = shutil.which("make")
    for name, script in {
        "apt-get": f'echo "apt-get $@" >> {project}/asked\n[ "$1" = update ] || ln -s {make} {tools}/make',
        "sudo": 'shift; exec "$@"',
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tools / name).chmod(0o755)

    code, lines = _run(project, PATH=str(tools))

    assert (code, lines[-1]) == (0, "12 passed, 1 skipped in 3.21s")
    asked = (project / "asked").read_text(encoding="utf-8").splitlines()
    assert asked == ["apt-get update -qq", "apt-get install -qq -y --no-install-recommends make"]


def test_it_is_executable_and_strict() -> None:
    text = RUN.read_text(encoding="utf-8")

    assert RUN.stat().st_mode & stat.S_IXUSR
    assert "set -euo pipefail" in text
    assert "exec </dev/null" in text

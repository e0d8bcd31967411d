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
PASSED = "@echo '12 passed, 1 skipped, 3 deselected in 3.21s'"
FAILED = "@echo '2 failed, 10 passed, 1 error in 3.21s (0:00:03)'; exit 1"
NOTHING = "@echo 'no tests ran in 0.01s'; exit 5"
TWICE_PASSED = "24 passed, 2 skipped in 6.42s"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".ci").mkdir()
    shutil.copy(RUN, tmp_path / ".ci" / "run")
    return tmp_path


def _run(
    project: Path,
    *,
    check: str = "@echo checked",
    duckdb2: str = PASSED,
    clients: str = PASSED,
    spark: str = PASSED,
    test: str = PASSED,
    rest: str = PASSED,
    **environment: str,
) -> tuple[int, list[str]]:
    targets = {
        "check": check,
        "test-duckdb2": duckdb2,
        "test-clients": clients,
        "test-spark": spark,
        "test": test,
        "test-rest": rest,
    }
    rules = "".join(f"{target}:\n\t{command}\n" for target, command in targets.items())
    (project / "Makefile").write_text(f".PHONY: {' '.join(targets)}\n{rules}", encoding="utf-8")
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


def test_its_last_line_is_that_of_one_pytest_over_all_tests_and_it_needs_no_home(project: Path) -> None:
    code, lines = _run(project)

    assert (code, lines[-1]) == (0, TWICE_PASSED)
    steps = [line for line in lines if line.startswith("== ")]
    assert [step.partition(" TESTS=")[0] for step in steps] == [
        "== make --no-print-directory check",
        "== make --no-print-directory test-duckdb2",
        "== make --no-print-directory test-clients",
        "== make --no-print-directory test-spark",
        "== make test",
        "== make test-rest",
    ]
    assert all((CLONE / path).exists() for path in steps[1].partition(" TESTS=")[2].split())


@pytest.mark.parametrize(
    ("broken", "last"),
    [
        ({"check": "exit 1"}, TWICE_PASSED),
        ({"duckdb2": FAILED}, TWICE_PASSED),
        ({"clients": FAILED}, TWICE_PASSED),
        ({"spark": FAILED}, TWICE_PASSED),
        ({"test": FAILED}, "2 failed, 22 passed, 1 skipped, 1 error in 6.42s"),
        ({"rest": FAILED}, "2 failed, 22 passed, 1 skipped, 1 error in 6.42s"),
        ({"test": FAILED, "rest": FAILED}, "4 failed, 20 passed, 2 errors in 6.42s"),
        ({"test": NOTHING}, "12 passed, 1 skipped in 3.22s"),
        ({"rest": NOTHING}, "12 passed, 1 skipped in 3.22s"),
        ({"test": NOTHING, "rest": NOTHING}, "no tests ran in 0.02s"),
        ({"duckdb2": NOTHING}, TWICE_PASSED),
    ],
    ids=str,
)
def test_any_failure_fails_ci_and_the_tests_still_run(project: Path, broken: dict[str, str], last: str) -> None:
    code, lines = _run(project, **broken)

    assert (code, lines[-1]) == (1, last)


def test_duckdb_2_is_left_out_on_request(project: Path) -> None:
    code, lines = _run(project, duckdb2="exit 1", DRAWDOWN_SKIP_DUCKDB2="1")

    assert (code, lines[-1]) == (0, TWICE_PASSED)


def test_only_a_missing_tool_is_installed(project: Path) -> None:
    # Every tool but make; the fake installer provides this machine's make.
    tools = project / "tools"
    tools.mkdir()
    for name in ("bash", "env", "dirname", "mktemp", "rm", "tee", "awk", "id", "ln", "echo"):
        (tools / name).symlink_to(str(shutil.which(name)))
    for name in ("chromium", "git", "java", "systemd-analyze"):
        (tools / name).symlink_to(str(shutil.which("true")))
    make = shutil.which("make")
    for name, script in {
        "apt-get": f'echo "apt-get $@" >> {project}/asked\n[ "$1" = update ] || ln -s {make} {tools}/make',
        "sudo": 'shift; exec "$@"',
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tools / name).chmod(0o755)

    code, lines = _run(project, PATH=str(tools))

    assert (code, lines[-1]) == (0, TWICE_PASSED)
    asked = (project / "asked").read_text(encoding="utf-8").splitlines()
    assert asked == ["apt-get update -qq", "apt-get install -qq -y --no-install-recommends make"]


def test_the_tests_of_both_targets_are_all_and_none_is_in_both() -> None:
    rules = {
        target: subprocess.run(
            ["make", "--dry-run", "--old-file=.venv/.installed", target],
            cwd=CLONE,
            env={name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "TESTS"))},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for target in ("test", "test-rest", "test-all")
    }
    (quick,), (rest,) = rules["test"], rules["test-rest"]

    assert quick.count(' -m "not long"') == 1
    assert quick.replace(' -m "not long"', " -m long") == rest
    assert rules["test-all"] == [quick, rest]


def test_it_is_executable_and_strict() -> None:
    text = RUN.read_text(encoding="utf-8")

    assert RUN.stat().st_mode & stat.S_IXUSR
    assert "set -euo pipefail" in text
    assert "exec </dev/null" in text

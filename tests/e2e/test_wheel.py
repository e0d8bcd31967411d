"""The wheel contains everything that the command needs, SQL models included."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

pytestmark = pytest.mark.long

CLONE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of a wheel that pip installed into a new environment, which has the dependencies of this one."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(CLONE)],
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("drawdown-*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    (packages,) = (folder / "venv" / "lib").glob("python3*/site-packages")
    # Only folders: the file by which this environment finds the clone has no effect there.
    (packages / "borrowed.pth").write_text(f"{Path(duckdb.__file__).parents[1]}\n", encoding="utf-8")
    python = folder / "venv" / "bin" / "python"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(python),
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            str(wheel),
        ],
        check=True,
        capture_output=True,
    )
    return python.with_name("drawdown")


def _run(command: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DRAWDOWN_ACCOUNTS")}
    return subprocess.run(
        [str(command), *arguments],
        cwd=folder,
        env={**environment, "DRAWDOWN_HOME": str(folder / "state")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_installed_wheel_is_what_runs(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(installed.with_name("python")), "-c", "import pipeline; print(pipeline.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(installed.parents[1]))


def test_doctor_and_the_dictionary_work_without_a_clone(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "readings.csv").write_text(
        "observed_at_utc,balance_amount,unit_code\n2026-03-01,12.50,EUR\n", encoding="utf-8"
    )
    (tmp_path / "accounts.toml").write_text(
        'fx.source = "package"\n[accounts.hand]\nvendor = "manual"\npath = "readings.csv"\n', encoding="utf-8"
    )
    doctor = _run(installed, tmp_path, "doctor")
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    assert "hand" in doctor.stdout
    dictionary = _run(installed, tmp_path, "dictionary", "marts.month_outlook")
    assert dictionary.returncode == 0, dictionary.stderr
    assert "over_budget_probability" in dictionary.stdout


def test_the_built_wheel_plays_the_demo_outside_the_clone(installed: Path, tmp_path: Path) -> None:
    done = _run(installed, tmp_path, "demo", "--days", "2")
    assert done.returncode == 0, done.stderr
    assert "voxpria-campaign" in done.stdout
    assert (tmp_path / "state" / "published" / "current.duckdb").exists()
    # Queries and templates of the report are packed, too, and the demo prints its path.
    report = tmp_path / "state" / "published" / "report" / "index.html"
    assert 'id="account-voxpria-campaign"' in report.read_text(encoding="utf-8")
    assert "report/index.html" in done.stdout.replace("\n", "")
    # Its account that runs dry is reported, with advice in a sentence.
    with duckdb.connect((tmp_path / "state" / "published" / "current.duckdb").resolve(), read_only=True) as build:
        [(probability, severity, advice)] = build.execute(
            "SELECT depleted_7d_probability, severity, topup_advice FROM marts.account_status "
            "WHERE account_id = 'voxpria-campaign'"
        ).fetchall()
    assert probability > 0.9
    assert severity == "critical"
    assert re.match(r"Order [\d,]+ voxpria-credit \([\d,.]+ [A-Z]{3}\) now: the last day to order in time was ", advice)
    assert advice.split(": ", 1)[1].split("; ")[0] in done.stdout.replace("\n  ", " ")

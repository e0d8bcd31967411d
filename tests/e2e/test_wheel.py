"""The wheel contains everything that the command needs, SQL models included."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import duckdb
import pytest

pytestmark = pytest.mark.long

CLONE = Path(__file__).parents[2]


def test_the_built_wheel_plays_the_demo_outside_the_clone(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(CLONE)],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("drawdown-*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")

    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import pipeline; print(pipeline.__file__); from pipeline.cli import main; main()",
            "demo",
            "--days",
            "2",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed"), "DRAWDOWN_HOME": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith(str(tmp_path / "installed"))
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

"""A backup made during a run: its files are complete, never change, and give a complete build."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from pipeline.landing.store import iterate, read
from pipeline.orchestration.refresh import rebuild
from pipeline.support.home import Home
from tests.bench import Bench
from tests.docs.pages import DOCS, blocks_under
from tests.docs.shell import type_in
from tests.e2e.conftest import NOW

pytestmark = pytest.mark.long


def test_copies_of_landing_made_during_a_run_are_consistent(bench: Bench, tmp_path: Path) -> None:
    backup, _ = blocks_under(DOCS / "operations.md", "Backup, restore, upgrade", "console")
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", "run", "--as-of", NOW.isoformat()],
        env={**os.environ, **bench.environment},
        cwd=bench.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    copies: list[Path] = []
    while process.poll() is None:
        if bench.home.landing.exists() and len(copies) < 40:
            (ran,) = type_in(backup.commands(), bench.folder, {"DRAWDOWN_HOME": str(bench.home.path)})
            # The documented message about a folder that received another file meanwhile.
            said = {line.rsplit(": ", 1)[-1] for line in ran.err.splitlines()}
            assert (ran.code, said) in ((0, set()), (1, {"file changed as we read it"})), ran
            copies.append((bench.folder / "drawdown.tgz").rename(tmp_path / f"{len(copies)}.tgz"))
        time.sleep(0.05)
    assert process.returncode == 0
    final = {path.relative_to(bench.home.landing): path.read_bytes() for path in iterate(bench.home.landing)}

    sizes = []
    for copy in copies:
        home = Home(copy.with_suffix(""))
        with tarfile.open(copy) as packed:
            packed.extractall(home.path)  # noqa: S202 - made a moment ago
        found = {
            path.relative_to(home.landing): path.read_bytes() for path in home.landing.rglob("*") if path.is_file()
        }
        assert found.items() <= final.items()
        assert all(read(path).num_rows for path in iterate(home.landing))
        assert (home.path / "accounts.toml").read_text() == bench.accounts_toml
        sizes.append(len(found))
    print(f"\nsoak: backup: {len(copies)} copies of {sizes[0]} to {sizes[-1]} files, of {len(final)}")
    assert sizes == sorted(sizes)
    assert sizes[-1] > 0
    last = Home(copies[-1].with_suffix(""))
    assert rebuild(last).run_id
    assert last.current.exists()

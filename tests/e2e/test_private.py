"""What a run writes is its owner's alone from the first byte on, whatever the process that runs it lets others do."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.e2e.conftest import NOW


@pytest.fixture(params=[0o022, 0o000], ids=["umask 022", "umask 000"])
def lenient(request: pytest.FixtureRequest) -> Iterator[None]:
    """A process that makes files for all, as Dagster's are by default."""
    before = os.umask(request.param)
    yield
    os.umask(before)


def loose(folder: Path) -> dict[str, str]:
    """The files and folders that others may read or write, with their modes."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            continue  # a temporary file that was renamed meanwhile
        if not stat.S_ISLNK(mode) and mode & 0o077:
            found[str(path.relative_to(folder))] = oct(stat.S_IMODE(mode))
    return found


def test_no_file_of_a_run_is_for_others_at_any_step(bench: Bench, lenient: None) -> None:
    seen: dict[str, str] = {}
    steps: list[str] = []

    def look(step: str) -> None:
        steps.append(step)
        seen.update(loose(bench.home.path))

    bench.run(NOW, on_step=look)

    assert len(steps) > 20
    assert seen == {}
    assert loose(bench.home.path) == {}
    modes = {stat.S_IMODE(path.stat().st_mode) for path in bench.home.path.rglob("*") if not path.is_symlink()}
    assert modes == {0o600, 0o700}
    # The same look finds what is for others.
    (bench.home.path / "note").write_text("for all")
    assert set(loose(bench.home.path)) == {"note"}

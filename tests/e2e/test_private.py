"""Files that a run writes are private to their owner from the first byte, whatever the process's umask."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.e2e.conftest import NOW

pytestmark = pytest.mark.long


@pytest.fixture(params=[0o022, 0o000], ids=["umask 022", "umask 000"])
def lenient(request: pytest.FixtureRequest) -> Iterator[None]:
    """A process that creates files readable for all, as Dagster's are by default."""
    before = os.umask(request.param)
    yield
    os.umask(before)


def loose(folder: Path) -> dict[str, str]:
    """Files and folders that other users can read or write, with their modes."""
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
    # The same check finds files that are readable for others.
    (bench.home.path / "note").write_text("for all")
    assert set(loose(bench.home.path)) == {"note"}

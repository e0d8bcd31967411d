"""The fault matrix as data: its rows, and which tests carry their marks. Nothing of tests/ is imported or run."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parents[1] / "tests"

ROWS: Final[dict[int, tuple[str, str]]] = {
    row["number"]: (row["fault"], row["holds"])
    for row in tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["rows"]
}
"""By number: what goes wrong, and what must hold."""


def marked() -> Iterator[tuple[int, Path, str]]:
    """Each row's tests as (row, file, test), in the order of files and lines, read from the source.

    A mark belongs to the test that follows it, on the test itself or on a case in a table above it.
    """
    for path in sorted(TESTS.rglob("test_*.py")):
        rows: list[int] = []
        for line in path.read_text(encoding="utf-8").splitlines():
            rows += [int(number) for number in re.findall(r"\bfaults\((\d+)\)", line)]
            if test := re.match(r"def (test_\w+)", line):
                for row in dict.fromkeys(rows):
                    yield row, path, test[1]
                rows = []

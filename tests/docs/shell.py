"""Commands of the documentation, run as a reader would type them: one after the other, in one shell."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_MARK = "\x1e"


@dataclass(frozen=True, slots=True)
class Ran:
    """One command, its exit code and its output."""

    command: str
    code: int
    out: list[str]
    err: str


def type_in(
    commands: Sequence[str],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    path: Path | None = None,
    timeout: float = 300,
) -> list[Ran]:
    """Run commands in one bash, in a folder; `path` comes before this environment's own commands.

    The shell gets PATH and the given variables only.
    """
    places = [*filter(None, [path]), Path(sys.executable).parent]
    script = "".join(f"{command}\nprintf '{_MARK}%d{_MARK}' $?\nprintf '{_MARK}' >&2\n" for command in commands)
    done = subprocess.run(
        ["bash"],
        input=script,
        env={
            "PATH": os.pathsep.join([*map(str, places), os.environ["PATH"]]),
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "DAGSTER_DISABLE_TELEMETRY": "1",
            **(environment or {}),
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=timeout,
    )
    outs, errs = done.stdout.split(_MARK), done.stderr.split(_MARK)
    return [
        Ran(command, int(outs[2 * number + 1]), outs[2 * number].splitlines(), errs[number])
        for number, command in enumerate(commands)
    ]


def all_well(ran: Sequence[Ran]) -> None:
    """Fail for the first command that did not end with 0."""
    for each in ran:
        assert each.code == 0, f"$ {each.command}\n{each.err}"


def same_columns(shown: Sequence[str], printed: Sequence[str]) -> bool:
    """Whether a table on a page has the columns of a printed one, and rows if that has rows."""
    return shown[0].split() == printed[0].split() and (len(shown) > 2) == (len(printed) > 2)

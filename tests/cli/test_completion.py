"""Completion by bash itself: the script that the command prints, and its completions for a line."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.accounts import account
from tests.cli.conftest import DRAWDOWN, Desk, Publish

Offer = Callable[..., list[list[str]]]

# The state of readline at TAB: the words of the line, the current one, and the script's function.
ASK = """
eval "$(drawdown --show-completion)" || exit 1
complete -p drawdown >&2
for line in "$@"; do
    read -ra COMP_WORDS <<<"$line|"
    COMP_WORDS[-1]="${COMP_WORDS[-1]%|}"
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    COMPREPLY=()
    _drawdown_completion drawdown
    echo "${COMPREPLY[*]}"
done
"""


@pytest.fixture
def offer(tmp_path: Path) -> Offer:
    def offer(desk: Desk, *lines: str, **environment: str) -> list[list[str]]:
        path = f"{DRAWDOWN.parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "--norc", "-c", ASK, "bash", *lines],
            env=desk.environment(PATH=path, **environment), cwd=desk.folder, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "-F _drawdown_completion drawdown" in done.stderr
        return [line.split() for line in done.stdout.splitlines()]

    return offer


def test_bash_completes_commands_options_and_every_kind_of_name(desk: Desk, offer: Offer) -> None:
    lines = {
        "drawdown sta": ["status"],
        "drawdown explain vpsbg-": ["vpsbg-agency", "vpsbg-idle", "vpsbg-main"],
        "drawdown run --account voxpria-": ["voxpria-main", "voxpria-campaign"],
        "drawdown run --account vpsbg-main --account vpsbg-i": ["vpsbg-idle"],
        "drawdown status --fail-on w": ["watch", "warning"],
        "drawdown sql x --format ": ["table", "csv", "json", "parquet"],
        "drawdown dictionary core.balance_": ["core.balance_bridge", "core.balance_snapshots"],
        "drawdown explain nobody": [],
        "drawdown status --fa": ["--fail-on"],
    }
    assert offer(desk, *lines) == list(lines.values())


def test_names_come_from_the_build_where_there_are_no_settings_and_from_nowhere_without_both(
    publish: Publish, offer: Offer, tmp_path: Path
) -> None:
    desk = publish([account("only-published")])
    line = "drawdown run --account "
    assert offer(desk, line) == [["only-published"]]
    desk.accounts.write_text("not [ toml")
    assert offer(desk, line, "drawdown explain only") == [["only-published"], ["only-published"]]
    (desk.home / "published" / "current.duckdb").write_bytes(b"no database")
    desk.accounts.write_text('accounts = "none"')
    assert offer(desk, line, "drawdown explain ") == [[], []]

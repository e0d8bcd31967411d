"""`status` and `sql` start fast, because they import only what they use."""

import json
import subprocess
import sys

import pytest

from tests.cli.conftest import Desk

# Typer reads its own parameters with pydantic, so that is loaded; the models of accounts.toml are not.
HEAVY = [
    "dagster",
    "polars",
    "pandera",
    "pyarrow",
    "httpx",
    "pipeline.vendors",
    "pipeline.settings",
    "pipeline.orchestration.refresh",
    "pipeline.lake.build_pointers",
]
CODE = """
import json, sys
sys.argv[0] = "drawdown"
from pipeline.cli import main
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["status", "--json"],
        ["sql", "SELECT * FROM marts.account_status"],
        ["checksum"],
        ["sql", "SELECT * FROM marts.account_status", "--format", "csv"],
        ["sql", "SELECT * FROM marts.account_status", "--format", "json"],
        ["explain", "vpsbg-main"],
        ["explain", "vpsbg-main", "--json"],
        ["--help"],
    ],
    ids=" ".join,
)
def test_looking_imports_neither_the_orchestrator_nor_the_vendors(desk: Desk, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments],
        env=desk.environment(), capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    modules = json.loads(done.stderr.splitlines()[-1])
    assert "pipeline.cli" in modules
    assert [name for name in HEAVY if name in modules] == []

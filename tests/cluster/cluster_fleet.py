"""A state folder whose tables a cluster computes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.cli.checksum import checksums
from pipeline.support.home import Home

SETTINGS = """
engine = "spark"
fx.source = "package"

[spark]
shards = 3

[accounts.wallet]
vendor = "deepvue"
api_key_env = "K"
client_id_env = "K"
"""


@dataclass
class Fleet:
    """A state folder whose tables the cluster computes."""

    home: Home
    url: str
    environment: Mapping[str, str]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the `drawdown` command."""
        return subprocess.Popen(
            [sys.executable, "-c", "from pipeline.cli import main; main()", *arguments],
            env=dict(self.environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=Path.cwd(),
        )  # fmt: skip

    def run(self, *arguments: str) -> str:
        """Run the `drawdown` command; returns its output."""
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=900)
        assert process.returncode == 0, output[-4000:]
        return output

    def checksums(self) -> dict[str, str]:
        """Checksums of the published tables, as `drawdown checksum` reports them."""
        found = json.loads(self.run("checksum", "--json"))
        return {row["table"]: row["checksum"] for row in found}


def expected(whole: Home) -> dict[str, str]:
    """Checksums of what one machine has published."""
    return {each.table: each.checksum for each in checksums(whole.current)}

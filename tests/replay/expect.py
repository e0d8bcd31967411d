"""Expected results of rebuilding each frozen landing: `python -m tests.replay.expect 'why it changes'`.

The expectations are checksums, in `landing-<version>.json` next to the landing, with the reason of every change since
the landing was frozen. The landing itself is never changed. A change without a reason in the tables' meaning is a
defect: it would change the past of every user's data.
"""

from __future__ import annotations

import json
import sys
import tarfile
import tempfile
from pathlib import Path

from pipeline.cli.checksum import ALL_TABLES, checksums
from pipeline.orchestration.refresh import rebuild
from pipeline.support.home import Home

HERE = Path(__file__).parent
ARCHIVES = sorted(HERE.glob("landing-*.tar.xz"))

SAYS_OF_ITSELF = "marts.data_dictionary"
"""Describes the code, not what was landed: every reworded column doc would change it."""


def unpack(archive: Path, home: Home) -> None:
    """Make a state folder from a frozen landing alone."""
    with tarfile.open(archive) as packed:
        packed.extractall(home.path)  # noqa: S202 - an archive of our own


def found(build: Path) -> dict[str, str]:
    """Rows and checksum of each expected table, as one text each."""
    return {
        each.table: f"{each.rows} {each.checksum}"
        for each in checksums(build)
        if each.table not in (ALL_TABLES, SAYS_OF_ITSELF)
    }


def expectation(archive: Path) -> Path:
    """Path of the expectation of a frozen landing."""
    return archive.with_name(archive.name.removesuffix(".tar.xz") + ".json")


def main(arguments: list[str]) -> int:
    """Rebuild each frozen landing, and store changed results; prints the changed tables."""
    if len(arguments) != 1 or not arguments[0].strip():
        print("say why in one sentence: python -m tests.replay.expect 'why it changes'", file=sys.stderr)
        return 2
    for archive in ARCHIVES:
        path = expectation(archive)
        kept = json.loads(path.read_text()) if path.exists() else {"reasons": [], "tables": {}}
        with tempfile.TemporaryDirectory() as folder:
            home = Home(Path(folder) / "data")
            unpack(archive, home)
            rebuild(home)
            tables = found(home.current)
        changed = [name for name in sorted({*tables, *kept["tables"]}) if tables.get(name) != kept["tables"].get(name)]
        print(f"{archive.name}: {len(changed)} of {len(tables)} tables change", *changed, sep="\n  ")
        if changed:
            new = {"reasons": [*kept["reasons"], arguments[0].strip()], "tables": tables}
            path.write_text(json.dumps(new, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""Generate docs/vendors.md, docs/dictionary, the fault matrix of docs/reliability.md, accounts.example.toml and more.

Run by `make docs`, or `python -m docs.generate`. Nothing of tests/ is imported or run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from docs.fault_matrix import ROWS, TESTS, marked
from pipeline.cli.starters import accounts_toml
from pipeline.models import fingerprints, lineage, parsed_file, select
from pipeline.models.checks import checks_of
from pipeline.models.discovery import discover
from pipeline.published.pages.dictionary import pages
from pipeline.published.pages.vendors import declared_vendors_page, vendors_page
from pipeline.schema.tables import ALL

DOCS: Final = Path(__file__).parent
CLONE: Final = DOCS.parent
DICTIONARY: Final = DOCS / "dictionary"
RELIABILITY: Final = DOCS / "reliability.md"


def reliability_page() -> str:
    """Text of docs/reliability.md with a regenerated fault matrix."""
    begin, end = "<!-- faults -->\n", "<!-- /faults -->"
    before, _, rest = RELIABILITY.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}{fault_table()}{end}{after}"


def fault_table() -> str:
    """The fault matrix as a Markdown table, with the files that test each row."""
    files: dict[int, dict[str, None]] = {row: {} for row in ROWS}
    for row, path, _ in marked():
        files[row][str(path.relative_to(TESTS))] = None
    lines = [
        f"| {row} | {_cell(fault)} | {_cell(holds)} | {', '.join(f'`tests/{each}`' for each in files[row])} |"
        for row, (fault, holds) in ROWS.items()
    ]
    return "\n".join(["| row | fault | guarantee | tested in |", "|---|---|---|---|", *lines, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def parsed_json() -> str:
    """Text of sql/parsed.json."""
    models = discover()
    selects = [model.sql for model in models.values()]
    selects += [check.select for table in ALL.values() for check in checks_of(table)]
    return parsed_file.text({
        "lineage": (lineage.declarations_hash(), lineage.column_sources()),
        "select_hashes": (fingerprints.text_hash(models), fingerprints.select_hashes(models)),
        "reads": (select.code_hash(), {select.text_key(sql): select.parsed_reads(sql, "a SELECT") for sql in selects}),
    })  # fmt: skip


GENERATED: Final[dict[Path, Callable[[], str]]] = {
    DOCS / "vendors.md": vendors_page,
    DOCS / "declared-vendors.md": declared_vendors_page,
    RELIABILITY: reliability_page,
    CLONE / "accounts.example.toml": accounts_toml,
    parsed_file.PARSED_FILE: parsed_json,
    **{DICTIONARY / name: partial(str, text) for name, text in pages().items()},
}
"""Each file, and what makes its text."""

if __name__ == "__main__":
    DICTIONARY.mkdir(exist_ok=True)
    for stale in set(DICTIONARY.glob("*.md")) - GENERATED.keys():
        stale.unlink()
    for path, make in GENERATED.items():
        path.write_text(make(), encoding="utf-8")

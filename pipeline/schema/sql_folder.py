"""Location of the table definitions: `sql/<layer>/<table>/`, beside the package in a clone, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).parent.parent
_PACKED: Final = _PACKAGE / "_sql"
SQL_FOLDER: Final = _PACKED if _PACKED.is_dir() else _PACKAGE.parent / "sql"
"""The folder `sql`; pyproject.toml packs it into the wheel as `pipeline/_sql`."""

COLUMNS_FOLDER: Final = SQL_FOLDER / "columns"
MACROS_FOLDER: Final = SQL_FOLDER / "macros"


def shown(path: Path) -> str:
    """A file of `sql` as errors and pages show it, wherever the folder is: `sql/columns/money.yaml`."""
    parts = path.parts
    depth = 2 if path.parent.name in (COLUMNS_FOLDER.name, MACROS_FOLDER.name) else 3
    return "/".join(("sql", *parts[-depth:]))

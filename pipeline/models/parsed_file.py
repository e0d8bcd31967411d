"""What parsing the models gave, in `sql/parsed.json`: parsing all of them takes longer than most refreshes.

`make docs` writes the file. Each section is for declarations with one hash; with others, the models are parsed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from pipeline.schema.sql_folder import SQL_FOLDER

PARSED_FILE: Final[Path] = SQL_FOLDER / "parsed.json"


def section(name: str, of: str) -> Any:
    """The values of a section; None if it is absent or was made from declarations with another hash than `of`."""
    found = _read().get(name, {})
    return found.get("values") if found.get("of") == of else None


def text(sections: Mapping[str, tuple[str, Any]]) -> str:
    """Text of the file, from the hash and the values of each section."""
    made = {name: {"of": of, "values": values} for name, (of, values) in sections.items()}
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


@cache
def _read() -> dict[str, dict[str, Any]]:
    try:
        found: dict[str, dict[str, Any]] = json.loads(PARSED_FILE.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found

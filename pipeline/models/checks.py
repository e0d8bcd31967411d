"""Checks of a table beyond its contract: the SELECTs of `checks.sql` in its folder.

Each SELECT follows a line with its severity, its name, and the statement that is true when it returns no row:

    -- warn is_fresh: Every account has a fresh reading.
    select account_id, reason as message from ...

It returns account_id and the problem, one row for each account that breaks it. `fail`: the rows of that account are not
published (`pipeline.models.quarantine`); account_id is NULL if no account is at fault, and then the run stops. `warn`:
the run reports it, and everything is published.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.models.select import reads_of
from pipeline.schema.sql_folder import shown
from pipeline.schema.tables import CHECKS_FILE, Table
from pipeline.support.errors import DrawdownError

if TYPE_CHECKING:
    import duckdb

Warned = dict[str, list[tuple[str | None, str]]]
"""What the warnings of a table find, by name: accounts, each with the problem."""

_HEADER: Final = re.compile(r"^-- (fail|warn) ([a-z_]+): (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Check:
    """One SELECT of account_id and the problem; it returns no row if there is none."""

    name: str
    doc: str
    """The statement that is true when it returns no row."""
    is_blocking: bool
    """Declared as `fail`."""
    select: str
    reads: tuple[str, ...]
    """Full names of the tables and views that it names, in alphabetical order."""

    def find(self, connection: duckdb.DuckDBPyConnection) -> list[tuple[str | None, str]]:
        """Accounts that break the check, each with the problem, in the order of the SELECT."""
        return connection.execute(self.select).fetchall()


def checks_of(table: Table) -> tuple[Check, ...]:
    """Checks of a table, in the order of its file; empty without a `checks.sql`.

    Raises DrawdownError for a file without such a line, SQL before the first one, two checks of one name, or anything
    but one SELECT after a line.
    """
    return _read(table.folder / CHECKS_FILE)


@cache
def _read(path: Path) -> tuple[Check, ...]:
    return parse(path.read_text(encoding="utf-8"), shown(path)) if path.is_file() else ()


def parse(text: str, where: str) -> tuple[Check, ...]:
    """Parse the text of a checks file; `where` names the file in errors. Raises DrawdownError as `checks_of`."""
    headers = list(_HEADER.finditer(text))
    if not headers or re.search(r"^(?!--)\S", text[: headers[0].start()], re.MULTILINE):
        raise DrawdownError(f"{where}: each SELECT follows a line such as `-- fail adds_up: What holds.`")
    ends = [*(header.start() for header in headers[1:]), len(text)]
    found: list[Check] = []
    for header, end in zip(headers, ends, strict=True):
        severity, name, doc = header.groups()
        select = text[header.end() : end].strip().rstrip(";")
        if name in {each.name for each in found}:
            raise DrawdownError(f"{where}: two checks are called {name}: rename one")
        found.append(Check(name, doc, severity == "fail", select, reads_of(select, f"{where}: {name}")))
    return tuple(found)


def warned(connection: duckdb.DuckDBPyConnection, table: Table) -> Warned:
    """Run the warnings of a table."""
    return {check.name: check.find(connection) for check in checks_of(table) if not check.is_blocking}

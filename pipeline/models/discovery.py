"""SQL models: a file in `sql/<layer>/` is one SELECT, and by being there it is a table and an asset.

What it reads from is found by parsing it. Its columns must be those of its definition in `pipeline.schema.tables`,
name for name and type for type.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from pipeline.models.model import CHECK_SUFFIX, Model, reads_of
from pipeline.models.views import reads_of_view
from pipeline.schema.layers import SQL_LAYERS
from pipeline.schema.tables import ALL
from pipeline.support.errors import DrawdownError

_PACKAGE: Final = Path(__file__).parent.parent
_PACKED: Final = _PACKAGE / "_sql"
SQL_FOLDER = _PACKED if _PACKED.is_dir() else _PACKAGE.parent / "sql"
"""The models: beside the package in a clone, inside it in an installed wheel."""


@cache
def discover() -> dict[str, Model]:
    """Every model by its table's full name.

    Raises DrawdownError for a file without a definition, a definition without a file, or a file that is not one
    SELECT.
    """
    found: dict[str, Model] = {}
    for layer in SQL_LAYERS:
        for path in sorted((SQL_FOLDER / layer).glob("*.sql")):
            if path.name.endswith(CHECK_SUFFIX):
                continue
            name = f"{layer}.{path.stem}"
            if name not in ALL:
                raise DrawdownError(f"sql/{layer}/{path.name} has no list of columns in pipeline/schema/tables.py")
            sql = path.read_text(encoding="utf-8")
            check = path.with_name(path.stem + CHECK_SUFFIX)
            found[name] = Model(
                ALL[name],
                sql,
                f"sql/{layer}/{path.name}",
                reads_of(sql, path.name),
                check.read_text(encoding="utf-8") if check.exists() else None,
            )
    for name, table in ALL.items():
        if table.layer in SQL_LAYERS and name not in found:
            raise DrawdownError(f"{name} has a list of columns, but no sql/{table.layer}/{table.name}.sql")
    return found


def in_order() -> list[Model]:
    """The models, each after those that it and its check read."""
    from graphlib import TopologicalSorter

    models = discover()
    graph = {
        name: [each for each in (*model.reads, *model.check_reads) if each in models] for name, model in models.items()
    }
    return [models[name] for name in TopologicalSorter(graph).static_order()]


def ancestors(name: str) -> frozenset[str]:
    """Full names of the table itself and of all that it is made from, views and vendors' tables included."""
    models = discover()
    found: set[str] = set()
    waiting = [name]
    while waiting:
        each = waiting.pop()
        if each in found:
            continue
        found.add(each)
        if each in models:
            waiting += models[each].reads
        elif each in ALL:
            waiting += [source for source in ALL[each].made_from if source in ALL]
        waiting += reads_of_view(each)
    return frozenset(found)

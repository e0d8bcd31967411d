"""Discovery of SQL models: each `sql/<layer>/<table>/model.sql` is one SELECT that makes a table and an asset.

Its inputs are found by parsing it. Its columns must be those of `table.yaml` beside it, by name and type.
"""

from __future__ import annotations

from functools import cache

from pipeline.models.checks import checks_of
from pipeline.models.model import Model
from pipeline.models.select import reads_of
from pipeline.models.views import reads_of_view
from pipeline.schema.layers import SQL_LAYERS
from pipeline.schema.sql_folder import shown
from pipeline.schema.tables import ALL, MODEL_FILE, Table
from pipeline.support.errors import DrawdownError


@cache
def discover() -> dict[str, Model]:
    """Return every model by its table's full name.

    Raises DrawdownError for a table that neither a SELECT nor Python makes, or both do, and for a file that is not one
    SELECT.
    """
    found = {}
    for name, table in ALL.items():
        path = table.folder / MODEL_FILE
        if path.is_file() == bool(table.made_from):
            raise DrawdownError(
                f"{shown(path)} is there, and made_from in table.yaml says that Python makes {name}: remove one"
                if table.made_from
                else f"{shown(path)} is missing; where Python makes {name}, table.yaml says from what in made_from"
            )
        if path.is_file():
            found[name] = _model(table)
    return found


def _model(table: Table) -> Model:
    path = table.folder / MODEL_FILE
    sql = path.read_text(encoding="utf-8")
    return Model(table, sql, shown(path), reads_of(sql, shown(path)), checks_of(table))


def made_after(model: Model) -> tuple[str, ...]:
    """Full names of the tables and views that have to be made before a model.

    They are the inputs of its SELECT and of its blocking checks, and for a table that describes the finished build all
    other tables of the SQL layers. Warnings add none: they only read inputs of the table, which a test ensures.
    """
    names = [*model.reads, *model.check_reads]
    if model.table.after_all:
        names += [
            name for name, other in discover().items() if other.table.layer in SQL_LAYERS and not other.table.after_all
        ]
    return tuple(dict.fromkeys(names))


def in_order() -> list[Model]:
    """Sort models so that each follows those that have to be made before it."""
    from graphlib import TopologicalSorter

    models = discover()
    graph = {name: [each for each in made_after(model) if each in models] for name, model in models.items()}
    return [models[name] for name in TopologicalSorter(graph).static_order()]


def ancestors(name: str) -> frozenset[str]:
    """Full names of a table and of everything upstream, views and vendors' tables included."""
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

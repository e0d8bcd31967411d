"""`drawdown dictionary`: every table and column, with its key, type, unit, meaning and where it comes from.

It is made from the definitions, so it needs no build. `marts.data_dictionary` tells readers of a build the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from pipeline.models.discovery import discover
from pipeline.models.lineage import direct_sources, vendor_fields
from pipeline.schema.tables import ALL, RECORDS, Table, TableColumn, published
from pipeline.support.errors import UsageError

FORMATS: Final = ("table", "json", "markdown")
_WIDEST: Final = 100
"""Beyond this the eye loses the line."""
_MOST_SHOWN: Final = 6
"""More fields of vendors than this are counted on a page, and told by the command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A column in the dictionary."""

    table: Table
    column: TableColumn
    source: tuple[str, ...]
    """The columns that it is made of; else the tables, files or settings. Empty: counted, or always the same."""
    vendor_fields: tuple[str, ...]

    @property
    def is_key(self) -> bool:
        """It is part of the table's key."""
        return self.column.name in self.table.key

    def to_record(self) -> dict[str, Any]:
        """The columns of marts.data_dictionary, lists as lists, and what makes the table."""
        return {
            "table_name": self.table.full_name,
            "column_name": self.column.name,
            "data_type": str(self.column.column.type),
            "unit": self.column.column.unit,
            "doc": self.column.column.doc,
            "is_nullable": self.column.is_nullable,
            "is_key": self.is_key,
            "source": list(self.source),
            "vendor_fields": list(self.vendor_fields),
            "table_doc": self.table.doc,
            "made_by": made_by(self.table),
        }


def find(name: str) -> tuple[Table, ...]:
    """The tables that a name means: one table, with or without its schema; a schema's published ones; all for none.

    Raises UsageError for a name that nothing has, with the nearest ones.
    """
    if not name:
        return published()
    known = {**{record.full_name: record for record in RECORDS.values()}, **ALL}
    if name in known:
        return (known[name],)
    of_schema = tuple(table for table in published() if table.layer == name)
    named = tuple(table for table in published() if table.name == name) or tuple(
        table for table in known.values() if table.name == name
    )
    if of_schema or len(named) == 1:
        return of_schema or named
    short = {table.name: full_name for full_name, table in known.items()}
    near = list(dict.fromkeys(short.get(each, each) for each in get_close_matches(name, [*short, *known], n=4)))
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise UsageError(f"there is no table {name!r}; {hint}`drawdown dictionary` lists them all")


def entries(tables: tuple[Table, ...]) -> list[Entry]:
    """Every column of the tables, in order."""
    sources = direct_sources()
    return [
        Entry(
            table=table,
            column=column,
            source=sources[table.full_name][column.name],
            vendor_fields=vendor_fields(table.full_name, column.name),
        )
        for table in tables
        for column in table.columns
    ]


def made_by(table: Table) -> str:
    """What makes the rows: the file of its SELECT, or what Python makes them from."""
    models = discover()
    if table.full_name in models:
        return models[table.full_name].path
    if table.full_name.removeprefix("staging.") in RECORDS and table.full_name not in ALL:
        return "Python, from the vendors' answers"
    return "Python, from " + ", ".join(table.made_from) if table.made_from else "Python"


# -- the terminal -------------------------------------------------------------------------------------------------


def show(name: str, output_format: str) -> None:
    """Print the tables that a name means; UsageError for a name or format that is not there."""
    if output_format not in FORMATS:
        raise UsageError(f"--format {output_format}: known formats are {', '.join(FORMATS)}")
    tables = find(name)
    if output_format == "json":
        from pipeline.cli.terminal import write_json

        records = [entry.to_record() for entry in entries(tables)]
        write_json(list(records[0]), [list(record.values()) for record in records])
    elif output_format == "markdown":
        print("\n".join(_page(f"Tables: {name}" if name else "Tables", tables, is_linked=False)))
    else:
        _print(tables, is_whole=len(tables) == 1)


def _print(tables: tuple[Table, ...], *, is_whole: bool) -> None:
    from pipeline.cli.terminal import console, indented

    width = min(console().width, _WIDEST)
    for table in tables:
        print(table.full_name if not is_whole else f"{table.full_name}\n")
        print(indented(table.doc, width))
        print(indented(f"One row for each {_key(table)}." if table.key else "One row.", width))
        if is_whole:
            print(indented(f"Made by {made_by(table)}.", width))
            for entry in entries((table,)):
                print()
                print("\n".join(_lines(entry, width)))
    if not is_whole:
        print(f"\n{len(tables)} tables; `drawdown dictionary TABLE` tells the columns of one.")


def _key(table: Table) -> str:
    return ", ".join(table.key)


def _lines(entry: Entry, width: int) -> Iterator[str]:
    from pipeline.cli.terminal import indented

    column = entry.column
    facts = [str(column.column.type), *filter(None, [column.column.unit])]
    facts += ["may be NULL"] if column.is_nullable else []
    facts += ["key"] if entry.is_key else []
    yield f"{column.name}  {', '.join(facts)}"
    yield indented(column.column.doc, width)
    if column.column.allowed:
        yield indented(f"One of {', '.join(column.column.allowed)}.", width)
    if entry.source and not _is_of_table(entry):
        yield indented(f"From {'; '.join(entry.source)}.", width)
    if entry.vendor_fields and entry.vendor_fields != entry.source:
        yield indented(f"Vendors' fields: {'; '.join(entry.vendor_fields)}.", width)


def _is_of_table(entry: Entry) -> bool:
    """What it is made from is told of the whole table."""
    return bool(entry.table.made_from) and entry.source == entry.table.made_from


# -- pages --------------------------------------------------------------------------------------------------------

_HEAD: Final = (
    "Made from the definitions in `pipeline/schema`, the SELECTs in `sql` and the vendors' declarations; `make docs` "
    "writes it anew, and a test holds it to the code. `drawdown dictionary` prints the same, `marts.data_dictionary` "
    "holds it in each build."
)
_LAYER_WORDS: Final = {
    "staging": "what was kept out of the answers, and what the answers become",
    "core": "facts, whichever vendor they come from; the bridge; spend",
    "forecasts": "what is expected, as issued and now; backtests",
    "marts": "what to query first",
    "alerts": "what was told to whom",
}


def pages() -> dict[str, str]:
    """The pages of docs/dictionary by file name: an index, and one for each schema."""
    layers = dict.fromkeys(table.layer for table in published())
    index = ["# The dictionary", "", _HEAD, ""]
    made = {}
    for layer in layers:
        tables = tuple(table for table in published() if table.layer == layer)
        index += [f"## [{layer}]({layer}.md)", "", _sentence(_LAYER_WORDS.get(layer, "tables")), ""]
        index += ["| table | one row for each | what a row is |", "|---|---|---|"]
        index += [
            f"| [{table.name}]({layer}.md#{_anchor(table)}) | {_keys(table)} | {_cell(table.doc)} |" for table in tables
        ]
        index.append("")
        # Steps on the way that a published table is made from, and that readers do not get.
        behind = tuple(
            table
            for table in (*RECORDS.values(), *ALL.values())
            if table.layer == layer and table not in tables and table.full_name in _named()
        )
        made[f"{layer}.md"] = "\n".join([*_page(f"Tables of {layer}", tables, is_linked=True), *_behind(behind)])
    return {"README.md": "\n".join(index), **made}


def _named() -> set[str]:
    """The tables that a source names."""
    return {
        source.rpartition(".")[0]
        for columns in direct_sources().values()
        for sources in columns.values()
        for source in sources
    } | {name for table in ALL.values() for name in table.made_from}


def _behind(tables: tuple[Table, ...]) -> Iterator[str]:
    if tables:
        yield "## In the warehouse only\n"
        yield "Readers do not get these; the others are made from them.\n"
        for table in tables:
            yield from _section(table, is_linked=True, mark="###")


def _page(title: str, tables: tuple[Table, ...], *, is_linked: bool) -> Iterator[str]:
    yield f"# {title}\n"
    yield f"{_HEAD}\n"
    yield "Keys are bold; `?` behind a type: may be NULL.\n"
    for table in tables:
        yield from _section(table, is_linked=is_linked)


def _section(table: Table, *, is_linked: bool, mark: str = "##") -> Iterator[str]:
    yield f"{mark} {table.full_name}\n"
    yield f"{table.doc} {f'One row for each {_keys(table)}.' if table.key else 'One row.'} Made by {_maker(table)}.\n"
    yield "| column | type | unit | what it is | from |"
    yield "|---|---|---|---|---|"
    for entry in entries((table,)):
        column = entry.column
        name = f"**`{column.name}`**" if entry.is_key else f"`{column.name}`"
        kind = f"{column.column.type}{'?' if column.is_nullable else ''}"
        allowed = (
            f" One of {', '.join(f'`{each}`' for each in column.column.allowed)}." if column.column.allowed else ""
        )
        cells = (name, kind, column.column.unit or "", column.column.doc + allowed, _origin(entry, is_linked=is_linked))
        yield f"| {' | '.join(map(_cell, cells))} |"
    yield ""


def _maker(table: Table) -> str:
    words = made_by(table)
    return f"`{words}`" if words.startswith("sql/") else words


def _origin(entry: Entry, *, is_linked: bool) -> str:
    if _is_of_table(entry):
        return ""
    by_table: dict[str, list[str]] = {}
    plain = []
    for source in entry.source:
        table, _, column = source.rpartition(".")
        if table in direct_sources():
            by_table.setdefault(table, []).append(column)
        elif source not in entry.vendor_fields:
            plain.append(source)
    parts = [
        f"{_link(table, is_linked=is_linked)}: {', '.join(f'`{column}`' for column in columns)}"
        for table, columns in by_table.items()
    ]
    fields = [_field(each) for each in entry.vendor_fields]
    if len(fields) > _MOST_SHOWN:
        fields = [f"*{len(fields)} fields of vendors*"]
    return "<br>".join([*parts, *plain, *fields])


def _link(name: str, *, is_linked: bool) -> str:
    layer, _, table = name.partition(".")
    if not is_linked or name not in {**ALL, **{each.full_name: each for each in RECORDS.values()}}:
        return name
    return f"[{name}]({layer}.md#{layer}{table})"


def _field(words: str) -> str:
    where, _, path = words.partition(": ")
    path, comma, more = path.partition(",")
    return f"{where}: `{path}`{comma}{more}"


def _anchor(table: Table) -> str:
    return f"{table.layer}{table.name}"


def _keys(table: Table) -> str:
    return ", ".join(f"`{name}`" for name in table.key)


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")

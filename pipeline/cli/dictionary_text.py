"""`drawdown dictionary`: the data dictionary on a terminal, as JSON or as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pipeline.published.pages.dictionary import DictionaryEntry, entries, find, made_by, markdown
from pipeline.schema.tables import Table
from pipeline.support.errors import UsageError

FORMATS: Final = ("table", "json", "markdown")
_MAX_WIDTH: Final = 100
"""Text width in columns; longer lines are hard to read."""
_WIDEST_LIST: Final = 120
"""The same of the list of columns, whose lines are not read from end to end."""
_LEAST_MEANING: Final = 30
"""Columns of a terminal that a meaning gets, however long the names are."""


def show(name: str, output_format: str, *, is_full: bool = False) -> None:
    """Print the tables that a name selects; UsageError for an unknown name or format.

    A single table is a list with a line for each column, or with `is_full` everything that is known of them.
    """
    if output_format not in FORMATS:
        raise UsageError(f"--format {output_format}: known formats are {', '.join(FORMATS)}")
    tables = find(name)
    if output_format == "json":
        from pipeline.cli.terminal import write_json

        records = [
            entry.to_record() | {"allowed_values": list(entry.column.column.allowed)} for entry in entries(tables)
        ]
        write_json(list(records[0]), [list(record.values()) for record in records])
    elif output_format == "markdown":
        print(markdown(name))
    elif len(tables) == 1 and not is_full:
        _print_list(tables[0])
    else:
        _print(tables, is_whole=is_full)


def _print(tables: tuple[Table, ...], *, is_whole: bool) -> None:
    from pipeline.cli.terminal import console, indented

    width = min(console().width, _MAX_WIDTH)
    for number, table in enumerate(tables):
        if is_whole and number:
            print()
        print(table.full_name if not is_whole else f"{table.full_name}\n")
        print("\n".join(_head(table, width)))
        if is_whole:
            print(indented(f"Made by {made_by(table)}.", width))
            for entry in entries((table,)):
                print()
                print("\n".join(_lines(entry, width)))
    if not is_whole:
        print(f"\n{len(tables)} tables; `drawdown dictionary TABLE` lists the columns of one.")


def _head(table: Table, width: int) -> Iterator[str]:
    from pipeline.cli.terminal import indented

    yield indented(table.doc, width)
    yield indented(f"{table.grain_sentence} Key: {', '.join(table.key)}." if table.key else table.grain_sentence, width)


def _lines(entry: DictionaryEntry, width: int) -> Iterator[str]:
    from pipeline.cli.terminal import indented

    column = entry.column
    facts = [str(column.column.type), *filter(None, [column.column.unit])]
    facts += ["may be NULL"] if column.is_nullable else []
    facts += ["key"] if entry.is_key else []
    yield f"{column.name}  {', '.join(facts)}"
    yield indented(column.column.doc, width)
    if column.column.allowed:
        yield indented(f"One of {', '.join(column.column.allowed)}.", width)
    if entry.source and not entry.is_of_whole_table:
        yield indented(f"From {'; '.join(entry.source)}.", width)
    if entry.vendor_fields and entry.vendor_fields != entry.source:
        yield indented(f"Vendor fields: {'; '.join(entry.vendor_fields)}.", width)


# -- the list of columns ----------------------------------------------------------------------------------------------


def _print_list(table: Table) -> None:
    from pipeline.cli.terminal import console

    width = min(console().width, _WIDEST_LIST)
    head = [table.full_name, *_head(table, min(width, _MAX_WIDTH)), ""]
    foot = "?: may be NULL. --full prints units, sources and complete texts."
    print("\n".join([*head, *_list(entries((table,)), width), "", foot]))


def _list(columns: Sequence[DictionaryEntry], width: int) -> list[str]:
    """A line for each column: name, type and meaning, or its allowed values instead."""
    import textwrap

    # Names of an extreme length do not move the meanings of all others.
    longest = width - _LEAST_MEANING - 10
    names = max((len(entry.column.name) for entry in columns if len(entry.column.name) <= longest), default=0)
    kinds = max(len(_kind(entry)) for entry in columns)
    lines = []
    for entry in columns:
        start = f"{entry.column.name:<{names}}  {_kind(entry):<{kinds}}  "
        room = width - len(start)
        allowed = entry.column.column.allowed
        if allowed:
            wrapped = textwrap.wrap(" | ".join(allowed), room, break_long_words=False, break_on_hyphens=False)
            lines += [start + wrapped[0], *(" " * len(start) + more for more in wrapped[1:])]
        else:
            lines.append(start + _cut(entry.column.column.doc, room))
    return [line.rstrip() for line in lines]


def _kind(entry: DictionaryEntry) -> str:
    """A column's type in a word, as the definitions call it."""
    return f"{entry.column.column.type.name.lower()}{'?' if entry.column.is_nullable else ''}"


def _cut(doc: str, room: int) -> str:
    """The first sentence, or as much of it as there is room for."""
    import textwrap

    first = doc.split(". ")[0].rstrip(".")
    return textwrap.shorten(first, room, placeholder=" …") if len(first) > room else first

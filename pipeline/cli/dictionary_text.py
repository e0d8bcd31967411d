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
_SCREEN: Final = 40
"""Lines that a table's list may have."""


def show(name: str, output_format: str, *, text: str = "", is_full: bool = False) -> None:
    """Print the tables that a name selects; UsageError for an unknown name or format.

    A single table is a list that fits a screen, or with `is_full` everything that is known of its columns; with `text`
    everything that is known of the columns with this text in their name.
    """
    if output_format not in FORMATS:
        raise UsageError(f"--format {output_format}: known formats are {', '.join(FORMATS)}")
    tables = find(name)
    if text:
        _print_columns(tables, text, output_format)
    elif output_format == "json":
        _print_json(entries(tables))
    elif output_format == "markdown":
        print(markdown(name))
    elif len(tables) == 1 and not is_full:
        _print_list(tables[0])
    else:
        _print(tables, is_whole=is_full)


def _print_json(found: Sequence[DictionaryEntry]) -> None:
    from pipeline.cli.terminal import write_json

    records = [entry.to_record() | {"allowed_values": list(entry.column.column.allowed)} for entry in found]
    write_json(list(records[0]), [list(record.values()) for record in records])


def _print_columns(tables: tuple[Table, ...], text: str, output_format: str) -> None:
    from pipeline.cli.terminal import console

    if len(tables) != 1 or output_format == "markdown":
        raise UsageError("COLUMN needs one table, as a table or as JSON: drawdown dictionary TABLE COLUMN")
    found = [entry for entry in entries(tables) if text.lower() in entry.column.name.lower()]
    if not found:
        name = tables[0].full_name
        raise UsageError(f"{name} has no column with {text!r} in its name; `drawdown dictionary {name}` lists them")
    if output_format == "json":
        _print_json(found)
    else:
        width = min(console().width, _MAX_WIDTH)
        print("\n\n".join("\n".join(_lines(entry, width)) for entry in found))


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
    head = "\n".join([table.full_name, *_head(table, min(width, _MAX_WIDTH)), ""]).split("\n")
    found = entries((table,))
    shown = _list(found, width)
    foot = [
        "?: may be NULL. --full prints units, sources and complete texts;",
        "`drawdown dictionary TABLE COLUMN` prints them for matching columns.",
    ]
    # The longest list that leaves room for the names of all further columns.
    room, count = _SCREEN - len(head) - len(foot) - 1, len(found)
    while count and len(shown) > room:
        count -= 1
        shown = [*_list(found[:count], width), *_further(found[count:], width)]
    print("\n".join([*head, *shown, "", *foot]))


def _further(columns: Sequence[DictionaryEntry], width: int) -> list[str]:
    """Names of columns, with the allowed values of those that have any."""
    listed = [entry for entry in columns if entry.column.column.allowed]
    named = [entry.column.name for entry in columns if not entry.column.column.allowed]
    lines = ["", f"{len(named)} more columns: {', '.join(named)}"] if named else [""]
    lines += [f"{entry.column.name}: {' | '.join(entry.column.column.allowed)}" for entry in listed]
    return [line for each in lines for line in (_wrapped(each, width, "  ") or [""])]


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    import textwrap

    return textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _list(columns: Sequence[DictionaryEntry], width: int) -> list[str]:
    """A line for each column: name, type and meaning, or its allowed values instead."""
    if not columns:
        return []
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
            wrapped = _wrapped(" | ".join(allowed), room)
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

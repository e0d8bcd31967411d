"""`drawdown dictionary`: the data dictionary on a terminal, as JSON or as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pipeline.published.pages.dictionary import DictionaryEntry, entries, find, made_by, markdown
from pipeline.schema.tables import Table
from pipeline.support.errors import UsageError

FORMATS: Final = ("table", "json", "markdown")
_MAX_WIDTH: Final = 100
"""Text width in columns; longer lines are hard to read."""


def show(name: str, output_format: str) -> None:
    """Print the tables that a name selects; UsageError for an unknown name or format."""
    if output_format not in FORMATS:
        raise UsageError(f"--format {output_format}: known formats are {', '.join(FORMATS)}")
    tables = find(name)
    if output_format == "json":
        from pipeline.cli.terminal import write_json

        records = [entry.to_record() for entry in entries(tables)]
        write_json(list(records[0]), [list(record.values()) for record in records])
    elif output_format == "markdown":
        print(markdown(name))
    else:
        _print(tables, is_whole=len(tables) == 1)


def _print(tables: tuple[Table, ...], *, is_whole: bool) -> None:
    from pipeline.cli.terminal import console, indented

    width = min(console().width, _MAX_WIDTH)
    for table in tables:
        print(table.full_name if not is_whole else f"{table.full_name}\n")
        print(indented(table.doc, width))
        print(
            indented(
                f"{table.grain_sentence} Key: {', '.join(table.key)}." if table.key else table.grain_sentence, width
            )
        )
        if is_whole:
            print(indented(f"Made by {made_by(table)}.", width))
            for entry in entries((table,)):
                print()
                print("\n".join(_lines(entry, width)))
    if not is_whole:
        print(f"\n{len(tables)} tables; `drawdown dictionary TABLE` lists the columns of one.")


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

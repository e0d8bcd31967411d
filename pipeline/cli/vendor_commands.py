"""Commands about vendors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.app import Json, app

vendors_app = typer.Typer(
    no_args_is_help=False, rich_markup_mode=None, help="List the vendors, or check a declaration."
)
app.add_typer(vendors_app, name="vendors")


@vendors_app.callback(invoke_without_command=True)
def vendors(context: typer.Context, as_json: Json = False) -> None:
    """List the vendors that accounts.toml may name, or check a declaration of your own."""
    if context.invoked_subcommand is not None:
        return
    from pipeline.cli.declaration_check import LISTED, listed
    from pipeline.cli.terminal import show_rows, write_json

    rows = listed()
    if as_json:
        write_json(LISTED, rows)
    else:
        show_rows(LISTED, rows)


@vendors_app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="A vendor's declaration.")],
    body: Annotated[
        Path | None, typer.Option("--body", metavar="FILE.json", help="A saved answer to read; - is stdin.")
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option("--endpoint", metavar="NAME", help="Endpoint of the answer; the balance's if not given."),
    ] = None,
) -> None:
    """Check a declaration, and show what it reads from a saved answer. No key is needed and nothing is requested."""
    from pipeline.cli.declaration_check import body_of, declaration, endpoint_of, read_body, shown, summary
    from pipeline.support.printable import printable
    from pipeline.support.wording import count

    vendor = declaration(file)
    if body is None:
        for line in summary(vendor):
            print(printable(line))
        return
    chosen = endpoint_of(vendor, endpoint)
    is_good = True
    for reading in read_body(vendor, chosen, body_of(body), str(body)):
        print(f"{chosen.name}: {count(len(reading.rows), 'row')} of {reading.records.kind}")
        for row in reading.rows:
            print(printable("  " + ", ".join(f"{column} {shown(value)}" for column, value in row.items())))
        for line in reading.problems:
            print(printable(f"  rejected: {line}"))
        for line in reading.notes:
            print(printable(f"  note: {line}"))
        is_good = is_good and not reading.problems
    if not is_good:
        raise typer.Exit(1)

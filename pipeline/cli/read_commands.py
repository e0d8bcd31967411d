"""Commands that read what is published."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, TypeVar

import typer

from pipeline.cli import completion
from pipeline.cli.app import Json, app
from pipeline.schema.engines import DUCKDB, SPARK
from pipeline.schema.severities import ALERT_RULES, RUN_FAILED, SEVERITIES
from pipeline.support.errors import DrawdownError, UsageError
from pipeline.support.home import Home

_Value = TypeVar("_Value")
_AsOfBuild = Annotated[
    str,
    typer.Option(
        "--as-of", metavar="INSTANT", help="Read the build of then, ISO 8601, UTC; only builds in a lake are kept."
    ),
]


def _instant(text: str) -> datetime | None:
    """Parse the instant of --as-of; None if it is absent, UsageError if it is invalid."""
    from pipeline.support.clock import parse_instant

    return _parsed("--as-of", text, parse_instant)


def _day(option: str, text: str) -> date | None:
    """Parse the day of an option; None if it is absent, UsageError if it is invalid."""
    from pipeline.support.clock import parse_day

    return _parsed(option, text, parse_day)


def _parsed(option: str, text: str, parse: Callable[[str], _Value]) -> _Value | None:
    try:
        return parse(text) if text else None
    except ValueError as problem:
        raise UsageError(f"{option}: {problem}") from None


@app.command()
def status(
    as_json: Json = False,
    fail_on: Annotated[
        list[str],
        typer.Option(
            metavar="SEVERITY",
            help="Exit 1 if an account is at least this urgent; `stale`: if a reading is not fresh; `unknown`: if "
            "that, or if nothing is known; `run_failed`: if the last run failed. For cron. Repeatable.",
            autocompletion=completion.fail_on,
        ),
    ] = [],  # noqa: B006 - typer reads it as the default
    as_of: Annotated[
        str,
        typer.Option(
            metavar="INSTANT",
            help="Judge ages by this instant instead of the clock: ISO 8601, UTC. In a lake, of the build of then.",
        ),
    ] = "",
    budgets: Annotated[
        bool, typer.Option("--budgets", help="Show the running month instead: spent, expected, and the budgets.")
    ] = False,
) -> None:
    """Show every account: what is left, how long it lasts, how urgent it is by now."""
    from pipeline.cli.status import STALE, is_reached, print_status, read_status

    if budgets:
        from pipeline.cli.month_table import read_month, show_month

        if fail_on or as_of:
            raise UsageError("--budgets shows the newest build's month; --fail-on and --as-of are about balances")
        show_month(read_month(Home.from_environment()), as_json=as_json)
        return
    for severity in fail_on:
        if severity not in (*SEVERITIES, STALE, RUN_FAILED):
            raise UsageError(f"--fail-on {severity}: must be one of {', '.join(SEVERITIES)}, {STALE}, {RUN_FAILED}")
    found = read_status(Home.from_environment(), _instant(as_of))
    print_status(found, as_json=as_json)
    if is_reached(found, fail_on):
        raise typer.Exit(1)


@app.command()
def sql(
    query: Annotated[
        str | None,
        typer.Argument(
            help="SQL statements over the published tables, separated by semicolons; - reads them from standard input.",
            show_default=False,
        ),
    ] = None,
    output_format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="table, csv, json or parquet (to stdout).",
            autocompletion=completion.one_of("table", "csv", "json", "parquet"),
        ),
    ] = "table",
    file: Annotated[str | None, typer.Option("--file", metavar="PATH", help="Read the statements from a file.")] = None,
    as_of: _AsOfBuild = "",
) -> None:
    """Query the published tables, read-only."""
    from pipeline.cli.query import read_statements, show

    home, statements = Home.from_environment(), read_statements(query, file)
    moment = _instant(as_of)
    if moment is None:
        show(home, statements, output_format)
        return
    from pipeline.lake.past_builds import build_as_of
    from pipeline.schema.tables import published

    with build_as_of(home, moment, published()) as build:
        show(home, statements, output_format, build)


@app.command()
def explain(
    account: Annotated[
        str,
        typer.Argument(
            metavar="ACCOUNT",
            help="The account's name in accounts.toml.",
            autocompletion=completion.published_accounts,
        ),
    ],
    fetch_id: Annotated[
        str, typer.Option("--bytes", metavar="FETCH_ID", help="Print the answer of this id instead, byte for byte.")
    ] = "",
    as_json: Json = False,
    as_of: Annotated[
        str, typer.Option(metavar="INSTANT", help="Judge ages by this instant instead of the clock: ISO 8601, UTC.")
    ] = "",
) -> None:
    """Explain where an account's money went, how its forecast is made, and the evidence for each number."""
    from pipeline.cli.explain import explain as find

    home = Home.from_environment()
    found = find(home, account, _instant(as_of))
    if fetch_id:
        from pipeline.cli.explain import write_bytes

        write_bytes(home, fetch_id, account)
    elif as_json:
        from pipeline.cli.terminal import write_json_object

        write_json_object(found)
    else:
        from pipeline.cli.explain_text import show

        show(found)


@app.command()
def afford(
    account: Annotated[
        str,
        typer.Argument(
            metavar="ACCOUNT",
            help="The account's name in accounts.toml.",
            autocompletion=completion.published_accounts,
        ),
    ],
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="Spend in addition to the forecast, in total.")],
    unit: Annotated[
        str | None,
        typer.Option(
            metavar="UNIT",
            help="Unit of the amount, such as credits, calls, minutes, sms or EUR; default: the account's.",
        ),
    ] = None,
    from_day: Annotated[
        str, typer.Option("--from", metavar="DATE", help="First day, UTC, such as 2026-12-01; default: today.")
    ] = "",
    to_day: Annotated[
        str, typer.Option("--to", metavar="DATE", help="Last day, on which the risk is judged; default: the first.")
    ] = "",
    risk: Annotated[
        str, typer.Option(metavar="SHARE", help="Accepted chance of running dry, such as 5% or 0.05.")
    ] = "5%",
    as_json: Json = False,
    as_of: Annotated[
        str, typer.Option(metavar="INSTANT", help="Judge by this instant instead of the clock: ISO 8601, UTC.")
    ] = "",
) -> None:
    """Judge whether a campaign may run: exit code 0 for yes, 3 for after a top-up, 4 for no."""
    from datetime import UTC

    from pipeline.cli.affording import EXIT_CODES, judge, show

    today = (_instant(as_of) or datetime.now(UTC)).date()
    first = _day("--from", from_day) or today
    answer, row, priced = judge(
        Home.from_environment(),
        account,
        amount,
        unit=unit,
        first=first,
        last=_day("--to", to_day) or first,
        risk=_share(risk),
        today=today,
    )
    show(answer, row, priced, as_json=as_json)
    if code := EXIT_CODES[answer.answer]:
        raise typer.Exit(code)


def _share(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise UsageError(f"--risk {text}: write a share between 0 and 1, such as 5% or 0.05")
    return share


@app.command()
def dictionary(
    table: Annotated[
        str,
        typer.Argument(
            help="A table, such as marts.account_status, or a schema; default: all.",
            autocompletion=completion.tables,
        ),
    ] = "",
    column: Annotated[
        str,
        typer.Argument(
            metavar="COLUMN", help="Print only columns with this text in their name, completely.", show_default=False
        ),
    ] = "",
    as_json: Json = False,
    output_format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="table, json or markdown.",
            autocompletion=completion.one_of("table", "json", "markdown"),
        ),
    ] = "table",
    is_full: Annotated[bool, typer.Option("--full", help="Print everything: units, sources, complete texts.")] = False,
) -> None:
    """Describe every published table and column: key, type, unit, meaning, and source."""
    from pipeline.cli.dictionary_text import show

    show(table, "json" if as_json else output_format, text=column, is_full=is_full)


@app.command()
def report(
    is_opened: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Print the path of the newest build's report, one HTML page; renders it if it is older than the build."""
    from pipeline.published.report import current_report

    address = current_report(Home.from_environment()).as_uri()
    print(address)
    if is_opened:
        import webbrowser

        if not webbrowser.open(address):
            raise DrawdownError("no browser could be opened; the address above opens in any")


@app.command()
def alerts(
    acknowledge: Annotated[
        str,
        typer.Option(
            metavar="ACCOUNT",
            help="Acknowledge the account's open alerts.",
            autocompletion=completion.published_accounts,
        ),
    ] = "",
    rule: Annotated[
        str,
        typer.Option(
            metavar="RULE",
            help="With --acknowledge: only the alert of this rule.",
            autocompletion=completion.one_of(*ALERT_RULES),
        ),
    ] = "",
    note: Annotated[str, typer.Option(metavar="TEXT", help="With --acknowledge: a note of one line.")] = "",
    test: Annotated[bool, typer.Option("--test", help="Send a test message to every recipient.")] = False,
    as_json: Json = False,
) -> None:
    """Show the open alerts; acknowledge alerts; or send test messages."""
    from pipeline.cli import alerting

    if (rule or note) and not acknowledge:
        raise UsageError("--rule and --note need --acknowledge")
    if test and acknowledge:
        raise UsageError("--test and --acknowledge cannot be combined; run one after the other")
    if test:
        if not alerting.try_recipients(as_json=as_json):
            raise typer.Exit(1)
    elif acknowledge:
        alerting.acknowledge(Home.from_environment(), acknowledge, rule or None, note or None)
    else:
        alerting.show(Home.from_environment(), as_json=as_json)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 8710,
    public: Annotated[bool, typer.Option("--public", help="Allow a --host that other machines can reach.")] = False,
    name: Annotated[
        list[str], typer.Option(metavar="NAME", help="Additional host name to answer to. Repeatable.")
    ] = [],  # noqa: B006 - typer reads it as the default
    max_age: Annotated[
        int, typer.Option(metavar="MINUTES", min=1, help="Maximum age of the newest build for /healthz.")
    ] = 180,
) -> None:
    """Serve the report, /metrics and /healthz over HTTP, read-only, until interrupted."""
    from pipeline.cli.serving import serve as serve_forever

    serve_forever(Home.from_environment(), host=host, port=port, is_public=public, names=name, max_age_minutes=max_age)


@app.command()
def checksum(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A DuckDB file; default: the published build.")] = "",
    as_json: Json = False,
    engine: Annotated[
        str,
        typer.Option(
            metavar="ENGINE",
            help="spark: the newest build in the storage of accounts.toml; duckdb: this machine's; default: published.",
            autocompletion=completion.one_of(DUCKDB, SPARK),
        ),
    ] = "",
    as_of: _AsOfBuild = "",
) -> None:
    """Print row count and checksum of each table, to compare two builds."""
    from pathlib import Path

    from pipeline.cli.checksum import engines_build, print_checksums

    if file and (engine or as_of):
        raise UsageError("a FILE has its own build: leave out --engine and --as-of")
    if not (engine or as_of):
        print_checksums(Path(file) if file else Home.from_environment().current, as_json=as_json)
        return
    with engines_build(Home.from_environment(), engine, _instant(as_of)) as build:
        print_checksums(build, as_json=as_json)

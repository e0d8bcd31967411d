"""The `drawdown` command. Exit codes: 0 well, 1 something failed, 2 the request or the settings are wrong.

What is heavy is imported where it is used, so that `status` and `sql` answer at once.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
import typer.core

from pipeline import __version__, completion
from pipeline.errors import DrawdownError, UsageError
from pipeline.home import Home
from pipeline.schema.severities import ALERT_RULES, SEVERITIES

if TYPE_CHECKING:
    from pipeline.refresh import Outcome, Request


class _Group(typer.core.TyperGroup):
    """Commands that say where help is, whatever was wrong with their options."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as problem:
            # Of an option without its value, the parser does not say whose it is.
            if getattr(problem, "ctx", ctx) is None:
                problem.ctx = ctx  # type: ignore[attr-defined]
            raise


app = typer.Typer(
    name="drawdown",
    cls=_Group,
    help="A fuel gauge for prepaid vendor accounts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Accounts = Annotated[
    list[str],
    typer.Option(
        "--account", metavar="ID", help="Only this account; may be repeated.", autocompletion=completion.accounts
    ),
]
AsOf = Annotated[str, typer.Option(metavar="INSTANT", help="Set the clock of the whole run (sandboxes only).")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_INTERRUPTED = 130


def main() -> None:
    """Run the command line; errors that a person is meant to read become one line on stderr."""
    os.umask(0o077)
    try:
        app(prog_name="drawdown")
    except DrawdownError as problem:
        print(f"drawdown: {problem}", file=sys.stderr)
        sys.exit(problem.exit_code)
    except BrokenPipeError:
        # The reader of our output went away, as `| head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as problem:
        where = f"{problem.filename}: " if problem.filename else ""
        print(
            f"drawdown: {where}{problem.strerror or problem}; see that the place is there, is yours and has room "
            "(DRAWDOWN_HOME names the state folder)",
            file=sys.stderr,
        )
        sys.exit(1)
    except SystemExit as ending:
        # Typer makes Ctrl-C an exit of its own, without a word.
        if ending.code == _INTERRUPTED:
            print("drawdown: interrupted; what was landed stays, the next run goes on from there", file=sys.stderr)
        raise


def _version(is_wanted: bool) -> None:
    if is_wanted:
        print(f"drawdown {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


# -- running ------------------------------------------------------------------------------------------------------


@app.command()
def run(
    select: Annotated[str, typer.Option(metavar="SELECTION", help="Dagster's asset selection; default: all.")] = "",
    account: Accounts = [],  # noqa: B006 - typer reads it as the default
    as_of: AsOf = "",
    as_json: Json = False,
) -> None:
    """Ask every account's vendor, and rebuild all tables: one whole refresh in this process."""
    from pipeline.clock import Clock, parse_instant

    try:
        clock = Clock(parse_instant(as_of) if as_of else None)
    except ValueError as problem:
        raise UsageError(f"--as-of: {problem}") from None

    from pipeline.refresh import Request, check_before

    request = Request(
        home=Home.from_environment(),
        selection=select or None,
        accounts=tuple(account),
        clock=clock,
    )
    check_before(request)
    _finish(_watched(request), as_json=as_json)


@app.command()
def backfill(
    from_date: Annotated[str, typer.Option("--from", metavar="DATE", help="First UTC day.")],
    to_date: Annotated[str, typer.Option("--to", metavar="DATE", help="Last UTC day; default: today.")] = "",
    account: Accounts = [],  # noqa: B006 - typer reads it as the default
    as_of: AsOf = "",
    as_json: Json = False,
) -> None:
    """Ask again for the ledger entries and usage of past days, and rebuild what follows from them."""
    from pipeline.clock import Clock, parse_day, parse_instant

    try:
        clock = Clock(parse_instant(as_of) if as_of else None)
        first, last = parse_day(from_date), parse_day(to_date) if to_date else clock.today()
    except ValueError as problem:
        raise UsageError(str(problem)) from None
    if last < first:
        raise UsageError(f"--to {last} is before --from {first}; give the earlier day to --from")

    from pipeline.refresh import Request, check_before

    request = Request(
        home=Home.from_environment(),
        accounts=tuple(account),
        clock=clock,
        from_date=str(first),
        to_date=str(last),
    )
    check_before(request)
    _finish(_watched(request), as_json=as_json)


@app.command()
def rebuild(
    as_of: Annotated[
        str, typer.Option(metavar="INSTANT", help="As it was known then: into a file of its own, all else as it is.")
    ] = "",
    to: Annotated[str, typer.Option(metavar="FILE", help="The DuckDB file that --as-of writes.")] = "",
    as_json: Json = False,
) -> None:
    """Make the warehouse and everything published anew from landing alone; nothing is fetched."""
    from pathlib import Path

    from pipeline.clock import parse_instant

    if bool(as_of) != bool(to):
        raise UsageError("--as-of and --to go together: an instant, and the file for what was known then")
    try:
        known_at = parse_instant(as_of) if as_of else None
    except ValueError as problem:
        raise UsageError(f"--as-of: {problem}") from None

    from pipeline.progress import steps
    from pipeline.refresh import Request, rebuild_as_of, step_count
    from pipeline.refresh import rebuild as rebuild_all

    home = Home.from_environment()

    like = Request(home=home, is_rebuild=True, target=Path(to) if known_at else None)
    with steps("Rebuilding", step_count(like)) as told:
        outcome = rebuild_as_of(home, known_at, Path(to), on_step=told) if known_at else rebuild_all(home, on_step=told)
    _finish(outcome, as_json=as_json)


def _watched(request: Request) -> Outcome:
    from dataclasses import replace

    from pipeline.landing.fetching import FetchPolicy, Visit
    from pipeline.progress import steps
    from pipeline.refresh import materialize, step_count

    warned: set[str] = set()
    with steps("Refreshing", step_count(request)) as told:

        def visited(visit: Visit) -> None:
            line = f"{visit.account_id}: {visit.endpoint} {visit.outcome}, {visit.fetch_count} fetched"
            if visit.clock_warning and visit.account_id not in warned:
                warned.add(visit.account_id)
                line = f"{line}; {visit.clock_warning}"
            told(visit.news if visit.is_absent else line)

        return materialize(replace(request, on_step=told, policy=FetchPolicy(on_visit=visited)))


def _finish(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        from pipeline.terminal import write_json

        write_json(["run_id", "is_ok", "problems"], [[outcome.run_id, outcome.is_ok, outcome.problems]])
    else:
        for line in outcome.problems:
            print(f"drawdown: {line}", file=sys.stderr)
    if not outcome.is_ok:
        raise typer.Exit(1)


@app.command()
def backtest(
    account: Annotated[
        list[str],
        typer.Option(
            "--account",
            metavar="ID",
            help="Show this account, too; may be repeated.",
            autocompletion=completion.accounts,
        ),
    ] = [],  # noqa: B006 - typer reads it as the default
    as_json: Json = False,
) -> None:
    """Forecast every account from its past days, and tell whether these forecasts would have held."""
    from pipeline.backtesting import run_backtest

    run_backtest(Home.from_environment(), account, as_json=as_json)


@app.command()
def compact() -> None:
    """Merge landing's files of finished days, one a day and endpoint; the rows stay what they are."""
    from pipeline.clock import Clock
    from pipeline.landing.compact import compact as compact_landing
    from pipeline.landing.compact import folder_count
    from pipeline.progress import steps

    landing = Home.from_environment().landing
    if not landing.is_dir():
        raise DrawdownError(
            f"{landing} does not exist: there is nothing to compact. `drawdown run` begins it, or set DRAWDOWN_HOME to "
            "the folder that has it"
        )
    with steps("Merging files, a day and endpoint at a time", folder_count(landing)) as told:
        done = compact_landing(landing, Clock().today(), on_folder=lambda: told(None))
    print(
        f"{done.files_before} files, {done.bytes_before:,} bytes -> "
        f"{done.files_after} files, {done.bytes_after:,} bytes"
    )


# -- looking ------------------------------------------------------------------------------------------------------


@app.command()
def status(
    as_json: Json = False,
    fail_on: Annotated[
        list[str],
        typer.Option(
            metavar="SEVERITY",
            help="Exit 1 when an account is this urgent or more; for cron. Repeatable.",
            autocompletion=completion.severities,
        ),
    ] = [],  # noqa: B006 - typer reads it as the default
) -> None:
    """Show every account: what is left, how long it lasts, how urgent it is."""
    from pipeline.status import is_reached, print_status, read_status

    for severity in fail_on:
        if severity not in SEVERITIES:
            raise UsageError(f"--fail-on {severity}: known severities are {', '.join(SEVERITIES)}")
    found = read_status(Home.from_environment())
    print_status(found, as_json=as_json)
    if is_reached(found, fail_on):
        raise typer.Exit(1)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One SQL statement over the published tables.")],
    output_format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="table, csv, json or parquet (to stdout).",
            autocompletion=completion.one_of("table", "csv", "json", "parquet"),
        ),
    ] = "table",
) -> None:
    """Query the published tables, read-only."""
    import duckdb

    from pipeline import terminal
    from pipeline.reader import open_reader
    from pipeline.trouble import in_words

    if output_format not in ("table", "csv", "json", "parquet"):
        raise UsageError(f"--format {output_format}: known formats are table, csv, json, parquet")
    if output_format == "parquet" and sys.stdout.isatty():
        raise UsageError(
            "--format parquet writes binary; send it to a file: drawdown sql ... --format parquet > x.parquet"
        )
    try:
        with open_reader(Home.from_environment().current) as connection:
            statements = connection.extract_statements(query)
            if not statements:
                raise UsageError('there is no statement to run; try: drawdown sql "from marts.account_status"')
            if output_format == "parquet":
                if duckdb.ExpectedResultType.QUERY_RESULT not in statements[-1].expected_result_type:
                    raise UsageError("--format parquet needs a statement that returns rows, such as a SELECT")
                terminal.write_parquet(connection.sql(query), sys.stdout.buffer)
                return
            result = connection.execute(query)
            names = [column[0] for column in result.description or []]
            rows = result.fetchall()
    except duckdb.Error as problem:
        raise DrawdownError(in_words(problem) or f"{str(problem).strip()}{_hint(problem)}") from None
    show = {"table": terminal.show_rows, "csv": terminal.write_csv, "json": terminal.write_json}[output_format]
    show(names, rows)
    if output_format == "table":
        print(f"{len(rows)} row{'' if len(rows) == 1 else 's'}", file=sys.stderr)


_NOT_READING: Final = ("attached in read-only mode", "the configuration has been locked", "LocalFileSystem disabled")
"""How DuckDB says that a statement does more than read."""


def _hint(problem: Exception) -> str:
    """Where the names stand, after an error about a name; what the command is for, after one about anything more."""
    import duckdb

    if isinstance(problem, duckdb.PermissionException) or any(each in str(problem) for each in _NOT_READING):
        return (
            "\n`drawdown sql` reads the published tables and nothing else; for files, settings and tables of your own, "
            f"open {Home.from_environment().current.resolve()} in DuckDB with read_only"
        )

    if isinstance(problem, duckdb.CatalogException):
        return "\n`drawdown dictionary` lists the tables"
    if isinstance(problem, duckdb.BinderException):
        return "\n`drawdown dictionary TABLE` lists a table's columns"
    return ""


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
) -> None:
    """Tell where an account's money went, why it is forecast so, and how each number is known."""
    from pipeline.explain import explain as find

    home = Home.from_environment()
    found = find(home, account)
    if fetch_id:
        from pipeline.explain import write_bytes

        write_bytes(home, fetch_id)
    elif as_json:
        from pipeline.terminal import write_json_object

        write_json_object(found)
    else:
        from pipeline.explain_text import show

        show(found)


@app.command()
def dictionary(
    table: Annotated[
        str,
        typer.Argument(
            help="A table, such as marts.account_status, or a schema; default: all.",
            autocompletion=completion.tables,
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
) -> None:
    """Tell every published table and column: key, type, unit, meaning, and where it comes from."""
    from pipeline.dictionary import show

    show(table, "json" if as_json else output_format)


@app.command()
def report(
    is_opened: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Print where the report of the newest build is: one HTML page, made anew where it is older than the build."""
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
            help="Say that somebody has the account's alerts in hand.",
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
    note: Annotated[str, typer.Option(metavar="TEXT", help="With --acknowledge: a line about it.")] = "",
    test: Annotated[bool, typer.Option("--test", help="Send a test message to every recipient.")] = False,
    as_json: Json = False,
) -> None:
    """Show the open alerts; acknowledge some; or try whether messages arrive."""
    from pipeline import alerting

    if (rule or note) and not acknowledge:
        raise UsageError("--rule and --note go with --acknowledge")
    if test and acknowledge:
        raise UsageError("--test and --acknowledge are two things; do one after the other")
    if test:
        if not alerting.try_recipients(as_json=as_json):
            raise typer.Exit(1)
    elif acknowledge:
        alerting.acknowledge(Home.from_environment(), acknowledge, rule or None, note or None)
    else:
        alerting.show(Home.from_environment(), as_json=as_json)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8710,
    public: Annotated[bool, typer.Option("--public", help="Let --host be reached from other machines.")] = False,
    name: Annotated[
        list[str], typer.Option(metavar="NAME", help="Another host name that it may be asked as. Repeatable.")
    ] = [],  # noqa: B006 - typer reads it as the default
    max_age: Annotated[
        int, typer.Option(metavar="MINUTES", min=1, help="How old the newest build may be for /healthz.")
    ] = 180,
) -> None:
    """Serve the report, /metrics and /healthz over HTTP, read-only, until interrupted."""
    from pipeline.serving import serve as serve_forever

    serve_forever(Home.from_environment(), host=host, port=port, is_public=public, names=name, max_age_minutes=max_age)


@app.command()
def checksum(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A DuckDB file; default: the published build.")] = "",
    as_json: Json = False,
) -> None:
    """Print each table's rows and a checksum of what they hold, to compare two builds."""
    from pathlib import Path

    from pipeline.checksum import print_checksums

    print_checksums(Path(file) if file else Home.from_environment().current, as_json=as_json)


# -- beginning ----------------------------------------------------------------------------------------------------


@app.command()
def init(
    dagster: Annotated[bool, typer.Option("--dagster", help="Write dagster.yaml for the scheduler instead.")] = False,
) -> None:
    """Write a commented accounts.toml to start from; an existing one is never touched."""
    from pipeline import beginnings

    if dagster:
        path, is_new = beginnings.write_dagster_yaml(Home.from_environment())
        print(f"wrote {path}" if is_new else f"{path} is there already and stays as it is")
    else:
        print(f"wrote {beginnings.write_accounts()}; set the variables that it names, then try `drawdown doctor`")


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check each account with one GET, and this machine: reachable, authorised, clock, disk, permissions."""
    from pipeline.doctor import examine
    from pipeline.terminal import show_findings, write_json

    findings = examine(Home.from_environment())
    rows = [(each.state, each.about, each.finding) for each in findings]
    if as_json:
        write_json(["state", "about", "finding"], rows)
    else:
        show_findings(rows)
    if any(each.state == "fail" for each in findings):
        raise typer.Exit(1)


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="Another seed, another world.")] = 0,
    days: Annotated[
        int, typer.Option(min=1, max=400, help="Days that are polled, once a day, before the last refresh.")
    ] = 30,
) -> None:
    """Start the sandbox vendors on loopback, poll them for some weeks, and show the accounts."""
    from pipeline.demo import play

    play(Home.from_environment(), seed=seed, days=days)


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 8700,
    seed: Annotated[int, typer.Option(help="Another seed, another world.")] = 0,
    days: Annotated[int, typer.Option(min=1, max=4000, help="Days of history.")] = 400,
) -> None:
    """Serve the four vendors' APIs over a simulated world, faults on request, until interrupted."""
    import errno

    from pipeline.sandbox import serve_forever

    try:
        serve_forever(port=port, seed=seed, days=days)
    except OSError as problem:
        if problem.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise DrawdownError(
            f"port {port} on 127.0.0.1 cannot be taken: {problem.strerror}; `--port 0` takes a free one"
        ) from None


if __name__ == "__main__":
    main()

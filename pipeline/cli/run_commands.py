"""Commands that request data from vendors, or rebuild tables."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import completion
from pipeline.cli.app import Accounts, AsOf, Json, app, complain
from pipeline.support.errors import DrawdownError, UsageError
from pipeline.support.home import Home

if TYPE_CHECKING:
    from pipeline.orchestration.refresh import RefreshRequest, RefreshResult


@app.command()
def run(
    select: Annotated[str, typer.Option(metavar="SELECTION", help="Dagster's asset selection; default: all.")] = "",
    account: Accounts = [],  # noqa: B006 - typer reads it as the default
    poller: Annotated[
        int | None, typer.Option(metavar="N", help="Only accounts of this poller, of spark.pollers.")
    ] = None,
    as_of: AsOf = "",
    as_json: Json = False,
) -> None:
    """Refresh once, in this process: request new data of every account and update all tables."""

    def work() -> RefreshResult:
        from pipeline.support.clock import Clock, parse_instant

        try:
            clock = Clock(parse_instant(as_of) if as_of else None)
        except ValueError as problem:
            raise UsageError(f"--as-of: {problem}") from None

        _load_assets()
        from pipeline.orchestration.refresh import RefreshRequest, check_before

        request = RefreshRequest(
            home=Home.from_environment(),
            selection=select or None,
            accounts=tuple(account),
            poller=poller,
            clock=clock,
        )
        check_before(request)
        return _watched(request)

    _report(work, as_json=as_json)


@app.command()
def backfill(
    from_date: Annotated[str, typer.Option("--from", metavar="DATE", help="First UTC day.")],
    to_date: Annotated[str, typer.Option("--to", metavar="DATE", help="Last UTC day; default: today.")] = "",
    account: Accounts = [],  # noqa: B006 - typer reads it as the default
    as_of: AsOf = "",
    as_json: Json = False,
) -> None:
    """Request past days again, and update the tables that depend on them."""

    def work() -> RefreshResult:
        from pipeline.support.clock import Clock, parse_day, parse_instant

        try:
            clock = Clock(parse_instant(as_of) if as_of else None)
            first, last = parse_day(from_date), parse_day(to_date) if to_date else clock.today()
        except ValueError as problem:
            raise UsageError(str(problem)) from None
        if last < first:
            raise UsageError(f"--to {last} is before --from {first}; give the earlier day to --from")

        _load_assets()
        from pipeline.orchestration.refresh import RefreshRequest, check_before

        request = RefreshRequest(
            home=Home.from_environment(),
            accounts=tuple(account),
            clock=clock,
            from_date=str(first),
            to_date=str(last),
        )
        check_before(request)
        return _watched(request)

    _report(work, as_json=as_json)


@app.command()
def rebuild(
    as_of: Annotated[
        str, typer.Option(metavar="INSTANT", help="Write the tables as known then to --to; change nothing else.")
    ] = "",
    to: Annotated[str, typer.Option(metavar="FILE", help="The DuckDB file that --as-of writes.")] = "",
    as_json: Json = False,
) -> None:
    """Rebuild the warehouse and everything published from landing alone; nothing is fetched."""

    def work() -> RefreshResult:
        from pathlib import Path

        from pipeline.support.clock import parse_instant

        if bool(as_of) != bool(to):
            raise UsageError("--as-of and --to need each other: an instant, and the file for the tables as known then")
        try:
            known_at = parse_instant(as_of) if as_of else None
        except ValueError as problem:
            raise UsageError(f"--as-of: {problem}") from None

        _load_assets()
        from pipeline.cli.progress import steps
        from pipeline.orchestration.refresh import RefreshRequest, rebuild_as_of, step_count
        from pipeline.orchestration.refresh import rebuild as rebuild_all

        home = Home.from_environment()

        like = RefreshRequest(home=home, is_rebuild=True, target=Path(to) if known_at else None)
        with steps("Rebuilding", step_count(like)) as advance:
            if known_at:
                return rebuild_as_of(home, known_at, Path(to), on_step=advance)
            return rebuild_all(home, on_step=advance)

    _report(work, as_json=as_json)


def _load_assets() -> None:
    """Import what a refresh needs. All of it stays until the process ends, so it is never searched for garbage."""
    gc.disable()
    try:
        import pipeline.orchestration.refresh  # noqa: F401 - the callers import names of it
    finally:
        gc.freeze()
        gc.enable()


def _watched(request: RefreshRequest) -> RefreshResult:
    from dataclasses import replace

    from pipeline.cli.progress import steps
    from pipeline.landing.fetching import FetchPolicy, Visit
    from pipeline.orchestration.refresh import materialize, step_count
    from pipeline.support.notices import warn

    warned: set[str] = set()
    with steps("Refreshing", step_count(request)) as advance:

        def visited(visit: Visit) -> None:
            line = f"{visit.account_id}: {visit.endpoint} {visit.outcome}, {visit.fetch_count} fetched"
            if visit.clock_warning and visit.account_id not in warned:
                warned.add(visit.account_id)
                line = f"{line}; {visit.clock_warning}"
            advance(visit.news if visit.is_absent else line)

        policy = FetchPolicy(on_visit=visited, on_warning=warn)
        return materialize(replace(request, on_step=advance, policy=policy))


def _report(work: Callable[[], RefreshResult], *, as_json: bool) -> None:
    """Run it and print the result, also if it failed; then the exception propagates."""
    from pipeline.support.notices import collected

    with collected() as warnings:
        try:
            outcome = work()
        except (Exception, KeyboardInterrupt) as problem:
            if as_json:
                from pipeline.orchestration.refresh import ending

                _print_outcome(*ending(problem), warnings)
            raise
        finally:
            # These lines concern no number, so the exit code stays 0.
            for line in warnings:
                complain(line)
    if as_json:
        _print_outcome(outcome.run_id, outcome.problems, warnings)
    else:
        for line in outcome.problems:
            complain(line)
    if not outcome.is_ok:
        raise typer.Exit(1)


def _print_outcome(run_id: str | None, problems: Sequence[str], warnings: Sequence[str]) -> None:
    from pipeline.cli.terminal import write_json

    names = ["run_id", "is_ok", "problems", "warnings"]
    write_json(names, [[run_id, not problems, list(problems), list(warnings)]])


@app.command()
def backtest(
    account: Annotated[
        list[str],
        typer.Option(
            "--account",
            metavar="ID",
            help="Show this account as well; may be repeated.",
            autocompletion=completion.accounts,
        ),
    ] = [],  # noqa: B006 - typer reads it as the default
    competitor: Annotated[
        list[str],
        typer.Option(
            metavar="[NAME=]WHAT",
            help="Another forecaster: a function, such as my_model:forecast, or a file of answers; may be repeated.",
        ),
    ] = [],  # noqa: B006 - typer reads it as the default
    questions: Annotated[
        str,
        typer.Option(metavar="FILE", help="Only write what a competitor is asked: .arrow or .parquet."),
    ] = "",
    as_json: Json = False,
) -> None:
    """Forecast every account from its past days, and report how good these forecasts would have been."""
    from pathlib import Path

    from pipeline.cli.backtesting import ask_questions, run_backtest

    home = Home.from_environment()
    if questions:
        if competitor or account or as_json:
            raise UsageError("--questions only writes a file; leave out --competitor, --account and --json")
        ask_questions(home, Path(questions))
    else:
        run_backtest(home, account, competitor, as_json=as_json)


@app.command()
def compact() -> None:
    """Merge landing files of finished days into one for each day and endpoint; rows do not change."""
    from pipeline.cli.progress import steps
    from pipeline.landing.compact import compact as compact_landing
    from pipeline.landing.compact import folder_count
    from pipeline.support.clock import Clock

    landing = Home.from_environment().landing
    if not landing.is_dir():
        raise DrawdownError(
            f"{landing} does not exist: there is nothing to compact. `drawdown run` begins it, or set DRAWDOWN_HOME to "
            "the folder that has it"
        )
    with steps("Merging files, a day and endpoint at a time", folder_count(landing)) as advance:
        done = compact_landing(landing, Clock().today(), on_folder=lambda: advance(None))
    print(
        f"{done.files_before} files, {done.bytes_before:,} bytes -> "
        f"{done.files_after} files, {done.bytes_after:,} bytes"
    )

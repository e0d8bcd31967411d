"""Commands to begin with, and for maintenance."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.app import Json, app
from pipeline.support.errors import DrawdownError, UsageError
from pipeline.support.home import Home


@app.command()
def init(
    dagster: Annotated[bool, typer.Option("--dagster", help="Write dagster.yaml for the scheduler instead.")] = False,
) -> None:
    """Write a commented accounts.toml to start from; an existing one is never touched."""
    from pipeline.cli import starters

    if dagster:
        path, is_new = starters.write_dagster_yaml(Home.from_environment())
        print(f"wrote {path}" if is_new else f"{path} already exists and is left unchanged")
    else:
        print(f"wrote {starters.write_accounts()}; set the variables that it names, then try `drawdown doctor`")


@app.command()
def doctor(
    deliver: Annotated[
        bool, typer.Option("--deliver", help="Also send a test message to each recipient of alerts.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check each account with one GET, this machine (access, clock, disk, permissions), and when it last refreshed."""
    from pipeline.cli.doctor import examine
    from pipeline.cli.terminal import show_findings, write_json

    findings = examine(Home.from_environment(), is_delivering=deliver)
    rows = [(each.state, each.about, each.finding) for each in findings]
    if as_json:
        write_json(["state", "about", "finding"], rows)
    else:
        show_findings(rows)
    if any(each.state == "fail" for each in findings):
        raise typer.Exit(1)


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="Seed of the simulated world.")] = 0,
    days: Annotated[int, typer.Option(min=1, max=400, help="Days to poll, once a day, before the last refresh.")] = 30,
) -> None:
    """Start the sandbox vendors on loopback, poll them for some weeks, and show the accounts."""
    from pipeline.cli.demo import play

    play(Home.from_environment(), seed=seed, days=days)


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 picks a free one.")] = 8700,
    seed: Annotated[int, typer.Option(help="Seed of the simulated world.")] = 0,
    days: Annotated[int, typer.Option(min=1, max=4000, help="Days of history.")] = 400,
    vendor: Annotated[
        list[str],
        typer.Option(metavar="NAME", help="Serve this vendor instead of the four; `all` for every one. Repeatable."),
    ] = [],  # noqa: B006 - typer reads it as the default
) -> None:
    """Serve vendors' APIs over a simulated world, until interrupted; declared vendors answer with their examples."""
    import errno

    from pipeline.sandbox import serve_forever

    try:
        serve_forever(port=port, seed=seed, days=days, vendors=vendor or None)
    except ValueError as problem:
        raise UsageError(str(problem)) from None
    except OSError as problem:
        if problem.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise DrawdownError(
            f"port {port} on 127.0.0.1 is not available: {problem.strerror}; `--port 0` picks a free one"
        ) from None

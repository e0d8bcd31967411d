"""`drawdown demo`: weeks of polling the sandbox within seconds, one refresh, and the account table."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pipeline.cli.demo_settings import OPENED_LAST, further_tables, registrar_csv, settings_by_account
from pipeline.cli.terminal import console, sentence
from pipeline.support.clock import Clock
from pipeline.support.errors import DrawdownError, UsageError
from pipeline.support.home import Home, atomic_file, private_folder
from pipeline.support.wording import count

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.sandbox import Sandbox

_FROM_EARLIER = ("landing", "published", "limits", "warehouse.duckdb", "warehouse.duckdb.wal")

_BUILDS_BEFORE = (7, 1)
"""Days before the last refresh on which the demo publishes a build, so that there is something to compare with."""


_WIDEST = 100
"""Wider text is hard to follow."""

_TABLES_ONLY = 'not group:published or key:"published/snapshot"'
"""Assets of the builds before the last: nobody looks at their exports."""


def _write_accounts(home: Home, world: Sandbox, *, end: datetime, without: Collection[str] = ()) -> None:
    text = world.accounts_toml(settings_by_account(end), without=without) + further_tables()
    with atomic_file(home.sandbox_accounts) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _write_registrar(home: Home, *, end: datetime, at: datetime) -> None:
    with atomic_file(home.path / "registrar.csv") as temporary:
        temporary.write_text(registrar_csv(end=end, at=at), encoding="utf-8")


def play(home: Home, *, seed: int, days: int) -> None:
    """Play the demo in a state folder that is empty or holds earlier demos.

    Raises UsageError if the folder holds real accounts' data, DrawdownError if a step fails.
    """
    from pipeline import sandbox

    # Progress goes to stderr, the result to stdout.
    screen = console(stderr=True)
    _make_room(home)
    with sandbox.start(seed=seed) as world:
        screen.print(f"Sandbox vendors on [bold]{world.url}[/bold]; no key, no account, nothing leaves this machine.")
        end = datetime.now(UTC).replace(microsecond=0)
        _write_accounts(home, world, end=end, without=[OPENED_LAST])
        os.environ.update(world.keys)
        os.environ["DRAWDOWN_ACCOUNTS"] = str(home.sandbox_accounts)
        polled = [end - timedelta(days=back) for back in range(days, 0, -1)]
        for back in [back for back in _BUILDS_BEFORE if back <= days]:
            at = end - timedelta(days=back)
            _write_registrar(home, end=end, at=at)
            _poll(home, world, [instant for instant in polled if instant < at], screen=screen)
            polled = [instant for instant in polled if instant > at]
            _refresh(home, world, at=at, selection=_TABLES_ONLY)
        _write_registrar(home, end=end, at=end)
        _poll(home, world, polled, screen=screen)
        _write_accounts(home, world, end=end)
        _refresh(home, world, at=end)
    _show(home, console())


def _make_room(home: Home) -> None:
    if home.landing.exists() and not home.sandbox_accounts.exists():
        raise UsageError(f"{home.path} holds your own accounts' data; set DRAWDOWN_HOME to another folder for the demo")
    private_folder(home.path)
    for name in _FROM_EARLIER:
        path = home.path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _poll(home: Home, world: Sandbox, instants: Sequence[datetime], *, screen: Console) -> None:
    """Poll at each instant what a schedule polls hourly, into landing; a refresh requests the rest."""
    import msgspec
    from rich.progress import track

    from pipeline.landing.fetching import Fetcher, FetchPolicy, calls_for, every_endpoint
    from pipeline.settings import load

    settings = load()
    accounts = list(settings.accounts.values())
    calls = calls_for(accounts, every_endpoint("hourly"))
    record = msgspec.json.encode(settings.to_record(), order="sorted")
    for instant in track(instants, "Polling, a day at a time", console=screen, transient=True):
        world.move_clock(instant)
        fetcher = Fetcher(
            home=home,
            clock=Clock(instant),
            run_id=f"demo-{instant:%Y%m%d}",
            allow_http_loopback=True,
            policy=FetchPolicy(is_limited=False),
        )
        fetcher.fetch(calls, record)
    if instants:
        screen.print(f"[green]✓[/green] {count(len(instants), 'day')} polled into {home.landing}")


def _refresh(home: Home, world: Sandbox, *, at: datetime, selection: str | None = None) -> None:
    """Run a refresh at an instant. Raises DrawdownError if it fails."""
    from pipeline.cli.progress import steps
    from pipeline.landing.fetching import FetchPolicy
    from pipeline.orchestration.refresh import RefreshRequest, check_before, materialize, step_count

    world.move_clock(at)
    request = RefreshRequest(home=home, selection=selection, clock=Clock(at))
    check_before(request)
    with steps(f"Refreshing as of {at:%Y-%m-%d}", step_count(request)) as advance:
        policy = FetchPolicy(is_limited=False, on_visit=lambda _: advance(None))
        problems = materialize(replace(request, policy=policy, on_step=advance)).problems
    if problems:
        raise DrawdownError("; ".join(problems))


def _show(home: Home, screen: Console) -> None:
    from pipeline.cli.status import print_status, read_status

    print_status(read_status(home), as_json=False)
    _show_alerts(home, screen)
    screen.print(
        "\nWhere to look next:\n"
        "  drawdown status --budgets    this month: spent, expected, and the budgets\n"
        "  drawdown alerts    what is open, and who was notified\n"
        "  drawdown explain hyperstack-main    where its money went, and its automatic top-ups\n"
        '  drawdown sql "select * from marts.account_status"\n'
        '  drawdown sql "select * from marts.data_dictionary"    what each column means\n'
        f"  {_short(home.published / 'report' / 'index.html')}    the report: drawdown report --open\n"
        f"  {_short(home.current)}    the same tables for DuckDB and BI tools\n"
        f"  {_short(home.published / 'parquet')}/    and as Parquet\n"
        f"  {_short(home.landing)}/    every answer, byte for byte\n"
        "  drawdown init    your own accounts",
        markup=False,
    )


def _show_alerts(home: Home, screen: Console) -> None:
    """Print the open alerts that the account table does not say already."""
    from pipeline.cli.alerting import read_open

    found = read_open(home).alerts
    if not found:
        return
    screen.print(f"\n{count(len(found), 'alert')} open; beside those of days left:")
    for alert in found:
        if alert["rule"] != "runway":
            about = f"{alert['account_id']}, {alert['rule']}"
            print(sentence(about, alert["message"], min(screen.width, _WIDEST)))


def _short(path: os.PathLike[str]) -> str:
    relative = os.path.relpath(path)
    return os.fspath(path) if relative.startswith("..") else relative

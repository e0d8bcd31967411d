"""Alerts' assets: what happened to each account's alerts, how they stand, and whether people were told."""

from collections.abc import Iterator

import dagster as dg
import msgspec

from pipeline import quarantine
from pipeline.alerts.delivery import address, deliver
from pipeline.alerts.inputs import READS, read_readings
from pipeline.alerts.journal import Ledger, Transitions, land, load, read_ledger
from pipeline.alerts.machine import step
from pipeline.alerts.rules import findings
from pipeline.alerts.tables import rebuild_tables
from pipeline.alerts.takeover import take_over
from pipeline.assetkit import OWNERS, asset_key, clear_failures, described, say, table_metadata
from pipeline.clock import Clock
from pipeline.home import Home
from pipeline.schema.render import duplicate_keys
from pipeline.schema.tables import ALERTS
from pipeline.settings import Settings
from pipeline.settings import load as load_settings
from pipeline.warehouse import Warehouse

_PUBLISHED = [table for table in ALERTS if table.is_published]
_EVENTS = asset_key("alerts.events")


@dg.multi_asset(
    name="alerts",
    specs=[
        dg.AssetSpec(
            asset_key(table.full_name),
            deps=[asset_key(name) for name in READS],
            group_name="alerts",
            description=table.doc,
            kinds={"python", "duckdb"},
            owners=OWNERS,
        )
        for table in _PUBLISHED
    ],
    check_specs=[
        *(
            dg.AssetCheckSpec(
                "matches_contract",
                asset=asset_key(table.full_name),
                blocking=True,
                description=f"No key ({', '.join(table.key)}) stands twice.",
            )
            for table in _PUBLISHED
        ),
        dg.AssetCheckSpec(
            "is_delivered",
            asset=_EVENTS,
            description="Whoever is to be told was told; what was not delivered is tried again by the next run.",
        ),
    ],
)
def alerts(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    home: dg.ResourceParam[Home],
    clock: dg.ResourceParam[Clock],
) -> Iterator[dg.MaterializeResult[None]]:
    """Find what has changed, land it, tell people, and take over what is landed; a replay only takes over."""
    problems: list[str] = []
    happened = 0
    with clear_failures():
        connection = warehouse.connection
        if not warehouse.is_replay:
            settings = load_settings()
            run_id = context.run.run_id
            before = _ledger(warehouse)
            happened = _advance(before, warehouse, settings, clock, run_id)
            problems = deliver(
                _ledger(warehouse), settings.alerts, settings.recipients(), settings.notify_url, home, clock, run_id
            )
        ledger = _ledger(warehouse)
        with warehouse.transaction():
            rebuild_tables(connection, ledger)
    say(f"alerts: {happened} new events, {sum(state.is_open for state in ledger.states.values())} open")
    for table in _PUBLISHED:
        key = asset_key(table.full_name)
        duplicates = connection.sql(duplicate_keys(table)).fetchall()[0][0]
        checks = [
            dg.AssetCheckResult(
                check_name="matches_contract",
                asset_key=key,
                passed=not duplicates,
                severity=dg.AssetCheckSeverity.ERROR,
                metadata={"keys_standing_twice": duplicates},
            )
        ]
        if key == _EVENTS:
            checks.append(
                dg.AssetCheckResult(
                    check_name="is_delivered",
                    asset_key=key,
                    passed=not problems,
                    severity=dg.AssetCheckSeverity.ERROR,
                    description=described(problems),
                )
            )
        yield dg.MaterializeResult(
            asset_key=key, metadata=table_metadata(connection, table.full_name), check_results=checks
        )


def _ledger(warehouse: Warehouse) -> Ledger:
    with warehouse.transaction() as connection:
        load(connection, warehouse.home.landing, warehouse.known_at)
    return read_ledger(connection)


def _advance(before: Ledger, warehouse: Warehouse, settings: Settings, clock: Clock, run_id: str) -> int:
    """Land what the state machine makes of the readings, where that is anything; returns how many events."""
    home, policy = warehouse.home, settings.alerts
    if not before.states:
        told = take_over(home.landing, policy)
        if told is not None:
            land(home, clock, run_id, told)
            before = _ledger(warehouse)
    now = clock.now()
    found, broken = [], []
    for reading in read_readings(warehouse.connection):
        try:
            found += list(findings(reading, policy))
        except Exception as problem:
            # One account's alerts stay as they are; the others go on.
            broken.append(quarantine.Broken(reading.account_id, f"its rules fail with {type(problem).__name__}"))
    with warehouse.transaction() as connection:
        quarantine.record(connection, "alerts.states", broken)
    waiting = sorted(before.waiting.items())
    after, events = step(before.states, found, [each for _, each in waiting], now)
    changed = tuple(after[key] for key in sorted(after) if after[key] != before.states.get(key))
    if changed or waiting:
        addressed = tuple(
            msgspec.structs.replace(each, recipients=address(each, policy, settings.recipients())) for each in events
        )
        entry = Transitions(
            at=now, states=changed, events=addressed, acknowledgements=tuple(fetch_id for fetch_id, _ in waiting)
        )
        land(home, clock, run_id, entry)
    return len(events)

"""Assets of the layer `alerts`: events, states and deliveries."""

from collections.abc import Iterator

import dagster as dg
import msgspec

from pipeline.alerts import rate_rule, rule_inputs
from pipeline.alerts.account_facts import AccountFacts
from pipeline.alerts.alert_tables import rebuild_tables
from pipeline.alerts.budget_rule import budget_findings
from pipeline.alerts.journal import Ledger, Transitions, land, load, read_ledger
from pipeline.alerts.pending import address
from pipeline.alerts.rule_inputs import read_readings
from pipeline.alerts.rules import findings
from pipeline.alerts.state_machine import step
from pipeline.landing.rate_requests import remedy
from pipeline.models import quarantine
from pipeline.models.python_tables import materialized, table_check_specs, table_specs
from pipeline.schema.severities import OLD_RATES
from pipeline.schema.tables import of_layer
from pipeline.settings import Settings
from pipeline.settings import load as load_settings
from pipeline.support.clock import Clock
from pipeline.support.dagster_steps import readable_failures, say
from pipeline.warehouse.writer import Warehouse

_PUBLISHED = [table for table in of_layer("alerts") if table.is_published]
_READS = tuple(dict.fromkeys((*rule_inputs.READS, *rate_rule.READS)))


@dg.multi_asset(
    name="alerts",
    specs=table_specs(_PUBLISHED, _READS),
    check_specs=table_check_specs(_PUBLISHED),
)
def alerts(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    clock: dg.ResourceParam[Clock],
) -> Iterator[dg.MaterializeResult[None]]:
    """Evaluate the rules, land the changes, and load the journal; a replay only loads.

    Messages are sent after publishing (`published/messages`).
    """
    happened = 0
    with readable_failures():
        connection = warehouse.connection
        if not warehouse.is_replay:
            happened = _advance(_ledger(warehouse), warehouse, load_settings(), clock, context.run.run_id)
        _load_landed(warehouse)
        ledger = read_ledger(connection, is_for_tables=True)
        with warehouse.transaction():
            rebuild_tables(connection, ledger)
    say(f"alerts: {happened} new events, {sum(state.is_open for state in ledger.states.values())} open")
    for table in _PUBLISHED:
        yield materialized(context, connection, table)


def _load_landed(warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        load(connection, warehouse.home.landing, warehouse.known_at)


def _ledger(warehouse: Warehouse) -> Ledger:
    _load_landed(warehouse)
    return read_ledger(warehouse.connection)


def _advance(before: Ledger, warehouse: Warehouse, settings: Settings, clock: Clock, run_id: str) -> int:
    """Land the events that the state machine derives from the readings; returns their number."""
    home, policy = warehouse.home, settings.alerts
    now = clock.now()
    found, broken = [], []
    readings: list[AccountFacts] = (
        warehouse.steps.readings() if warehouse.steps else read_readings(warehouse.connection)
    )
    for reading in readings:
        try:
            found += list(findings(reading, policy))
        except Exception as problem:
            # This account's alerts keep their state; the other accounts are evaluated.
            broken.append(quarantine.Broken(reading.account_id, f"its rules fail with {type(problem).__name__}"))
    found += budget_findings(warehouse.connection, policy)
    rates, severity = rate_rule.read_rates(warehouse.connection), policy.severity(OLD_RATES)
    if rates is not None and severity is not None:
        found.append(rate_rule.old_rates(rates, severity, remedy(settings.fx)))
    with warehouse.transaction() as connection:
        quarantine.record(connection, "alerts.states", broken)
    waiting = sorted(before.waiting.items())
    after, events = step(before.states, found, [each for _, each in waiting], now)
    changed = tuple(after[key] for key in sorted(after) if after[key] != before.states.get(key))
    if changed or waiting or before.has_untaken:
        recipients = settings.alert_recipients()
        addressed = tuple(
            msgspec.structs.replace(each, recipients=address(each, policy, recipients)) for each in events
        )
        entry = Transitions(
            at=now,
            states=changed,
            events=addressed,
            acknowledgements=tuple(fetch_id for fetch_id, _ in waiting),
            through=before.newest,
        )
        land(home, clock, run_id, entry)
    return len(events)

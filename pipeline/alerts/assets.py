"""Alerts' assets: the message that goes out when an account turns critical or goes stale."""

import dagster as dg
import msgspec

from pipeline.alerts.notification import NOTIFICATIONS, Reading, crossings, newest_states, next_states, send, words
from pipeline.assetkit import OWNERS, asset_key, clear_failures, say
from pipeline.clock import Clock
from pipeline.home import Home
from pipeline.landing.fetching import land_own
from pipeline.settings import load
from pipeline.warehouse import Warehouse


@dg.asset(
    key=dg.AssetKey(["alerts", "notification"]),
    deps=[asset_key("marts.account_status")],
    group_name="alerts",
    description="One message through Apprise when an account turns critical or goes stale; nothing where "
    "accounts.toml names no notify_url_env. What was told is landed, so that it is told once.",
    kinds={"python"},
    owners=OWNERS,
    check_specs=[
        dg.AssetCheckSpec(
            "is_delivered",
            asset=dg.AssetKey(["alerts", "notification"]),
            description="Whoever is to be told was told; what was not delivered is tried again by the next run.",
        )
    ],
)
def notification(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    home: dg.ResourceParam[Home],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult:
    """Tell what has changed since the last message."""
    with clear_failures():
        url = load().notify_url()
    readings = [
        Reading(account_id=row[0], severity=row[1], reading_state=row[2], reason=row[3])
        for row in warehouse.connection.execute(
            """
            SELECT account_id, severity, reading_state,
                CASE WHEN order_by_date IS NULL THEN reason ELSE reason || ' ' || topup_advice END
            FROM marts.account_status ORDER BY account_id
            """
        ).fetchall()
    ]
    known = newest_states(home.landing)
    states = next_states(known, readings)
    crossed = crossings(known, states, readings)
    problem = None
    if url is not None and crossed:
        problem = send(url, *words(crossed))
        say(f"alerts: {problem or f'told of {len(crossed)} accounts'}")
    if url is not None and problem is None and states != known:
        land_own(home, clock, context.run.run_id, NOTIFICATIONS, msgspec.json.encode(states, order="sorted"))
    return dg.MaterializeResult(
        metadata={"crossings": [each.account_id for each in crossed], "is_configured": url is not None},
        check_results=[
            dg.AssetCheckResult(
                check_name="is_delivered",
                passed=problem is None,
                severity=dg.AssetCheckSeverity.ERROR,
                description=problem,
            )
        ],
    )

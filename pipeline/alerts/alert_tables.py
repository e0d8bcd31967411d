"""`alerts.events` and `alerts.states`, rewritten from the journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import msgspec
import pyarrow as pa

from pipeline.alerts.journal import Delivery, Ledger
from pipeline.schema.tables import ALL


def rebuild_tables(connection: duckdb.DuckDBPyConnection, ledger: Ledger) -> None:
    """Replace the rows of both tables by the contents of the ledger. Run inside a transaction."""
    _replace(connection, "alerts.events", _events(ledger))
    _replace(connection, "alerts.states", _states(ledger))


def delivery_state(deliveries: Sequence[Delivery]) -> str:
    """Delivery state of an event over all its recipients."""
    if not deliveries:
        return "no_recipient"
    if any(each.is_pending for each in deliveries):
        return "pending"
    return "withdrawn" if any(each.is_given_up for each in deliveries) else "delivered"


def _events(ledger: Ledger) -> Iterable[dict[str, Any]]:
    for event in ledger.events.values():
        deliveries_by_recipient = _deliveries(ledger, event.event_id)
        deliveries = list(deliveries_by_recipient.values())
        state = delivery_state(deliveries)
        arrived = [each.delivered_at for each in deliveries if each.delivered_at is not None]
        problems = [each.problem for each in deliveries if each.problem]
        yield {
            **msgspec.structs.asdict(event.evidence),
            "event_id": event.event_id,
            "account_id": event.account_id,
            "rule": event.rule,
            "event": event.event,
            "severity": event.severity,
            "happened_at_utc": event.happened_at_utc,
            "message": event.message,
            "recipients": ", ".join(deliveries_by_recipient) or None,
            "delivery_state": state,
            "delivery_attempt_count": sum(each.attempt_count for each in deliveries),
            "delivered_at_utc": max(arrived) if arrived and state == "delivered" else None,
            "is_possibly_repeated": any(each.is_possibly_repeated for each in deliveries),
            "delivery_problem": problems[-1] if problems else None,
            "fetch_id": ledger.fetch_ids[event.event_id],
        }


def _states(ledger: Ledger) -> Iterable[dict[str, Any]]:
    for (account_id, rule), state in sorted(ledger.states.items()):
        mine = [each for each in ledger.events.values() if (each.account_id, each.rule) == (account_id, rule)]
        arrived = [
            each.delivered_at
            for event in mine
            for each in _deliveries(ledger, event.event_id).values()
            if each.delivered_at is not None
        ]
        words = [each.message for each in mine if each.event != "acknowledged"]
        yield {
            "account_id": account_id,
            "rule": rule,
            "alert_state": state.alert_state,
            "severity": state.severity,
            "since_at_utc": state.since_at_utc,
            "message": words[-1],
            "acknowledged_by": state.acknowledged_by,
            "acknowledged_at_utc": state.acknowledged_at_utc,
            "acknowledgement_note": state.acknowledgement_note,
            "notified_at_utc": max(arrived, default=None),
            "event_id": state.event_id,
            "fetch_id": ledger.fetch_ids[f"{account_id}/{rule}"],
        }


def _deliveries(ledger: Ledger, event_id: str) -> Mapping[str, Delivery]:
    return {name: each for (event, name), each in sorted(ledger.deliveries.items()) if event == event_id}


def _replace(connection: duckdb.DuckDBPyConnection, name: str, rows: Iterable[dict[str, Any]]) -> None:
    columns = ALL[name].column_names
    found = list(rows)
    # Passed as text, which DuckDB reads exactly: an amount must never pass through a float.
    texts = {column: pa.array([_text(row.get(column)) for row in found], pa.string()) for column in columns}
    connection.execute(f"DELETE FROM {name}")
    connection.register("incoming", pa.table(texts))
    connection.execute(f"INSERT INTO {name} ({', '.join(columns)}) SELECT {', '.join(columns)} FROM incoming")
    connection.unregister("incoming")


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)

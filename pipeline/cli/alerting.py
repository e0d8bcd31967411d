"""`drawdown alerts`: open alerts, acknowledgements, and test messages."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pipeline.cli.terminal import console, print_table, sentence, show_findings, write_json
from pipeline.schema.severities import ALERT_RULES, SQL_URGENCY, URGENCY
from pipeline.support.errors import UsageError
from pipeline.support.home import Home
from pipeline.support.wording import duration, instant
from pipeline.warehouse.reader import reading

if TYPE_CHECKING:
    from pipeline.alerts.journal import JournalEntry
    from pipeline.settings import Settings

_QUERY: Final = f"""
SELECT account_id, rule, alert_state, severity, since_at_utc, message, acknowledged_by, acknowledged_at_utc,
    acknowledgement_note, notified_at_utc, event_id, fetch_id
FROM alerts.states
WHERE alert_state <> 'recovered'
ORDER BY {SQL_URGENCY}, account_id, rule
"""
_NEWEST: Final = "SELECT coalesce(max(fetch_id), '') FROM alerts.states"
_AS_OF: Final = "SELECT value FROM marts.build_info WHERE item = 'as_of_utc'"
_WIDEST: Final = 100
"""Wider rows are hard to follow."""
_MOST_NAMED: Final = 10
_MOST_NOTE: Final = 200


@dataclass(frozen=True, slots=True)
class Open:
    """The open alerts, and the instant that they describe."""

    alerts: list[dict[str, Any]]
    as_of: datetime


def read_open(home: Home) -> Open:
    """Read the open alerts of the newest build, together with newer journal entries that only the next run publishes.

    Raises DrawdownError if there is no build, or none that this version can read.
    """
    from pipeline.alerts.journal import landed_entries

    with reading(home.current) as connection:
        result = connection.execute(_QUERY)
        names = [column[0] for column in result.description or []]
        alerts = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        ((newest,),) = connection.execute(_NEWEST).fetchall()
        ((as_of,),) = connection.execute(_AS_OF).fetchall()
    for fetch_id, entry in landed_entries(home.landing, newest):
        alerts = _after(alerts, fetch_id, entry)
    alerts.sort(key=lambda each: (URGENCY.index(each["severity"]), each["account_id"], each["rule"]))
    return Open(alerts, datetime.fromisoformat(as_of))


def _after(alerts: list[dict[str, Any]], fetch_id: str, entry: JournalEntry) -> list[dict[str, Any]]:
    """Apply a journal entry that is newer than the build to the open alerts."""
    from pipeline.alerts.journal import DeliveryOutcome, RunTransitions, Transitions
    from pipeline.alerts.state_machine import Acknowledgement

    if isinstance(entry, Acknowledgement):
        for alert in _matching(alerts, entry.account_id, entry.rule):
            alert |= {
                "alert_state": "acknowledged",
                "since_at_utc": entry.at,
                "acknowledged_by": entry.by,
                "acknowledged_at_utc": entry.at,
                "acknowledgement_note": entry.note,
            }
    elif isinstance(entry, DeliveryOutcome):
        if entry.is_delivered and entry.delivered_length is None:
            delivered = {event_id.rpartition("/")[0] for event_id in entry.event_ids}
            for alert in alerts:
                if f"{alert['account_id']}/{alert['rule']}" in delivered:
                    alert["notified_at_utc"] = entry.at
    elif isinstance(entry, Transitions | RunTransitions):
        for state in entry.states:
            key = (state.account_id, state.rule)
            mine = [alert for alert in alerts if (alert["account_id"], alert["rule"]) == key]
            alerts = [alert for alert in alerts if alert not in mine]
            if state.is_open:
                words = [each.message for each in entry.events if (each.account_id, each.rule) == key]
                before = mine[0] if mine else {"message": "", "notified_at_utc": None}
                alerts.append(
                    {
                        "account_id": state.account_id,
                        "rule": state.rule,
                        "alert_state": state.alert_state,
                        "severity": state.severity,
                        "since_at_utc": state.since_at_utc,
                        "message": words[-1] if words else before["message"],
                        "acknowledged_by": state.acknowledged_by,
                        "acknowledged_at_utc": state.acknowledged_at_utc,
                        "acknowledgement_note": state.acknowledgement_note,
                        "notified_at_utc": before["notified_at_utc"],
                        "event_id": state.event_id,
                        "fetch_id": fetch_id,
                    }
                )
    return alerts


def _matching(alerts: list[dict[str, Any]], account_id: str, rule: str | None) -> list[dict[str, Any]]:
    return [
        alert
        for alert in alerts
        if alert["alert_state"] == "open" and alert["account_id"] == account_id and rule in (None, alert["rule"])
    ]


def show(home: Home, *, as_json: bool) -> None:
    """Print the open alerts as a table with one sentence each, or all columns as JSON."""
    found = read_open(home)
    if as_json:
        names = list(found.alerts[0]) if found.alerts else []
        write_json(names, [list(alert.values()) for alert in found.alerts])
        return
    screen = console()
    width = min(screen.width, _WIDEST)
    if found.alerts:
        rows = [
            (
                alert["account_id"],
                alert["rule"],
                alert["severity"],
                alert["alert_state"],
                f"{alert['since_at_utc'].astimezone(UTC):%Y-%m-%d %H:%M}",
                "yes" if alert["notified_at_utc"] else "no",
            )
            for alert in found.alerts
        ]
        titles = ("account", "rule", "severity", "state", "since (UTC)", "sent")
        print_table(titles, rows, width=width)
        print()
        for alert in found.alerts:
            about = f"{alert['account_id']}, {alert['rule']}"
            print(sentence(about, " ".join(filter(None, (alert["message"], _acknowledgement(alert)))), width))
    else:
        print("No alert is open.")
    age = (datetime.now(UTC) - found.as_of).total_seconds()
    screen.print(f"As of {instant(found.as_of)}, {duration(age)} ago.", style="dim")


def _acknowledgement(alert: dict[str, Any]) -> str | None:
    if alert["acknowledged_by"] is None:
        return None
    note = alert["acknowledgement_note"]
    return f"[acknowledged by {alert['acknowledged_by']}{': ' + note if note else ''}]"


def acknowledge(home: Home, account_id: str, rule: str | None, note: str | None) -> None:
    """Land an acknowledgement of an account's open alerts; needs no lock.

    Raises UsageError for an unknown rule, a note that is not one line, and if nothing is open.
    """
    if rule is not None and rule not in ALERT_RULES:
        raise UsageError(f"--rule {rule}: known rules are {', '.join(ALERT_RULES)}")
    if note is not None and not (note.isprintable() and 0 < len(note) <= _MOST_NOTE):
        raise UsageError(f"--note: must be one line of at most {_MOST_NOTE} characters")
    taken = _matching(read_open(home).alerts, account_id, rule)
    if not taken:
        what = f"{account_id}, {rule}" if rule else account_id
        raise UsageError(f"--acknowledge {what}: there is no open alert; `drawdown alerts` lists them")

    from uuid import uuid4

    from pipeline.alerts.journal import land
    from pipeline.alerts.state_machine import Acknowledgement
    from pipeline.support.clock import Clock

    clock = Clock()
    entry = Acknowledgement(account_id=account_id, rule=rule, by=getpass.getuser(), at=clock.now(), note=note)
    land(home, clock, str(uuid4()), entry)
    for alert in taken:
        print(f"acknowledged: {account_id}, {alert['rule']} ({alert['severity']})")
    print("`drawdown alerts` shows it at once, the table alerts.states with the next run.")


def _few(account_ids: list[str]) -> str:
    """List account names, as many as fit into a message of any service."""
    named, more = account_ids[:_MOST_NAMED], len(account_ids) - _MOST_NAMED
    return ", ".join(named) + (f" and {more} more accounts" if more > 0 else "")


def try_recipients(*, as_json: bool) -> bool:
    """Send a test message to every recipient and print the results; returns whether all arrived.

    Raises UsageError if no recipient is configured.
    """
    from pipeline.settings import load

    settings = load()
    findings = send_tests(settings)
    if not findings:
        raise UsageError(f"{settings.source}: no recipient is configured: set notify_url_env")
    if as_json:
        write_json(["state", "recipient", "finding"], findings)
    else:
        show_findings(findings)
    return all(state == "ok" for state, _, _ in findings)


def send_tests(settings: Settings) -> list[tuple[str, str, str]]:
    """Send a test message to every recipient; returns a state (`ok`, `fail`), the variable, and the result for each.

    No result has a recipient's URL or a part of it.
    """
    from pipeline.alerts.channel import send

    accounts: dict[str, list[str]] = {}
    for account_id, names in settings.recipients().items():
        for name in names:
            accounts.setdefault(name, []).append(account_id)
    findings = []
    for name, account_ids in accounts.items():
        try:
            failure = send(
                settings.notify_url(name),
                "Drawdown: a test",
                f"This is a test. Messages about {_few(account_ids)} will arrive here.",
            )
            problem = failure.problem if failure else None
        except UsageError as missing:
            problem = str(missing)
        findings.append(
            ("fail" if problem else "ok", name, problem or f"accepted a test message about {', '.join(account_ids)}")
        )
    return findings

"""The state machine of alerts, played over timelines, with the exact log of each."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.alerts.journal import DeliveryOutcome, JournalEntry, Transitions, fold
from pipeline.alerts.rules import findings, runway_severity
from pipeline.alerts.state_machine import Acknowledgement, step
from pipeline.settings.alert_policy import Policy, rank
from tests.alerts.timelines import AGED, BAD, FINE, READINGS, START, Timeline

GOLDEN = {
    # Nothing is sent while everything is fine.
    "fine*5": [],
    # One message for each crossing, however long it lasts.
    "fine low*5": ["1: runway opened warning"],
    "fine dire*3": ["1: runway opened critical"],
    "low dire dire low dire": ["0: runway opened warning", "1: runway escalated critical"],
    # Recovered only after two good readings that clear the limit by a quarter.
    "low fine low fine low": ["0: runway opened warning"],
    "low nearly*9": ["0: runway opened warning"],
    "low fine nearly fine fine": ["0: runway opened warning", "4: runway recovered warning"],
    "low fine fine low": ["0: runway opened warning", "2: runway recovered warning", "3: runway opened warning"],
    # Two readings that are better, but not good, make the next crossing new again; one does not.
    "dire low*2 dire": ["0: runway opened critical", "3: runway escalated critical"],
    "dire dire-ish*4 dire": ["0: runway opened critical"],
    "dire low fine dire": ["0: runway opened critical", "3: runway escalated critical"],
    "dire low*2 fine*2": ["0: runway opened critical", "4: runway recovered critical"],
    "unlikely fine*2": ["0: runway opened warning", "2: runway recovered warning"],
    "fine empty*2 fine*2": [
        "1: amount opened warning",
        "1: runway opened critical",
        "1: threshold opened warning",
        "4: amount recovered warning",
        "4: runway recovered critical",
        "4: threshold recovered warning",
    ],
    # A balance below zero is urgent without known spend; a new account is not.
    "new*3": [],
    "debt": ["0: amount opened warning", "0: runway opened critical", "0: threshold opened warning"],
    "low new*3": ["0: runway opened warning"],
    # A bad reading opens only `stale`, at the third in a row, and recovers nothing.
    "fine null fine*2": [],
    "fine 500*2 fine null*2 fine": [],
    "fine 500*3 fine*2": ["3: stale opened warning", "5: stale recovered warning"],
    "fine -1*3 fine*2": ["3: stale opened warning", "5: stale recovered warning"],
    "never*3": ["2: stale opened warning"],
    "never*2 fine*2": [],
    "never*3 fine*2": ["2: stale opened warning", "4: stale recovered warning"],
    # A problem that no further request can fix is sent at once.
    "fine old*9": ["1: stale opened warning"],
    # A failure within the grace period keeps an alert open.
    "fine null*3 fine null fine fine": ["3: stale opened warning", "7: stale recovered warning"],
    "dire null 500 -1 old dire*2": [
        "0: runway opened critical",
        "3: stale opened warning",
        "6: stale recovered warning",
    ],
    # While the account cannot be read, its days still run out; an improvement must be read first.
    "fine sunk": ["1: amount opened warning", "1: runway opened critical"],
    "low sunk*2": ["0: runway opened warning", "1: amount opened warning", "1: runway escalated critical"],
    "dire risen*9": ["0: runway opened critical", "3: stale opened warning"],
    "small risen*2 small fine*2": ["0: amount opened warning", "5: amount recovered warning"],
    "dire null*9 fine fine": [
        "0: runway opened critical",
        "3: stale opened warning",
        "11: runway recovered critical",
        "11: stale recovered warning",
    ],
    # A failure between two good readings neither counts nor resets the count.
    "low fine 500 fine": ["0: runway opened warning", "3: runway recovered warning"],
    # The balance falls faster than expected while it cannot be read: sent with the first good reading.
    "fine 500*2 dire": ["3: runway opened critical"],
    # The owner's limit and the vendor's threshold, with a margin of a twentieth.
    "small at-limit*5": ["0: amount opened warning"],
    "small fine*2": ["0: amount opened warning", "2: amount recovered warning"],
    "tiny small*2": ["0: amount opened warning", "0: threshold opened warning", "2: threshold recovered warning"],
    "tiny no-threshold*2 fine*2": [
        "0: amount opened warning",
        "0: threshold opened warning",
        "2: amount recovered warning",
        "4: threshold recovered warning",
    ],
    # Unexplained money: from a tenth of a day's spend on, until everything is explained.
    "fine pennies*3": [],
    "fine unexplained pennies*3 fine*2": ["1: unexplained opened warning", "6: unexplained recovered warning"],
    "spike*2 fine*2": ["0: anomaly opened watch", "3: anomaly recovered watch"],
    "drift fine*2 drift": ["0: drift opened watch", "2: drift recovered watch", "3: drift opened watch"],
}


@pytest.mark.parametrize("words", GOLDEN)
def test_a_timeline_gives_exactly_this_log(words: str) -> None:
    assert Timeline().play(words) == GOLDEN[words]


def test_the_same_reading_seen_again_is_not_a_second_good_one() -> None:
    timeline = Timeline()
    timeline.play("low fine")
    again = list(findings(timeline.reading("fine"), Policy()))
    [first] = [each for each in again if each.rule == "runway"]
    same = [replace(each, read_at=first.read_at) for each in again]
    states, _ = step(timeline.states, same, [], timeline.now)
    for hours in range(1, 9):
        assert step(states, same, [], timeline.now + timedelta(hours=hours)) == (states, [])


def test_a_rule_that_is_off_finds_nothing_and_closes_what_was_open_without_a_message() -> None:
    timeline = Timeline()
    timeline.play("low")
    timeline.policy = Policy(severities={"runway": "off", "stale": "critical"})
    [event] = timeline.read("low")
    assert (event.rule, event.event, event.is_silent) == ("runway", "recovered", True)
    assert timeline.play("null*3")[-1] == "4: stale opened critical"


def test_an_account_that_left_the_settings_is_no_longer_open() -> None:
    timeline = Timeline()
    timeline.play("dire null*3")
    states, events = step(timeline.states, [], [], timeline.now)
    assert [(each.rule, each.event, each.is_silent) for each in events] == [
        ("runway", "recovered", True),
        ("stale", "recovered", True),
    ]
    assert not any(state.is_open for state in states.values())


def test_an_acknowledged_alert_stays_so_until_it_gets_worse_or_is_over() -> None:
    timeline = Timeline()
    timeline.play("low")
    mine = Acknowledgement(account_id="main", by="ada", at=START + timedelta(minutes=30), note="ordered")
    found = list(findings(timeline.reading("low"), Policy()))
    states, [event] = step(timeline.states, found, [mine], timeline.now)
    state = states["main", "runway"]
    assert (event.event, event.is_silent, event.message) == ("acknowledged", True, "acknowledged by ada: ordered")
    assert (state.alert_state, state.acknowledged_by, state.since_at_utc) == ("acknowledged", "ada", mine.at)
    # Repeated, or for another account or rule, it changes nothing.
    for other in (mine, msgspec.structs.replace(mine, account_id="b"), msgspec.structs.replace(mine, rule="stale")):
        assert step(states, found, [other], timeline.now) == (states, [])
    timeline.states = states
    timeline.play("low dire")
    assert timeline.log[-1] == "2: runway escalated critical"
    assert timeline.states["main", "runway"].alert_state == "open"
    assert timeline.states["main", "runway"].acknowledged_by is None


def test_an_acknowledgement_of_one_rule_leaves_the_others() -> None:
    timeline = Timeline()
    timeline.play("empty")
    mine = Acknowledgement(account_id="main", by="ada", at=timeline.now, rule="amount")
    found = list(findings(timeline.reading("empty"), Policy()))
    states, _ = step(timeline.states, found, [mine], timeline.now)
    assert {rule: state.alert_state for (_, rule), state in states.items()} == {
        "amount": "acknowledged",
        "runway": "open",
        "threshold": "open",
    }


@pytest.mark.parametrize(
    ("days", "cautious", "own", "severity"),
    [
        (7.0, None, None, "critical"),
        (7.01, None, None, "warning"),
        (14.0, None, None, "warning"),
        (14.01, None, None, None),
        (60.0, 7.0, None, "warning"),
        (60.0, 7.5, None, None),
        (20.0, None, 21.0, "warning"),
        (21.0, None, 21.0, None),
        (None, None, 21.0, None),
    ],
)
def test_days_left_are_judged_by_these_limits(
    days: float | None, cautious: float | None, own: float | None, severity: str | None
) -> None:
    assert runway_severity(replace(FINE, runway_days=days, cautious_days=cautious, alert_below_days=own)) == severity


@pytest.mark.parametrize("days", [None, 3.0, 12.0, 300.0])
@pytest.mark.parametrize("is_spend_known", [False, True])
def test_an_account_that_its_vendor_has_cut_off_is_critical_however_long_it_lasts(
    days: float | None, is_spend_known: bool
) -> None:
    reading = replace(FINE, runway_days=days, is_spend_known=is_spend_known, is_cut_off=True)
    [found] = [each for each in findings(reading, Policy()) if each.rule == "runway"]
    assert (found.severity, found.held_severity, found.is_known) == ("critical", "critical", True)


def test_a_limit_below_zero_has_its_margin_above_it() -> None:
    policy = Policy()
    for balance, severity, held in (("-100.01", "warning", "warning"), ("-98", None, "warning"), ("-95", None, None)):
        reading = replace(FINE, balance_amount=Decimal(balance), alert_below_amount=Decimal(-100))
        [found] = [each for each in findings(reading, policy) if each.rule == "amount"]
        assert (found.severity, found.held_severity) == (severity, held)


@pytest.mark.parametrize(
    ("failed", "hours", "is_overdue", "is_sent"),
    [
        (1, 0.0, False, False),
        (2, 5.99, False, False),
        (3, 0.1, False, True),
        (1, 6.0, False, True),
        (0, 0.0, True, True),
    ],
)
def test_a_stale_reading_alerts_after_three_requests_or_six_hours_or_at_once_if_waiting_cannot_help(
    failed: int, hours: float, is_overdue: bool, is_sent: bool
) -> None:
    reading = replace(
        FINE, reading_state="stale", failed_poll_count=failed, silent_seconds=hours * 3600, is_overdue=is_overdue,
        reason="The last request failed (unauthorised).",
        remedy="main: unauthorised; check the value of VPSBG_API_KEY",
    )  # fmt: skip
    [found] = [each for each in findings(reading, Policy()) if each.rule == "stale"]
    assert (found.severity, found.held_severity) == ("warning" if is_sent else None, "warning")
    assert found.message == (
        "The last request failed (unauthorised). main: unauthorised; check the value of VPSBG_API_KEY."
    )


WORDS = st.lists(st.sampled_from([*READINGS, *BAD, *AGED]), max_size=25)


@settings(max_examples=300, deadline=None)
@given(WORDS)
def test_any_sequence_of_readings_keeps_the_invariants(words: list[str]) -> None:
    timeline = Timeline()
    for word in words:
        events = timeline.read(word)
        if word in BAD:
            assert {each.rule for each in events} <= {"stale"}
        if word not in READINGS:
            assert {each.event for each in events} <= {"opened", "escalated"}
    entries: list[tuple[str, JournalEntry]] = []
    for place, (changed, events) in enumerate(timeline.steps):
        entry = Transitions(at=START, states=tuple(changed.values()), events=tuple(events))
        entries.append((f"{place:016x}", msgspec.json.decode(msgspec.json.encode(entry), type=JournalEntry)))
    # Landed and read back, the result is the same.
    ledger = fold(entries)
    assert ledger.states == timeline.states
    assert list(ledger.events.values()) == timeline.events
    for rule in {each.rule for each in timeline.events}:
        mine = [each for each in timeline.events if each.rule == rule]
        # Openings and recoveries alternate, and escalations in between only increase the severity.
        turns = [each.event for each in mine if each.event in ("opened", "recovered")]
        assert turns == ["opened", "recovered"] * (len(turns) // 2) + ["opened"] * (len(turns) % 2)
        assert [each.event_id for each in mine] == [f"main/{rule}/{number + 1}" for number in range(len(mine))]
        assert all(rank(each.severity) > 1 for each in mine if each.event == "escalated")


def test_entries_of_messages_survive_being_landed() -> None:
    outcome = DeliveryOutcome(at=START, recipient="R", event_ids=("a/b/1",), problem="why")
    assert msgspec.json.decode(msgspec.json.encode(outcome), type=JournalEntry) == outcome

"""A recipient that is unreachable for a long time, and other recipients meanwhile: over real sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from pipeline.alerts import delivery as delivering
from pipeline.alerts.delivery import TRIES, sole_deliverer
from pipeline.alerts.journal import DeliveryOutcome, Intent, Outage, Transitions, land
from pipeline.alerts.pending import LONGEST_WAIT, next_attempt, pending
from pipeline.alerts.state_machine import Acknowledgement
from pipeline.support.clock import Clock
from tests.alerts.receiver import Channel, alerted, channel
from tests.alerts.timelines import START, Timeline

__all__ = ["alerted", "channel"]


@pytest.fixture
def hanging() -> Iterator[str]:
    """URL of a server that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"json://127.0.0.1:{server.getsockname()[1]}/x"


def _runs_that_try(channel: Channel, *, minutes: int, every: int = 5) -> list[int]:
    """Minutes at which runs every five minutes try to send while the recipient is down."""
    tried = []
    for minute in range(0, minutes, every):
        before = len(channel.heard)
        assert channel.deliver_at(START + timedelta(hours=2, minutes=minute)) != [], (
            "each run reports the waiting recipient"
        )
        if len(channel.heard) > before:
            tried.append(minute)
    return tried


@pytest.mark.faults(49)
def test_a_webhook_that_is_down_for_three_days_is_tried_less_often_and_gets_the_message_afterwards(
    alerted: Channel,
) -> None:
    alerted.before_answer = lambda: 503
    tried = _runs_that_try(alerted, minutes=12 * 60)
    assert tried == [0, 15, 45, 105, 225, 345, 465, 585, 705]
    assert alerted.deliver(74), "three days later it is down all the same"
    assert len(alerted.heard) == TRIES * (len(tried) + 1)

    alerted.heard.clear()
    alerted.before_answer = lambda: 200
    assert alerted.deliver(75), "not yet: the wait of two hours is not over"
    assert alerted.deliver(76) == []
    [message] = alerted.heard
    assert message["title"] == "Drawdown: main is critical"
    assert message["message"].startswith(
        "No message could be delivered since 2026-03-02 10:00 UTC. The current state follows."
    )
    assert alerted.delivery().attempt_count == TRIES * (len(tried) + 1) + 1
    assert [alerted.deliver(hours) for hours in (77, 100)] == [[], []]
    assert len(alerted.heard) == 1


@pytest.mark.faults(49)
def test_after_an_outage_one_message_has_the_current_state(channel: Channel) -> None:
    timeline = Timeline()
    channel.before_answer = lambda: 503
    # The runway is low, recovers, and ends critical; the balance is low for a while, and so is the reading stale.
    for words in ("fine low fine fine", "small small", "fine fine old", "fine dire*3"):
        known = len(timeline.events)
        timeline.play(words)
        channel.land(timeline, since=known)
        channel.deliver(timeline.hour)
    assert len(timeline.events) == 7
    channel.heard.clear()
    channel.before_answer = lambda: 200

    assert channel.deliver(timeline.hour + 3) == []

    [message] = channel.heard
    assert message["title"] == "Drawdown: main is critical; 2 more changes"
    assert "It opened 2026-03-02 12:00 UTC; that message was not delivered." in message["message"]
    assert message["message"].count("(runway alert ") == 1
    assert not any(each.is_pending for each in channel.ledger().deliveries.values())


def test_alerts_acknowledged_meanwhile_are_not_sent(alerted: Channel) -> None:
    alerted.before_answer = lambda: 503
    alerted.deliver(1)
    alerted.heard.clear()
    alerted.before_answer = lambda: 200
    taken = Acknowledgement(account_id="main", by="operator", at=START + timedelta(hours=2))
    land(alerted.home, Clock(taken.at), "r", taken)

    assert alerted.deliver(9) == []

    assert alerted.heard == []
    assert (alerted.delivery().is_given_up, alerted.delivery().problem) == (
        True,
        "it was acknowledged before the message was sent",
    )


def test_a_new_event_is_sent_at_once_together_with_waiting_ones(alerted: Channel) -> None:
    alerted.before_answer = lambda: 503
    alerted.deliver(1)
    alerted.deliver(2)
    alerted.heard.clear()
    alerted.before_answer = lambda: 200
    timeline = Timeline()
    timeline.hour = 2
    timeline.play("fine old")
    alerted.land(timeline)

    assert alerted.deliver_at(START + timedelta(hours=3, minutes=1)) == []

    [message] = alerted.heard
    assert message["title"] == "Drawdown: main is critical; 1 more change"


def test_an_alert_that_an_earlier_version_gave_up_is_sent_while_it_is_open(alerted: Channel) -> None:
    gave_up = DeliveryOutcome(
        at=START, recipient="TOLD", event_ids=("main/runway/1",), is_given_up=True, problem="72 attempts"
    )
    land(alerted.home, Clock(START), "r", gave_up)
    assert alerted.deliver(5) == []
    assert len(alerted.heard) == 1
    assert not alerted.delivery().is_given_up


def test_an_attempt_by_a_clock_that_was_ahead_delays_nothing(alerted: Channel) -> None:
    alerted.before_answer = lambda: 503
    alerted.deliver(1000)
    alerted.heard.clear()
    alerted.before_answer = lambda: 200
    assert alerted.deliver(2) == []
    assert len(alerted.heard) == 1


def test_the_wait_is_bounded_however_long_an_outage_lasts() -> None:
    waits = [next_attempt(Outage(failed_run_count=count, tried_at=START)) for count in (1, 2, 3, 4, 5, 10**9)]
    assert [after - START for after in waits if after] == [
        timedelta(minutes=15),
        timedelta(minutes=30),
        timedelta(hours=1),
        *[LONGEST_WAIT] * 3,
    ]
    assert next_attempt(None) is None


@pytest.mark.faults(50)
def test_recipients_that_hang_cost_one_timeout_together_and_do_not_delay_others(
    alerted: Channel, hanging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "RECIPIENT_SECONDS", 1.5)
    names = tuple(f"HANGS_{number}" for number in range(8))
    alerted.recipients = {"main": ("TOLD", *names)}
    alerted.urls = dict.fromkeys(names, hanging)
    arrived: list[float] = []

    def answer() -> int:
        arrived.append(time.monotonic())
        return 200

    alerted.before_answer = answer
    begun = time.monotonic()

    problems = alerted.deliver(2)

    assert time.monotonic() - begun < 6, "eight that hang took as long as one after the other"
    assert arrived[0] - begun < 1.5, "who answers waited for who hangs"
    assert problems == [
        f"alerts: the message through {name} was not accepted within 2 s; it is tried again" for name in names
    ]
    ledger = alerted.ledger()
    assert ledger.deliveries["main/runway/1", "TOLD"].delivered_at
    left = ledger.deliveries["main/runway/1", "HANGS_0"]
    assert (left.is_pending, left.unanswered_count, left.unknown_count) == (True, 0, 1)
    # The message may have arrived, which the next one states.
    alerted.urls = dict.fromkeys(names, alerted.url)
    assert alerted.deliver(3) == []
    assert alerted.ledger().deliveries["main/runway/1", "HANGS_0"].is_possibly_repeated


def test_a_result_after_the_time_limit_is_not_recorded(alerted: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "RECIPIENT_SECONDS", 0.3)
    may_answer = threading.Event()

    def answer_late() -> int:
        may_answer.wait(5)
        return 200

    alerted.before_answer = answer_late
    [problem] = alerted.deliver(2)
    assert "was not accepted within" in problem
    landed = alerted.ledger().newest
    [thread] = [each for each in threading.enumerate() if each.name == "alerts-TOLD"]
    may_answer.set()
    thread.join(10)
    assert not thread.is_alive()
    assert alerted.ledger().newest == landed
    assert alerted.delivery().is_pending


def test_more_recipients_than_fit_at_once_are_all_notified(alerted: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "MOST_AT_ONCE", 2)
    alerted.recipients = {"main": tuple(f"TOLD_{number}" for number in range(7))}
    assert alerted.deliver(2) == []
    assert len(alerted.heard) == 7
    assert alerted.deliver(3) == []
    assert len(alerted.heard) == 7


def test_only_one_process_delivers_at_a_time(alerted: Channel) -> None:
    with sole_deliverer(alerted.home) as first, sole_deliverer(alerted.home, wait_seconds=0) as second:
        assert (first, second) == (True, False)
    with sole_deliverer(alerted.home, wait_seconds=0) as again:
        assert again


def test_tables_hold_deliveries_only_as_far_as_a_run_has_taken_them_in(alerted: Channel) -> None:
    """A rebuild, which reads all of landing, must make the published tables."""
    ledger = alerted.ledger()
    land(
        alerted.home,
        Clock(START),
        "r",
        Transitions(at=START, states=tuple(ledger.states.values()), through=ledger.newest),
    )
    before = alerted.ledger_for_tables()
    alerted.deliver(2)
    assert alerted.ledger_for_tables().deliveries == before.deliveries
    assert alerted.delivery().delivered_at
    assert alerted.ledger().has_untaken

    land(alerted.home, Clock(START), "r", Transitions(at=START, through=alerted.ledger().newest))
    assert alerted.ledger_for_tables().deliveries == alerted.ledger().deliveries
    assert not alerted.ledger().has_untaken


def test_an_intent_without_an_outcome_counts_until_something_arrives(alerted: Channel) -> None:
    for _ in range(2):
        land(alerted.home, Clock(START), "r", Intent(at=START, recipient="TOLD", event_ids=("main/runway/1",)))
    assert alerted.ledger().outages["TOLD"].unanswered_count == 2
    assert alerted.deliver(25) == []
    assert alerted.ledger().outages == {}
    assert pending(alerted.ledger(), alerted.policy, alerted.recipients).due_events == {}

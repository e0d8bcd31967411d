"""A recipient who cannot be reached, for as long as it takes, and those beside them: over real sockets."""

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
from tests.alerts.receiver import Channel, channel, told
from tests.alerts.timelines import START, Timeline

__all__ = ["channel", "told"]


@pytest.fixture
def hanging() -> Iterator[str]:
    """The URL of somebody who takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"json://127.0.0.1:{server.getsockname()[1]}/x"


def _runs_that_try(channel: Channel, *, minutes: int, every: int = 5) -> list[int]:
    """At which minutes a run that comes every five tries to send, while nobody takes it."""
    tried = []
    for minute in range(0, minutes, every):
        before = len(channel.heard)
        assert channel.deliver_at(START + timedelta(hours=2, minutes=minute)) != [], "each run says that somebody waits"
        if len(channel.heard) > before:
            tried.append(minute)
    return tried


@pytest.mark.faults(49)
def test_a_webhook_that_is_down_for_three_days_is_tried_less_and_less_and_told_when_it_is_back(told: Channel) -> None:
    told.before_answer = lambda: 503
    tried = _runs_that_try(told, minutes=12 * 60)
    assert tried == [0, 15, 45, 105, 225, 345, 465, 585, 705]
    assert told.deliver(74), "three days later it is down all the same"
    assert len(told.heard) == TRIES * (len(tried) + 1)

    told.heard.clear()
    told.before_answer = lambda: 200
    assert told.deliver(75), "not yet: the wait of two hours is not over"
    assert told.deliver(76) == []
    [message] = told.heard
    assert message["title"] == "Drawdown: main is critical"
    assert message["message"].startswith(
        "No message could be delivered since 2026-03-02 10:00 UTC. The current state follows."
    )
    assert told.delivery().attempt_count == TRIES * (len(tried) + 1) + 1
    assert [told.deliver(hours) for hours in (77, 100)] == [[], []]
    assert len(told.heard) == 1


@pytest.mark.faults(49)
def test_after_an_outage_one_message_tells_how_things_are_and_no_storm_what_has_happened(channel: Channel) -> None:
    timeline = Timeline()
    channel.before_answer = lambda: 503
    # Days left run low, recover, and are dire in the end; the balance is small for a while; so is the reading stale.
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
    assert message["title"] == "Drawdown: 3 changes: 1 critical, 2 recovered"
    assert "It opened 2026-03-02 12:00 UTC; that message was not delivered." in message["message"]
    assert message["message"].count("(runway alert ") == 1
    assert not any(each.is_pending for each in channel.ledger().deliveries.values())


def test_what_was_acknowledged_meanwhile_is_told_to_nobody(told: Channel) -> None:
    told.before_answer = lambda: 503
    told.deliver(1)
    told.heard.clear()
    told.before_answer = lambda: 200
    taken = Acknowledgement(account_id="main", by="operator", at=START + timedelta(hours=2))
    land(told.home, Clock(taken.at), "r", taken)

    assert told.deliver(9) == []

    assert told.heard == []
    assert (told.delivery().is_given_up, told.delivery().problem) == (
        True,
        "it was acknowledged before the message was sent",
    )


def test_a_new_change_is_told_at_once_and_takes_what_waits_with_it(told: Channel) -> None:
    told.before_answer = lambda: 503
    told.deliver(1)
    told.deliver(2)
    told.heard.clear()
    told.before_answer = lambda: 200
    timeline = Timeline()
    timeline.hour = 2
    timeline.play("fine old")
    told.land(timeline)

    assert told.deliver_at(START + timedelta(hours=3, minutes=1)) == []

    [message] = told.heard
    assert message["title"] == "Drawdown: 2 changes: 1 critical, 1 warning"


def test_what_an_earlier_version_gave_up_is_told_while_it_is_open(told: Channel) -> None:
    gave_up = DeliveryOutcome(
        at=START, recipient="TOLD", event_ids=("main/runway/1",), is_given_up=True, problem="72 attempts"
    )
    land(told.home, Clock(START), "r", gave_up)
    assert told.deliver(5) == []
    assert len(told.heard) == 1
    assert not told.delivery().is_given_up


def test_an_attempt_by_a_clock_that_was_ahead_holds_up_nothing(told: Channel) -> None:
    told.before_answer = lambda: 503
    told.deliver(1000)
    told.heard.clear()
    told.before_answer = lambda: 200
    assert told.deliver(2) == []
    assert len(told.heard) == 1


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
def test_recipients_who_hang_cost_one_timeout_together_and_the_others_nothing(
    told: Channel, hanging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "RECIPIENT_SECONDS", 1.5)
    names = tuple(f"HANGS_{number}" for number in range(8))
    told.recipients = {"main": ("TOLD", *names)}
    told.urls = dict.fromkeys(names, hanging)
    arrived: list[float] = []

    def answer() -> int:
        arrived.append(time.monotonic())
        return 200

    told.before_answer = answer
    begun = time.monotonic()

    problems = told.deliver(2)

    assert time.monotonic() - begun < 6, "eight that hang took as long as one after the other"
    assert arrived[0] - begun < 1.5, "who answers waited for who hangs"
    assert problems == [
        f"alerts: the message through {name} was not accepted within 2 s; it is tried again" for name in names
    ]
    ledger = told.ledger()
    assert ledger.deliveries["main/runway/1", "TOLD"].delivered_at
    left = ledger.deliveries["main/runway/1", "HANGS_0"]
    assert (left.is_pending, left.unanswered_count, left.unknown_count) == (True, 0, 1)
    # It may have arrived: the next time, that is said.
    told.urls = dict.fromkeys(names, told.url)
    assert told.deliver(3) == []
    assert told.ledger().deliveries["main/runway/1", "HANGS_0"].is_possibly_repeated


def test_what_a_thread_finds_out_after_its_time_is_not_recorded(told: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "RECIPIENT_SECONDS", 0.3)
    may_answer = threading.Event()

    def answer_late() -> int:
        may_answer.wait(5)
        return 200

    told.before_answer = answer_late
    [problem] = told.deliver(2)
    assert "was not accepted within" in problem
    landed = told.ledger().newest
    [thread] = [each for each in threading.enumerate() if each.name == "alerts-TOLD"]
    may_answer.set()
    thread.join(10)
    assert not thread.is_alive()
    assert told.ledger().newest == landed
    assert told.delivery().is_pending


def test_more_recipients_than_are_told_at_once_are_told_all(told: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "MOST_AT_ONCE", 2)
    told.recipients = {"main": tuple(f"TOLD_{number}" for number in range(7))}
    assert told.deliver(2) == []
    assert len(told.heard) == 7
    assert told.deliver(3) == []
    assert len(told.heard) == 7


def test_only_one_process_delivers_at_a_time(told: Channel) -> None:
    with sole_deliverer(told.home) as first, sole_deliverer(told.home, wait_seconds=0) as second:
        assert (first, second) == (True, False)
    with sole_deliverer(told.home, wait_seconds=0) as again:
        assert again


def test_tables_hold_deliveries_only_as_far_as_a_run_has_taken_them_in(told: Channel) -> None:
    """So that a rebuild, which reads all of landing, makes the tables that were published."""
    ledger = told.ledger()
    land(
        told.home, Clock(START), "r", Transitions(at=START, states=tuple(ledger.states.values()), through=ledger.newest)
    )
    before = told.ledger_for_tables()
    told.deliver(2)
    assert told.ledger_for_tables().deliveries == before.deliveries
    assert told.delivery().delivered_at
    assert told.ledger().has_untaken

    land(told.home, Clock(START), "r", Transitions(at=START, through=told.ledger().newest))
    assert told.ledger_for_tables().deliveries == told.ledger().deliveries
    assert not told.ledger().has_untaken


def test_an_intent_without_an_outcome_counts_until_something_arrives(told: Channel) -> None:
    for _ in range(2):
        land(told.home, Clock(START), "r", Intent(at=START, recipient="TOLD", event_ids=("main/runway/1",)))
    assert told.ledger().outages["TOLD"].unanswered_count == 2
    assert told.deliver(25) == []
    assert told.ledger().outages == {}
    assert pending(told.ledger(), told.policy, told.recipients).due_events == {}

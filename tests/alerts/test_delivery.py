"""Each transition is delivered once: over real HTTP, with real processes that are really killed."""

from __future__ import annotations

import logging
import signal
import subprocess
from collections.abc import Callable
from datetime import time, timedelta

import pytest
from pytest_httpserver import HTTPServer

from pipeline.alerts.channel import send
from pipeline.alerts.delivery import TRIES
from pipeline.alerts.journal import DeliveryOutcome, Intent, land
from pipeline.alerts.pending import pending
from pipeline.settings.alert_policy import Policy
from pipeline.support.clock import Clock
from pipeline.support.secret import Secret
from tests.alerts.receiver import CANARY, Channel, alerted, channel
from tests.alerts.timelines import START, Timeline
from tests.canary import leaks

__all__ = ["alerted", "channel"]


def _raises(status: int) -> Callable[[], int]:
    return lambda: status


def test_a_transition_is_sent_once_after_any_number_of_attempts(alerted: Channel) -> None:
    assert [alerted.deliver(hours) for hours in (1, 1, 2, 50)] == [[], [], [], []]
    assert [message["title"] for message in alerted.heard] == ["Drawdown: main is critical"]
    arrived = alerted.delivery()
    assert (arrived.attempt_count, arrived.is_possibly_repeated) == (1, False)
    assert arrived.delivered_at == START + timedelta(hours=1)


def test_several_transitions_are_one_message_with_the_most_urgent_first(channel: Channel) -> None:
    timeline = Timeline()
    timeline.play("low fine fine small old dire")
    channel.land(timeline)
    channel.deliver(9)
    [message] = channel.heard
    # An alert that opened, recovered and opened again is sent once, in its current state.
    assert message["title"] == "Drawdown: main is critical; 2 more changes"
    assert message["message"].split("\n")[0] == "main is critical (runway alert opened 2026-03-02 13:00 UTC)."
    assert message["message"].endswith(
        f"Where to look: drawdown explain main, or {channel.home.path}/published/report/index.html"
    )


def test_a_message_is_marked_by_its_worst_event_and_names_the_address_of_the_report(channel: Channel) -> None:
    channel.policy = Policy(report_url="https://reports.example.com/drawdown/")
    timeline = Timeline()
    timeline.play("fine dire")
    channel.land(timeline)
    channel.deliver()
    opened = len(timeline.events)
    timeline.play("fine fine")
    channel.land(timeline, opened)
    channel.deliver(9)
    assert [message["type"] for message in channel.heard] == ["failure", "success"]
    for message in channel.heard:
        assert message["message"].endswith(
            "Where to look: drawdown explain main, or https://reports.example.com/drawdown/"
        )


def test_a_process_killed_between_sending_and_recording_sends_once_more_and_marks_it(alerted: Channel) -> None:
    process = alerted.process()

    def die() -> int:
        process.kill()
        process.wait()
        return 200

    alerted.before_answer = die
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert len(alerted.heard) == 1
    assert alerted.delivery().is_pending

    alerted.before_answer = _raises(200)
    for _ in range(2):
        again = alerted.process()
        assert again.communicate(timeout=60) == ("[]\n", "")
    assert len(alerted.heard) == 2
    repeated = alerted.delivery()
    assert (repeated.is_pending, repeated.is_possibly_repeated, repeated.attempt_count) == (False, True, 2)


def test_killed_twice_it_is_sent_once_more_a_day_later_for_nothing_open_is_given_up(alerted: Channel) -> None:
    for _ in range(2):
        process = alerted.process()

        def die(doomed: subprocess.Popen[str] = process) -> int:
            doomed.kill()
            doomed.wait()
            return 200

        alerted.before_answer = die
        process.communicate(timeout=60)
    alerted.before_answer = _raises(200)
    [problem] = alerted.deliver(1)
    assert problem == (
        "alerts: 1 change for TOLD could not be sent: the process ended before it was known whether the message arrived; "
        "tried again after 2026-03-03 08:00 UTC"
    )
    assert (len(alerted.heard), alerted.delivery().is_pending) == (2, True)
    assert alerted.deliver(24) == []
    assert len(alerted.heard) == 3
    assert (alerted.delivery().is_pending, alerted.delivery().is_possibly_repeated) == (False, True)
    assert alerted.deliver(48) == []
    assert len(alerted.heard) == 3


def test_a_refused_message_is_tried_again_now_and_by_the_next_run_and_is_no_repetition(alerted: Channel) -> None:
    alerted.before_answer = _raises(503)
    [problem] = alerted.deliver()
    assert problem.endswith("error=503.; it is tried again")
    assert CANARY not in problem
    assert len(alerted.heard) == TRIES
    assert alerted.delivery().is_pending

    answers = iter([500, 200])
    alerted.before_answer = lambda: next(answers)
    assert alerted.deliver(2) == []
    arrived = alerted.delivery()
    assert (arrived.attempt_count, arrived.is_possibly_repeated, arrived.problem) == (TRIES + 2, False, None)


def test_a_receiver_that_is_not_there_has_heard_nothing(alerted: Channel, httpserver: HTTPServer) -> None:
    url, alerted.url = alerted.url, "json://127.0.0.1:9/x"
    assert alerted.deliver()
    alerted.url = url
    alerted.deliver(2)
    assert not alerted.delivery().is_possibly_repeated


def test_an_answer_that_is_lost_may_mean_a_repetition(alerted: Channel) -> None:
    alerted.breaks_off = 1
    assert alerted.deliver() == []
    assert len(alerted.heard) == 2
    assert alerted.delivery().is_possibly_repeated


def test_quiet_hours_hold_back_everything_except_critical_alerts(channel: Channel) -> None:
    # The readings begin at 08:00 UTC.
    channel.policy = Policy(quiet_hours=(time(7), time(12)), timezone="UTC")
    timeline = Timeline()
    timeline.play("low old small dire")
    channel.land(timeline)
    assert channel.deliver(0) == []
    assert [message["title"] for message in channel.heard] == ["Drawdown: main is critical"]
    channel.deliver(3)
    assert len(channel.heard) == 1
    channel.deliver(4)
    assert channel.heard[1]["title"] == "Drawdown: main is below your limit; 1 more change"
    channel.deliver(5)
    assert len(channel.heard) == 2


def test_quiet_hours_follow_their_time_zone_and_may_hold_back_critical_alerts() -> None:
    policy = Policy(quiet_hours=(time(22), time(7)), timezone="Europe/Berlin", critical_waits=True)
    # 08:00 UTC on 2 March is 09:00 in Berlin.
    held = [hours for hours in range(24) if policy.is_postponed("critical", START + timedelta(hours=hours))]
    assert held == list(range(13, 22))
    assert not Policy(quiet_hours=(time(22), time(7))).is_postponed("critical", START + timedelta(hours=15))
    assert not Policy().is_postponed("watch", START)


def test_a_new_recipient_gets_open_alerts_and_a_removed_one_does_not(alerted: Channel) -> None:
    alerted.deliver()
    alerted.recipients = {"main": ("TOLD", "TEAM")}
    assert pending(alerted.ledger(), alerted.policy, alerted.recipients).due_events.keys() == {"TEAM"}
    alerted.deliver()
    alerted.deliver()
    assert len(alerted.heard) == 2

    timeline = Timeline()
    timeline.play("fine old")
    alerted.land(timeline)
    alerted.recipients = {"main": ()}
    assert alerted.deliver() == []
    assert len(alerted.heard) == 2
    assert alerted.ledger().deliveries["main/stale/1", "TOLD"].problem == "accounts.toml no longer names TOLD"


def test_milder_alerts_than_the_lowest_severity_are_not_sent(channel: Channel) -> None:
    channel.policy = Policy(lowest_severity="critical")
    timeline = Timeline()
    timeline.play("fine low")
    channel.land(timeline)
    assert channel.deliver() == []
    assert channel.heard == []


def test_an_unknown_apprise_url_is_reported_without_the_url() -> None:
    failure = send(Secret(f"nonsense-{CANARY}", name="TOLD"), "t", "b")
    assert failure is not None
    assert failure.problem == "the URL in TOLD is not one that Apprise knows"


def test_an_intent_alone_is_not_taken_for_a_delivery(alerted: Channel) -> None:
    land(alerted.home, Clock(START), "r", Intent(at=START, recipient="TOLD", event_ids=("main/runway/1",)))
    assert alerted.delivery().is_pending
    land(alerted.home, Clock(START), "r", DeliveryOutcome(at=START, recipient="TOLD", event_ids=(), problem="another"))
    assert alerted.delivery().unanswered_count == 1


def test_no_line_that_any_library_logs_names_the_url(alerted: Channel, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert alerted.deliver() == []
    assert len(alerted.heard) == 1
    lines = [(record.name, logging.Formatter().format(record)) for record in caplog.records]
    assert [line for name, line in lines if name.startswith("urllib3") and "[redacted:TOLD]" in line]
    assert leaks([CANARY], said={"the log": repr(lines)}) == []

    caplog.clear()
    assert send(Secret(f"json://127.0.0.1:1/{CANARY}", name="TOLD"), "t", "b") is not None
    assert caplog.records
    assert leaks([CANARY], said={"the log": repr([logging.Formatter().format(each) for each in caplog.records])}) == []

    caplog.clear()
    logging.getLogger("afterwards").warning("the key is %s", "plain again")
    assert caplog.messages == ["the key is plain again"]

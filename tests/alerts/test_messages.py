"""Messages about many events: texts within every service's limit, each event named, and only failed messages repeated."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from pipeline.alerts.channel import most_characters, send
from pipeline.alerts.delivery import MOST_FAILURES, TRIES
from pipeline.alerts.journal import Transitions, land
from pipeline.alerts.messages import MOST_CHARACTERS, MOST_IN_FULL, MOST_MESSAGES, Message, compose, cut_at
from pipeline.alerts.state_machine import Event, Evidence
from pipeline.support.clock import Clock
from pipeline.support.secret import Secret
from tests.alerts.receiver import CANARY, Channel, channel
from tests.alerts.timelines import START

__all__ = ["channel"]

REPORT = "/state/published/report/index.html"
REASON = (
    "Expected to run dry by 2026-11-24 (10 % chance by 2026-11-23, 90 % by 2026-11-25); spend is 1,262.36 EUR a day, "
    "the average of 28 days. The chance of running dry within 7 days is over 99 %. Order 48,259 EUR now: the day is past."
)


def event(number: int, message: str = REASON, **changes: Any) -> Event:
    """Opening event of the account with a number."""
    made = Event(
        event_id=f"agency-{number}/runway/1",
        account_id=f"agency-{number}",
        rule="runway",
        event="opened",
        severity="critical",
        happened_at_utc=START,
        message=message,
        evidence=Evidence(unit_code="EUR"),
        recipients=("TOLD",),
    )
    return msgspec.structs.replace(made, **changes)


def events(count: int) -> list[Event]:
    """Events of a number of accounts."""
    return [event(number) for number in range(count)]


def land_events(channel: Channel, made: list[Event]) -> None:
    """Land them, as a run does."""
    channel.recipients = {each.account_id: ("TOLD",) for each in made}
    land(channel.home, Clock(START), "r", Transitions(at=START, events=tuple(made)))


def _size(message: Message) -> int:
    return len(message.title) + len(message.body)


def test_few_events_are_one_message_with_what_when_how_sure_and_where_to_look() -> None:
    [message] = compose([event(1), event(2, "It has recovered.", event="recovered")], REPORT)
    assert message.title == "Drawdown: agency-1 is critical; also agency-2"
    assert message.kind == "critical"
    assert message.body == (
        f"agency-1 is critical (runway alert opened 2026-03-02 08:00 UTC).\n{REASON}\n\n"
        "agency-2 has enough days left again (runway alert recovered 2026-03-02 08:00 UTC).\nIt has recovered.\n\n"
        f"Where to look: drawdown explain ACCOUNT, or {REPORT}"
    )
    assert (message.event_ids, message.delivered_length) == (("agency-1/runway/1", "agency-2/runway/1"), None)


def test_many_events_are_several_messages_that_each_state_their_part() -> None:
    messages = compose(events(14), REPORT)
    assert [message.title for message in messages] == [
        "Drawdown: agency-0 is critical; also agency-1, agency-2, agency-3, agency-4, agency-5 (message 1 of 3)",
        "Drawdown: agency-6 is critical; also agency-7, agency-8, agency-9, agency-10, agency-11 (message 2 of 3)",
        "Drawdown: agency-12 is critical; also agency-13 (message 3 of 3)",
    ]
    assert [each for message in messages for each in message.event_ids] == [each.event_id for each in events(14)]
    # No paragraph is split, and each message says where to look.
    assert all(message.body.count(REASON) == len(message.event_ids) for message in messages)
    assert all(message.body.endswith(f"Where to look: drawdown explain ACCOUNT, or {REPORT}") for message in messages)
    assert all(_size(message) <= MOST_CHARACTERS for message in messages)


def test_in_a_storm_the_most_urgent_are_sent_in_full_and_the_others_as_headlines() -> None:
    mild = [event(number, severity="warning") for number in range(1000, 1100)]
    messages = compose([*mild, *events(60)], REPORT)
    assert len(messages) <= MOST_MESSAGES
    text = "\n".join(message.body for message in messages)
    assert all(f"{each.account_id} is" in text for each in [*mild, *events(60)])
    in_full = "\n".join(message.body for message in messages[:MOST_IN_FULL])
    assert in_full.count(REASON) == text.count(REASON)
    # The critical ones came last and are sent first; the first message begins with one.
    assert messages[0].body.startswith("agency-0 is critical")
    assert "agency-1099 is running low." in messages[-1].body


def test_a_storm_beyond_all_messages_leaves_the_rest_to_the_next_run() -> None:
    many = events(3000)
    messages = compose(many, REPORT)
    assert len(messages) == MOST_MESSAGES
    sent = [each for message in messages for each in message.event_ids]
    assert sent == [each.event_id for each in many[: len(sent)]]
    assert 500 < len(sent) < 3000


def test_a_title_names_as_many_accounts_as_it_has_room_for_and_a_message_is_as_bad_as_its_worst_event() -> None:
    [message] = compose([event(number, "", severity="warning") for number in range(20)], REPORT)
    named = ", ".join(f"agency-{number}" for number in range(1, 7))
    assert message.title == f"Drawdown: agency-0 is running low; also {named} and 13 more"
    assert message.kind == "warning"
    [message] = compose([event(1, event="recovered"), event(2, event="recovered")], REPORT)
    assert (message.kind, message.title) == (
        "recovered",
        "Drawdown: agency-1 has enough days left again; also agency-2",
    )


def test_an_outage_of_a_vendor_is_one_subject_and_its_end_another() -> None:
    words = "The last request failed (timeout)."
    made = [event(number, words, rule="stale", severity="warning") for number in range(30)]
    vendors = {each.account_id: "VPSBG" for each in made}
    [message] = compose([*made, event(40, rule="stale", severity="warning")], REPORT, vendors=vendors)
    assert message.title == "Drawdown: VPSBG: 30 accounts have no fresh reading; also agency-40"
    named = ", ".join(f"agency-{number}" for number in range(10))
    assert message.body.startswith(
        "VPSBG: 30 accounts have no fresh reading (stale alerts opened 2026-03-02 08:00 UTC).\n"
        f"{named} and 20 more.\nagency-0: {words}\n\nagency-40 has no fresh reading (stale alert opened"
    )
    assert message.event_ids == (*(each.event_id for each in made), "agency-40/runway/1")
    back = [event(number, "", rule="stale", severity="warning", event="recovered") for number in range(30)]
    [message] = compose(back, REPORT, vendors=vendors)
    assert (message.title, message.kind) == ("Drawdown: VPSBG: 30 accounts have fresh readings again", "recovered")
    # Two accounts of a vendor may have failed independently.
    [message] = compose(made[:2], REPORT, vendors=vendors)
    assert message.title == "Drawdown: agency-0 has no fresh reading; also agency-1"


def test_a_vendor_that_is_down_sends_one_message_for_thirty_accounts_and_one_when_it_is_back(channel: Channel) -> None:
    made = [event(number, "No answer.", rule="stale", severity="warning") for number in range(30)]
    channel.vendors = {each.account_id: "Voxpria" for each in made}
    land_events(channel, made)
    assert channel.deliver() == []
    back = [
        event(number, "", rule="stale", severity="warning", event="recovered", event_id=f"agency-{number}/runway/2")
        for number in range(30)
    ]
    land(channel.home, Clock(START), "r", Transitions(at=START, events=tuple(back)))
    assert channel.deliver(9) == []
    assert [message["title"] for message in channel.heard] == [
        "Drawdown: Voxpria: 30 accounts have no fresh reading",
        "Drawdown: Voxpria: 30 accounts have fresh readings again",
    ]
    assert len(channel.ledger().deliveries) == 60
    assert not any(each.is_pending for each in channel.ledger().deliveries.values())


def test_a_paragraph_longer_than_a_message_is_continued_in_the_next() -> None:
    words = " ".join(f"Sentence number {number} says something." for number in range(190))
    messages = compose([event(1), event(2, words), event(3)], REPORT)
    assert [message.event_ids for message in messages] == [
        ("agency-1/runway/1",),
        *[("agency-2/runway/1",)] * (len(messages) - 2),
        ("agency-3/runway/1",),
    ]
    assert messages[2].body.startswith("agency-2, continued: Sentence number ")
    pieces = [
        message.body.partition("\n\nWhere")[0].removeprefix("agency-2, continued: ") for message in messages[1:-1]
    ]
    assert " ".join(pieces).partition("\n")[2] == words
    assert [message.delivered_length is None for message in messages] == [
        True,
        *[False] * (len(messages) - 3),
        True,
        True,
    ]
    # The part that has arrived is not repeated.
    [first, *_] = compose([event(2, words)], REPORT, delivered={"agency-2/runway/1": messages[1].delivered_length or 0})
    assert first.body.startswith(messages[2].body.partition("\n\nWhere")[0][:200])


_MESSAGES = st.text(alphabet="ab .;\n", max_size=30) | st.integers(0, 900).map(lambda size: "word " * size)


@given(
    st.lists(_MESSAGES, min_size=1, max_size=40),
    st.sampled_from([160, 280, 512, 1024, 2000]),
    st.integers(1, 300).map(lambda size: "/" + "x" * size),
)
def test_no_message_is_longer_than_the_service_takes_and_no_event_is_left_out(
    texts: list[str], limit: int, report: str
) -> None:
    made = [event(number, text) for number, text in enumerate(texts)]
    messages = compose(made, report, limit=limit)
    assert max(map(_size, messages)) <= limit
    assert len(messages) <= MOST_MESSAGES
    covered = {each for message in messages for each in message.event_ids}
    if len(messages) < MOST_MESSAGES:
        assert covered == {each.event_id for each in made}
    for message in messages:
        for event_id in message.event_ids:
            assert event_id.partition("/")[0] in message.body


@given(st.text(alphabet="ab .;:\n\t", min_size=1, max_size=300), st.integers(1, 100))
def test_a_text_is_cut_without_loss(text: str, room: int) -> None:
    kept = cut_at(text, room)
    assert 0 < kept <= room


# -- over real HTTP -----------------------------------------------------------------------------------------------


def _refusing(channel: Channel, is_refused: Callable[[dict[str, str]], bool]) -> list[dict[str, str]]:
    """Let the receiver refuse some messages; returns the accepted ones as they arrive."""
    taken: list[dict[str, str]] = []

    def judge() -> int:
        if is_refused(channel.heard[-1]):
            return 400
        taken.append(channel.heard[-1])
        return 200

    channel.before_answer = judge
    return taken


def test_a_receiver_that_refuses_long_texts_gets_every_account(channel: Channel) -> None:
    taken = _refusing(channel, lambda message: len(message["title"]) + len(message["message"]) > 2000)
    land_events(channel, events(14))
    assert channel.deliver() == []
    assert taken == channel.heard
    text = "\n".join(message["message"] for message in taken)
    assert all(f"agency-{number} is critical" in text for number in range(14))
    assert {each.attempt_count for each in channel.ledger().deliveries.values()} == {1}
    assert channel.deliver(2) == []
    assert len(channel.heard) == len(taken) == 3


def test_of_several_messages_only_the_one_that_failed_is_sent_again(channel: Channel) -> None:
    taken = _refusing(channel, lambda message: "agency-7 " in message["message"])
    land_events(channel, events(14))
    [problem] = channel.deliver()
    assert problem.endswith("error=400.; it is tried again")
    assert [message["title"][-7:] for message in taken] == ["1 of 3)", "3 of 3)"]
    states = {key[0]: each for key, each in channel.ledger().deliveries.items()}
    pending = [event_id for event_id, each in states.items() if each.is_pending]
    assert pending == [f"agency-{number}/runway/1" for number in range(5, 10)]
    assert {states[event_id].attempt_count for event_id in pending} == {TRIES}

    channel.before_answer = lambda: 200
    heard = len(channel.heard)
    assert channel.deliver(2) == []
    [again] = channel.heard[heard:]
    assert again["title"] == "Drawdown: agency-5 is critical; also agency-6, agency-7, agency-8, agency-9"
    assert not any(each.is_pending or each.is_possibly_repeated for each in channel.ledger().deliveries.values())


def test_a_receiver_that_is_down_is_not_tried_with_every_message(channel: Channel) -> None:
    channel.before_answer = lambda: 503
    land_events(channel, events(60))
    assert len(channel.deliver()) == 1
    assert len(channel.heard) == TRIES * MOST_FAILURES
    assert all(each.is_pending for each in channel.ledger().deliveries.values())


def test_a_long_paragraph_continues_where_it_broke_off(channel: Channel) -> None:
    words = " ".join(f"Sentence number {number} says something." for number in range(150))
    land_events(channel, [event(1, words)])
    taken = _refusing(channel, lambda message: "message 2 of" in message["title"])
    assert len(channel.deliver()) == 1
    # Without its second message the third would be meaningless.
    assert len(channel.heard) == 1 + TRIES
    delivery = channel.delivery("agency-1/runway/1")
    assert delivery.is_pending
    assert delivery.delivered_length > 1000

    channel.before_answer = lambda: 200
    heard = len(channel.heard)
    assert channel.deliver(2) == []
    messages = [taken[0], *channel.heard[heard:]]
    pieces = [each["message"].partition("\n\nWhere")[0].removeprefix("agency-1, continued: ") for each in messages]
    assert " ".join(pieces).partition("\n")[2] == words
    assert not channel.delivery("agency-1/runway/1").is_pending


def test_waiting_events_are_reported_and_sent_by_the_next_run(channel: Channel) -> None:
    land_events(channel, events(1500))
    [problem] = channel.deliver()
    assert "the next run sends more, and `drawdown alerts` lists them" in problem
    assert len(channel.heard) == MOST_MESSAGES
    for hours in range(2, 9):
        channel.deliver(hours)
    text = "\n".join(message["message"] for message in channel.heard)
    assert all(f"agency-{number} is critical" in text for number in range(1500))


@pytest.mark.parametrize(
    ("url", "most"),
    [
        ("json://127.0.0.1/x", 2000),
        ("mailto://user:password@example.com", 2000),
        ("discord://1234567890123456/abcdefghijklmnop", 2000),
        (f"tgram://123456789:{'A' * 35}/1234", 2000),
        (f"pover://{'a' * 30}@{'b' * 30}", 1024),
        ("nonsense", 2000),
    ],
)
def test_a_message_is_as_long_as_its_service_documents_and_never_longer_than_2000(url: str, most: int) -> None:
    assert most_characters(Secret(url, name="TOLD")) == most


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize("more", ["", "?redirect=yes"])
def test_a_redirect_is_a_failure_that_is_recorded_and_tried_again(
    channel: Channel, httpserver: HTTPServer, status: int, more: str
) -> None:
    elsewhere: list[str] = []

    def lands(request: Request) -> Response:
        elsewhere.append(request.method)
        return Response(status=200)

    def redirects(request: Request) -> Response:
        channel.heard.append({"title": request.json["title"]})
        return Response(status=status, headers={"Location": f"http://127.0.0.1:{httpserver.port}/elsewhere"})

    httpserver.clear()
    httpserver.expect_request("/elsewhere").respond_with_handler(lands)
    httpserver.expect_request(f"/{CANARY}").respond_with_handler(redirects)
    url, channel.url = channel.url, channel.url + more
    land_events(channel, events(1))
    [problem] = channel.deliver()
    assert (
        f"error={status}. That is a redirect, which is not followed: put the address that it leads to into TOLD"
        in problem
    )
    assert elsewhere == []
    assert channel.delivery("agency-0/runway/1").is_pending
    failure = send(Secret(channel.url, name="TOLD"), "Drawdown: a test", "This is a test.")
    assert failure is not None
    assert not failure.is_unknown

    channel.url = url.replace(CANARY, "elsewhere")
    assert channel.deliver(2) == []
    assert elsewhere == ["POST"]
    assert not channel.delivery("agency-0/runway/1").is_pending


@pytest.mark.parametrize("url", ["form://127.0.0.1:{port}/x", "xml://127.0.0.1:{port}/x", "ntfy://127.0.0.1:{port}/x",
                                 "gotify://127.0.0.1:{port}/token", "mmost://127.0.0.1:{port}/abcdefghijklmnopqrstuvwxyz"])  # fmt: skip
def test_a_redirect_is_a_failure_for_every_service(httpserver: HTTPServer, url: str) -> None:
    asked: list[str] = []

    def answer(request: Request) -> Response:
        asked.append(request.method)
        return Response(status=301 if len(asked) == 1 else 200, headers={"Location": "/elsewhere"})

    httpserver.expect_request(re.compile(".*")).respond_with_handler(answer)
    failure = send(Secret(url.format(port=httpserver.port), name="TOLD"), "t", "b")
    assert failure is not None
    assert "redirect, which is not followed" in failure.problem
    assert asked == ["POST"]

"""Refusals that a vendor documents: their outcome and remedy, and nothing of their bodies."""

from dataclasses import replace

import pytest

from pipeline.http import HttpOutcome, Refusal
from pipeline.support.json_paths import JsonPath
from tests.http.conftest import CANARY, QUICK, VARIABLE, Lab
from tests.http.fault_server import FaultServer, drip, reply

INACTIVE = Refusal(
    status_code=400, says="Inactive client_id", outcome=HttpOutcome.forbidden, remedy="have {variables} enabled"
)
SCOPE = Refusal(status_code=403, remedy="give the key in {variables} its scope")
DECLARED = (INACTIVE, SCOPE)


@pytest.mark.parametrize(
    ("status", "body", "outcome", "remedy"),
    [
        (400, b'{"detail": "Inactive client_id"}', "forbidden", f"have {VARIABLE} enabled"),
        (400, b'{"detail": "INACTIVE CLIENT_ID for this plan"}', "forbidden", f"have {VARIABLE} enabled"),
        (400, b'{"detail": "Bad Request"}', "client_error", "see the landed answer"),
        (400, b"x" * 70_000 + b"Inactive client_id", "client_error", "see the landed answer"),
        (401, b'{"detail": "Inactive client_id"}', "unauthorised", f"check the value of {VARIABLE}"),
        (403, b"anything", "forbidden", f"give the key in {VARIABLE} its scope"),
        (403, b"", "forbidden", f"give the key in {VARIABLE} its scope"),
    ],
)
def test_a_documented_refusal_has_its_declared_outcome_and_remedy(
    lab: Lab, status: int, body: bytes, outcome: str, remedy: str
) -> None:
    with FaultServer(reply(status, body)) as server:
        answer = lab.get(server, refusals=DECLARED)
        assert len(server.requests) == 1
    assert (answer.status_code, answer.outcome) == (status, outcome)
    assert answer.reason.endswith(f"was answered {status} (1 request sent): {remedy}")
    assert answer.body == body


def test_no_part_of_a_refusals_body_gets_into_the_reason(lab: Lab) -> None:
    body = f'{{"detail": "Inactive client_id", "echo": "secret-words", "key": "{CANARY[:4]}"}}'.encode()
    with FaultServer(reply(400, body + CANARY.encode())) as server:
        answer = lab.get(server, refusals=DECLARED)
    assert answer.outcome is HttpOutcome.forbidden
    assert answer.is_redacted
    assert "secret-words" not in answer.reason


def test_a_refusal_remains_one_if_its_body_never_ends(lab: Lab) -> None:
    endless = drip(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 5000\r\n\r\nInactive client_id")
    with FaultServer(endless) as server:
        answer = lab.get(server, refusals=DECLARED, patience=replace(QUICK, deadline_seconds=1))
    assert answer.outcome is HttpOutcome.forbidden
    assert answer.reason.endswith(f"have {VARIABLE} enabled")


@pytest.mark.parametrize("status", [200, 302, 408, 429, 500])
def test_only_an_answer_that_is_not_retried_can_be_declared(status: int) -> None:
    with pytest.raises(ValueError, match="is not a refusal"):
        Refusal(status_code=status, remedy="wait")


@pytest.mark.parametrize("remedy", ["see {key}", "see {", "see }", "{variables!r}", "{variables.name}", "{0}", "{}"])
def test_a_remedy_has_no_other_braces_than_the_names_of_settings(remedy: str) -> None:
    with pytest.raises(ValueError, match=r"only \{variables\} and \{setting\} may be in braces"):
        Refusal(status_code=401, remedy=remedy)


def test_a_refusal_is_known_by_a_body_of_which_nothing_may_be_kept(lab: Lab) -> None:
    with FaultServer(reply(400, b"not JSON: Inactive client_id")) as server:
        answer = lab.get(server, refusals=DECLARED, redacted=[JsonPath.parse("key")])
    assert answer.outcome == "forbidden"
    assert answer.reason.endswith(f"have {VARIABLE} enabled")
    assert answer.body == b"[redacted: 28 bytes that are not JSON]"

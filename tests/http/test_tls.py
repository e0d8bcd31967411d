"""TLS: certificates are verified, and nothing is sent in the clear."""

import dataclasses
import ssl
from datetime import UTC, datetime

import pytest
import trustme

from pipeline.http import HttpOutcome, HttpResult, Network
from tests.http.conftest import CANARY, QUICK, Lab
from tests.http.fault_server import FaultServer
from tests.http.replies import FINE


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def _trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def _get_over_tls(lab: Lab, server: FaultServer, verify: ssl.SSLContext | None) -> HttpResult:
    async def work() -> HttpResult:
        async with Network(verify=verify) as network:
            url = f"https://127.0.0.1:{server.port}"
            patience = dataclasses.replace(QUICK, connect_timeout_seconds=0.3)
            return await lab.client(network, url, patience=patience).get("/balance")

    return lab.run(work())


def test_a_trusted_certificate_is_accepted(lab: Lab, authority: trustme.CA) -> None:
    with FaultServer(FINE, tls=_context(authority.issue_cert("127.0.0.1"))) as server:
        answer = _get_over_tls(lab, server, _trusting(authority))
    assert answer.outcome is HttpOutcome.ok
    assert CANARY in server.requests[0].headers["api_key"]


@pytest.mark.faults(41)
@pytest.mark.parametrize("flaw", ["expired", "wrong host", "unknown authority"])
def test_an_untrusted_certificate_fails_without_a_byte_of_the_request(
    lab: Lab, authority: trustme.CA, flaw: str
) -> None:
    start, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
    certificates = {
        "expired": (authority.issue_cert("127.0.0.1", not_before=start, not_after=end), "expired"),
        "wrong host": (authority.issue_cert("other.example"), "IP address mismatch"),
        "unknown authority": (trustme.CA().issue_cert("127.0.0.1"), "unable to get local issuer certificate"),
    }
    certificate, words = certificates[flaw]
    with FaultServer(FINE, tls=_context(certificate)) as server:
        answer = _get_over_tls(lab, server, _trusting(authority))
    assert (answer.outcome, answer.attempt_count, answer.status_code) == (HttpOutcome.tls, 1, None)
    assert words in answer.reason
    assert server.received == b""


@pytest.mark.faults(41)
def test_a_server_without_tls_gets_no_plain_request(lab: Lab) -> None:
    with FaultServer(FINE) as server:
        answer = _get_over_tls(lab, server, None)
    assert answer.outcome in {HttpOutcome.tls, HttpOutcome.connection, HttpOutcome.timeout}
    assert CANARY.encode() not in server.received
    assert b"GET" not in server.received
    assert answer.attempt_count == QUICK.attempts


@pytest.mark.faults(41)
def test_verification_cannot_be_switched_off() -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    with pytest.raises(ValueError, match="host names"):
        Network(verify=context)

"""Addresses that a key may be sent to, and those that it must never reach."""

import pytest

from pipeline.http import HttpOutcome, HttpResult, Network
from tests.http.conftest import CANARY, Lab
from tests.http.fault_server import FaultServer, reply
from tests.http.replies import FINE, FULLWIDTH_127


@pytest.mark.faults(17)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_is_not_followed(lab: Lab, status: int) -> None:
    with FaultServer(FINE) as elsewhere:
        target = elsewhere.url.replace("127.0.0.1", "localhost")
        with FaultServer(reply(status, b"moved", {"Location": f"{target}/x?token={CANARY}"})) as server:
            answer = lab.get(server)
    assert elsewhere.received == b""
    assert len(server.requests) == 1
    assert (answer.outcome, answer.status_code, answer.body) == (HttpOutcome.redirect, status, b"moved")


@pytest.mark.faults(17)
@pytest.mark.parametrize(
    ("location", "named"),
    [
        ("https://evil.example/path?query", "evil.example"),
        ("/elsewhere", "127.0.0.1"),
        ("http://[::1", ""),
        ("https://evil.example\\@good.example:99999/", ""),
        (f"https://{CANARY.lower()}.example/", ""),
        ("", ""),
    ],
)
def test_a_redirect_names_the_host_and_not_the_query(lab: Lab, location: str, named: str) -> None:
    with FaultServer(reply(302, headers={"Location": location})) as server:
        answer = lab.get(server)
    assert (answer.outcome, answer.attempt_count) == (HttpOutcome.redirect, 1)
    assert named in answer.reason
    assert "query" not in answer.reason


@pytest.mark.faults(18)
def test_a_next_link_of_a_foreign_origin_is_blocked(lab: Lab) -> None:
    with FaultServer(FINE) as elsewhere, FaultServer(FINE) as server:
        here, there = f"127.0.0.1:{server.port}", f"127.0.0.1:{elsewhere.port}"
        links = [
            f"http://{there}/v1/orders?page=2",
            f"//{there}/v1/orders?page=2",
            f"http://localhost:{server.port}/v1/orders",
            f"https://{here}/v1/orders",
            f"http://{here}@{there}/v1/orders",
            f"http://user:password@{here}/v1/orders",
            f"http://{here}\\@{there}/v1/orders",
            f"http://{there}\\@{here}/v1/orders",
            f"http:\\\\{there}\\v1",
            f"\\\\{there}\\v1",
            f"http://{here}.evil.example/",
            f"http://127.0.0.1:{server.port}0/",
            "http://[::1",
            "http://127.0.0.1:99999/",
            "http://127.0.0.1:x/",
            "javascript:alert(1)",
            "file:///etc/passwd",
            f"http://{here}/v1\r\nHost: evil.example",
            f" http://{here}/v1/orders",
            f"http://{FULLWIDTH_127}.0.0.1:{server.port}/",
            "http://" + "a" * 70_000,
            f"http://evil.example/?key={CANARY}",
        ]

        async def work() -> list[HttpResult]:
            async with Network() as network:
                client = lab.client(network, server.url + "/v1")
                return [await client.follow(link) for link in links]

        answers = lab.run(work())
        assert [answer.outcome for answer in answers] == [HttpOutcome.foreign_origin] * len(links)
        assert {answer.attempt_count for answer in answers} == {0}
        assert server.received == b""
        assert elsewhere.received == b""


@pytest.mark.faults(19)
def test_a_next_link_of_the_own_origin_is_followed_absolute_or_relative(lab: Lab) -> None:
    page = "/v1/orders?page=1"
    with FaultServer(reply(200, b"{}", keep=True)) as server:
        links = {
            f"{server.url}/v1/orders?page=2": "/v1/orders?page=2",
            f"HTTP://127.0.0.1:{server.port}/v1/orders?page=2#top": "/v1/orders?page=2",
            "/v1/orders?page=2": "/v1/orders?page=2",
            "?page=2&cursor=a%2Fb": "/v1/orders?page=2&cursor=a%2Fb",
            "invoices": "/v1/invoices",
        }

        async def work() -> list[HttpResult]:
            async with Network() as network:
                client = lab.client(network, server.url + "/v1")
                return [await client.follow(link, page_url=server.url + page) for link in links]

        answers = lab.run(work())
    assert {answer.outcome for answer in answers} == {HttpOutcome.ok}
    assert [request.target for request in server.requests] == list(links.values())


@pytest.mark.parametrize(
    "path", ["balance", "//evil.com/x", "/a/../b", "/a?b=c", "/a#b", "/a\\b", "/a b", "@evil.com", "/%2e"]
)
def test_a_path_that_could_mean_another_place_is_rejected(lab: Lab, path: str) -> None:
    with FaultServer(FINE) as server, pytest.raises(ValueError, match="path"):
        lab.get(server, path)
    assert server.received == b""


def test_loopback_is_never_reached_through_a_proxy(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer(FINE) as proxy, FaultServer(FINE) as server:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        answer = lab.get(server)
    assert answer.outcome is HttpOutcome.ok
    assert proxy.received == b""


def test_a_cookie_of_one_account_is_not_sent_for_another(lab: Lab) -> None:
    async def work(server: FaultServer) -> list[HttpResult]:
        async with Network() as network:
            clients = [lab.client(network, server.url, account_id=name) for name in ("one", "two")]
            return [await client.get("/balance") for client in clients]

    with FaultServer(reply(200, b"{}", {"Set-Cookie": "session=one; Path=/"})) as server:
        lab.run(work(server))
    assert len(server.requests) == 2
    assert all("cookie" not in {name.lower() for name in request.headers} for request in server.requests)

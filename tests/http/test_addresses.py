"""Where a key may travel, and where it never does."""

import dataclasses
import ipaddress
import ssl
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
import pytest
import trustme
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.http import Answer, Network, Outcome, check_base_url
from tests.http.conftest import CANARY, QUICK, Lab
from tests.http.fault_server import FaultServer, reply

FULLWIDTH_127 = "\uff11\uff12\uff17"
FINE = reply(200, b'{"balance": 12.50}')


@pytest.mark.faults(17)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_is_not_followed(lab: Lab, status: int) -> None:
    with FaultServer(FINE) as elsewhere:
        target = elsewhere.url.replace("127.0.0.1", "localhost")
        with FaultServer(reply(status, b"moved", {"Location": f"{target}/x?token={CANARY}"})) as server:
            answer = lab.get(server)
    assert elsewhere.received == b""
    assert len(server.requests) == 1
    assert (answer.outcome, answer.status_code, answer.body) == (Outcome.redirect, status, b"moved")


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
    assert (answer.outcome, answer.attempt_count) == (Outcome.redirect, 1)
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

        async def work() -> list[Answer]:
            async with Network() as network:
                client = lab.client(network, server.url + "/v1")
                return [await client.follow(link) for link in links]

        answers = lab.run(work())
        assert [answer.outcome for answer in answers] == [Outcome.foreign_origin] * len(links)
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

        async def work() -> list[Answer]:
            async with Network() as network:
                client = lab.client(network, server.url + "/v1")
                return [await client.follow(link, page_url=server.url + page) for link in links]

        answers = lab.run(work())
    assert {answer.outcome for answer in answers} == {Outcome.ok}
    assert [request.target for request in server.requests] == list(links.values())


GOOD_URLS = {
    "https://api.vpsbg.eu/v1": "https://api.vpsbg.eu/v1",
    "HTTPS://API.VPSBG.EU:443/v1/": "https://api.vpsbg.eu/v1",
    "https://app.voxpria.com": "https://app.voxpria.com",
    "https://app.voxpria.com/": "https://app.voxpria.com",
    "https://example.com:8443/a/b": "https://example.com:8443/a/b",
    "https://8.8.8.8/v1": "https://8.8.8.8/v1",
    "https://[2001:4860:4860::8888]/": "https://[2001:4860:4860::8888]",
}
LOOPBACK_URLS = {
    "http://127.0.0.1:8000/v1": "http://127.0.0.1:8000/v1",
    "https://127.0.0.1:8000": "https://127.0.0.1:8000",
    "http://127.9.9.9": "http://127.9.9.9",
    "http://localhost:80/": "http://localhost",
    "https://LOCALHOST": "https://localhost",
    "http://[::1]:8000": "http://[::1]:8000",
    "http://[0:0:0:0:0:0:0:1]": "http://[::1]",
}
BAD_URLS = [
    "https://good.com\\@evil.com",
    "https://good.com\\.evil.com",
    "https://user@good.com",
    "https://user:pw@good.com",
    "https://good.com:443@evil.com",
    "https://@good.com",
    "http://good.com",
    "http://8.8.8.8",
    "http://127.0.0.1.evil.com",
    "ftp://good.com",
    "good.com",
    "//good.com",
    "https:good.com",
    "https:/good.com",
    "https:///good.com",
    "https://",
    "https://:443",
    "",
    "https://10.0.0.1",
    "https://172.16.0.1",
    "https://192.168.1.1/v1",
    "https://169.254.169.254",
    "https://100.64.0.1",
    "https://0.0.0.0",
    "https://224.0.0.1",
    "https://240.0.0.1",
    "https://255.255.255.255",
    "https://192.0.2.1",
    "https://198.18.0.1",
    "https://2130706433",
    "https://0x7f.1",
    "https://0x7f000001",
    "https://0177.0.0.1",
    "https://127.1",
    "https://1.2.3",
    "https://good.0x7f",
    "https://127.0.0.1.",
    "https://010.8.8.8",
    "https://[::]",
    "https://[::ffff:127.0.0.1]",
    "https://[::ffff:8.8.8.8]",
    "https://[::127.0.0.1]",
    "https://[64:ff9b::7f00:1]",
    "https://[2002:7f00:1::]",
    "https://[2001:0:7f00:1::]",
    "https://[2001:db8::1]",
    "https://[fe80::1]",
    "https://[fe80::1%25eth0]",
    "https://[2001:4860:4860::8888%25eth0]",
    "https://[fc00::1]",
    "https://[ff02::1]",
    "https://[::1",
    "https://::1",
    "https://[good.com]",
    "https://localhost.",
    "https://evil.localhost",
    "https://intranet",
    "https://good..com",
    "https://good.com.",
    "https://-good.com",
    "https://good_host.com",
    "https://good%2ecom",
    "https://g\N{CYRILLIC SMALL LETTER O}od.com",
    "https://good\N{IDEOGRAPHIC FULL STOP}com",
    f"https://{FULLWIDTH_127}.0.0.1",
    "https://xn--80ak6aa92e.com",
    "https://good.com/v1?x=1",
    "https://good.com?x",
    "https://good.com/#v1",
    "https://good.com#@evil.com",
    "https://good.com/a b",
    "https://good.com\n",
    "\thttps://good.com",
    "https://go\tod.com",
    "https://good.com\x00",
    "https://good.com/../x",
    "https://good.com//x",
    "https://good.com/%2e%2e/x",
    "https://good.com/@evil",
    "https://good.com:0",
    "https://good.com:65536",
    "https://good.com:",
    "https://good.com:-1",
    "https://good.com:44x",
    "https://good.com:443:443",
    "https://" + "a" * 64 + ".com",
    "https://" + "a." * 140 + "com",
]


@pytest.mark.faults(40)
@pytest.mark.parametrize("url", BAD_URLS)
@pytest.mark.parametrize("allow", [False, True])
def test_a_base_url_that_is_not_plainly_public_https_is_rejected(url: str, allow: bool) -> None:
    with pytest.raises(ValueError, match=r"^base_url .+") as caught:
        check_base_url(url, allow_http_loopback=allow)
    assert "pw" not in str(caught.value)


@pytest.mark.faults(40)
@pytest.mark.parametrize("allow", [False, True])
def test_a_plain_public_https_url_is_normalised(allow: bool) -> None:
    for url, normal in GOOD_URLS.items():
        assert check_base_url(url, allow_http_loopback=allow) == normal


@pytest.mark.faults(40)
def test_loopback_takes_http_or_https_but_only_when_allowed() -> None:
    for url, normal in LOOPBACK_URLS.items():
        assert check_base_url(url, allow_http_loopback=True) == normal
        with pytest.raises(ValueError, match="allow_http_loopback"):
            check_base_url(url, allow_http_loopback=False)


@pytest.mark.faults(40)
def test_a_client_checks_its_base_url_before_anything_else(lab: Lab) -> None:
    network = Network()
    with pytest.raises(ValueError, match="base_url"):
        lab.client(network, "https://good.com\\@evil.com")
    with pytest.raises(ValueError, match="allow_http_loopback"):
        lab.client(network, "http://127.0.0.1:8000", allow_http_loopback=False)


WORDS = ["https://", "http://", "good.com", "evil.com", "127.0.0.1", "10.0.0.1", "[::1]", "localhost", "0x7f"]
SIGNS = [*"1@\\/?#:.%[]- \t\n", "..", "//", ":443", "%40", "%5c", "xn--80ak6aa92e.com"]
LOOKALIKES = ["\N{FULLWIDTH FULL STOP}", "\N{LATIN SMALL LETTER LONG S}", "\N{ZERO WIDTH SPACE}"]
TRICKY = st.lists(st.sampled_from(WORDS + SIGNS + LOOKALIKES), max_size=8).map("".join)


@pytest.mark.faults(40)
@given(
    TRICKY | st.text(max_size=30).map("https://".__add__) | TRICKY.map("https://good.com".__add__),
    st.booleans(),
)
@example("https://good.com\\@evil.com", True)
def test_an_accepted_base_url_means_the_same_to_every_parser(url: str, allow: bool) -> None:
    try:
        accepted = check_base_url(url, allow_http_loopback=allow)
    except ValueError:
        return
    ours, theirs = urlsplit(accepted), httpx.URL(accepted)
    assert ours.hostname == theirs.host
    assert (ours.scheme, ours.port) == (theirs.scheme, theirs.port)
    assert not theirs.userinfo
    assert not ours.query
    assert check_base_url(accepted, allow_http_loopback=allow) == accepted
    assert theirs.scheme == "https" or (allow and theirs.host in {"localhost", "127.0.0.1", "::1"})
    assert allow or theirs.host not in {"localhost", "127.0.0.1", "::1"}


@pytest.mark.faults(40)
@given(st.ip_addresses(v=4))
def test_no_spelling_of_an_address_that_is_not_public_is_accepted(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    a, b, c, d = address.packed
    spellings = [
        str(number),
        hex(number),
        f"0{number:o}",
        f"{a}.{number & 0xFFFFFF}",
        f"{a}.{b}.{number & 0xFFFF}",
        f"{a:#x}.{b:#x}.{c:#x}.{d:#x}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"[::ffff:{address}]",
        f"[64:ff9b::{address}]",
        f"[::{address}]" if number > 1 else "[::2]",
    ]
    if not address.is_global:
        spellings.append(str(address))
    for spelling in spellings:
        with pytest.raises(ValueError, match="base_url"):
            check_base_url(f"https://{spelling}/v1", allow_http_loopback=False)


@pytest.mark.parametrize(
    "path", ["balance", "//evil.com/x", "/a/../b", "/a?b=c", "/a#b", "/a\\b", "/a b", "@evil.com", "/%2e"]
)
def test_a_path_that_could_mean_another_place_is_rejected(lab: Lab, path: str) -> None:
    with FaultServer(FINE) as server, pytest.raises(ValueError, match="path"):
        lab.get(server, path)
    assert server.received == b""


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


def _get_over_tls(lab: Lab, server: FaultServer, verify: ssl.SSLContext | None) -> Answer:
    async def work() -> Answer:
        async with Network(verify=verify) as network:
            url = f"https://127.0.0.1:{server.port}"
            patience = dataclasses.replace(QUICK, connect_timeout_seconds=0.3)
            return await lab.client(network, url, patience=patience).get("/balance")

    return lab.run(work())


def test_a_trusted_certificate_is_spoken_to(lab: Lab, authority: trustme.CA) -> None:
    with FaultServer(FINE, tls=_context(authority.issue_cert("127.0.0.1"))) as server:
        answer = _get_over_tls(lab, server, _trusting(authority))
    assert answer.outcome is Outcome.ok
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
    assert (answer.outcome, answer.attempt_count, answer.status_code) == (Outcome.tls, 1, None)
    assert words in answer.reason
    assert server.received == b""


@pytest.mark.faults(41)
def test_a_server_without_tls_is_not_spoken_to_in_the_clear(lab: Lab) -> None:
    with FaultServer(FINE) as server:
        answer = _get_over_tls(lab, server, None)
    assert answer.outcome in {Outcome.tls, Outcome.connection, Outcome.timeout}
    assert CANARY.encode() not in server.received
    assert b"GET" not in server.received
    assert answer.attempt_count == QUICK.attempts


@pytest.mark.faults(41)
def test_verification_cannot_be_switched_off() -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    with pytest.raises(ValueError, match="host names"):
        Network(verify=context)


def test_loopback_is_never_reached_through_a_proxy(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer(FINE) as proxy, FaultServer(FINE) as server:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        answer = lab.get(server)
    assert answer.outcome is Outcome.ok
    assert proxy.received == b""


def test_a_cookie_of_one_account_is_not_sent_for_another(lab: Lab) -> None:
    async def work(server: FaultServer) -> list[Answer]:
        async with Network() as network:
            clients = [lab.client(network, server.url, account_id=name) for name in ("one", "two")]
            return [await client.get("/balance") for client in clients]

    with FaultServer(reply(200, b"{}", {"Set-Cookie": "session=one; Path=/"})) as server:
        lab.run(work(server))
    assert len(server.requests) == 2
    assert all("cookie" not in {name.lower() for name in request.headers} for request in server.requests)

"""Base URLs: plainly public HTTPS, or loopback where it is allowed."""

import ipaddress
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.http import Network, check_base_url
from tests.http.conftest import Lab
from tests.http.replies import FULLWIDTH_127

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
def test_loopback_accepts_http_or_https_only_if_allowed() -> None:
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

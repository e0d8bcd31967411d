"""The vendors' own clients read the examples of the declarations, and ask as the declarations do.

`make test-clients` installs the clients, pinned, into an environment of their own.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import threading
from base64 import b64encode
from collections.abc import Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme

from pipeline.vendors import shipped
from pipeline.vendors._port import PLACEHOLDER, AuthBasic, AuthHeader, AuthQuery
from tests.vendors.clients.official_clients import CLIENTS, KEY, NAME
from tests.vendors.examples import example

_PYTHON = os.environ.get("DRAWDOWN_CLIENTS_PYTHON")

pytestmark = pytest.mark.skipif(not _PYTHON, reason="`make test-clients` installs the vendors' clients")

# By hand: what each client reads from the example, as the client returns it.
_READ: dict[str, Any] = {
    "deepgram": [[182.47630915, "usd"]],
    "digitalocean": ["-83.60", [True, "15.00", "80.00"]],
    "elevenlabs": [100000, 38250, 1775001600],
    "openrouter": [110.5, 25.75],
    "serpapi": 665,
    "telnyx": ["212.40", "50.00", "USD"],
    "twilio": ["148.2060", "USD", [["2026-03-17", "6.41250"], ["2026-03-16", "0.80000"]]],
    "vonage": [74.18620455, True],
}


def _addresses() -> dict[str, tuple[str, str]]:
    """Path of each declared request of these vendors, with the account's part in it: vendor and endpoint."""
    return {
        urlsplit(vendor.base_url or "").path + PLACEHOLDER.sub(NAME, endpoint.listing.path): (name, endpoint.name)
        for name, vendor in shipped().items()
        if name in CLIENTS
        for endpoint in vendor.endpoints
    }


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Any], dict[str, tuple[str, Message]]]]:
    """What the clients read, and the request for each declared address: its path with the query, and its headers."""
    addresses = _addresses()
    seen: dict[str, tuple[str, Message]] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            told = addresses.get(path)
            body = example(*told) if told else b'{"error": "no such address"}'
            seen[path] = self.path, self.headers
            self.send_response(200 if told else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    trusted = tmp_path_factory.mktemp("clients") / "authority.pem"
    authority.cert_pem.write_to_path(trusted)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        script = Path(__file__).with_name("official_clients.py")
        result = subprocess.run(
            [str(_PYTHON), str(script), f"https://localhost:{server.server_port}"],
            capture_output=True, text=True, timeout=300, check=False,
            env={"PATH": os.environ["PATH"], "SSL_CERT_FILE": str(trusted), "REQUESTS_CA_BUNDLE": str(trusted)},
        )  # fmt: skip
        assert result.returncode == 0, result.stderr[-3000:]
        yield json.loads(result.stdout.splitlines()[-1]), seen
    finally:
        server.shutdown()
        server.server_close()


Asked = tuple[dict[str, Any], dict[str, tuple[str, Message]]]


@pytest.mark.parametrize("name", CLIENTS)
def test_the_vendors_own_client_reads_the_example(asked: Asked, name: str) -> None:
    assert asked[0][name] == _READ[name]


@pytest.mark.parametrize(
    ("path", "told"), _addresses().items(), ids=lambda each: each if isinstance(each, str) else "-".join(each)
)
def test_the_vendors_own_client_asks_the_declared_address_with_the_declared_key(
    asked: Asked, path: str, told: tuple[str, str]
) -> None:
    target, headers = asked[1][path]
    [auth] = shipped()[told[0]].auth
    match auth:
        case AuthHeader():
            assert headers[auth.name] == f"{auth.prefix}{KEY}"
        case AuthQuery():
            assert parse_qs(urlsplit(target).query)[auth.name] == [KEY]
        case AuthBasic():
            assert headers["Authorization"] == f"Basic {b64encode(f'{NAME}:{KEY}'.encode()).decode()}"


def test_twilios_own_client_asks_for_days_as_the_declaration_does(asked: Asked) -> None:
    endpoint = shipped()["twilio"].endpoint("usage")
    [path] = [path for path, told in _addresses().items() if told == ("twilio", "usage")]
    query = parse_qs(urlsplit(asked[1][path][0]).query)
    listing: Any = endpoint.listing
    assert query[listing.from_param] == ["2026-03-16"]
    assert query[listing.to_param] == ["2026-03-17"]
    assert {key: [value] for key, value in listing.params.items()}.items() <= query.items()

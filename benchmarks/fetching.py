"""Forty accounts whose vendor takes 200 ms for each answer: requests must run concurrently."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.command import Drawdown, median
from benchmarks.table import Row

ACCOUNTS = 40
ANSWER_SECONDS = 0.2


class _Vendor(ThreadingHTTPServer):
    """A wallet that answers each request after 200 ms, and records its first request and last answer."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.first_asked: float | None = None
        self.last_answered = 0.0
        self.answers = 0
        self.lock = threading.Lock()

    def take_span(self) -> float:
        """Seconds from the first request to the last answer since the previous call."""
        with self.lock:
            if self.answers != ACCOUNTS or self.first_asked is None:
                raise RuntimeError(f"{self.answers} answers for {ACCOUNTS} accounts")
            span = self.last_answered - self.first_asked
            self.first_asked, self.answers = None, 0
            return span


class _Answer(BaseHTTPRequestHandler):
    server: _Vendor
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.first_asked = self.server.first_asked or time.perf_counter()
        time.sleep(ANSWER_SECONDS)
        body = b'{"current_balance": 6448, "success": true}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        with self.server.lock:
            self.server.last_answered = time.perf_counter()
            self.server.answers += 1

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""


@contextmanager
def _vendor() -> Iterator[_Vendor]:
    server = _Vendor()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def measure(scratch: Path) -> list[Row]:
    """Time fetching as seen by the vendor, without the rest of the run."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    with _vendor() as vendor:
        lines = ["allow_http_loopback = true", 'fx.source = "package"']
        for number in range(ACCOUNTS):
            lines += [
                f"[accounts.wallet-{number:02d}]", 'vendor = "deepvue"', 'unit = "INR"',
                'client_id_env = "BENCH_KEY"', f'api_key_env = "BENCH_KEY_{number:02d}"',
                f'base_url = "http://127.0.0.1:{vendor.server_address[1]}"',
            ]  # fmt: skip
        accounts = scratch / "accounts.toml"
        accounts.write_text("\n".join(lines) + "\n", encoding="utf-8")
        keys = {"BENCH_KEY": "bench", **{f"BENCH_KEY_{number:02d}": f"bench-{number}" for number in range(ACCOUNTS)}}
        drawdown = Drawdown(scratch / "home", accounts, keys)

        def span() -> float:
            drawdown.seconds("run")
            return vendor.take_span()

        seconds = median(span)
    ratio = seconds / ANSWER_SECONDS
    return [
        Row(
            what=f"{ACCOUNTS} accounts at {ANSWER_SECONDS * 1000:.0f} ms an answer, first question to last answer",
            measured=f"{ratio:.1f} answers' time",
            goal="at most 3",
            is_reached=ratio <= 3,
            how=f"{seconds:.2f} s, seen by the vendor; one after another it would be {ACCOUNTS * ANSWER_SECONDS:.0f} s",
        )
    ]

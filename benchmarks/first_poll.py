"""The first poll of an account whose ledger is long: memory must not grow with it."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import duckdb

from benchmarks.command import Drawdown
from benchmarks.table import Row

ENTRIES: Final = 500_000
MOST_MB: Final = 700
_PAGES: Final = 50
"""Our own limit lets a run make 60 requests in its first minute, so the vendor answers with pages of a fiftieth."""


class _Ledger(ThreadingHTTPServer):
    """A VPSBG account, newest entries first, one a minute."""

    daemon_threads = True

    def __init__(self, entries: int) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.entries = entries
        self.now = datetime.now(UTC).replace(microsecond=0)

    def page(self, number: int) -> str:
        """A page's body; the last one has no link."""
        each = -(-self.entries // _PAGES)
        rows = [
            f'{{"id": {self.entries - place}, "type": "renew-service", "amount": -{place % 999 / 100:.2f}, '
            '"currency": "EUR", "status": "completed", "description": "Renewal of a server", '
            f'"created_at": "{self.now - timedelta(minutes=place):%Y-%m-%dT%H:%M:%SZ}"}}'
            for place in range((number - 1) * each, min(number * each, self.entries))
        ]
        port = self.server_address[1]
        is_last = number * each >= self.entries
        link = None if is_last else f"http://127.0.0.1:{port}/balance/transactions?page={number + 1}&per_page=100"
        return f'{{"data": [{", ".join(rows)}], "links": {{"next": {json.dumps(link)}}}, "meta": {{"current_page": {number}}}}}'


class _Answer(BaseHTTPRequestHandler):
    server: _Ledger
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        body = '{"data": [], "links": {"next": null}, "meta": {}}'
        if asked.path == "/balance":
            body = '{"balance": 5000.25, "balance_limit": 0, "currency": "EUR"}'
        if asked.path == "/balance/transactions":
            body = self.server.page(int(parse_qs(asked.query)["page"][0]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""


def _serve(pipe: Connection, entries: int) -> None:
    server = _Ledger(entries)
    pipe.send(server.server_address[1])
    server.serve_forever()


@contextmanager
def _vendor(entries: int) -> Iterator[int]:
    """Start the vendor in a separate process; returns its port."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, entries), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.kill()
        process.join()


def measure(scratch: Path, entries: int) -> list[Row]:
    """Poll a new account once, up to the published tables. Raises RuntimeError if an entry is missing in them."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    with _vendor(entries) as port:
        accounts = scratch / "accounts.toml"
        accounts.write_text(
            'allow_http_loopback = true\nfx.source = "package"\n'
            f'[accounts.long]\nvendor = "vpsbg"\napi_key_env = "BENCH_KEY"\nbase_url = "http://127.0.0.1:{port}"\n',
            encoding="utf-8",
        )
        drawdown = Drawdown(scratch / "home", accounts, {"BENCH_KEY": "bench"})
        usage = drawdown.usage("run")
    build = (scratch / "home" / "published" / "current.duckdb").resolve()
    with duckdb.connect(build, read_only=True) as connection:
        [(published,)] = connection.execute("SELECT count(*) FROM core.ledger_entries").fetchall()
    if published != entries:
        raise RuntimeError(f"{published} entries were published of {entries}")
    return [
        Row(
            what=f"The first poll of one account with {entries:,} ledger entries: peak memory",
            measured=f"{usage.peak_mb:.0f} MB",
            goal=f"at most {MOST_MB} MB",
            is_reached=usage.peak_mb <= MOST_MB,
            how=f"{usage.seconds:.1f} s and {usage.cpu_seconds:.1f} CPU-s from the first request to published, in {_PAGES} "
            "pages; the whole process",
        )
    ]

"""Thousands of accounts, half of them at each of two vendors on this machine, fetched by one run."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from benchmarks.table import Row

ANSWER_SECONDS: Final = 0.2
CONNECTIONS: Final = 64
"""Maximum number of concurrent requests of a run to one vendor's address."""
MOST_FILES, MOST_MB = 1024, 600
_VPSBG_ENDPOINTS: Final = 5
_PAGE: Final = {"data": [], "links": {"next": None}, "meta": {}}


class _Answers(asyncio.Protocol):
    """One connection: each request is answered after 200 ms."""

    def __init__(self, seen: _Seen) -> None:
        self._seen = seen
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            request, self._received = self._received.split(b"\r\n\r\n", 1)
            self._seen.first = self._seen.first or time.perf_counter()
            path = request.split(b" ", 2)[1]
            body = {"balance": 5, "currency": "EUR"} if path == b"/balance" else _PAGE
            if b"x-api-key" in request.lower():
                body = {"current_balance": 6448, "success": True}
            asyncio.get_running_loop().call_later(ANSWER_SECONDS, self._answer, json.dumps(body).encode())

    def _answer(self, body: bytes) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)  # type: ignore[attr-defined] - it is a socket's
        self._seen.last = time.perf_counter()
        self._seen.answers += 1


@dataclass
class _Seen:
    """The vendor's record of one run."""

    first: float = 0.0
    last: float = 0.0
    answers: int = 0


def _serve(pipe: Connection) -> None:
    seen = _Seen()

    async def work() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Answers(seen), "127.0.0.1", 0, backlog=1024)
        pipe.send(server.sockets[0].getsockname()[1])
        await loop.run_in_executor(None, pipe.recv)
        pipe.send(seen)
        server.close()

    asyncio.run(work())


@contextmanager
def _vendor() -> Iterator[tuple[int, Connection]]:
    """Start the vendor in a separate process; returns its port, and the pipe for its record."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv(), ours
    finally:
        process.kill()
        process.join()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One run over a number of accounts."""

    answered: int
    read: int
    """Accounts whose balance was landed as a good answer."""
    seconds: float
    """From the first request to the last answer, as seen by the vendor."""
    process_seconds: float
    cpu_seconds: float
    peak_mb: float
    peak_files: int
    landing_files: int


def run(scratch: Path, accounts: int) -> _Run:
    """Fetch for a number of accounts in a separate process, and count the results."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DRAWDOWN_", "DAGSTER_"))}
    environment |= {
        "DRAWDOWN_HOME": str(scratch / "home"), "DRAWDOWN_ACCOUNTS": str(scratch / "accounts.toml"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }  # fmt: skip
    with _vendor() as (port, pipe):
        lines = ["allow_http_loopback = true", 'fx.source = "package"']
        for number in range(accounts):
            environment[f"KEY_{number}"] = f"bench-{number:05d}"
            lines += [
                f"[accounts.a{number:05d}]",
                f'api_key_env = "KEY_{number}"',
                f'base_url = "http://127.0.0.1:{port}"',
            ]
            if number % 2:
                lines += ['vendor = "deepvue"', 'unit = "INR"', f'client_id_env = "KEY_{number}"']
            else:
                lines += ['vendor = "vpsbg"']
        (scratch / "accounts.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = [Path(sys.executable).parent / "drawdown", "run", "--select", "group:landing"]
        began, cpu_before = time.perf_counter(), _children_cpu_seconds()
        with (scratch / "output.txt").open("wb") as output:
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        peak_mb, peak_files = 0.0, 0
        while process.poll() is None:
            with suppress(OSError, StopIteration):
                peak_files = max(peak_files, len(os.listdir(f"/proc/{process.pid}/fd")))
                status = Path(f"/proc/{process.pid}/status").read_text()
                peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
                peak_mb = max(peak_mb, int(peak.split()[1]) * 1024 / 1e6)
            time.sleep(0.1)
        took, cpu = time.perf_counter() - began, _children_cpu_seconds() - cpu_before
        pipe.send(None)
        seen: _Seen = pipe.recv()
    files = list((scratch / "home" / "landing").glob("[!_]*/*/*/*/*/*.parquet"))
    balances = [path for path in files if path.parts[-5] in ("balance", "wallet")]
    read = {
        account_id
        for path in balances
        for table in [pq.read_table(path, columns=["account_id", "outcome"])]
        for account_id, outcome in zip(*(table.column(name).to_pylist() for name in table.column_names), strict=True)
        if outcome == "ok"
    }
    return _Run(
        answered=seen.answers,
        read=len(read),
        seconds=seen.last - seen.first,
        process_seconds=took,
        cpu_seconds=cpu,
        peak_mb=peak_mb,
        peak_files=peak_files,
        landing_files=len(files),
    )


def _children_cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(scratch: Path) -> list[Row]:
    """Fetch for 1,000 and for 5,000 accounts."""
    return [_row(accounts, run(scratch, accounts)) for accounts in (1_000, 5_000)]


def _row(accounts: int, done: _Run) -> Row:
    # VPSBG's share takes longest: the two vendors are requested concurrently, over separate connections.
    ideal = accounts / 2 * _VPSBG_ENDPOINTS * ANSWER_SECONDS / CONNECTIONS
    ratio = done.seconds / ideal
    is_reached = done.read == accounts and ratio <= 3 and done.peak_files < MOST_FILES and done.peak_mb < MOST_MB
    return Row(
        what=f"{accounts:,} accounts at {ANSWER_SECONDS * 1000:.0f} ms an answer, against latency x requests / connections",
        measured=f"{ratio:.2f}, {done.read:,} read",
        goal=f"at most 3, all read, under {MOST_FILES:,} open files and {MOST_MB} MB",
        is_reached=is_reached,
        how=f"{done.seconds:.1f} s for {done.answered:,} answers of two vendors, ideally {ideal:.1f} s over "
        f"{CONNECTIONS} connections a vendor; at most {done.peak_files} open files and {done.peak_mb:.0f} MB; "
        f"{done.landing_files} landing files; the whole process took {done.process_seconds:.0f} s and "
        f"{done.cpu_seconds:.0f} s of CPU",
    )


if __name__ == "__main__":
    for _accounts in map(int, sys.argv[2:]):
        print(_row(_accounts, run(Path(sys.argv[1]), _accounts)).line(), flush=True)

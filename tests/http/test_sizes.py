"""Bodies made to exhaust memory."""

import json
import struct
import subprocess
import sys
import zlib

import pytest

from tests.http.fault_server import FaultServer, Script, flood, pack, raw, reply

CAP_BYTES = 64 * 1024 * 1024

# The reader itself reports its peak: a parent's measurement of a child includes the parent's own pages at the fork.
READER = """
import asyncio, json, resource, sys
from pathlib import Path
from pipeline.http import Client, Network, Patience, RateLimit, RateLimits

async def main():
    async with Network() as network:
        client = Client(
            network, vendor="bomb", account_id="bomb", base_url=sys.argv[1], headers={},
            rate_limit=RateLimit(100, 1, "account"), rate_limits=RateLimits(),
            patience=Patience(deadline_seconds=120), allow_http_loopback=True,
        )
        return await client.get("/balance")

answer = asyncio.run(main())
status = Path("/proc/self/status")
if status.exists():
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    peak = int(line.split()[1]) * 1024
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({
    "outcome": answer.outcome, "kept": len(answer.body), "attempts": answer.attempt_count, "peak_bytes": peak,
}))
"""


def _endless_gzip() -> Script:
    """A gigabyte for each megabyte sent, for as long as it is read."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    start = packer.compress(b"\0" * 2**20) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(b"\0" * 2**20) + packer.flush(zlib.Z_FULL_FLUSH)
    headers = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
    return flood(headers + start, again * 64)


def _gigabyte() -> bytes:
    """A whole and valid gzip of 1 GiB of zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    start = packer.compress(b"\0" * 2**20) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(b"\0" * 2**20) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(1024):
        checksum = zlib.crc32(b"\0" * 2**20, checksum)
    # An empty last block, then the trailer of a gzip.
    return start + again * 1023 + b"\x03\x00" + struct.pack("<II", checksum, 2**30)


BOMBS = {
    "a gzip of 1 GB": reply(200, _gigabyte(), {"Content-Encoding": "gzip"}),
    "endless gzip": _endless_gzip(),
    "gzip in many members": flood(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", pack(b"\0" * 2**20) * 64),
    "endless body": flood(b"HTTP/1.1 200 OK\r\n\r\n"),
    "endless chunks": flood(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"8000\r\n" + b"0" * 32768 + b"\r\n"
    ),
    "a huge length": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"),
}


@pytest.mark.faults(15)
def test_a_bomb_stops_at_the_cap_within_100_megabytes_of_it() -> None:
    servers = {name: FaultServer(script) for name, script in BOMBS.items()}
    for server in servers.values():
        server.__enter__()
    try:
        for name, server in servers.items():
            read = subprocess.run(
                [sys.executable, "-c", READER, server.url],
                capture_output=True,
                text=True,
                check=True,
                timeout=300,
            )
            result = json.loads(read.stdout)
            print(f"{name}: {result['peak_bytes'] / 1e6:.0f} MB at most, with a cap of {CAP_BYTES / 1e6:.0f} MB")
            assert result["outcome"] == "too_large", name
            assert result["attempts"] == 1, name
            assert result["kept"] <= 65536, name
            assert result["peak_bytes"] < CAP_BYTES + 100_000_000, name
    finally:
        for server in servers.values():
            server.__exit__(None, None, None)

"""Read a body without trusting its size, length or compression."""

import io
import zlib
from collections.abc import Callable

import httpx

# Of gzip output at a time, so a decompression bomb is stopped this close to the cap.
_PIECE_BYTES = 1024 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_NAMES_OF_GZIP = ("gzip", "x-gzip")
# Values that proxies write for "not compressed".
_NAMES_OF_NOTHING = ("", "identity", "none")
# A proxy may compress what its server has compressed; more layers only serve to exhaust the reader.
_MOST_LAYERS = 3


class TooLarge(Exception):
    """The body exceeds the cap."""


class BadEncoding(Exception):
    """The body's compression is broken or unknown; `is_transient` when another attempt may do better."""

    def __init__(self, message: str, *, is_transient: bool) -> None:
        super().__init__(message)
        self.is_transient = is_transient


async def read_body(response: httpx.Response, into: io.BytesIO, *, cap_bytes: int) -> None:
    """Append the decompressed body to `into`, which keeps what had arrived if this raises.

    httpx's own decompression is not used: it inflates each piece completely, a gigabyte from one megabyte.

    Errors: `TooLarge`, `BadEncoding`, and whatever httpx raises while it reads.
    """
    layers = _layers(response.headers.get("content-encoding", ""))
    gunzip = _gunzip(into, layers, cap_bytes)
    declared = response.headers.get("content-length", "")
    if declared.isdecimal() and declared.isascii() and len(declared) < 20 and int(declared) > cap_bytes:
        raise TooLarge
    received_bytes = 0
    async for piece in response.aiter_raw():
        received_bytes += len(piece)
        if received_bytes > cap_bytes:
            raise TooLarge
        if gunzip:
            gunzip.feed(piece)
        else:
            into.write(piece)
    if gunzip:
        gunzip.finish()


def _layers(header: str) -> int:
    """Number of compression layers: encodings are a list, in one header or several, which httpx joins."""
    names = [name.strip().lower() for name in header.split(",")]
    layers = [name for name in names if name not in _NAMES_OF_NOTHING]
    if any(name not in _NAMES_OF_GZIP for name in layers):
        # Not even read: a secret echoed in these bytes could not be found.
        raise BadEncoding("the body uses a compression other than gzip", is_transient=False)
    if len(layers) > _MOST_LAYERS:
        raise BadEncoding(f"the body is compressed more than {_MOST_LAYERS} times", is_transient=False)
    return len(layers)


def _gunzip(into: io.BytesIO, layers: int, cap_bytes: int) -> "_Gunzip | None":
    outermost: _Gunzip | None = None
    for _ in range(layers):
        outermost = _Gunzip(outermost or into.write, cap_bytes)
    return outermost


class _Gunzip:
    """One gzip layer, which passes on what it inflates; the cap applies to each."""

    def __init__(self, into: "_Gunzip | Callable[[bytes], object]", cap_bytes: int) -> None:
        self._inner = into if isinstance(into, _Gunzip) else None
        self._write = into.feed if isinstance(into, _Gunzip) else into
        self._cap_bytes = cap_bytes
        self._inflated_bytes = 0
        self._is_fed = False
        self._member = zlib.decompressobj(_GZIP)

    def feed(self, piece: bytes) -> None:
        self._is_fed = self._is_fed or bool(piece)
        while piece:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP)  # gzip allows several members in a row
            self._inflate(piece)
            piece = self._member.unused_data if self._member.eof else self._member.unconsumed_tail

    def finish(self) -> None:
        # zlib may have consumed all input and still hold output that did not fit into the last piece.
        while self._is_fed and not self._member.eof:
            if not self._inflate(b""):
                raise BadEncoding("the body's gzip compression breaks off", is_transient=True)
        if self._inner:
            self._inner.finish()

    def _inflate(self, piece: bytes) -> int:
        try:
            inflated = self._member.decompress(piece, _PIECE_BYTES)
        except zlib.error:
            raise BadEncoding("the body's gzip compression is broken", is_transient=True) from None
        self._inflated_bytes += len(inflated)
        if self._inflated_bytes > self._cap_bytes:
            raise TooLarge
        self._write(inflated)
        return len(inflated)

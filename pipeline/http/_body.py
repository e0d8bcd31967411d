"""Reading a body without trusting its size, its length or its compression."""

import io
import zlib

import httpx

# Of gzip output at a time: a bomb stops within this of the cap.
_PIECE_BYTES = 1024 * 1024
_GZIP = 16 + zlib.MAX_WBITS


class TooLarge(Exception):
    """The body passed the cap."""


class BadEncoding(Exception):
    """The body's compression is broken or unknown; `is_transient` when another attempt may do better."""

    def __init__(self, message: str, *, is_transient: bool) -> None:
        super().__init__(message)
        self.is_transient = is_transient


async def read_body(response: httpx.Response, into: io.BytesIO, *, cap_bytes: int) -> None:
    """Append the decompressed body to `into`, which keeps what had arrived when this raises.

    httpx's own decompression is not used: it inflates each piece whole, a gigabyte from one megabyte.

    Errors: `TooLarge`, `BadEncoding`, and whatever httpx raises while it reads.
    """
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        # Its bytes are not even read: an echoed key could not be found in them.
        raise BadEncoding("the body is compressed in another way than gzip", is_transient=False)
    gunzip = _Gunzip(into, cap_bytes) if encoding.endswith("gzip") else None
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
    if gunzip and received_bytes:
        gunzip.finish()


class _Gunzip:
    def __init__(self, into: io.BytesIO, cap_bytes: int) -> None:
        self._into = into
        self._cap_bytes = cap_bytes
        self._member = zlib.decompressobj(_GZIP)

    def feed(self, piece: bytes) -> None:
        while piece:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP)  # gzip allows several members in a row
            self._inflate(piece)
            piece = self._member.unused_data if self._member.eof else self._member.unconsumed_tail

    def finish(self) -> None:
        # zlib may have taken all input and still hold the output that did not fit its last piece.
        while not self._member.eof:
            if not self._inflate(b""):
                raise BadEncoding("the body's gzip compression breaks off", is_transient=True)

    def _inflate(self, piece: bytes) -> int:
        try:
            inflated = self._member.decompress(piece, _PIECE_BYTES)
        except zlib.error:
            raise BadEncoding("the body's gzip compression is broken", is_transient=True) from None
        if self._into.tell() + len(inflated) > self._cap_bytes:
            raise TooLarge
        return self._into.write(inflated)

"""Faults of connections, statuses, bodies and rows."""

import base64
import gzip
import zlib
from collections.abc import Callable
from functools import cache
from html import escape as html_escape
from urllib.parse import quote

import msgspec

from pipeline.sandbox.api._api_base import ApiResponse
from pipeline.sandbox.encoding import Tree, encode
from pipeline.sandbox.exchange import JSON, Exchange
from tests.sandbox_faults.registry import fault, on_objects

_MEGABYTE = 1_000_000


@fault
async def status(x: Exchange, *, code: int = 500, body: str | None = None, content_type: str = "") -> None:
    """Answer with a status code, and the vendor's own error body unless one is given."""
    if body is None:
        await x.give(x.error(code, "Simulated failure"))
    else:
        await x.reply(code, body.encode(), {"content-type": content_type or "text/plain"})


@fault
async def rate_limited(x: Exchange, *, retry_after: str | None = "3") -> None:
    """Answer 429 with the given Retry-After, word for word, or with none."""
    answer = x.error(429, "Too Many Requests")
    if retry_after is not None:
        answer.headers["Retry-After"] = str(retry_after)
    await x.give(answer)


@fault
async def hang(x: Exchange, *, seconds: float | None = None) -> None:
    """Send nothing for some seconds, or until the client gives up; then reset the connection."""
    if not await x.gone(seconds):
        await x.raw(b"", reset=True)


@fault
async def slow(x: Exchange, *, seconds: float = 1.0) -> None:
    """Answer properly, but late."""
    if not await x.gone(seconds):
        await x.give(x.answer)


@fault
async def reset(x: Exchange) -> None:
    """Reset the connection without an answer, as a stale keep-alive connection does."""
    await x.raw(b"", reset=True)


@fault
async def drip(x: Exchange, *, interval_seconds: float = 0.05) -> None:
    """Send a body that never ends, one byte at a time."""
    await x.start(200, JSON)
    while not await x.gone(interval_seconds):
        await x.chunk(b" ")


@fault
async def truncated(x: Exchange) -> None:
    """Announce a Content-Length, send half of it, and close."""
    body = encode(x.answer.body)
    await x.raw(_head(f"content-length: {len(body)}") + body[: len(body) // 2])


@fault
async def truncated_chunk(x: Exchange) -> None:
    """Close in the middle of a chunk."""
    body = encode(x.answer.body)
    await x.raw(_head("transfer-encoding: chunked") + b"%x\r\n" % len(body) + body[: len(body) // 2])


@fault
async def truncated_unframed(x: Exchange) -> None:
    """Close half-way through a body that announced no length, so that only its JSON is broken."""
    body = encode(x.answer.body)
    await x.raw(_head("connection: close") + body[: len(body) // 2])


def _head(header: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{header}\r\n\r\n".encode()


@fault
async def html(x: Exchange) -> None:
    """Answer 200 with a page for humans."""
    page = b"<!doctype html><title>Maintenance</title><p>We will be right back."
    await x.reply(200, page, {"content-type": "text/html; charset=utf-8"})


@fault
async def empty(x: Exchange) -> None:
    """Answer 200 with nothing in it."""
    await x.reply(200, b"", JSON)


@fault
async def no_content(x: Exchange) -> None:
    """Answer 204."""
    await x.reply(204, b"", {})


@fault
async def invalid_json(x: Exchange) -> None:
    """Answer 200 with JSON that breaks off in a syntax error."""
    await x.reply(200, b'{"balance": , "data": [}', JSON)


@fault
async def invalid_utf8(x: Exchange) -> None:
    """Answer 200 with JSON whose text is not UTF-8."""
    await x.reply(200, b'{"description": "caf\xe9", ' + encode(x.answer.body)[1:], JSON)


@fault
async def bom(x: Exchange) -> None:
    """Answer properly, after a byte order mark."""
    await x.reply(200, b"\xef\xbb\xbf" + encode(x.answer.body), JSON)


@fault
async def deep_nesting(x: Exchange, *, depth: int = 100_000) -> None:
    """Answer 200 with arrays nested deeper than a recursive parser goes."""
    await x.reply(200, b"[" * depth + b"]" * depth, JSON)


@fault
async def gzip_bomb(x: Exchange, *, megabytes: int = 512) -> None:
    """Answer 200 with a small gzip body that swells to a huge one."""
    await x.reply(200, _bomb(megabytes), {**JSON, "content-encoding": "gzip"})


@cache
def _bomb(megabytes: int) -> bytes:
    # A block that ends in a full flush refers to nothing before it, so it may be repeated without compressing again.
    block = bytes(_MEGABYTE)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    repeated = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    ending = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS).flush()
    checksum = 0
    for _ in range(megabytes):
        checksum = zlib.crc32(block, checksum)
    size = megabytes * _MEGABYTE % 2**32
    trailer = checksum.to_bytes(4, "little") + size.to_bytes(4, "little")
    return b"\x1f\x8b\x08\0\0\0\0\0\x02\xff" + repeated * megabytes + ending + trailer


@fault
async def huge_body(x: Exchange, *, megabytes: int = 512) -> None:
    """Answer 200 with a huge body, not compressed."""
    await x.start(200, JSON)
    for _ in range(megabytes):
        if await x.gone(0.001):
            return
        await x.chunk(b" " * _MEGABYTE)
    await x.send({"type": "http.response.body", "body": b"{}", "more_body": False})


@fault
async def bad_gzip(x: Exchange) -> None:
    """Call a plain body gzip."""
    await x.reply(200, encode(x.answer.body), {**JSON, "content-encoding": "gzip"})


@fault
async def truncated_gzip(x: Exchange) -> None:
    """Send the first half of a gzip body, framed as if it were whole."""
    packed = gzip.compress(encode(x.answer.body), mtime=0)
    await x.reply(200, packed[: len(packed) // 2], {**JSON, "content-encoding": "gzip"})


@fault
async def redirect(x: Exchange, *, location: str = "https://redirect.invalid/", code: int = 302) -> None:
    """Redirect to another host."""
    await x.reply(code, b"", {"location": location})


_DISGUISES: dict[str, Callable[[str], str]] = {
    "plain": str,
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "basic": lambda key: "Basic " + base64.b64encode(f"api:{key}".encode()).decode(),
    "percent": lambda key: quote(key, safe=""),
    "html": html_escape,
}


@fault
async def echo_key(x: Exchange, *, code: int | None = None, disguise: str = "plain") -> None:
    """Put the caller's key into the body of the regular answer, or of an error with the given status."""
    key = _DISGUISES[disguise](x.key)
    if code is not None:
        await x.give(x.error(code, f"The key {key} was refused"))
    else:
        await x.give(ApiResponse(x.answer.status, {**x.answer.body, "debug": {"authorization": key}}, x.answer.headers))


@fault
async def echo_key_in_rows(x: Exchange) -> None:
    """Put the caller's key into every description of the regular answer, each of its characters escaped."""
    key = msgspec.Raw(b'"%s"' % "".join(f"\\u{ord(each):04X}" for each in x.key).encode())
    body = on_objects(x.answer.body, lambda found: {**found, "description": key} if "description" in found else found)
    await x.give(ApiResponse(x.answer.status, body, x.answer.headers))


@fault
async def echo_key_in_headers(x: Exchange, *, code: int = 302) -> None:
    """Put the caller's key into a redirect's target, into the body's type and into a cookie."""
    key = quote(x.key)
    headers = {
        "location": f"https://{key.lower()}.invalid/login?key={key}",
        "content-type": f"application/json; key={key}",
        "set-cookie": f"key={key}; Path=/",
        "x-request-key": key,
    }
    await x.reply(code, b"{}", headers)


@fault
async def foreign_next(x: Exchange, *, origin: str = "https://foreign.invalid") -> None:
    """Let every `next` link point to another origin."""
    await _give_with_next(x, f"{origin}{x.path}?page=2")


@fault
async def cyclic_next(x: Exchange) -> None:
    """Let every `next` link point back to the first page."""
    await _give_with_next(x, f"{x.url}?page=1")


@fault
async def endless_next(x: Exchange) -> None:
    """Never run out of pages: there is always a next one, with rows."""
    page = int(x.query.get("page", "1"))
    body = x.answer.body
    if _on_rows(body, lambda _: []) == body:
        body = x.again({**x.query, "page": "1"}).body
    if "links" not in body:
        body = on_objects(body, lambda found: {**found, "pages": page + 1} if "pages" in found else found)
    await _give_with_next(x, f"{x.url}?page={page + 1}", body)


async def _give_with_next(x: Exchange, link: str, body: Tree = None) -> None:
    body = body or x.answer.body
    if "links" in body:
        body = {**body, "links": {**body["links"], "next": link}}
    await x.give(ApiResponse(x.answer.status, body))


@fault
async def duplicate_rows(x: Exchange) -> None:
    """Send every row twice."""
    await x.give(
        ApiResponse(x.answer.status, _on_rows(x.answer.body, lambda rows: [row for row in rows for _ in (0, 1)]))
    )


@fault
async def empty_page(x: Exchange) -> None:
    """Send no rows where there are some."""
    await x.give(ApiResponse(x.answer.status, _on_rows(x.answer.body, lambda _: [])))


@fault
async def skipped_rows(x: Exchange, *, rows: int = 1) -> None:
    """Leave out the first rows of every page but the first, as when rows shift while a client is paging."""
    first = x.query.get("page", "1") == "1"
    await x.give(ApiResponse(x.answer.status, _on_rows(x.answer.body, lambda all_: all_ if first else all_[rows:])))


def _on_rows(tree: Tree, change: Callable[[list[Tree]], list[Tree]], name: str = "") -> Tree:
    if isinstance(tree, dict):
        return {key: _on_rows(value, change, key) for key, value in tree.items()}
    # A page's own navigation is a list of objects too, but no rows.
    if isinstance(tree, list) and name not in ("links", "unconfirmed_bitcoin_deposits", "addons"):
        return change(tree)
    return tree


@fault
async def unknown_field(x: Exchange, *, field: str = "introduced_field") -> None:
    """Add a field that no documentation mentions to every object."""
    await x.give(ApiResponse(x.answer.status, on_objects(x.answer.body, lambda found: {**found, field: "new"})))


@fault
async def field_renamed(x: Exchange, *, field: str, to: str) -> None:
    """Give a field another name in every object that has it."""

    def rename(found: dict[str, Tree]) -> dict[str, Tree]:
        return {to if key == field else key: value for key, value in found.items()}

    await x.give(ApiResponse(x.answer.status, on_objects(x.answer.body, rename)))

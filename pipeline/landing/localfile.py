"""A local file in place of an API: read completely, and landed like any answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.http import HttpOutcome, HttpResult
from pipeline.support.tabular import NotCsv, decode_csv, surplus_value

_CAP_BYTES = 64 * 1024 * 1024


class LocalFile:
    """Client that returns the file's bytes for every request; a problem with the file becomes the outcome."""

    queued_seconds = 0.0
    """A file never waits."""

    def __init__(self, path: Path, account_id: str) -> None:
        self._path = path
        self._who = f"account {account_id}: {path}"

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> HttpResult:  # noqa: ARG002 - one file
        """Read the file. Never raises for a problem with the file."""
        try:
            with self._path.open("rb") as file:
                body = file.read(_CAP_BYTES + 1)
        except FileNotFoundError:
            return self._answer(HttpOutcome.not_found, "there is no such file; check `path`")
        except OSError as problem:
            return self._answer(HttpOutcome.unreadable, f"cannot be read: {problem.strerror}")
        if len(body) > _CAP_BYTES:
            return self._answer(HttpOutcome.too_large, f"is larger than {_CAP_BYTES} bytes")
        try:
            payload = decode_csv(body)
            surplus = surplus_value(body)
        except NotCsv as problem:
            return self._answer(HttpOutcome.unreadable, str(problem), body=body)
        if surplus:
            return self._answer(HttpOutcome.unreadable, surplus, body=body)
        return self._answer(HttpOutcome.ok, "", body=body, payload=payload)

    async def follow(
        self,
        link: str,
        *,
        page_url: str | None = None,  # noqa: ARG002 - a file has no pages
        params: Mapping[str, str] | None = None,  # noqa: ARG002
    ) -> HttpResult:
        """Refuse the link: a file has none."""
        return self._answer(HttpOutcome.foreign_origin, f"has no links, so {link} cannot be followed")

    def _answer(self, outcome: HttpOutcome, problem: str, *, body: bytes = b"", payload: object = None) -> HttpResult:
        return HttpResult(
            url=self._path.name,
            outcome=outcome,
            reason=f"{self._who}: {problem}" if problem else "",
            content_type="text/csv",
            body=body,
            payload=payload,
            attempt_count=1,
        )

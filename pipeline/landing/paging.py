"""Pages of a listing during a walk: its order, its end, and its faults.

A `next` link is trusted as long as it leads to a new page. Three things end a listing that always has one: a page that
links to itself, a page that is the last by the listing's own count, and pages that repeat the previous one.
"""

from __future__ import annotations

import marshal
import re
from collections.abc import Hashable, Mapping
from datetime import date
from typing import Any, Final, cast
from urllib.parse import parse_qs, quote, urlsplit

from pipeline.http import HttpResult, page_key
from pipeline.support.json_paths import dig
from pipeline.vendors._port import Pages

REPEATS_AT_THE_END: Final = 2
"""Consecutive repeated pages after which a listing without a count has ended: a single one may have been delivered
twice, with more pages after it."""
_PAGE_SIZE: Final = re.compile(r"(per_?page|page_?size|limit)", re.IGNORECASE)


class PagingFault(Exception):
    """The listing cannot be walked further; the message states where and why."""


class Paging:
    """Pages of one walk so far."""

    def __init__(self, listing: Pages) -> None:
        self._listing = listing
        self._params = carried(listing)
        self._page, self._url = 0, ""
        self._payload: object = None
        self._rows: list[object] = []
        self._walked: dict[Hashable, int] = {}
        self._contents: dict[int, int] = {}
        self._known: set[int] = set()
        self._repeated: list[int] = []
        self._is_part = False
        self._oldest: str | None = None
        self._distinct = 0
        self.is_falling = True
        """No row seen so far is later than one before it."""

    def go_on(self, *, is_falling: bool) -> None:
        """Forget the order of the first page: the following pages continue an earlier run's walk."""
        self._is_part, self.is_falling = True, is_falling
        self._oldest, self._distinct = None, 0
        self._known.clear()

    def see(self, answer: HttpResult, page: int) -> None:
        """Register a good page."""
        self._page, self._url, self._payload = page, answer.url, answer.payload
        key = self._key("", answer.url)
        if key is not None:
            self._walked.setdefault(key, page)
        self._rows = rows_of(answer.payload, self._listing.rows_at)
        content = _fingerprint(self._rows)
        if self._rows and content in self._contents:
            self._repeated.append(self._contents[content])
        else:
            self._contents[content] = page
            self._repeated.clear()
        for row in self._rows:
            self._see_row(row)

    def _see_row(self, row: object) -> None:
        # Rows that appear twice, because pages overlap or have shifted meanwhile, are no evidence of the order.
        seen = _fingerprint(row)
        if seen in self._known:
            return
        self._known.add(seen)
        stamp = dig(row, self._listing.newest_first_by) if self._listing.newest_first_by else None
        # Only timestamps of the same format can be compared as text.
        if not isinstance(stamp, str) or not stamp.endswith("Z"):
            self.is_falling = False
            return
        if self._oldest is not None and (len(stamp) != len(self._oldest) or stamp > self._oldest):
            self.is_falling = False
        self._distinct += stamp != self._oldest
        self._oldest = stamp

    @property
    def has_rows(self) -> bool:
        """Whether the page has rows."""
        return bool(self._rows)

    @property
    def is_newest_first(self) -> bool:
        """Whether at least two different times were seen, and none later than the one before."""
        return self.is_falling and self._distinct > 1

    def is_past(self, day: date | None) -> bool:
        """Whether everything that follows is older than the day, if the listing keeps its order."""
        return day is not None and self.is_falling and self._oldest is not None and self._oldest[:10] < day.isoformat()

    def next_link(self) -> str | None:
        """Link to the next page, None if this is the last; raises PagingFault."""
        page, path = self._page, self._listing.path
        link = self._stated_link()
        if link is None:
            return None
        key = self._key(link, self._url)
        earlier = None if key is None else self._walked.get(key)
        is_last = self._says_it_is_last()
        if earlier == page:
            if is_last is False:
                raise PagingFault(f"page {page} of {path} links to itself, but by its own count is not the last one")
            if self._repeated and not self._repeats_the_last(is_last):
                raise self._endless()
            return None
        if earlier is not None:
            if is_last:
                return None
            raise PagingFault(
                f"page {page} of {path} links to page {earlier}, which was already walked; the listing is cyclic"
            )
        if not self._rows:
            raise PagingFault(
                f"page {page} of {path} holds no rows and yet links to a further page; the walk ends there"
            )
        if self._repeated and (is_last or len(self._repeated) >= REPEATS_AT_THE_END):
            if self._repeats_the_last(is_last):
                return None
            raise self._endless()
        return link

    def _stated_link(self) -> str | None:
        """Link to the next page as the page states it, or as its cursor or number gives it; raises PagingFault."""
        listing = self._listing
        if listing.next_is == "number":
            if not self._rows or self._is_short() or self._says_it_is_last():
                return None
            return f"?{quote(listing.page_param)}={self._number_of(self._url) + 1}"
        stated = dig(self._payload, listing.next_at)
        if not stated:
            return None
        if listing.next_is == "cursor" and isinstance(stated, int) and not isinstance(stated, bool):
            stated = str(stated)
        if not isinstance(stated, str):
            what = "a link" if listing.next_is == "link" else "a cursor"
            raise PagingFault(
                f"page {self._page} of {listing.path} has a `{listing.next_at}` that is not {what}; the walk ends there"
            )
        return stated if listing.next_is == "link" else f"?{quote(listing.page_param)}={quote(stated, safe='')}"

    def _number_of(self, url: str) -> int:
        """Number of the page in its own address: a walk over several runs does not begin with the first."""
        stated = parse_qs(urlsplit(url).query).get(self._listing.page_param, [""])[0]
        return whole(stated) or 1

    def _repeats_the_last(self, is_last: bool | None) -> bool:
        """Whether the pages since the last new one repeat it, and nothing contradicts that it is the last.

        A server without a further page repeats the last one; a server that ignores the page number repeats the first.
        """
        first = self._repeated[0]
        is_same = set(self._repeated) == {first} and first == self._page - len(self._repeated)
        return is_same and (bool(is_last) or (is_last is None and (first > 1 or self._is_short())))

    def _endless(self) -> PagingFault:
        return PagingFault(
            f"page {self._page} of {self._listing.path} has the rows of page {self._repeated[-1]} once more, and "
            "nothing says that these are all; the walk ends there"
        )

    def _is_short(self) -> bool:
        """Whether the page has fewer rows than requested."""
        sizes = [whole(value) for name, value in self._params.items() if _PAGE_SIZE.fullmatch(name)]
        return any(size is not None and len(self._rows) < size for size in sizes)

    def _says_it_is_last(self) -> bool | None:
        """Whether this is the last page by the listing's own count; None without a readable count."""
        meta = dig(self._payload, self._listing.meta_at)
        last, current = whole(dig(meta, "last_page")), whole(dig(meta, "current_page"))
        if last is not None:
            return (self._page if current is None else current) >= last
        total = whole(dig(meta, "total"))
        return None if total is None or self._is_part else len(self._known) >= total

    def _key(self, link: str, page_url: str) -> Hashable | None:
        return page_key(link, page_url=page_url, params=self._params)


def carried(listing: Pages) -> Mapping[str, str]:
    """Parameters of the first request that apply to every page."""
    return {name: value for name, value in listing.params.items() if name != listing.page_param}


def rows_of(payload: object, rows_at: str) -> list[object]:
    """Rows of a page: a list, or the values of an object with numeric keys; empty if there is neither."""
    rows = dig(payload, rows_at)
    if isinstance(rows, dict) and all(key.isdecimal() for key in rows):
        return list(rows.values())
    return rows if isinstance(rows, list) else []


def whole(value: object) -> int | None:
    """A count, which some vendors send as text; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _fingerprint(value: object) -> int:
    # marshal writes any JSON value, integers of any size included; its version 2 writes equal values equally.
    return hash(marshal.dumps(cast(Any, value), 2))

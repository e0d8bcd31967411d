"""The faults that Drawdown must survive: each row's fault, and what must hold while it happens and afterwards.

A test of a row carries `@pytest.mark.faults(row)`. docs/faults.md is made from this list and from those marks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parents[1]

ROWS: Final[dict[int, tuple[str, str]]] = {
    1: ("429 with Retry-After 3", "it waits 3 s, asks once more, succeeds"),
    2: ("429 with a wait beyond the deadline", "no sleep: that account fails with the reason, the others finish"),
    3: ("Retry-After 1.5, -1, a date, garbage", "the wait is read or backed off from; nothing crashes"),
    4: ("500, 502, 503, 504, then fine", "jittered retries, then success"),
    5: ("503 for ever", "attempts are bounded, and the next run asks from where the last answer was"),
    6: ("401 or 403", "one request; the error names account and variable, never the key"),
    7: ("404 or 422", "no retry; the account fails with the answer kept"),
    8: ("a hang before the headers", "the read times out and is retried"),
    9: ("a body that drips for ever", "it is left within a second of the deadline"),
    10: ("a cut in the middle of a length or a chunk", "it is retried, never taken as whole"),
    11: ("a cut without a length", "it is retried, then fails with what arrived kept"),
    12: ("a stale kept-alive connection is reset", "the GET is retried on a new one"),
    13: ("200 with HTML or nothing, 204", "it is retried, then fails with the answer kept"),
    14: ("invalid UTF-8, byte order mark, NaN, deep nesting", "a typed error, no crash, no number"),
    15: ("a gzip bomb, a huge body", "it stops at the cap, within 100 MB of memory above it"),
    16: ("bad or truncated gzip", "it is retried, then fails"),
    17: ("a redirect to another host", "it is not followed, and the key is not seen there"),
    18: ("a `next` link of a foreign origin", "it is blocked, and the key is not seen there"),
    19: ("cyclic or endless pages", "a way back, an empty page that links on, or the run's budget ends the walk, which fails"),
    20: ("a page or rows that come twice", "one row a key"),
    21: ("rows that shift between pages", "all are there after the next look-back"),
    22: ("an empty page where data was", "the earlier rows stand, and the run says so"),
    23: ("money missing or renamed in every row", "earlier data stands; drift, an ERROR that blocks nothing, no part written"),
    24: ("an unknown field", "a note of drift; the raw body is kept, the row loads"),
    25: ('"$13.50", "1,234.50", words for money', "rejected, never null, never a near number"),
    26: ("1e999999, 40 digits, 10 decimals", "rejected within a second, never rounded but where the vendor's port says so"),
    27: ("a day restated within the look-back", "the new value counts, and the earlier one can be replayed"),
    28: ("an entry later than the look-back", "the bridge shows the gap, and a backfill mends it"),
    29: ("today in part, then whole", "flagged, then replaced, never counted twice"),
    30: ("an answer A, then B, then A", "A counts, and three observations stand"),
    31: ("kill -9 at random points of runs, rebuilds and compactions", "nothing is torn, readers see whole builds, and the next run equals an undisturbed one"),
    32: ("a commit that is durable and never acknowledged", "running again changes nothing"),
    33: ("a full disk at landing, log, checkpoint, publishing", "the run fails in words, what was committed stands, readers are unharmed, space heals it"),
    34: ("a damaged log, warehouse or published file", "refused, naming `drawdown rebuild`; nothing is deleted unasked"),
    35: ("a warehouse behind landing", "landing tells, and the next run catches up"),
    36: ("a second writer, a reader at the writer's file", "a bounded wait, then an error that names the holder"),
    37: ("days of 23 and 25 hours, offsets, naive times", "UTC is stored; a naive time follows its stated rule or is rejected"),
    38: ("a clock a day off, a watermark in the future", "clamped, warned of, no day skipped"),
    39: ("a key with a newline or beyond ASCII", "refused at the start with its value hidden"),
    40: ("a tricky, http or private base_url", "refused; loopback only where it is allowed"),
    41: ("TLS expired or for another host", "it fails, and nothing is sent in the clear"),
    42: ("`=HYPERLINK`, `+1`, `@SUM` in a CSV export", "defused; numbers are untouched"),
    43: ("`t; drop table t` as account or identifier", "refused or kept as text; every table stands"),
    44: ("rates on a weekend, stale, missing", "the last known within 7 days, else nothing and a warning"),
    45: ("a run killed under the scheduler", "the lock is free, and a run stuck as started does not hold up the schedule"),
    46: ("many accounts, or some whose vendor drips, beside others", "each vendor and origin has its share of requests; waiting for one's turn is no vendor's failure"),
    47: ("a run interrupted or killed while it fetches", "every answer of a second ago stands, also in the middle of a listing, and the next run goes on"),
    48: ("a clock hours off the vendors' Date headers", "nothing is landed and both times are told; one vendor's broken header is a warning"),
    49: ("a webhook that is down for hours or days", "retries with growing waits, none given up while it is open; then one message with how things are"),
    50: ("recipients who hang", "they cost one timeout together, after publishing and outside the lock, and the others nothing"),
    51: ("a run that fails: disk full, warehouse damaged, lock taken", "it is told once, named in status, metrics and exit code, and over with the next good run"),
    52: ("entries and settings of a later version", "skipped with one warning, or refused, naming the version; `drawdown rebuild` works"),
    53: ("two compactions at once, one that is killed, an answer that lands late", "the second waits and names the first; no merged file is replaced, and no answer is lost"),
    54: ("a key echoed in another spelling: JSON, URL, HTML, Base64, one in another", "it is found once decoded; neither landing nor a table, file or log holds it in any spelling"),
    55: ("control characters in a URL, a body, a header, a file's name", "shown spelled out, in one line, on stderr, in logs, Dagster, alerts and CSV; nothing forges a line"),
    56: ("clients of `drawdown serve` that say nothing, drip, or read nothing", "a scrape is answered; who waits longest makes room, and deadlines cut off the rest"),
    57: ("a page whose name leads to the web interface, or that has a browser ask it", "refused under any name but its own, and where the page is of another site"),
}  # fmt: skip
"""By number: what goes wrong, and what holds all the same."""


def marked() -> Iterator[tuple[int, Path, str]]:
    """Each row's tests as (row, file, test), in the order of files and lines: read, not run.

    A mark belongs to the test that follows it, on the test itself or on a case in a table above it.
    """
    for path in sorted(TESTS.rglob("test_*.py")):
        rows: list[int] = []
        for line in path.read_text(encoding="utf-8").splitlines():
            rows += [int(number) for number in re.findall(r"\bfaults\((\d+)\)", line)]
            if test := re.match(r"def (test_\w+)", line):
                for row in dict.fromkeys(rows):
                    yield row, path, test[1]
                rows = []

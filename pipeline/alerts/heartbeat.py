"""The heartbeat: a GET after each run that published a build, for a dead man's switch.

A monitor that misses it reports what no message can: that runs have stopped, or that this machine has.
"""

from __future__ import annotations

import time
from typing import Final

import httpx

from pipeline.alerts.channel import redacted_logs
from pipeline.support.secret import Secret

SECONDS: Final = 10.0
"""Time limit of one attempt."""
_WAITS: Final = (0.5, 2.0)
"""Seconds between the attempts."""


def beat(url: Secret) -> str | None:
    """Request the address, three times if that fails; returns the problem without the address, or None.

    Redirects are not followed, as for every message. Only an answer between 200 and 299 counts.
    """
    problem = None
    for wait in (*_WAITS, None):
        problem = _attempt(url)
        if problem is None or wait is None:
            break
        time.sleep(wait)
    return problem


def _attempt(url: Secret) -> str | None:
    try:
        with (
            # At their lowest level libraries log complete addresses.
            redacted_logs(url),
            httpx.Client(follow_redirects=False, timeout=SECONDS) as client,
            # The body is of no interest, and may never end.
            client.stream("GET", url.reveal()) as answer,
        ):
            status = answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as failure:
        return f"the heartbeat to the address in {url.name} failed: {type(failure).__name__}"
    if 200 <= status < 300:
        return None
    hint = "; redirects are not followed: use the address that it leads to" if 300 <= status < 400 else ""
    return f"the heartbeat to the address in {url.name} was answered with {status}{hint}"

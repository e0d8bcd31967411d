"""Ctrl-C and SIGTERM during an event loop."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

_NUMBERS: Final = (signal.SIGINT, signal.SIGTERM)

Result = TypeVar("Result")


def run_interruptible(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in a new event loop, as `asyncio.run` does; SIGINT and SIGTERM cancel it.

    The caller may have a handler that raises its own exception, as Dagster's does. Raised anywhere within the loop,
    that could be swallowed, or interrupt a write: so it is called here, after the coroutine has ended.
    """
    if threading.current_thread() is not threading.main_thread():
        return asyncio.run(work)
    received: list[int] = []
    try:
        return asyncio.run(_cancelled_by_signals(work, received))
    except asyncio.CancelledError:
        if received:
            signal.raise_signal(received[0])
        raise


async def _cancelled_by_signals(work: Coroutine[Any, Any, Result], received: list[int]) -> Result:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    before = {number: signal.getsignal(number) for number in _NUMBERS}
    # Signals that are ignored, as in a script's background job, stay ignored.
    heeded = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]

    def strike(number: int) -> None:
        received.append(number)
        task.cancel()

    for number in heeded:
        loop.add_signal_handler(number, strike, number)
    try:
        return await task
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])

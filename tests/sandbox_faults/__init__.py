"""The sandbox with vendors that fail on request: hanging, sending wrong data, breaking off, echoing keys."""

from __future__ import annotations

from typing import Any

from pipeline import sandbox
from pipeline.sandbox.world import World

# Importing the modules of faults adds these to FAULTS.
from tests.sandbox_faults import faults, money_faults
from tests.sandbox_faults.faultbox import Fault, FaultBox
from tests.sandbox_faults.registry import FAULTS

__all__ = ["FAULTS", "Fault", "FaultBox", "Sandbox", "faults", "money_faults", "start"]


class Sandbox(sandbox.Sandbox):
    """A running sandbox whose answers `put_fault` alters."""

    def __init__(self, world: World, port: int = 0) -> None:
        super().__init__(world, port)
        self.faults = FaultBox()
        self.spoil_with(self.faults.take)

    def put_fault(
        self,
        fault: str,
        *,
        vendor: str | None = None,
        account: str | None = None,
        path: str | None = None,
        exact: bool = False,
        after: int = 0,
        times: int | None = None,
        **params: Any,
    ) -> None:
        """Put a fault in place; see `tests.sandbox_faults.registry`. Raises ValueError for an unknown one."""
        self.faults.put(Fault(fault, vendor, account, path, exact, after, times, params))

    def clear_faults(self) -> None:
        """Take every fault away."""
        self.faults.clear()


start = Sandbox.start

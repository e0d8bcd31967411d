"""Selection of the fault for a request."""

import threading
from dataclasses import dataclass, field
from typing import Any

from pipeline.sandbox.exchange import Exchange
from tests.sandbox_faults.registry import FAULTS, parameters


@dataclass(slots=True)
class Fault:
    """An active fault; None for vendor, account or path means any, for `times` no limit.

    The first `after` matching requests are let through. `path` is relative to the base URL, and a prefix unless
    `exact`.
    """

    name: str
    vendor: str | None = None
    account: str | None = None
    path: str | None = None
    exact: bool = False
    after: int = 0
    times: int | None = None
    params: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in FAULTS:
            raise ValueError(f"unknown fault {self.name!r}; known are {sorted(FAULTS)}")
        allowed = parameters(FAULTS[self.name])
        if set(self.params) - set(allowed):
            raise ValueError(f"{self.name} takes {sorted(allowed)}, not {sorted(set(self.params) - set(allowed))}")

    def fits(self, vendor: str, account: str | None, path: str) -> bool:
        """Whether a request matches this fault."""
        if self.vendor not in (None, vendor) or self.account not in (None, account):
            return False
        return self.path is None or (path == self.path if self.exact else path.startswith(self.path))

    async def __call__(self, exchange: Exchange) -> None:
        """Apply the fault to one exchange."""
        await FAULTS[self.name](exchange, **self.params)


class FaultBox:
    """The active faults; the first that matches a request and is not used up is applied."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def put(self, fault: Fault) -> None:
        """Put a fault in place."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Take every fault away."""
        with self._lock:
            self._faults.clear()

    def take(self, vendor: str, account: str | None, path: str) -> Fault | None:
        """Return the fault for this request, and count it."""
        with self._lock:
            for fault in self._faults:
                if fault.times == 0 or not fault.fits(vendor, account, path):
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None

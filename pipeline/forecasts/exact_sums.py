"""Sums of floats that are the same in any order, and in parts that are added later."""

from __future__ import annotations

from typing import Final

import numpy as np

from pipeline.forecasts.engine.arrays import Floats

_GRIDS: Final = (2.0**40, 2.0**10, 2.0**-20, 2.0**-50)
"""Each value is divided into a multiple of each of these. Sums of multiples of one power of two are exact up to 2^53 of
them, which is enough for a million values below 10^28."""


class ExactSum:
    """Sum of arrays of one shape, to a multiple of 2^-50.

    Like the reproducible summation of Demmel and Nguyen (2013), with fixed grids: rounding happens to each value by
    itself, and all additions are exact, so that neither order nor grouping matters.
    """

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[Floats | None] = [None] * len(_GRIDS)

    def add(self, values: Floats) -> None:
        """Add an array."""
        rest = values
        for place, grid in enumerate(_GRIDS):
            part = np.rint(rest / grid) * grid
            if place == len(_GRIDS) - 1 or part.any():
                rest = rest - part
                self._add(place, part)

    def merge(self, other: ExactSum) -> None:
        """Add another sum."""
        for place, part in enumerate(other._parts):
            if part is not None:
                self._add(place, part)

    def _add(self, place: int, part: Floats) -> None:
        before = self._parts[place]
        self._parts[place] = part if before is None else before + part

    @property
    def is_empty(self) -> bool:
        """Whether nothing was added."""
        return all(part is None for part in self._parts)

    def total(self) -> Floats:
        """The sum. Raises ValueError if nothing was added."""
        found = [part for part in self._parts if part is not None]
        if not found:
            raise ValueError("nothing was added")
        total = found[0]
        for part in found[1:]:
            total = total + part
        return total

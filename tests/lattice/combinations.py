"""States of an account: facets with their values, and repeatable draws of combinations of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from math import prod
from random import Random

# The first value of each facet is the plain one, to which a narrowed combination returns if possible.
_COMMON: Mapping[str, tuple[str, ...]] = {
    "readings": ("many", "none", "one", "two"),
    "amounts": ("ordinary", "zero", "tiny", "huge", "negative"),
    "hour": ("noon", "midnight", "before_midnight"),
    "trouble": ("none", "first_failed", "last_failed", "last_unreadable"),
    "life": ("stays", "removed", "back", "renamed"),
    "limits": ("none", "alerts", "topup"),
}
_HISTORY: Mapping[str, tuple[str, ...]] = {"csv": ("none", "before", "same_instants", "other_unit")}

FACETS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "vpsbg": {
        **_COMMON,
        **_HISTORY,
        "unit": ("known", "lower_case", "changes_once", "changes_twice", "absent"),
        "ledger": ("many", "absent", "empty", "one", "future"),
        "signs": ("signed", "unsigned", "inverted"),
        "entry_unit": ("none", "stated", "foreign_usage", "foreign_top_up"),
        "orders": ("absent", "none", "some"),
        "claims": ("none", "some", "zero"),
    },
    "voxpria": {
        **_COMMON,
        **_HISTORY,
        "unit": ("known", "absent"),
        "usage": ("some", "absent", "none", "zero", "below_zero"),
        "price": ("none", "one", "changes"),
    },
    "hyperstack": {
        **_COMMON,
        **_HISTORY,
        "usage": ("some", "absent", "none", "zero", "below_zero"),
        "payments": ("absent", "none", "one", "pending", "future"),
        "claims": ("none", "some", "zero"),
        "auto": ("absent", "on", "off"),
    },
    "deepvue": {**_COMMON, **_HISTORY, "unit": ("known", "absent", "named_later")},
    # Declared in TOML: a signed sum in a constant unit, and a balance with its unit.
    "vultr": {**_COMMON, **_HISTORY, "pending": ("none", "some")},
    "telnyx": {**_COMMON, **_HISTORY, "unit": ("known", "lower_case", "changes_once", "changes_twice")},
    "manual": {**_COMMON, "unit": ("known", "lower_case", "changes_once", "changes_twice", "absent")},
}
"""By vendor, the facets of an account and their values. A vendor has no facet for what it cannot state."""

# Small vendors have few combinations; most cases concern the ledger's.
_SHARES = {"vpsbg": 12, "voxpria": 4, "hyperstack": 4, "deepvue": 2, "vultr": 2, "telnyx": 2, "manual": 2}


@dataclass(frozen=True)
class Combination:
    """One state of an account."""

    vendor: str
    values: tuple[tuple[str, str], ...]
    """A value for each facet of the vendor, in order."""

    def __getitem__(self, facet: str) -> str:
        """Value of a facet; `none` if the vendor has no such facet."""
        return dict(self.values).get(facet, "none")

    def __str__(self) -> str:
        """The vendor, and all values that are not plain."""
        plain = FACETS[self.vendor]
        changed = [f"{name}={value}" for name, value in self.values if value != plain[name][0]]
        return " ".join([self.vendor, *changed])

    def with_value(self, facet: str, value: str) -> Combination:
        """The same with one facet changed."""
        return Combination(self.vendor, tuple((name, value if name == facet else known) for name, known in self.values))

    def plainer(self) -> Iterator[Combination]:
        """Combinations that are one step plainer."""
        for name, value in self.values:
            plain = FACETS[self.vendor][name][0]
            if value != plain:
                yield self.with_value(name, plain)


def plain(vendor: str, **values: str) -> Combination:
    """The vendor's plain combination with some values replaced."""
    facets = FACETS[vendor]
    assert all(value in facets[name] for name, value in values.items()), values
    return Combination(vendor, tuple((name, values.get(name, known[0])) for name, known in facets.items()))


def possible() -> int:
    """Number of possible combinations."""
    return sum(prod(len(values) for values in facets.values()) for facets in FACETS.values())


def draw(count: int, seed: int) -> list[Combination]:
    """A number of different combinations; the same for the same seed, and those of a smaller number come first."""
    random = Random(seed)  # noqa: S311 - repeatable worlds, not secrets
    vendors = [vendor for vendor, share in _SHARES.items() for _ in range(share)]
    found: dict[Combination, None] = {}
    left = {vendor: prod(len(values) for values in FACETS[vendor].values()) for vendor in FACETS}
    while len(found) < count:
        vendor = random.choice([vendor for vendor in vendors if left[vendor]])
        drawn = Combination(vendor, tuple((name, random.choice(values)) for name, values in FACETS[vendor].items()))
        if drawn not in found:
            found[drawn] = None
            left[vendor] -= 1
    return list(found)


def pairs(drawn: list[Combination]) -> tuple[int, int]:
    """Pairs of values of two facets of one vendor: how many occur in a combination, and how many there are."""
    wanted = {
        (vendor, one, a, other, b)
        for vendor, facets in FACETS.items()
        for one, other in combinations(facets, 2)
        for a in facets[one]
        for b in facets[other]
    }
    seen = Counter(
        (each.vendor, one, a, other, b) for each in drawn for (one, a), (other, b) in combinations(each.values, 2)
    )
    return len(wanted & seen.keys()), len(wanted)

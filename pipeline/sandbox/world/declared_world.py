"""Accounts of the vendors that are declared in TOML: each answers with the example bodies beside its declaration.

`examples/<endpoint>.json` belongs to the account named after the vendor; `examples/<endpoint>.<case>.json` makes
another account, `<vendor>-<case>`, which otherwise answers like the first.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.sandbox.world._world_base import Account, Life

_FOLDER = Path(__file__).parents[2] / "vendors"


@dataclass(frozen=True, slots=True)
class DeclaredVendor:
    """What the sandbox needs of a declaration, read independently of the product."""

    name: str
    auth: tuple[Mapping[str, Any], ...]
    settings: tuple[str, ...]
    """Keys of an account that are parts of paths."""
    needs_unit: bool
    paths: Mapping[str, str]
    """Path by endpoint, with `{key}` for settings."""
    bodies: Mapping[str, Mapping[str, bytes]] = field(repr=False)
    """Example bodies by case and endpoint; the case of the vendor's first account is empty."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Keys of an account that name secrets."""
        return tuple(key for each in self.auth for key in _secrets(each))


class DeclaredAccount(Account):
    """An account whose answers are examples: it has no history."""

    def __init__(self, vendor: DeclaredVendor, case: str, life: Life) -> None:
        super().__init__(f"{vendor.name.replace('_', '-')}{f'-{case}' if case else ''}", "", life.opened_at, ())
        self.vendor = vendor.name
        self.declared = vendor
        self.bodies = {**vendor.bodies[""], **vendor.bodies[case]}


@cache
def declared_vendors() -> Mapping[str, DeclaredVendor]:
    """Return every declared vendor that has examples, by name."""
    found = {}
    for path in sorted(_FOLDER.glob("*/vendor.toml")):
        bodies: dict[str, dict[str, bytes]] = {}
        for example in sorted((path.parent / "examples").glob("*.json")):
            endpoint, _, case = example.stem.partition(".")
            bodies.setdefault(case.replace("_", "-"), {})[endpoint] = example.read_bytes()
        if "" not in bodies:
            continue
        table = tomllib.loads(path.read_text("utf-8"))
        auth = table["auth"] if isinstance(table["auth"], list) else [table["auth"]]
        units = [
            "unit_code" in records["fields"]
            for endpoint in table["endpoints"].values()
            for records in endpoint.get("records", [endpoint])
            if records.get("kind", "balances") == "balances"
        ]
        found[path.parent.name] = DeclaredVendor(
            name=path.parent.name,
            auth=tuple(auth),
            settings=tuple(table.get("settings", ())),
            needs_unit="unit" not in table and not all(units),
            paths={name: endpoint["path"] for name, endpoint in table["endpoints"].items()},
            bodies=bodies,
        )
    return found


def declared_accounts(vendor: str, life: Life) -> list[DeclaredAccount]:
    """Return a vendor's accounts, one a case."""
    declared = declared_vendors()[vendor]
    return [DeclaredAccount(declared, case, life) for case in declared.bodies]


def _secrets(auth: Mapping[str, Any]) -> list[str]:
    if "basic" in auth:
        return [key for key in auth["basic"] if key.endswith("_env")]
    return [auth.get("env", "api_key_env")]

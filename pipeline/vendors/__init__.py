"""The vendors: one folder each, and the owner's own declarations; discovered automatically."""

from __future__ import annotations

import importlib
import os
import pkgutil
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from pipeline.support.errors import UsageError
from pipeline.vendors._port import Vendor

DECLARATION: Final = "vendor.toml"
"""Declaration of a vendor in its folder here."""


def declared_folder() -> Path:
    """Folder of the owner's declarations: the one that `DRAWDOWN_VENDORS` names, or `vendors` beside accounts.toml."""
    named = os.environ.get("DRAWDOWN_VENDORS")
    return Path(named) if named else Path(os.environ.get("DRAWDOWN_ACCOUNTS") or "accounts.toml").parent / "vendors"


def discover() -> dict[str, Vendor]:
    """Return every vendor by name, in alphabetical order: those of this package, and the owner's own.

    Raises TypeError if a folder of this package has no `VENDOR`, or one whose name is not the folder's, and UsageError
    with one line for an owner's declaration that is wrong.
    """
    folder = declared_folder()
    try:
        files = tuple(
            sorted((each.name, each.stat().st_mtime_ns) for each in os.scandir(folder) if _is_declaration(each))
        )
    except (FileNotFoundError, NotADirectoryError):
        return shipped()
    except OSError as problem:
        raise UsageError(f"{folder}: cannot be read: {problem.strerror}; DRAWDOWN_VENDORS names the folder") from None
    return _with_own(folder.absolute(), files) if files else shipped()


@cache
def shipped() -> dict[str, Vendor]:
    """Return the vendors of this package by name, in alphabetical order. Raises TypeError as `discover` does."""
    found: dict[str, Vendor] = {}
    names = {module.name for module in pkgutil.iter_modules(__path__)}
    for folder in __path__:
        names |= {path.parent.name for path in Path(folder).glob(f"*/{DECLARATION}")}
    for name in sorted(names):
        if name.startswith("_"):
            continue
        declaration = next((path for each in __path__ if (path := Path(each) / name / DECLARATION).exists()), None)
        if declaration is not None:
            found[name] = _read(declaration, name)
            continue
        vendor = getattr(importlib.import_module(f"{__name__}.{name}"), "VENDOR", None)
        if not isinstance(vendor, Vendor) or vendor.name != name:
            raise TypeError(f"pipeline/vendors/{name} must define VENDOR = Vendor(name={name!r}, ...)")
        found[name] = vendor
    return found


@lru_cache(maxsize=8)
def _with_own(folder: Path, files: tuple[tuple[str, int], ...]) -> dict[str, Vendor]:
    """The package's vendors and those of a folder; `files` has the names and times of its declarations."""
    found = dict(shipped())
    for name, _ in files:
        path = folder / name
        if path.stem in found:
            raise UsageError(f"{path}: Drawdown has a vendor {path.stem} already; rename the file, or remove it")
        found[path.stem] = _read(path, path.stem)
    return dict(sorted(found.items()))


def _is_declaration(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(".toml") and not entry.name.startswith(".") and entry.is_file()


def _read(path: Path, name: str) -> Vendor:
    from pipeline.vendors._declared import read_declaration

    return read_declaration(path, name)

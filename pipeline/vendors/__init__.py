"""The vendors: one folder each, discovered automatically."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from pipeline.vendors._port import Vendor


@cache
def discover() -> dict[str, Vendor]:
    """Return every vendor by name, in alphabetical order.

    Raises TypeError if a folder has no `VENDOR`, or one whose name is not the folder's.
    """
    found: dict[str, Vendor] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda each: each.name):
        if module.name.startswith("_"):
            continue
        vendor = getattr(importlib.import_module(f"{__name__}.{module.name}"), "VENDOR", None)
        if not isinstance(vendor, Vendor) or vendor.name != module.name:
            raise TypeError(f"pipeline/vendors/{module.name} must define VENDOR = Vendor(name={module.name!r}, ...)")
        found[vendor.name] = vendor
    return found

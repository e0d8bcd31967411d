"""Warehouses that open fast, and listings over HTTP."""

from tests.landing.listings import framework, vendor, walker
from tests.staging.workshops import new_workshop, template, workshop

__all__ = ["framework", "new_workshop", "template", "vendor", "walker", "workshop"]

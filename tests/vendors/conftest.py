"""Warehouses that open fast, and a laboratory for answers over HTTP."""

from tests.http.conftest import lab
from tests.staging.workshops import new_workshop, template, workshop

__all__ = ["lab", "new_workshop", "template", "workshop"]

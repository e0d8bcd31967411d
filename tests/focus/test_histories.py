"""Random statements in random order: no correct charge fails the check, which would stop publishing."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from pipeline.landing.store import Fetch
from pipeline.models.discovery import discover
from pipeline.published.focus import TABLES
from tests.staging.histories import histories
from tests.staging.landed import NewWorkshop, write

pytestmark = pytest.mark.long


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(loads=histories())
def test_the_checks_pass_after_every_load(new_workshop: NewWorkshop, loads: list[list[Fetch]]) -> None:
    with new_workshop() as workshop:
        for fetches in loads:
            write(fetches, workshop.home.landing)
            workshop.load()
            workshop.recompute("core", "marts")
            for table in TABLES:
                for check in discover()[table.full_name].blocking_checks:
                    assert check.find(workshop.connection) == []

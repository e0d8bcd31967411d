"""Only dirty months are recomputed, with the result of a full rebuild."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from pipeline.landing.store import Fetch
from tests.staging.histories import histories
from tests.staging.landed import NewWorkshop, Rows, contents, write

pytestmark = pytest.mark.long


def _rebuilt(new_workshop: NewWorkshop, loads: list[list[Fetch]]) -> Rows:
    with new_workshop() as workshop:
        write([fetch for load in loads for fetch in load], workshop.home.landing)
        workshop.load()
        workshop.recompute("core", "marts")
        return contents(workshop.connection, "core", "marts")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(loads=histories())
def test_recomputing_dirty_months_equals_a_full_rebuild(new_workshop: NewWorkshop, loads: list[list[Fetch]]) -> None:
    with new_workshop() as workshop:
        for load in loads:
            write(load, workshop.home.landing)
            workshop.load()
            workshop.recompute("core", "marts")
            assert workshop.rows("SELECT * FROM staging.dirty_months") == []
        found = contents(workshop.connection, "core", "marts")
    wanted = _rebuilt(new_workshop, loads)
    # The build time is the only value that is specific to a build.
    for table in wanted.keys() - {"marts.build_info"}:
        assert found[table] == wanted[table], table

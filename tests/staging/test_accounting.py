"""Whatever a body holds: nothing raises, and received = accepted + rejected."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.schema.render import polars_schema
from pipeline.schema.tables import RECORDS, vendor_table
from pipeline.staging.assets import _is_readable, _matches_contract
from pipeline.staging.read import Landed, read_endpoint
from pipeline.vendors._port import Endpoint, Vendor
from tests.staging.landed import NOW, NewWorkshop
from tests.staging.mutations import encoded, mutated, original
from tests.vendors.examples import EVERY_ENDPOINT

_EACH = pytest.mark.parametrize(("vendor", "endpoint"), EVERY_ENDPOINT, ids=lambda each: each.name)


def _landed(number: int, payload: Any) -> Landed:
    return Landed(
        fetch_id=f"{number:016x}", run_id=f"run-{number}", account_id=f"account-{number % 2}", window_from_date=None,
        window_to_date=None, fetched_at_utc=NOW, payload=payload,
    )  # fmt: skip


@_EACH
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_row_is_accepted_or_rejected_with_a_reason(vendor: Vendor, endpoint: Endpoint, data: st.DataObject) -> None:
    payloads = data.draw(st.lists(mutated(original(vendor, endpoint)), min_size=1, max_size=4))
    answers = [_landed(number, payload) for number, payload in enumerate(payloads)]
    for reading in read_endpoint(endpoint, answers, money_is_float=vendor.money_is_float):
        accepted, rejected = reading.accepted_rows(), reading.rejected_rows()
        assert [one + other for one, other in zip(accepted, rejected, strict=True)] == reading.received
        assert len(reading.received) == len(answers)
        schema = polars_schema(RECORDS[reading.records.kind]) | {"_answer": reading.accepted.schema["_answer"]}
        del schema["loaded_at_utc"]
        assert dict(reading.accepted.schema) == schema
        assert all(reject.check_name and reject.column_name for reject in reading.rejects)
        assert all(len(reject.value or "") <= 81 for reject in reading.rejects)
        # A required value is never NULL in what was accepted.
        for field in reading.records.fields:
            if field.is_required:
                assert reading.accepted[field.column].null_count() == 0


@_EACH
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_what_is_loaded_adds_up_in_the_warehouse_too(
    new_workshop: NewWorkshop, vendor: Vendor, endpoint: Endpoint, data: st.DataObject
) -> None:
    payloads = data.draw(st.lists(mutated(original(vendor, endpoint)), min_size=1, max_size=8))
    with new_workshop() as workshop:
        for number, payload in enumerate(payloads):
            body = encoded(endpoint, payload)
            workshop.landing.answer(vendor.name, endpoint.name, body, account_id=f"account-{number % 2}")
        report = workshop.load()
        assert report.received == report.accepted + report.rejected
        assert report.fetches == len(payloads)
        for kind in vendor.kinds:
            table = vendor_table(vendor.name, kind)
            check = _matches_contract(workshop.connection, vendor.name, table)
            assert check.passed, check.metadata
            _is_readable(workshop.connection, vendor.name, table)
        # Everything after staging takes it as well.
        workshop.landing.run({f"account-{number}": {"vendor": vendor.name} for number in range(2)})
        workshop.load()
        workshop.recompute("core", "marts")

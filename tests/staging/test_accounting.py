"""For any body: nothing raises, and received = accepted + rejected."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.models import discovery
from pipeline.schema.render import duplicate_keys, polars_schema
from pipeline.schema.tables import RECORDS, vendor_table
from pipeline.staging.record_reading import Landed, read_endpoint
from pipeline.vendors import discover
from pipeline.vendors._port import Endpoint, Vendor
from tests.staging.landed import NOW, NewWorkshop
from tests.staging.load_checks import accounted_for, readable
from tests.staging.mutations import encoded, mutated, original
from tests.vendors.examples import EVERY_ENDPOINT

_EACH = pytest.mark.parametrize(("vendor", "endpoint"), EVERY_ENDPOINT, ids=lambda each: each.name)


def _landed(number: int, payload: Any) -> Landed:
    return Landed(
        fetch_id=f"{number:016x}", run_id=f"run-{number}", account_id=f"account-{number % 2}", 
        window_from_date=NOW.date(), window_to_date=NOW.date(), fetched_at_utc=NOW, payload=payload,
    )  # fmt: skip


@_EACH
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_row_is_accepted_or_rejected_with_a_reason(
    vendor: Vendor, endpoint: Endpoint, data: st.DataObject
) -> None:
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
        # A required value is never NULL in accepted rows.
        for field in reading.records.fields:
            if field.is_required:
                assert reading.accepted[field.column].null_count() == 0


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_loaded_rows_add_up_and_every_later_step_accepts_them(new_workshop: NewWorkshop, data: st.DataObject) -> None:
    with new_workshop() as workshop:
        accounts = {}
        for vendor, endpoint in EVERY_ENDPOINT:
            for payload in data.draw(st.lists(mutated(original(vendor, endpoint)), min_size=1, max_size=3)):
                account_id = f"{vendor.name}-{data.draw(st.integers(1, 2))}"
                accounts[account_id] = {"vendor": vendor.name}
                workshop.landing.answer(
                    vendor.name, endpoint.name, encoded(endpoint, payload), account_id=account_id,
                    days=(NOW.date(), NOW.date()),
                )  # fmt: skip
        workshop.landing.run(accounts)
        report = workshop.load()
        assert report.received == report.accepted + report.rejected
        for vendor in discover().values():
            for kind in vendor.kinds:
                table = vendor_table(vendor.name, kind)
                check = accounted_for(workshop.connection, vendor.name, table)
                assert check.passed, check.metadata
                readable(workshop.connection, vendor.name, table)
        workshop.recompute("core", "marts")
        for model in discovery.discover().values():
            assert workshop.rows(duplicate_keys(model.table)) == [(0,)], model.path

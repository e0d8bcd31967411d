"""The cases of SQL models, computed by shards of accounts: together they have the rows of all accounts at once.

It proves `partition: account` of each model on the inputs that were written to be difficult.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pipeline.models import discovery
from tests.sql.case_files import CASES, run_case, table_of
from tests.staging.landed import NewWorkshop
from tests.staging.workshops import new_workshop, template

__all__ = ["new_workshop", "template"]

pytestmark = pytest.mark.long

_SHARDS = 2

_BY_ACCOUNT = [
    case
    for case in CASES
    if table_of(case) in discovery.discover() and discovery.discover()[table_of(case)].table.partition == "account"
]


def test_most_models_are_computed_by_account() -> None:
    assert len({table_of(case) for case in _BY_ACCOUNT}) > 20


@pytest.mark.parametrize("case", _BY_ACCOUNT, ids=lambda case: "/".join(case.parts[-3:]))
def test_rows_of_shards_are_those_of_all_accounts(case: Path, new_workshop: NewWorkshop) -> None:
    with new_workshop() as whole:
        together = Counter(run_case(case, whole))
    by_shard: Counter[tuple[str | None, ...]] = Counter()
    for shard in range(_SHARDS):
        with new_workshop() as alone:
            by_shard += Counter(run_case(case, alone, without=f"hash({{account}}) % {_SHARDS} <> {shard}"))
    assert by_shard == together

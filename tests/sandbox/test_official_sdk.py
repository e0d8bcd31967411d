"""The vendor's own SDK reads the sandbox: its answers have the documented shape."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import hyperstack

from tests import sandbox_faults as sandbox


def test_the_official_hyperstack_sdk_reads_the_sandboxs_credit() -> None:
    now = datetime(2026, 10, 7, 9, tzinfo=UTC)
    with sandbox.start(seed=3, days=60, now=now, vendors=["hyperstack"]) as world:
        configuration = hyperstack.Configuration(host=world.base_url("hyperstack"))
        configuration.api_key["apiKey"] = world.keys["SANDBOX_HYPERSTACK_MAIN_KEY"]
        with hyperstack.ApiClient(configuration) as client:
            answer = hyperstack.CreditApi(client).get_user_credit()

        truth = world.world.account("hyperstack-main").balance_at(now)

    assert answer.data.credit is not None
    # The SDK reads amounts as floats.
    assert abs(Decimal(str(answer.data.credit)) - truth) < Decimal("0.000001")
    assert answer.data.threshold is not None


def test_the_official_hyperstack_sdk_reads_the_permissions_of_the_sandboxs_key() -> None:
    with sandbox.start(days=3, vendors=["hyperstack"]) as world:
        configuration = hyperstack.Configuration(host=world.base_url("hyperstack"))
        configuration.api_key["apiKey"] = world.keys["SANDBOX_HYPERSTACK_MAIN_KEY"]
        with hyperstack.ApiClient(configuration) as client:
            answer = hyperstack.UserPermissionApi(client).list_my_user_permissions()

    assert [each.permission for each in answer.permissions or []] == ["environment:list", "billing:list"]

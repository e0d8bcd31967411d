"""A key that a vendor echoes in any spelling, from a real socket to the tables, reaches neither landing nor a
description."""

from __future__ import annotations

import html
import random
from datetime import timedelta
from urllib.parse import unquote

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from tests.faults.aftermath import check
from tests.http.test_spellings import SPELLINGS
from tests.landing.walking import LEDGER, TODAY, Vendor, Walker
from tests.staging.landed import Workshop

_KEY = "canary-key"


@pytest.mark.faults(54)
def test_no_spelling_of_a_key_reaches_landing_or_a_description(httpserver: HTTPServer, workshop: Workshop) -> None:
    draw = random.Random(7)  # noqa: S311 - repeatable, not secret
    spelled = [outer(inner(_KEY, draw), draw) for inner in SPELLINGS.values() for outer in SPELLINGS.values()]
    rows = [
        f'{{"id": "{number}", "amount": -1, "created_at": "{TODAY - timedelta(days=number)}T10:00:00Z", '
        f'"description": "key {text} key"}}'
        for number, text in enumerate(spelled)
    ]
    body = f'{{"data": [{", ".join(rows)}], "links": {{"next": null}}, "meta": {{}}}}'
    vendor = Vendor(httpserver)
    vendor.before_page = lambda page: Response(body, content_type="application/json")
    [(answer, _)] = Walker(vendor.url, workshop.home.landing).visit(LEDGER).steps
    assert answer.is_redacted
    assert answer.body.count(b"[redacted:A_KEY]") == len(rows)

    workshop.load()
    described = workshop.rows("SELECT description FROM staging.vpsbg_ledger_entries")
    assert len(described) == len(rows)
    for (text,) in described:
        assert "[redacted:A_KEY]" in text
        once = {text, html.unescape(text), unquote(text)}
        assert all(_KEY not in reader(each) for each in once for reader in (str, html.unescape, unquote))
    workshop.warehouse.close()
    check(workshop.home, [_KEY])

"""A declaration that changes after its answers were read: they are read again."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from pipeline.warehouse.layout import prepare

_TEXT = """\
title = "Zenith"
base_url = "https://api.zenith.example/v1"
unit = "USD"
auth = { header = "X-Key" }

[endpoints.wallet]
path = "/wallet"
doc = "documented: the wallet."
fields.balance_amount = { path = "cents", scale = 2 }
"""


@pytest.mark.parametrize(
    ("old", "new", "is_read_again"),
    [
        ("scale = 2", "scale = 3", True),
        ('"cents"', '"-cents"', True),
        ('unit = "USD"', 'unit = "EUR"', True),
        ('unit = "USD"', 'unit = "USD"\nrounds = true', True),
        ('"cents", scale', '"cents",  scale', False),
        ('title = "Zenith"', 'title = "Zenith Cloud"  # as on its invoices', False),
        ('"X-Key"', '"X-Token"', False),
    ],
)
def test_what_is_landed_is_read_again_if_a_declaration_reads_it_differently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, is_read_again: bool
) -> None:
    monkeypatch.setenv("DRAWDOWN_VENDORS", str(tmp_path))
    declaration, warehouse = tmp_path / "zenith.toml", tmp_path / "warehouse.duckdb"
    declaration.write_text(_TEXT, encoding="utf-8")
    with duckdb.connect(warehouse) as connection:
        assert prepare(connection, warehouse) is None
        assert prepare(connection, warehouse) is None
        assert old in _TEXT
        declaration.write_text(_TEXT.replace(old, new, 1), encoding="utf-8")
        reason = prepare(connection, warehouse)
    assert (reason is not None) is is_read_again

"""Inputs of a SELECT, found by parsing it with DuckDB's own parser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.models.parsed_file import section
from pipeline.support.errors import DrawdownError

if TYPE_CHECKING:
    import duckdb


@cache
def reads_of(sql: str, where: str) -> tuple[str, ...]:
    """Tables that a SELECT reads, without CTEs and table functions.

    A text that is in `sql/parsed.json` is not parsed. Raises DrawdownError if the text is not one SELECT, or names a
    table without its schema.
    """
    recorded = (section("reads", code_hash()) or {}).get(text_key(sql))
    return parsed_reads(sql, where) if recorded is None else tuple(recorded)


@cache
def code_hash() -> str:
    """Hash of this module, which determines what is found in a text."""
    return _digest(Path(__file__).read_bytes())


def text_key(sql: str) -> str:
    """Key of a SELECT in `sql/parsed.json`."""
    return _digest(sql.encode())


def _digest(text: bytes) -> str:
    return sha256(text).hexdigest()[:16]


def parsed_reads(sql: str, where: str) -> tuple[str, ...]:
    """Tables that a SELECT reads, by parsing it. Raises DrawdownError as `reads_of`."""
    # DuckDB's get_table_names() adds the aliases, and fails on an ASOF JOIN.
    with _parser().cursor() as cursor:
        parsed = json.loads(cursor.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()[0][0])
    if parsed["error"] and parsed["error_type"] == "parser":
        raise DrawdownError(f"{where} cannot be parsed: {parsed['error_message']}")
    if parsed["error"] or len(parsed["statements"]) != 1:
        raise DrawdownError(f"{where} must be one SELECT")
    nodes = list(_nodes(parsed["statements"]))
    ctes = {cte["key"] for node in nodes for cte in node.get("cte_map", {}).get("map", ())}
    names = set()
    for node in nodes:
        if node.get("type") != "BASE_TABLE" or (not node["schema_name"] and node["table_name"] in ctes):
            continue
        if not node["schema_name"]:
            raise DrawdownError(f"{where} names {node['table_name']} without its schema")
        names.add(f"{node['schema_name']}.{node['table_name']}")
    return tuple(sorted(names))


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    """An empty database: opening one for each SELECT costs more than parsing it."""
    import duckdb

    return duckdb.connect()


def _nodes(part: Any) -> Iterator[dict[str, Any]]:
    """All objects in a parsed statement."""
    if isinstance(part, dict):
        yield part
    if isinstance(part, dict | list):
        for each in part.values() if isinstance(part, dict) else part:
            yield from _nodes(each)

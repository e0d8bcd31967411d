"""Pack the dashboard for Superset's import: `python bi/superset/pack.py data/published/current.duckdb drawdown.zip`.

The export contains neither the path of the published file nor the columns of its tables; both are filled in here, the
columns with the comments from the file.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import duckdb
import yaml

_EXPORT = Path(__file__).parent / "export"
_TEMPORAL = ("DATE", "TIMESTAMP")


def pack(published: Path, target: Path) -> None:
    """Write the zip that Superset imports.

    Raises duckdb.Error if `published` is no build, KeyError if a build lacks a table of the dashboard.
    """
    # The path of the link, not of the build behind it: Superset opens it for each query.
    published = published.absolute()
    with duckdb.connect(published, read_only=True) as connection, zipfile.ZipFile(target, "w") as packed:
        for path in sorted(_EXPORT.rglob("*.yaml")):
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            match path.parent.name:
                case "databases":
                    content["sqlalchemy_uri"] = f"duckdb:///{published}"
                case "datasets":
                    content["columns"] = [*_columns(connection, content), *content["columns"]]
            inside = Path("drawdown") / path.relative_to(_EXPORT)
            packed.writestr(str(inside), yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _columns(connection: duckdb.DuckDBPyConnection, dataset: dict[str, Any]) -> list[dict[str, Any]]:
    source = f"({dataset['sql']})" if dataset["sql"] else f"{dataset['schema']}.{dataset['table_name']}"
    described = connection.execute(f"describe from {source}").fetchall()
    comments = connection.execute(
        "select column_name, comment from duckdb_columns() where schema_name = ? and table_name = ?",
        [dataset["schema"], dataset["table_name"]],
    ).fetchall()
    docs = dict(comments)
    return [
        {
            "column_name": name,
            "type": data_type,
            "description": docs.get(name),
            "is_dttm": data_type.startswith(_TEMPORAL),
            "groupby": True,
            "filterable": True,
        }
        for name, data_type, *_ in described
    ]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python bi/superset/pack.py data/published/current.duckdb drawdown.zip")
    pack(Path(sys.argv[1]), Path(sys.argv[2]))

"""Every table, defined once in `sql/<layer>/<table>/table.yaml`: grain, key, and columns in order.

    doc: An exchange rate of the euro on a day on which it was published.
    grain: currency and day on which its rate was published
    key: [rate_date, unit_code]
    month_column: rate_date
    columns:
      - rate_date
      - unit_code
      - eur_rate
      - fx_source?

`?` after a column's name allows NULL in this table; `- fx_source: {nullable: true, meaning: ...}` also gives it another
meaning there. Names are those of `pipeline.schema.columns`, further keys the attributes of `Table`. A table without
`made_from` has a SELECT in `model.sql` beside the file (`pipeline.models`). The DDL, the pandera contracts, the
comments and the data dictionary are generated from these definitions (`pipeline.schema.render`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

import msgspec

from pipeline.schema.columns import COLUMNS, Column
from pipeline.schema.definition_files import checked, read_mapping
from pipeline.schema.layers import LAYERS
from pipeline.schema.sql_folder import COLUMNS_FOLDER, MACROS_FOLDER, SQL_FOLDER, shown
from pipeline.support.errors import DrawdownError

TABLE_FILE: Final = "table.yaml"
MODEL_FILE: Final = "model.sql"
CHECKS_FILE: Final = "checks.sql"

Partition = Literal["account", "fleet"]


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of one table."""

    column: Column
    """With the table's own meaning, if it has one."""
    is_nullable: bool

    @property
    def name(self) -> str:
        """Name of the column."""
        return self.column.name


class Reach(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far from a changed fact the rows that depend on it may lie."""

    look_back_days: int = 0
    """Rows depend on facts up to this many days before them."""
    look_ahead_days: int = 0
    """Rows depend on facts up to this many days after them."""
    has_neighbours: bool = False
    """Beyond these days, rows depend on facts up to the account's next reading on either side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table, `layer.name`, with the grain that `grain` names and `key` enforces."""

    layer: str
    name: str
    doc: str
    """Meaning of a row, in sentences, including `warnings`."""
    grain: str
    """What there is one row for, as in `account and UTC day`."""
    key: tuple[str, ...]
    """Columns that no two rows share; empty for a table of one row."""
    columns: tuple[TableColumn, ...]
    warnings: tuple[str, ...] = ()
    """What a user of the table must know before adding up or joining its rows, one sentence each."""
    month_column: str | None = None
    """Day, month or instant by which the table is recomputed; None: it is rebuilt completely."""
    part_column: str | None = None
    """For a published table without `month_column`: day, month or instant by whose UTC months builds are updated.
    Whoever changes rows notes their months (`pipeline.models.unpublished`); for a view, its inputs' months count."""
    order: tuple[str, ...] = ()
    """Order in which rows are stored, if it is not that of the key."""
    is_published: bool = True
    is_view: bool = False
    """Whether it is a view in the warehouse, because its inputs are stored already. Readers get it as a table."""
    day_column: str | None = None
    """For a table that is rebuilt completely: the day of a row. If rows differ, only the months of those days become
    dirty in the monthly tables that read them."""
    holds_on: bool = False
    """Whether a row applies to all days from `day_column` on, until the next row."""
    reach: Mapping[str, Reach] = field(default_factory=dict)
    """For a monthly table that depends on movements of money: by the name of each table of facts that it reads, how far
    around a changed fact its rows may differ."""
    follows: Mapping[str, Reach] = field(default_factory=dict)
    """For a monthly table in place of `reach`: by the name of each monthly table or view that it reads, how far around
    the months in which rows of that table have changed its own rows may differ."""
    includes_quarantined: bool = False
    """Whether it is computed for accounts in quarantine, too: its inputs have what is published of them."""
    owes_all: bool = False
    """For a table that is rebuilt completely: if rows differ, all months become dirty in the monthly tables that read
    them. So its rows must rarely change."""
    made_from: tuple[str, ...] = ()
    """For a table that Python makes: its input tables, or parts of landing and settings. For any other table, the
    SELECT is the source of this."""
    is_bookkeeping: bool = False
    """Whether it is the warehouse's own bookkeeping, and no Dagster asset."""
    partition: Partition = "account"
    """`account`: an account's rows depend on no other account, so that accounts can be computed apart, in shards.
    `fleet`: the rows need all accounts."""
    per_build: str | None = None
    """Why its rows say nothing about accounts and differ between builds: checksums exclude it."""
    after_all: bool = False
    """Whether it is made after all other models, because it reads the catalogue or summarises the build."""
    freshness: Literal["hourly"] | None = None
    """How often it should be made; Dagster warns if it is not."""

    @property
    def full_name(self) -> str:
        """`layer.name`, as in SQL."""
        return f"{self.layer}.{self.name}"

    @property
    def published_by(self) -> str | None:
        """Column by whose UTC months a build is updated; None: the table is written whole if it differs."""
        return self.month_column or self.part_column

    @property
    def grain_sentence(self) -> str:
        """Grain as a sentence: `One row for each account and UTC day.`"""
        return f"One row for each {self.grain}." if self.key else f"One row: {self.grain}."

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def folder(self) -> Path:
        """The folder of the table's files."""
        return SQL_FOLDER / self.layer / self.name


# -- the files ----------------------------------------------------------------------------------------------------


class _Override(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Differences from the column dictionary in one table."""

    nullable: bool = False
    meaning: str | None = None


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Contents of `table.yaml`."""

    doc: str
    grain: str
    key: list[str]
    columns: list[str | dict[str, _Override]]
    warnings: list[str] = []
    is_record: bool = False
    """Whether it is a kind of record that every vendor may supply: a view over the vendors' own tables."""
    month_column: str | None = None
    part_column: str | None = None
    order: list[str] = []
    is_published: bool = True
    is_view: bool = False
    day_column: str | None = None
    holds_on: bool = False
    reach: dict[str, Reach] = {}
    follows: dict[str, Reach] = {}
    includes_quarantined: bool = False
    owes_all: bool = False
    made_from: list[str] = []
    is_bookkeeping: bool = False
    partition: Partition = "account"
    per_build: str | None = None
    after_all: bool = False
    freshness: Literal["hourly"] | None = None


def load_tables(folder: Path, columns: Mapping[str, Column]) -> tuple[dict[str, Table], dict[str, Table]]:
    """Load the kinds of records by name, and all other tables by full name, in the order of the layers.

    `folder` contains `<layer>/<table>/table.yaml`. Raises DrawdownError for an unknown layer or a misplaced file, a
    file that cannot be read, an unknown key, a column that is not in the dictionary, a key that may be NULL, and a
    reach from something that is not a table.
    """
    layers = {path.name for path in folder.iterdir() if path.is_dir()} - {COLUMNS_FOLDER.name, MACROS_FOLDER.name}
    for name in sorted(layers - set(LAYERS)):
        raise DrawdownError(f"sql/{name} is not a layer; the layers are {', '.join(LAYERS)}")
    records, tables = {}, {}
    for layer in (each for each in LAYERS if each in layers):
        for path in sorted((folder / layer).iterdir()):
            is_record, table = _table(path, columns)
            if is_record:
                records[table.name] = table
            else:
                tables[table.full_name] = table
    sources = tables.keys() | {record.full_name for record in records.values()}
    for table in tables.values():
        for what, named in (("reach", table.reach), ("follows", table.follows)):
            for name in sorted(named.keys() - sources):
                raise DrawdownError(f"{shown(table.folder / TABLE_FILE)}: {what}: {name} is not a table")
    return records, tables


def _table(folder: Path, columns: Mapping[str, Column]) -> tuple[bool, Table]:
    where = shown(folder / TABLE_FILE)
    if not folder.is_dir():
        raise DrawdownError(
            f"sql/{folder.parent.name}/{folder.name} is not a folder; a table is sql/{folder.parent.name}/<table>/ "
            f"with {TABLE_FILE} and {MODEL_FILE}"
        )
    if not (folder / TABLE_FILE).is_file():
        raise DrawdownError(f"{where} is missing; it says what a row is, its key and its columns")
    read = checked(read_mapping(folder / TABLE_FILE, where), _File, where)
    made = tuple(_column(each, columns, where) for each in read.columns)
    by_name = {column.name: column for column in made}
    for name in read.key:
        if name not in by_name or by_name[name].is_nullable:
            raise DrawdownError(f"{where}: key column {name} must be one of its columns, and never NULL")
    for what, named in (
        ("month_column", read.month_column), ("part_column", read.part_column), ("day_column", read.day_column)
    ):  # fmt: skip
        if named is not None and named not in by_name:
            raise DrawdownError(f"{where}: {what} {named} must be one of its columns")
    wrong = (set(read.order) - by_name.keys()) | (set(read.key) - set(read.order)) if read.order else None
    if wrong:
        named = ", ".join(sorted(wrong))
        raise DrawdownError(f"{where}: order has all columns of the key, and only the table's: {named}")
    for what, named in (("month_column", read.month_column), ("part_column", read.part_column)):
        if named is not None and by_name[named].is_nullable:
            raise DrawdownError(f"{where}: {what} {named} must never be NULL: its row would belong to no month")
    return read.is_record, Table(
        layer=folder.parent.name,
        name=folder.name,
        doc=" ".join([read.doc, *read.warnings]),
        grain=read.grain,
        key=tuple(read.key),
        columns=made,
        warnings=tuple(read.warnings),
        month_column=read.month_column,
        part_column=read.part_column,
        order=tuple(read.order),
        is_published=read.is_published,
        is_view=read.is_view,
        day_column=read.day_column,
        holds_on=read.holds_on,
        reach=read.reach,
        follows=read.follows,
        includes_quarantined=read.includes_quarantined,
        owes_all=read.owes_all,
        made_from=tuple(read.made_from),
        is_bookkeeping=read.is_bookkeeping,
        partition=read.partition,
        per_build=read.per_build,
        after_all=read.after_all,
        freshness=read.freshness,
    )


def _column(entry: str | dict[str, _Override], columns: Mapping[str, Column], where: str) -> TableColumn:
    """Parse `name`, `name?`, or either with this table's differences."""
    overrides = {entry: _Override()} if isinstance(entry, str) else entry
    if len(overrides) != 1:
        raise DrawdownError(f"{where}: columns: each column is an item of its own, not {', '.join(overrides)} together")
    ((name, override),) = overrides.items()
    column = columns.get(name.removesuffix("?"))
    if column is None:
        raise DrawdownError(
            f"{where}: columns: {name.removesuffix('?')} is in no file of sql/columns; define it there, or use a name "
            "that is"
        )
    if override.meaning is not None:
        column = replace(column, doc=override.meaning)
    return TableColumn(column, override.nullable or name.endswith("?"))


_LOADED = load_tables(SQL_FOLDER, COLUMNS)

RECORDS: Final[dict[str, Table]] = _LOADED[0]
"""Kinds of records that vendors supply, by name. A vendor's own tables of them are `staging.<vendor>_<kind>`."""

ALL: Final[dict[str, Table]] = _LOADED[1]
"""Every other table, by full name, in the order of the layers."""


def vendor_table(vendor: str, kind: str) -> Table:
    """The staging table of one vendor's records of one kind: `staging.<vendor>_<kind>`.

    Raises KeyError for a kind that is not among RECORDS.
    """
    return replace(RECORDS[kind], name=f"{vendor}_{kind}")


def of_layer(layer: str) -> tuple[Table, ...]:
    """Tables of a layer, without kinds of records."""
    return tuple(table for table in ALL.values() if table.layer == layer)


def published() -> tuple[Table, ...]:
    """Published tables, in the order of the layers."""
    return tuple(table for table in ALL.values() if table.is_published)

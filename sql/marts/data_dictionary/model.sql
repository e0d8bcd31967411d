-- Read from the database's own catalogue. Units are in brackets at the end of a column's comment, the key at the end of
-- a table's. The catalogue does not know the sources of a column: loading records them.
with

documented as (
    select
        tables.schema_name || '.' || tables.table_name as table_name,
        tables.comment as table_doc,
        columns.column_name,
        columns.data_type,
        -- A view's columns have no constraints: their comments state nullability.
        regexp_replace(columns.comment, ' Never NULL\.', '') as column_comment,
        columns.is_nullable and columns.comment not like '%Never NULL.%' as is_nullable
    from (
        select
            database_name,
            schema_name,
            table_name,
            comment
        from duckdb_tables()
        union all
        select
            database_name,
            schema_name,
            view_name as table_name,
            comment
        from duckdb_views()
    ) as tables
    inner join duckdb_columns() as columns
        on
            tables.database_name = columns.database_name
            and tables.schema_name = columns.schema_name
            and tables.table_name = columns.table_name
    inner join (
        select distinct table_name
        from staging.column_sources
        where is_published
    ) as readable
        on tables.schema_name || '.' || tables.table_name = readable.table_name
    where tables.database_name = current_database()
)

select
    -- ids
    documented.table_name,
    documented.column_name,

    -- description
    documented.data_type,
    nullif(regexp_extract(documented.column_comment, ' \[([^\]]*)\]$', 1), '') as unit,
    regexp_replace(documented.column_comment, ' \[([^\]]*)\]$', '') as doc,
    documented.is_nullable,
    list_contains(
        string_split(regexp_extract(documented.table_doc, 'Key: ([A-Za-z_0-9, ]*)\.$', 1), ', '), documented.column_name
    ) as is_key,

    -- sources
    sources.source,
    sources.vendor_fields,
    documented.table_doc
from documented
left join staging.column_sources as sources
    on documented.table_name = sources.table_name and documented.column_name = sources.column_name

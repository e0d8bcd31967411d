"""The DuckDB file that one process writes, and published builds opened for reading."""

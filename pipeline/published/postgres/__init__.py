"""A copy of each published build in PostgreSQL."""

from pipeline.published.postgres._load import MARK, Loaded, load_postgres, reach_postgres
from pipeline.published.postgres._swap import Waits

__all__ = ["MARK", "Loaded", "Waits", "load_postgres", "reach_postgres"]

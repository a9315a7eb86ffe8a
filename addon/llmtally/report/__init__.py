"""Queries over the journal, answered by DuckDB straight from its lines.
https://duckdb.org/docs/stable/data/json/loading_json

Only the columns a question needs are read, with their types given: a million records take about two
seconds, and as long again to check that each line is a record. Sums are those of the live view:
integers (tokens, picodollars), the same in whatever order they are made, where adding floats is
not. A line that is not a record is left out, counted and named, and never ends a report.
"""

from .answers import Answer, Report, Row, as_json
from .columns import AGGREGATES, COLUMNS
from .database import Database, ReportError
from .groupings import GROUPINGS

__all__ = [
    "AGGREGATES",
    "COLUMNS",
    "GROUPINGS",
    "Answer",
    "Database",
    "Report",
    "ReportError",
    "Row",
    "as_json",
]

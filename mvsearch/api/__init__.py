"""The Python face, and what the command line calls: from question to answer."""

from mvsearch.api.describe import Description, describe, read_network
from mvsearch.api.report import rebuild_report
from mvsearch.api.search import RunResult, search

__all__ = ["Description", "RunResult", "describe", "read_network", "rebuild_report", "search"]

"""The Python face, and what the command line calls: from question to answer."""

from mvsearch.api.backbone import backbone
from mvsearch.api.calibrate import calibrate
from mvsearch.api.checkpoint import import_checkpoint
from mvsearch.api.describe import Description, describe
from mvsearch.api.export import Exported, export
from mvsearch.api.lessons import lessons
from mvsearch.api.measure import measure
from mvsearch.api.read import read_network
from mvsearch.api.report import rebuild_report
from mvsearch.api.run import RunResult
from mvsearch.api.scale import scale
from mvsearch.api.search import search
from mvsearch.api.settings import SearchOptions
from mvsearch.api.training import TrainOptions
from mvsearch.api.validate import validate, validate_accuracy

__all__ = [
    "Description",
    "Exported",
    "RunResult",
    "SearchOptions",
    "TrainOptions",
    "backbone",
    "calibrate",
    "describe",
    "export",
    "import_checkpoint",
    "lessons",
    "measure",
    "read_network",
    "rebuild_report",
    "scale",
    "search",
    "validate",
    "validate_accuracy",
]

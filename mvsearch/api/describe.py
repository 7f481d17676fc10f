"""Networks and their numbers, and where these go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mvsearch.api.read import read_network
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.record import Evaluation, Failure

if TYPE_CHECKING:
    from mvsearch.targets.anatomy import Anatomy


@dataclass(frozen=True, slots=True)
class Description:
    """One network and its numbers.

    Attributes:
        name: as it was asked for.
        evaluation: counted costs, predicted latency, estimated top-1.
        anatomy: where costs and latency go, by stage, kind of operation and operation; None for a network that could not
            even be counted.
    """

    name: str
    evaluation: Evaluation
    anatomy: Anatomy | None = None


def describe(
    network: str | Path | ArchSpec,
    target: str = "iphone12",
    resolution: int | None = None,
    calibration: str | Path | None = None,
    anchors: str | Path | None = None,
) -> Description:
    """Costs, latency and top-1 of one network, and where they go.

    Args:
        network: a published name, an architecture, a JSON file that holds one, or a library entry's folder.
        target: device for the latency.
        resolution: side of the image in pixels; by default the one that the network is for: 256 for MobileViTs, 224 for
            EfficientFormers.
        calibration: file of `mvsearch calibrate`: predict by the user's own measurements.
        anchors: CSV file of networks that you have trained on ImageNet-1k: top-1 is estimated for your recipe.

    Raises:
        InputError: an unknown name or target, an unreadable file, an impossible resolution.
    """
    return describe_all((network,), target, resolution, calibration, anchors)[0]


def describe_all(
    networks: Sequence[str | Path | ArchSpec],
    target: str = "iphone12",
    resolution: int | None = None,
    calibration: str | Path | None = None,
    anchors: str | Path | None = None,
) -> tuple[Description, ...]:
    """The same of several networks, by the same models.

    Raises:
        InputError: see `describe`.
    """
    from mvsearch.api.anchors import fitted_estimator
    from mvsearch.api.calibration import calibrated
    from mvsearch.costs import image_size, lower
    from mvsearch.search.estimate import estimate
    from mvsearch.search.executor import run_task
    from mvsearch.spec.published import default_resolution
    from mvsearch.targets import get_target
    from mvsearch.targets.anatomy import anatomy
    from mvsearch.targets.prepare import ready_target

    named = [(n.arch_id, n) if isinstance(n, ArchSpec) else (str(n), read_network(n)) for n in networks]
    sizes = [image_size(default_resolution(spec) if resolution is None else resolution)[0] for _, spec in named]
    found = calibrated(get_target(target), Path(calibration)) if calibration else ready_target(target, sizes[0])[0]
    estimator = fitted_estimator(anchors) if anchors else None
    described = []
    for (name, spec), size in zip(named, sizes, strict=True):
        lower(spec, size)  # a network that is bound to another image is refused before anything is told of it
        # A network whose latency or top-1 cannot be told may still be counted.
        where = run_task(partial(anatomy, resolution=size, target=found), spec)
        described.append(
            Description(name, estimate(spec, size, found, estimator), None if isinstance(where, Failure) else where)
        )
    return tuple(described)

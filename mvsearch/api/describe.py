"""One network and its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mvsearch.api.read import read_network
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.record import Evaluation


@dataclass(frozen=True, slots=True)
class Description:
    """One network and its numbers.

    Attributes:
        name: as it was asked for.
        evaluation: counted costs, predicted latency, estimated top-1.
    """

    name: str
    evaluation: Evaluation


def describe(
    network: str | Path | ArchSpec,
    target: str = "iphone12",
    resolution: int | None = None,
    calibration: str | Path | None = None,
    anchors: str | Path | None = None,
) -> Description:
    """Costs, latency and top-1 of one network.

    Args:
        network: a published name, an architecture, a JSON file that holds one, or a library entry's folder.
        target: device for the latency.
        resolution: side of the image in pixels; 256 by default.
        calibration: file of `mvsearch calibrate`: predict by the user's own measurements.
        anchors: CSV file of networks that you have trained on ImageNet-1k: top-1 is estimated for your recipe.

    Raises:
        InputError: an unknown name or target, an unreadable file, an impossible resolution.
    """
    from mvsearch.api.anchors import fitted_estimator
    from mvsearch.api.calibration import calibrated
    from mvsearch.costs import image_size
    from mvsearch.search.estimate import estimate
    from mvsearch.spec.published import DEFAULT_RESOLUTION
    from mvsearch.targets import get_target
    from mvsearch.targets.prepare import ready_target

    size = image_size(DEFAULT_RESOLUTION if resolution is None else resolution)[0]
    name, spec = (network.arch_id, network) if isinstance(network, ArchSpec) else (str(network), read_network(network))
    found = calibrated(get_target(target), Path(calibration)) if calibration else ready_target(target, size)[0]
    return Description(name, estimate(spec, size, found, fitted_estimator(anchors) if anchors else None))

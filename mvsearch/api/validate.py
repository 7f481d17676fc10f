"""How far a target's predicted latencies, and estimated top-1, are to be trusted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mvsearch.accuracy.validation import AccuracyValidation
    from mvsearch.targets.predictor.validation import PhoneValidation


def validate(target: str) -> PhoneValidation:
    """Refit a phone's predictor from the shipped table of published latencies and report its errors.

    Args:
        target: a phone, as in `--target`.

    Raises:
        TargetError: no table of published latencies is shipped for it.
    """
    from mvsearch.targets.predictor.phones import get_phone
    from mvsearch.targets.predictor.validate import validate_phone

    return validate_phone(get_phone(target).name)


def validate_accuracy(
    anchors: str | Path | None = None,
    *,
    proxies: bool = True,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> AccuracyValidation:
    """Recompute on the published MobileViTs how far estimated top-1 is to be trusted.

    Args:
        anchors: CSV file of networks that you have trained on ImageNet-1k, columns `network` and `top1`, perhaps
            `resolution` and `note`; they sharpen the estimate, and the report says by how much.
        proxies: also compute two zero-cost proxies on the untrained networks, for comparison.
        seed: of the bootstrap, the untrained weights and the noise images.
        progress: called with networks done, networks to do, and what is at hand.

    Raises:
        InputError: every fault of the CSV at once.
    """
    from mvsearch.accuracy.validation import validate_accuracy as validated
    from mvsearch.api.anchors_csv import read_anchors_csv

    own = () if anchors is None else read_anchors_csv(anchors)
    return validated(own, "" if anchors is None else str(anchors), proxies=proxies, seed=seed, progress=progress)

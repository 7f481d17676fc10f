"""The published networks, by our own costs and predictions, to compare with."""

from __future__ import annotations

import re

from mvsearch.accuracy import published_top1
from mvsearch.accuracy.estimator import Estimator
from mvsearch.scaling.ranges import SizeRange
from mvsearch.scaling.view import PublishedMember
from mvsearch.search.estimate import estimate
from mvsearch.spec.published import DEFAULT_RESOLUTION, published_networks
from mvsearch.targets import Target

_SERIES = (
    (re.compile(r"mobilevit_\w+"), "MobileViT v1"),
    (re.compile(r"mobilevitv2_[\d.]+"), "MobileViTv2"),
    (re.compile(r"mobilevitv3_(xxs|xs|s)"), "MobileViTv3"),
    (re.compile(r"mobilevitv3_\w+_l2"), "MobileViTv3 L2"),
    (re.compile(r"mobilevitv3_[\d.]+"), "MobileViTv3 on v2"),
)
"""Names -> series of one design; MobileViT's Config B is of the first by another patch, and left out."""


def published_members(within: SizeRange, target: Target, estimator: Estimator | None = None) -> tuple[PublishedMember, ...]:
    """Every series of sizes that was published of the family, at the 256 pixels of its labels."""
    found = []
    for pattern, series in _SERIES:
        for name, spec in published_networks().items():
            if pattern.fullmatch(name):
                evaluation = estimate(spec, DEFAULT_RESOLUTION, target, estimator)
                if evaluation.failure is None:
                    size = evaluation.measurements[within.metric].value
                    found.append(PublishedMember(name, series, evaluation, published_top1(name), size in within))
    return tuple(found)

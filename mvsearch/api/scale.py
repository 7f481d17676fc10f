"""Families of sizes from one network, and what is to be learnt from them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mvsearch.api.read import read_network
from mvsearch.errors import InputError
from mvsearch.spec import defaults
from mvsearch.spec.arch import ArchSpec

if TYPE_CHECKING:
    from mvsearch.scaling.view import Rule, ScalingView

MEMBERS = 8


def scale(
    network: str | Path | ArchSpec,
    *,
    params: str | None = None,
    macs: str | None = None,
    ms: str | None = None,
    target: str = "iphone12",
    resolution: int | None = None,
    rules: str | Sequence[Rule] | None = None,
    members: int = MEMBERS,
    budget: str | None = None,
    confidence: float = defaults.CONFIDENCE,
    calibration: str | Path | None = None,
    anchors: str | Path | None = None,
    out: str | Path | None = None,
    command: str = "",
    progress: Callable[[str], None] | None = None,
) -> ScalingView:
    """Sizes of one network by width, depth, resolution and compound rules, with laws, gains and the best exponents.

    Args:
        network: a published name, an architecture, a JSON file that holds one, or a library entry's folder.
        params: range of sizes, e.g. `1M..8M`; one of `params`, `macs` and `ms` has to be given.
        macs: the same in multiply-accumulates, e.g. `200M..2G`.
        ms: the same in predicted milliseconds, e.g. `1..6`.
        target: device for the latency.
        resolution: side of the image of the network as it is, in pixels; 256 by default.
        rules: `width`, `depth`, `resolution`, `compound`; all by default. A text may hold several, separated by commas.
        members: of a family, at most.
        budget: MACs or ms at which compound exponents are compared, e.g. `1G-macs` or `5ms`; an end of the range by default.
        confidence: of the lower bounds of top-1.
        calibration: file of `mvsearch calibrate`: predict by the user's own measurements.
        anchors: CSV file of networks that you have trained on ImageNet-1k: top-1 is estimated for your recipe.
        out: new folder for the page, the table and the pictures.
        command: the command line, for the page.
        progress: hears what is at hand.

    Raises:
        InputError: an unknown name, target or rule, a range or a budget that is none, a network that cannot be scaled
            that way, or a folder that holds something.
    """
    from mvsearch.api.anchors import fitted_estimator
    from mvsearch.api.calibration import calibrated
    from mvsearch.costs import image_size
    from mvsearch.scaling.explore import FEWEST_MEMBERS, MOST_MEMBERS, Question, explore
    from mvsearch.scaling.ranges import one_range, parse_compound_budget, parse_rules
    from mvsearch.search.folder import versions
    from mvsearch.spec.published import DEFAULT_RESOLUTION, MOBILEVIT, family_of
    from mvsearch.targets import get_target
    from mvsearch.targets.prepare import ready_target

    start = time.perf_counter()
    within = one_range(params, macs, ms)
    chosen = parse_rules(rules if rules is None or isinstance(rules, str) else ",".join(rules))
    if not FEWEST_MEMBERS <= members <= MOST_MEMBERS:
        raise InputError(f"`--members` is `{members}`", f"from {FEWEST_MEMBERS} to {MOST_MEMBERS:,}")
    if not 0.5 <= confidence < 1:
        raise InputError(f"`--confidence` is `{confidence:g}`", "from 0.5 to below 1, e.g. 0.8")
    if budget is not None and "compound" not in chosen:
        raise InputError("`--budget` without the rule `compound`", "it is what compound exponents are found for; add that rule")
    size = image_size(DEFAULT_RESOLUTION if resolution is None else resolution)[0]
    name, spec = (network.arch_id, network) if isinstance(network, ArchSpec) else (str(network), read_network(network))
    if family_of(spec) != MOBILEVIT:
        raise InputError(f"`{name}` is no MobileViT", "families of sizes are known of MobileViTs")
    question = Question(
        name, spec, size, within, chosen, members, None if budget is None else parse_compound_budget(budget), confidence
    )
    folder = None if out is None else _new_folder(Path(out))
    found = calibrated(get_target(target), Path(calibration)) if calibration else ready_target(target, size)[0]
    view = explore(question, found, fitted_estimator(anchors) if anchors else None, progress)
    view = replace(view, command=command, seconds=time.perf_counter() - start, versions=versions())
    if folder is not None:
        _write(view, folder)
    return view


def _new_folder(path: Path) -> Path:
    """See that nothing is lost by writing there; touches nothing."""
    try:
        taken = path.exists() and (not path.is_dir() or any(path.iterdir()))
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot write into `{path}`: {getattr(error, 'strerror', None) or error}", "give an `--out` that can be written"
        ) from None
    if taken:
        raise InputError(f"`{path}` is not empty", "give an `--out` that does not exist yet; nothing was changed")
    return path


def _write(view: ScalingView, folder: Path) -> None:
    """The page, the table and the pictures, all or none."""
    from mvsearch.files import staged
    from mvsearch.report.scaling import write_scaling

    with staged(folder) as place:
        write_scaling(view, place)

"""Fit the iPhone 12 predictor from the tables in `data/`: `python -m mvsearch.targets.predictor.fit` rewrites its JSON.

The reference protocol, whose scale is 1, is the performance report of Xcode 14 with iOS 16: five
sources used it, and it is what a reader can repeat. The other sources' scales are fitted beside it.
"""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mvsearch.costs import OP_KINDS
from mvsearch.targets.predictor.features import KindRate, Rates
from mvsearch.targets.predictor.latency_model import LatencyModel
from mvsearch.targets.predictor.regression import Spread, conformal_half_width
from mvsearch.targets.predictor.study import Study
from mvsearch.targets.predictor.tables import DATA, data_hash, load_ops, load_rows
from mvsearch.targets.predictor.scores import Prediction, rank_correlations, summary

LEVEL = 0.9
OUTPUT = "iphone12.json"

REFERENCE_PROTOCOL = "Xcode 14 performance report, iOS 16, all compute units, float16, batch 1"
REFERENCE = frozenset({"efficientformerv2-xcode14", "nextvit-xcode14", "repnext-xcode14", "repvit-xcode14", "shvit-xcode14"})
OLD_STACK = frozenset({"efficientformer-app", "mobilevit-2021"})
"""Protocols from before iOS 16, whose attention runs up to three times slower; left out of the iOS 16 figures."""

FAMILY_OF_BLOCK = {"v1": "MobileViTv1", "v2": "MobileViTv2"}
FAMILY_WEIGHT = 3.0
"""Rows of MobileViT count for three: theirs is the space that is searched."""

SPREAD = Spread(reference=REFERENCE)


def expected_rates() -> Rates:
    """What an A14 is expected to do: the centre that every rate is drawn to.

    Dense convolution at the advertised 11 TOPS; on-chip bandwidth; transposes and SiLU slower (both are
    passes of their own). Batched matrix products are set so that patch Config B over Config A comes out
    near the published 0.81 to 0.83. A bilinear resize is expected to cost 300 us: in MobileViT's Table 6
    (arXiv 2110.02178) patch 3, which resizes six times, takes 14.7 ms, and patches 2 and 4, which do not,
    9.9 and 8.2 ms.
    """
    dense, activation, shape = 5.0, 200.0, 200.0
    gmac = {"conv": dense, "pointwise": dense, "linear": dense, "depthwise": 0.5, "matmul": 0.8}
    bandwidth = {
        "transpose": 30.0, "silu": 60.0, "relu": activation, "gelu": activation, "sigmoid": activation,
        "reshape": shape, "slice": shape, "concat": shape,
    }  # fmt: skip
    overhead = {"resize": 300.0}
    return Rates(
        base_ms=0.4,
        kinds={k: KindRate(gmac.get(k, math.inf), bandwidth.get(k, 150.0), 40.0, overhead.get(k, 0.5)) for k in OP_KINDS},
    )


def fit_iphone12() -> LatencyModel:
    """Fit, validate, and return the model that `data/iphone12.json` holds."""
    weights = dict.fromkeys(FAMILY_OF_BLOCK.values(), FAMILY_WEIGHT)
    rows = [replace(r, weight=weights.get(r.family, 1.0)) for r in load_rows()]
    study = Study(rows, load_ops(), expected_rates(), SPREAD)
    fit = study.fit()
    left_out = study.leave_family_out()
    anchored = study.leave_network_out(FAMILY_OF_BLOCK.values())
    errors: dict[str, list[float]] = defaultdict(list)
    for p in left_out:
        errors[p.network].append(p.log_error)
    # A candidate shares its family with the anchors, but lies further from them than they lie from each
    # other: its interval is between that of a network left out and that of a family left out. MobileViTv3
    # has no anchors at all, and gets the latter.
    new_family = conformal_half_width([sum(e) / len(e) for e in errors.values()], LEVEL)
    new_network = math.log(summary(anchored)["factor90"])
    return LatencyModel(
        rates=fit.rates,
        corrections={body: study.correction(fit, family) for body, family in FAMILY_OF_BLOCK.items()},
        half_width=math.sqrt((new_family**2 + new_network**2) / 2),
        heir_half_width=max(new_family, new_network),
        level=LEVEL,
        n=len(errors),
        protocol=REFERENCE_PROTOCOL,
        basis=(
            f"fitted on {len(study.rows)} published values of {len(errors)} networks, iPhone 12 family; "
            "interval from networks of families left out"
        ),
        log_scales=fit.log_scales,
        data_hash=data_hash(),
        validation=_validation(left_out, anchored, study.macs_baseline()),
    )


def _validation(
    left_out: Sequence[Prediction], anchored: Sequence[Prediction], baseline: Sequence[Prediction]
) -> dict[str, Any]:
    def recent(p: Prediction) -> bool:
        return p.protocol not in OLD_STACK

    def mobilevit(p: Prediction) -> bool:
        return p.family in FAMILY_OF_BLOCK.values()

    rows: dict[str, Any] = {}
    for name, keep in (("all", lambda _: True), ("ios16", recent), ("mobilevit", mobilevit)):
        rows[f"leave-family-out, {name}"] = summary(list(filter(keep, left_out)))
        rows[f"leave-family-out, {name}, raw"] = summary([p.unscaled() for p in left_out if keep(p)])
        rows[f"constant + MACs, {name}, raw"] = summary(list(filter(keep, baseline)))
    rows["leave-network-out, mobilevit"] = {**summary(anchored), **rank_correlations(anchored)}
    return rows


def rendered(model: LatencyModel) -> str:
    """The JSON text of the model, as it is shipped."""
    return json.dumps(model.to_json(), indent=1) + "\n"


def main() -> None:
    """Rewrite the shipped fit and print how far it is to be trusted."""
    model = fit_iphone12()
    Path(str(DATA / OUTPUT)).write_text(rendered(model), encoding="utf-8")
    for name, v in model.validation.items():
        print(f"{name:32}", "  ".join(f"{k} {x:g}" for k, x in v.items()), file=sys.stdout)


if __name__ == "__main__":
    main()

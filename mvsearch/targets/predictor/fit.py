"""Fit the phones' predictors from the tables in `data/`: `python -m mvsearch.targets.predictor.fit` rewrites their JSON.

The reference protocol of a phone has scale 1: it is what is predicted. For the iPhone 12 it is the
performance report of Xcode 14 with iOS 16, which five sources used and which a reader can repeat. The
other sources' scales are fitted beside it. A phone whose table does not suffice gets its reason instead.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mvsearch.targets.predictor.experiment import Experiment, experiment
from mvsearch.targets.predictor.latency_model import FORMAT, LatencyModel
from mvsearch.targets.predictor.phones import PHONES
from mvsearch.targets.predictor.scores import LEVEL
from mvsearch.targets.predictor.study import FAMILY_OF_BODY
from mvsearch.targets.predictor.sufficiency import shortfalls
from mvsearch.targets.predictor.tables import DATA, data_hash


def fit_phone(name: str) -> LatencyModel:
    """Fit a phone's predictor on all its rows, with intervals from what was left out.

    Raises:
        TargetError: there is no table for it.
    """
    found = experiment(name)
    study = found.study
    networks = len(study.features)
    return LatencyModel(
        rates=found.fit.rates,
        corrections={body: study.correction(found.fit, family) for body, family in FAMILY_OF_BODY.items()},
        half_width=found.widths.anchored,
        heir_half_width=found.widths.heir,
        level=LEVEL,
        n=networks,
        protocol=study.phone.protocol,
        basis=(
            f"fitted on {len(study.rows)} published values of {networks} networks, {study.phone.title}; "
            "interval from networks and families left out"
        ),
        log_scales=found.fit.log_scales,
        data_hash=data_hash(),
        validation=_validation(found),
    )


def refusal_of(found: Experiment) -> str:
    """Why the phone's table does not suffice; empty if it does."""
    return "; ".join(shortfalls(found.evidence))


def shipped_json(name: str) -> dict[str, Any]:
    """What `data/NAME.json` holds: the model, or the reason why there is none."""
    found = experiment(name)
    if reason := refusal_of(found):
        return {"format": FORMAT, "refused": reason, "data_hash": data_hash(), "validation": _validation(found)}
    return fit_phone(name).to_json()


def _validation(found: Experiment) -> dict[str, Any]:
    rows = {
        f"{r.scheme}, {r.subset}: {r.predictor}": _rounded({k: v for k, v in asdict(r).items() if not isinstance(v, str)})
        for r in found.summary
    }
    anchors = [
        _rounded({"subset": a.subset, "anchors": a.anchors, "mape_percent": a.mape_percent, "factor90": a.factor90})
        for a in found.anchors
    ]
    return {"held out": rows, "anchors": anchors, "noise_floor": round(found.floor, 4)}


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {k: round(v, 3) if isinstance(v, float) else v for k, v in values.items() if v is not None}


def rendered(data: dict[str, Any]) -> str:
    """The JSON text, as it is shipped."""
    return json.dumps(data, indent=1) + "\n"


def main() -> None:
    """Rewrite the shipped fits and print how far they are to be trusted."""
    for name in PHONES:
        data = shipped_json(name)
        Path(str(DATA / f"{name}.json")).write_text(rendered(data), encoding="utf-8")
        print(f"{name}: {'refused: ' + data['refused'] if 'refused' in data else data['basis']}", file=sys.stdout)
        for row, values in data["validation"]["held out"].items():
            print(f"  {row:72}", "  ".join(f"{k.removesuffix('_percent')} {v:g}" for k, v in values.items()), file=sys.stdout)


if __name__ == "__main__":
    main()

"""`validate_phone`: refit a phone's predictor from the shipped tables, and say how far it is to be trusted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from mvsearch.costs import lower
from mvsearch.spec.published import DEFAULT_RESOLUTION, network
from mvsearch.targets.predictor.experiment import Experiment, experiment
from mvsearch.targets.predictor.features import op_cost
from mvsearch.targets.predictor.fit import refusal_of
from mvsearch.targets.predictor.neural_engine import family_risk
from mvsearch.targets.predictor.phones import Phone
from mvsearch.targets.predictor.regression import RateFit, log_prediction
from mvsearch.targets.predictor.scores import LEVEL, NetworkError, Prediction, by_network
from mvsearch.targets.predictor.tables import OFF_NEURAL_ENGINE, data_hash, published_rows
from mvsearch.targets.predictor.validation import (
    HeldOutRow,
    PairRatio,
    PhoneValidation,
    ProtocolScale,
    Scheme,
    UnusedRow,
)

NUM_WORST = 20
CONFIG_B = {"mobilevit_xxs": None, "mobilevit_xs": 5.93 / 7.28, "mobilevit_s": 8.20 / 9.85}
"""Config B over Config A on an iPhone 12: Tables 6, 9 and 11 of arXiv 2110.02178; none is published for XXS."""


def validate_phone(name: str) -> PhoneValidation:
    """Refit from the shipped tables, leave out families and networks, and report what comes of it.

    A phone that has a table but no predictor is validated as well; `refusal` says why it has none.

    Raises:
        TargetError: no latency on it is published.
    """
    found = experiment(name)
    study = found.study
    family_out = _held_out("leave-family-out", found, found.family_out, found.unseen_family_width)
    network_out = _held_out("leave-network-out", found, found.network_out, found.unseen_network_width)
    worst = sorted(family_out, key=lambda r: -abs(math.log(r.ratio)))
    return PhoneValidation(
        target=name,
        device=study.phone.title,
        protocol=study.phone.protocol,
        rows_used=len(study.rows),
        networks=len(study.features),
        families=len(study.families),
        data_hash=data_hash(),
        level=LEVEL,
        refusal=refusal_of(found),
        held_out=(*family_out, *network_out),
        summary=found.summary,
        noise_floor=found.noise_floor,
        scales=_scales(found),
        anchors=found.anchors,
        ratios=_ratios(found),
        worst=tuple(worst[:NUM_WORST]),
        unused=_unused(found),
    )


def _held_out(
    scheme: Scheme, found: Experiment, predictions: Sequence[Prediction], half_width: Callable[[NetworkError], float]
) -> list[HeldOutRow]:
    factors = {e.network: math.exp(half_width(e)) for e in by_network(predictions)}
    rows = []
    for p in predictions:
        ms, factor = math.exp(p.predicted), factors[p.network]
        rows.append(
            HeldOutRow(
                scheme, p.network, p.family, p.protocol, found.is_recent(p), found.study.macs[p.network],
                predicted_ms=ms, low_ms=ms / factor, high_ms=ms * factor,
                published_ms=math.exp(p.published), printed_ms=math.exp(p.raw), baseline_ms=math.exp(p.line),
            )
        )  # fmt: skip
    return rows


def _scales(found: Experiment) -> tuple[ProtocolScale, ...]:
    rows, phone = found.study.rows, found.study.phone
    return tuple(
        ProtocolScale(
            protocol, math.exp(log_scale),
            sum(r.protocol == protocol for r in rows), len({r.network for r in rows if r.protocol == protocol}),
            protocol in phone.reference, protocol not in phone.old,
        )
        for protocol, log_scale in sorted(found.fit.log_scales.items(), key=lambda item: item[1])
    )  # fmt: skip


def _ratios(found: Experiment) -> tuple[PairRatio, ...]:
    out = []
    for base, published in CONFIG_B.items():
        variant = f"{base}@patch=8,4,2"
        held = {f"{n}@{DEFAULT_RESOLUTION}" for n in (base, variant)}
        fit = found.study.fit(lambda r, held=held: r.network not in held)  # type: ignore[misc]
        held_out, fitted = (math.exp(_log_ms(found, f, variant) - _log_ms(found, f, base)) for f in (fit, found.fit))
        known = published if found.study.phone.name == "iphone12" else None
        out.append(PairRatio(f"{base} Config B / Config A", held_out, known, fitted))
    return tuple(out)


def _log_ms(found: Experiment, fit: RateFit, name: str) -> float:
    ops = [op_cost(op) for part in lower(network(name), DEFAULT_RESOLUTION) for op in part.ops]
    return log_prediction(fit, found.study.expected.features(ops))


def _unused(found: Experiment) -> tuple[UnusedRow, ...]:
    phone: Phone = found.study.phone
    out = []
    for r in published_rows(phone.name):
        if not r.unused or r.latency_ms is None:
            continue
        ops = found.study.ops.get(r.network)
        predicted = math.exp(log_prediction(found.fit, found.study.expected.features(ops))) if ops else None
        off = r.unused == OFF_NEURAL_ENGINE
        out.append(
            UnusedRow(r.network, r.family, r.protocol, r.device, r.latency_ms, predicted, r.unused, off,
                      family_risk(r.family, phone.name))
        )  # fmt: skip
    return tuple(sorted(out, key=lambda u: (not u.off_neural_engine, u.network)))

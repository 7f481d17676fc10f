"""`validate_accuracy`: recompute, on the networks that are built here, how far estimated top-1 is to be trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

from mvsearch.accuracy.anchors import MOBILEVIT, data_hash, load_anchors
from mvsearch.accuracy.estimate import EXTRAPOLATING, estimate_top1
from mvsearch.accuracy.estimator import load_estimator
from mvsearch.accuracy.validation.held_out import coverage, held_out
from mvsearch.accuracy.validation.labels import knob_rows
from mvsearch.accuracy.validation.networks import judged_networks
from mvsearch.accuracy.validation.own import BLOCKS, OwnFit, OwnNetwork, in_points
from mvsearch.accuracy.validation.proxies import BATCH, IMAGE_SIDE, PROXIES, noise_images, score_network
from mvsearch.accuracy.validation.ranks import LEVEL, RESAMPLES
from mvsearch.accuracy.validation.records import AccuracyValidation, NetworkRow, OwnReport, OwnRow, Verdict
from mvsearch.accuracy.validation.scoring import Scores, judge
from mvsearch.accuracy.validation.stated import calibration_rows
from mvsearch.accuracy.validation.verdict import Candidate, verdict

RECIPE_NOISE, RECIPE_NOISE_MAX = 0.8, 3.3
"""Points of top-1 between two published recipes of one network below 15 M parameters: median and largest, from the rows
of timm's results table (see `data/SOURCE.md`)."""

Progress = Callable[[int, int, str], None]
"""Called with what is done, what there is to do, and what is at hand."""


def validate_accuracy(
    own: Sequence[OwnNetwork] = (),
    own_file: str = "",
    *,
    proxies: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> AccuracyValidation:
    """Judge the estimate, the size and two proxies on the published MobileViTs, and the estimate on the user's networks.

    Args:
        own: networks that the user has trained.
        own_file: where they come from, for the report.
        proxies: also score the untrained networks, which takes about a second per network and proxy.
        seed: of bootstrap samples, untrained weights and noise images.
        progress: told about every network that a proxy has scored.
    """
    columns = [*_sizes(), *_estimates(), *(_proxies(seed, progress) if proxies else ())]
    others = [a for a in load_anchors() if a.family != MOBILEVIT]
    fit = OwnFit(own)
    on_published = verdict(_published_candidates(OwnFit(())))
    after = verdict([*_published_candidates(fit), *_own_candidates(fit)]) if own else on_published
    return AccuracyValidation(
        data_hash=data_hash(),
        anchors=len(others),
        families=len({a.family for a in others}),
        level=LEVEL,
        resamples=RESAMPLES,
        seed=seed,
        images=f"{BATCH} images of 1/f noise at {IMAGE_SIDE} px" if proxies else "",
        networks=_networks(columns),
        proxies=judge(judged_networks(), columns, seed),
        calibration=calibration_rows(),
        knobs=knob_rows(),
        coverage=coverage(),
        recipe_noise=RECIPE_NOISE,
        recipe_noise_max=RECIPE_NOISE_MAX,
        verdict=after,
        own=_own_report(fit, own_file, on_published) if own else None,
    )


def _sizes() -> list[Scores]:
    found = judged_networks()
    return [
        Scores("params", "counted", "learnable numbers", tuple(float(j.params) for j in found)),
        Scores("activations", "counted", "outputs of convs and linear layers", tuple(float(j.activations) for j in found)),
        Scores("macs", "counted", "multiply-accumulates, attention included", tuple(float(j.macs) for j in found)),
    ]


def _estimates() -> list[Scores]:
    found = held_out()
    return [
        Scores(
            "estimate, family out", "estimated", "regression that has seen no MobileViT",
            tuple(h.family_out for h in found),
        ),
        Scores(
            "estimate, band out", "estimated", "regression with block offsets from the other size bands",
            tuple(h.band_out for h in found),
        ),
    ]  # fmt: skip


def _proxies(seed: int, progress: Progress | None) -> list[Scores]:
    networks, images = judged_networks(), noise_images(seed=seed)
    how = {"naswot": "arXiv 2006.04647", "meco": "Jiang et al., NeurIPS 2023"}
    columns, done = [], 0
    for name in PROXIES:
        scores = []
        for judged in networks:
            scores.append(score_network(name, judged.spec, images, seed))
            done += 1
            if progress is not None:
                progress(done, len(PROXIES) * len(networks), f"{name}, {judged.name}")
        values = tuple(s.value for s in scores)
        columns.append(Scores(name, "untrained network", how[name], values, fmean(s.seconds for s in scores)))
    return columns


def _networks(columns: Sequence[Scores]) -> tuple[NetworkRow, ...]:
    return tuple(
        NetworkRow(h.judged.name, h.judged.band, h.judged.top1, {c.name: c.values[i] for c in columns}, h.low, h.high)
        for i, h in enumerate(held_out())
    )


def _published_candidates(fit: OwnFit) -> list[Candidate]:
    found = []
    for j in judged_networks():
        predicted = estimate_top1(j.spec, estimator=fit.without_band(j.band)).value
        found.append(Candidate(j.spec.arch_id, j.params, j.top1, predicted, own=False))
    return found


def _own_candidates(fit: OwnFit) -> list[Candidate]:
    """Each by a refit to the others; a single one by what ships."""
    found = []
    for row in fit.rows:
        left_out = fit.left_out(row)
        predicted = estimate_top1(row.spec, row.resolution).value if left_out is None else left_out
        found.append(Candidate(row.arch_id, row.params, row.top1, predicted, own=True))
    return found


def _own_report(fit: OwnFit, file: str, before: Verdict) -> OwnReport:
    shipped, after = load_estimator(), fit.estimator()
    rows = tuple(_own_row(fit, r) for r in fit.rows)
    known = all(r.left_out is not None for r in rows)
    return OwnReport(
        file=file,
        rows=rows,
        mae_before=fmean(abs(r.shipped - r.top1) for r in rows),
        mae_after=fmean(abs((r.left_out or 0.0) - r.top1) for r in rows) if known else None,
        laboratory=in_points(after.laboratory),
        blocks_before={b: in_points(shipped.block_offsets[b]) for b in BLOCKS},
        blocks_after={b: in_points(after.block_offsets[b]) for b in BLOCKS},
        sigma_before=shipped.sigma,
        sigma_after=after.sigma,
        calibration_pairs=len(fit.pairs()),
        verdict_before=before,
    )


def _own_row(fit: OwnFit, row: OwnNetwork) -> OwnRow:
    shipped = estimate_top1(row.spec, row.resolution)
    estimator = fit.without_network(row.arch_id)
    refitted = None if estimator is None else estimate_top1(row.spec, row.resolution, estimator)
    return OwnRow(
        row.line, row.name, row.spec.arch_id, row.resolution, row.top1,
        shipped.value, shipped.low or 0.0, shipped.high or 0.0,
        None if refitted is None else refitted.value,
        None if refitted is None else refitted.low,
        None if refitted is None else refitted.high,
        EXTRAPOLATING in shipped.flags,
    )  # fmt: skip

"""How far estimated top-1 is to be trusted, as tables for the terminal and as files."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mvsearch.accuracy.validation.ranks import Statistic
from mvsearch.accuracy.validation.records import AccuracyValidation, OwnReport, ProxyResult, Verdict
from mvsearch.accuracy.validation.stated import MIN_PAIRS, TOLERANCE
from mvsearch.accuracy.validation.verdict import RULE
from mvsearch.errors import InputError
from mvsearch.report.terminal import note, percent, plain_table, titled
from mvsearch.report.words import plural

COLUMNS = ("row", "obtained", "subset", "statistic", "value", "low", "high", "n", "mark")


def render_accuracy_validation(found: AccuracyValidation) -> RenderableType:
    """The honesty report: the estimate beside plain size, stated probabilities beside what came true, own networks."""
    parts: list[RenderableType] = [
        Text("Estimated ImageNet-1k top-1 against published top-1", style="bold"),
        note(
            f"Refitted now from {found.anchors} published networks of {found.families} other families (data "
            f"{found.data_hash}); judged on the {len(found.networks)} published MobileViTs, which are built and counted here. "
            f"Nothing was trained. Below a number: its {percent(found.level)} bootstrap interval over "
            f"networks ({found.resamples:,} samples, seed {found.seed})."
        ),
        titled("Rank correlation with published top-1: Kendall's tau-b, Spearman's rho", _correlations(found)),
        titled("Pairs of equal size (of one size band): share in the right order", _equal_size(found)),
        note(
            "\nThe rule: beyond size is what orders more of the pairs right than `params` and than `activations`, both "
            f"differences with their {percent(found.level)} intervals above 0. Every row is judged alike; the estimates never "
            "know the labels that they are judged on. No proxy is used by a search."
            + (f" naswot and meco: {found.images}, one forward pass." if found.images else "")
        ),
        titled("How often the better estimate is the better network, each predicted without its family", _calibration(found)),
        note(f"\n{_calibration_sentence(found)}"),
        titled("Published pairs that differ in one thing, in points of top-1", _knobs(found)),
        titled(f"Published labels inside their {percent(found.level)} intervals, size band left out", _coverage(found)),
        note(
            f"\nNoise floor: one network's labels differ by {found.recipe_noise} points in the median between published "
            f"recipes (at most {found.recipe_noise_max}). No estimate can be nearer than that."
        ),
    ]  # fmt: skip
    if found.own is not None:
        parts += _own(found.own, found.level)
    parts.append(_verdict(found))
    return Group(*parts)


def _stacked(s: Statistic | None, suffix: str = "") -> str:
    """The number, its interval below."""
    if s is None or s.value is None:
        return ""
    interval = "" if s.low is None or s.high is None else f"\n{s.low:.2f} {s.high:.2f}"
    return f"{s.value:.2f}{suffix}{interval}"


def _name(r: ProxyResult) -> str:
    return r.name.replace(", ", ",\n")


def _correlations(found: AccuracyValidation) -> Table:
    subsets = [f"{c.subset}\n(n={c.networks})" for c in found.proxies[0].correlations]
    table = plain_table(
        ("", False), *((f"tau-b,\n{s}", True) for s in subsets), (f"rho,\n{subsets[0]}", True),
        ("rho, given\nparams,\nmacs", True),
    )  # fmt: skip
    table.padding = (0, 1, 0, 0)
    for r in found.proxies:
        kendalls = (_stacked(c.kendall) for c in r.correlations)
        table.add_row(_name(r), *kendalls, _stacked(r.correlations[0].spearman), _stacked(r.partial))
    return table


def _equal_size(found: AccuracyValidation) -> Table:
    pairs = found.proxies[0].pairs
    table = plain_table(
        ("", False), ("obtained", False), (f"right,\nof {pairs} pairs", True), ("more than\nparams", True),
        ("more than\nactivations", True), ("by the rule below", False), ("s per\nnetwork", True), ("failed", True),
    )  # fmt: skip
    table.padding = (0, 1, 0, 0)
    for r in found.proxies:
        right = _stacked(r.right, "" if r.pairs == pairs else f" of {r.pairs}")
        seconds, failures = ("", "") if r.seconds is None else (f"{r.seconds:.2f}", str(r.failures))
        over = (_stacked(r.over_params), _stacked(r.over_activations))
        table.add_row(
            _name(r), r.obtained.replace(" ", "\n"), right, *over, "is size" if r.mark == "size" else r.mark, seconds, failures
        )
    return table


def _calibration(found: AccuracyValidation) -> Table:
    table = plain_table(
        ("gap of the estimates", False), ("pairs", True), ("stated", True), ("stated by a table\nwithout the families", True),
        ("came true", True), (f"within {TOLERANCE:g}", False),
    )  # fmt: skip
    last = ""
    for r in found.calibration:
        if r.kind != last:
            if last:
                table.add_section()
            table.add_row(r.kind, style="bold")
            last = r.kind
        gap = f"  {r.low:g} to {r.high:g} points" if r.high is not None else f"  {r.low:g} points and more"
        within = "too few" if r.pairs < MIN_PAIRS else "yes" if r.error <= TOLERANCE else "NO"
        table.add_row(gap, f"{r.pairs:,}", f"{r.stated:.2f}", f"{r.stated_held_out:.2f}", f"{r.observed:.2f}", within)
    return table


def _calibration_sentence(found: AccuracyValidation) -> str:
    judged = [r for r in found.calibration if r.pairs >= MIN_PAIRS]
    off = [r for r in judged if r.error > TOLERANCE]
    worst = max(r.error for r in judged)
    if off:
        return (
            f"In {len(off)} of {len(judged)} bins with {MIN_PAIRS} pairs or more a stated probability misses what came true by "
            f"more than {TOLERANCE:g} (at most {worst:.2f})."
        )
    return (
        f"In all {len(judged)} bins with {MIN_PAIRS} pairs or more both stated probabilities lie within {TOLERANCE:g} of what "
        f"came true (at most {worst:.2f} away)."
    )


def _knobs(found: AccuracyValidation) -> Table:
    table = plain_table(
        ("", False), ("published", True), ("estimated", True), ("error", True), ("sign", False), ("labels were", False)
    )
    table.padding = (0, 1, 0, 0)
    last = ""
    for k in found.knobs:
        if last and k.knob != last:
            table.add_section()
        last = k.knob
        sign = "right" if k.sign_right else "none" if k.estimated == 0 else "WRONG"
        table.add_row(k.change, f"{k.published:+.2f}", f"{k.estimated:+.2f}", f"{k.error:+.2f}", sign, k.seen)
    return table


def _coverage(found: AccuracyValidation) -> Table:
    table = plain_table(
        ("networks; the intervals' width", False), ("inside", True), ("half\nwidth", True), ("mean\nerror", True)
    )
    for c in found.coverage:
        table.add_row(c.subset, f"{c.inside} of {c.networks}", f"{c.half_width:.2f}", f"{c.mae:.2f}")
    return table


def _own(own: OwnReport, level: float) -> list[RenderableType]:
    table = plain_table(
        ("line", True), ("network", False), ("your\ntop-1", True), ("shipped\nestimate", True), ("refitted,\nleft out", True),
        (f"its {percent(level)}\ninterval", True), ("error\nbefore", True), ("after", True),
    )  # fmt: skip
    table.padding = (0, 1, 0, 0)
    for r in own.rows:
        name = f"{r.network}@{r.resolution}" + (" (extrapolating)" if r.extrapolating else "")
        after = "" if r.left_out is None else f"{r.left_out:.1f}"
        interval = "" if r.low is None or r.high is None else f"{r.low:.1f} to {r.high:.1f}"
        table.add_row(
            str(r.line), name, f"{r.top1:.2f}", f"{r.shipped:.1f}", after, interval, f"{r.shipped - r.top1:+.2f}",
            "" if r.left_out is None else f"{r.left_out - r.top1:+.2f}",
        )  # fmt: skip
    after = "one network alone cannot be left out" if own.mae_after is None else f"{own.mae_after:.2f}"
    offsets = plain_table(("in points", False), ("shipped", True), ("with yours", True))
    offsets.add_row("mean absolute error on your networks (refitted: each left out)", f"{own.mae_before:.2f}", after)
    offsets.add_row("your recipe against the published ones, at 75 % (shrunk)", "", f"{own.laboratory:+.2f}")
    for block, before in own.blocks_before.items():
        offsets.add_row(f"offset of {block} blocks, at 75 % (shrunk)", f"{before:+.2f}", f"{own.blocks_after[block]:+.2f}")
    offsets.add_row("standard deviation of the error at published shapes", f"{own.sigma_before:.2f}", f"{own.sigma_after:.2f}")
    added = plural(own.calibration_pairs, "pair")
    return [
        titled(f"Your {plural(len(own.rows), 'network')} of {own.file}: trained by you, not checked here", table),
        Text(),
        offsets,
        note(f"\n{added} of your networks, each predicted without itself, went into the calibration table."),
    ]


def _verdict(found: AccuracyValidation) -> RenderableType:
    lines = [f"Verdict {found.verdict.letter}: {found.verdict.meaning}. {_pairs(found.verdict)}"]
    if found.own is not None:
        before = found.own.verdict_before
        lines.append(f"Without your networks: {before.letter}. {_pairs(before)}")
    return Group(Text(f"\n{lines[0]}", style="bold"), *(note(line) for line in lines[1:]), note(f"The rule, {RULE}."))


def _pairs(verdict: Verdict) -> str:
    if verdict.share is None:
        return "No two networks have params within 20 %."
    text = f"{percent(verdict.share)} of {plural(verdict.pairs, 'pair')} with params within 20 % are in the right order"
    if verdict.own_share is not None:
        text += f"; of those with one of yours, {percent(verdict.own_share)} of {verdict.own_pairs}"
    return text + "."


def write_accuracy_validation(found: AccuracyValidation, folder: Path) -> tuple[Path, ...]:
    """Write `accuracy.json` (everything), `accuracy.csv` (the table, a statistic per line), `accuracy.svg` and `accuracy.png`.

    Raises:
        InputError: the folder cannot be written.
    """
    from mvsearch.report.accuracy_picture import draw_accuracy_validation

    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = tuple(folder / f"accuracy.{suffix}" for suffix in ("json", "csv", "svg", "png"))
        paths[0].write_text(json.dumps(found.to_json(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        with paths[1].open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for r in found.proxies:
                writer.writerows(_lines(r))
        draw_accuracy_validation(found, paths[2:])
    except OSError as error:
        raise InputError(f"cannot write into `{folder}`: {error.strerror}", "give an `--out` that can be written") from None
    return paths


def _lines(r: ProxyResult) -> Iterator[tuple[object, ...]]:
    every = r.correlations[0].networks
    for c in r.correlations:
        yield _line(r, c.subset, "kendall tau-b", c.kendall, c.networks)
        yield _line(r, c.subset, "spearman rho", c.spearman, c.networks)
    yield _line(r, "all", "spearman rho given params and macs", r.partial, every)
    yield _line(r, "iso-size pairs", "share in the right order", r.right, r.pairs)
    yield _line(r, "iso-size pairs", "share above that of params", r.over_params, r.pairs)
    yield _line(r, "iso-size pairs", "share above that of activations", r.over_activations, r.pairs)
    if r.seconds is not None:
        yield r.name, r.obtained, "all", "seconds per network", f"{r.seconds:.3f}", "", "", every, r.mark
        yield r.name, r.obtained, "all", "failures", r.failures, "", "", every + r.failures, r.mark


def _line(r: ProxyResult, subset: str, name: str, s: Statistic | None, n: int) -> tuple[object, ...]:
    ends = ("", "", "") if s is None else ("" if v is None else f"{v:.4f}" for v in (s.value, s.low, s.high))
    return r.name, r.obtained, subset, name, *ends, n, r.mark

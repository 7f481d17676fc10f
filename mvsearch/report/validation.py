"""How far a latency predictor is to be trusted, as tables for the terminal and as files."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mvsearch.errors import InputError
from mvsearch.report.terminal import note, percent, plain_table, titled
from mvsearch.report.words import plural
from mvsearch.targets.predictor.validation import HeldOutRow, PhoneValidation, SummaryRow

if TYPE_CHECKING:
    from mvsearch.targets.predictor.calibration import CalibrationReport

SCHEMES = {"leave-family-out": "a family at a time", "leave-network-out": "a network at a time"}
NUM_WORST = 8


def render_validation(found: PhoneValidation) -> RenderableType:
    """The honesty report: errors on what the fit has not seen; beside them the baseline and the noise between laboratories."""
    parts: list[RenderableType] = [
        Text(f"Predicted latency on {found.target} against published latencies of {found.device}", style="bold"),
        note(
            f"Refitted now from the shipped table: {found.rows_used} published values of {found.networks} networks of "
            f"{found.families} families (data {found.data_hash}). Nothing was measured here. Predicted is: {found.protocol}."
        ),
    ]
    if found.refusal:
        parts.append(note(f"No predictor is shipped for it: {found.refusal}."))
    parts += [
        titled("What a fit says that has not seen the network, or its family", _summary(found.summary, found.level)),
        titled("Noise floor: one network on one device, two laboratories", _noise(found)),
    ]
    if found.anchors:
        parts.append(titled("What own measurements do (simulated on published families and laboratories)", _anchors(found)))
    if found.ratios:
        parts.append(titled("One network over another", _ratios(found)))
    parts.append(titled("Largest errors, family held out", _worst(found.worst[:NUM_WORST])))
    off = [r for r in found.unused if r.off_neural_engine]
    if off:
        parts.append(titled("Left out: an operation fell off the Neural Engine", _off_engine(found)))
    parts.append(titled("Scale of every protocol over the reference", _scales(found)))
    return Group(*parts)


def _summary(rows: Iterable[SummaryRow], level: float) -> Table:
    table = plain_table(
        ("held out: networks\n  predictor", False), ("n", True), ("mean\nerror", True), ("median\nerror", True),
        ("Spear-\nman", True), ("Ken-\ndall", True), (f"{percent(level)}\nwithin", True),
        ("inside\nintervals", True), ("their\nfactor", True),
    )  # fmt: skip
    table.columns[0].min_width = 33
    table.padding = (0, 1, 0, 0)
    last = ""
    for r in rows:
        group = r.subset if ": " in r.subset else f"{SCHEMES[r.scheme]}: {r.subset}"
        if group != last:
            if last:
                table.add_section()
            table.add_row(group, style="bold")
            last = group
        table.add_row(
            f"  {r.predictor}", str(r.networks), f"{r.mape_percent:.1f} %", f"{r.median_percent:.1f} %",
            f"{r.spearman:.3f}", f"{r.kendall:.3f}", f"x/÷ {r.factor90:.2f}",
            "" if r.coverage is None else f"{100 * r.coverage:.1f} %",
            "" if r.interval_factor is None else f"x/÷ {r.interval_factor:.2f}",
            style="dim" if "MACs" in r.predictor else "",
        )  # fmt: skip
    return table


def _noise(found: PhoneValidation) -> Table:
    table = plain_table(
        ("pairs of rows", False), ("values", False), ("pairs", True), ("mean\ndifference", True),
        ("median", True), ("within\n10 %", True), ("within\n20 %", True),
    )  # fmt: skip
    for f in found.noise_floor:
        table.add_row(
            f.subset, f.how, str(f.pairs), f"{f.mape_percent:.1f} %", f"{f.median_percent:.1f} %",
            percent(f.within_10), percent(f.within_20),
        )  # fmt: skip
    return table


def _anchors(found: PhoneValidation) -> Table:
    table = plain_table(
        ("families", False), ("own measurements", True), ("tried", True), ("mean error\nof the rest", True), ("median", True),
        (f"{percent(found.level)} of errors\nwithin", True),
    )  # fmt: skip
    for a in found.anchors:
        table.add_row(
            a.subset, str(a.anchors), f"{a.trials:,}", f"{a.mape_percent:.1f} %", f"{a.median_percent:.1f} %",
            f"x/÷ {a.factor90:.2f}",
        )  # fmt: skip
    return table


def _ratios(found: PhoneValidation) -> Table:
    table = plain_table(
        ("networks", False), ("predicted,\nboth held out", True), ("predicted,\nshipped fit", True), ("published", True)
    )
    for r in found.ratios:
        published = "" if r.published is None else f"{r.published:.2f}"
        table.add_row(r.name, f"{r.predicted:.2f}", f"{r.fitted:.2f}", published)
    return table


def _worst(rows: Sequence[HeldOutRow]) -> Table:
    table = plain_table(
        ("network", False), ("protocol", False), ("published ms,\nas printed", True), ("at the\nreference", True),
        ("predicted\nms", True), ("interval", True), ("ratio", True),
    )  # fmt: skip
    for r in rows:
        table.add_row(
            r.network, r.protocol, f"{r.printed_ms:.2f}", f"{r.published_ms:.2f}", f"{r.predicted_ms:.2f}",
            f"{r.low_ms:.2f} to {r.high_ms:.2f}", f"{r.ratio:.2f}",
        )  # fmt: skip
    return table


def _off_engine(found: PhoneValidation) -> Table:
    table = plain_table(
        ("network", False),
        ("protocol", False),
        ("published\nms", True),
        ("predicted\nms", True),
        ("flag of the predictor", False),
    )
    for r in found.unused:
        if r.off_neural_engine:
            predicted = "" if r.predicted_ms is None else f"{r.predicted_ms:.2f}"
            table.add_row(r.network, r.protocol, f"{r.printed_ms:.2f}", predicted, r.risk or "none")
    return table


def _scales(found: PhoneValidation) -> Table:
    table = plain_table(("protocol", False), ("scale", True), ("rows", True), ("networks", True), ("", False))
    for s in found.scales:
        role = "reference" if s.reference else "" if s.recent else "older software than iOS 16"
        table.add_row(s.protocol, f"{s.scale:.2f}", str(s.rows), str(s.networks), role)
    return table


def write_validation(found: PhoneValidation, folder: Path) -> tuple[Path, ...]:
    """Write `validation.json`, `validation.csv` (every held-out row), `validation.svg` and `validation.png`.

    Raises:
        InputError: the folder cannot be written.
    """
    from mvsearch.report.validation_picture import draw_validation

    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = tuple(folder / f"validation.{suffix}" for suffix in ("json", "csv", "svg", "png"))
        paths[0].write_text(json.dumps(found.to_json(), indent=1) + "\n", encoding="utf-8")
        names = [f.name for f in fields(HeldOutRow)]
        with paths[1].open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*names, "inside", "ratio"])
            for row in found.held_out:
                writer.writerow([*asdict(row).values(), row.inside, f"{row.ratio:.4f}"])
        draw_validation(found, paths[2:])
    except OSError as error:
        raise InputError(f"cannot write into `{folder}`: {error.strerror}", "give an `--out` that can be written") from None
    return paths


def render_calibration(found: CalibrationReport) -> RenderableType:
    """What a refit to one's own measurements did to the error."""
    after = "one row alone cannot be left out" if found.mape_after is None else f"{found.mape_after:.1f} %"
    table = plain_table(
        ("line", True), ("network", False), ("measured\nms", True), ("shipped\npredicts", True),
        ("calibrated,\nrow left out", True), ("calibrated,\ninterval", True),
    )  # fmt: skip
    for r in found.rows:
        table.add_row(
            str(r.line), f"{r.network}@{r.resolution}", f"{r.measured_ms:.2f}", f"{r.before_ms:.2f}",
            "" if r.after_ms is None else f"{r.after_ms:.2f}", f"{r.low_ms:.2f} to {r.high_ms:.2f}",
        )  # fmt: skip
    errors = plain_table(("", False), ("shipped", True), ("calibrated", True))
    errors.add_row("mean error on these rows (calibrated: each left out)", f"{found.mape_before:.1f} %", after)
    errors.add_row(
        f"mean error expected of {plural(found.anchors, 'measurement')} (simulated on published families)",
        f"{found.expected_mape_before:.1f} %", f"{found.expected_mape_after:.1f} %",
    )  # fmt: skip
    errors.add_row(
        f"{percent(found.level)} interval of a MobileViT v1 or v2",
        f"x/÷ {found.factor_before:.2f}",
        f"x/÷ {found.factor_after:.2f}",
    )
    parts: list[RenderableType] = [
        Text(f"{found.target}, calibrated with {plural(found.anchors, 'network')} of {found.csv}", style="bold"),
        table,
        Text(),
        errors,
        note(f"\nYour latencies lie at {found.scale:.2f} times the reference protocol's."),
    ]
    parts += [note(f"note: {w}") for w in found.warnings]
    return Group(*parts)

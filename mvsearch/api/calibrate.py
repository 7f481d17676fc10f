"""Refit a phone's predictor to anybody's own measurements."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.errors import InputError
from mvsearch.files import parse_json, read_bytes, share
from mvsearch.spec.plain import shown
from mvsearch.targets.predictor.calibration import CalibrationReport, CalibrationRow

if TYPE_CHECKING:
    from mvsearch.targets.predictor.latency_model import LatencyModel
    from mvsearch.targets.predictor.validation import AnchorEffect

__all__ = ["CalibrationReport", "CalibrationRow", "calibrate", "load_calibration"]

FORMAT = 1
KIND = "mvsearch calibration"
WIDE = 1.25
"""Intervals that own measurements widen by more than this are warned of."""
STRANGE = 2.0
"""A measurement off what the others predict for it by more than this is warned of."""


def calibrate(csv: Path, target: str, out: Path | None = None) -> CalibrationReport:
    """Refit a phone's predictor to one's own measurements.

    Args:
        csv: columns `network` (published name, architecture's JSON file or library entry's folder), `ms`, and
            perhaps `resolution`, `protocol`, `note`.
        target: a phone that has a predictor.
        out: file for the refitted predictor, which `load_calibration` reads; replaced only once all has gone well.

    Raises:
        InputError: every fault of the CSV at once; or `out` cannot be written. Nothing is written then.
        TargetError: the phone has no predictor.
    """
    from mvsearch.api.measured_csv import read_measured_csv
    from mvsearch.targets.predictor.calibrated import OwnRow, calibrated, effects_for
    from mvsearch.targets.predictor.phones import get_phone
    from mvsearch.targets.predictor.scores import mape
    from mvsearch.targets.predictor.shipped import shipped_model

    csv, phone = Path(csv), get_phone(target).name
    shipped = shipped_model(phone)
    if out is not None:
        out = _writable(Path(out), csv)
    content = _content(csv)
    measured = read_measured_csv(csv, content, shipped, phone)
    own = [OwnRow(f"{m.arch_id}@{m.resolution}", m.parts, m.ms) for m in measured]
    found = calibrated(phone, own)
    rows, factors = [], []
    for m, row, value in zip(measured, own, found.left_out_ms or (None,), strict=True):
        before, now = shipped.predict(row.parts, target=phone), found.model.predict(row.parts, target=phone)
        assert before.high and now.low and now.high
        factors.append((math.log(before.high / before.value), math.log(now.high / now.value)))
        rows.append(CalibrationRow(m.line, m.network, m.resolution, m.ms, before.value, value, now.low, now.high))
    blocks = sorted({*shipped.corrections, *found.model.corrections})
    report = CalibrationReport(
        target=phone,
        csv=str(csv),
        csv_hash=_hash(content),
        anchors=len(rows),
        scale=found.scale,
        mape_before=mape(math.log(r.before_ms / r.measured_ms) for r in rows),
        mape_after=mape(math.log(r.after_ms / r.measured_ms) for r in rows if r.after_ms) if len(rows) > 1 else None,
        expected_mape_before=_expected(effects_for(phone), 0),
        expected_mape_after=_expected(effects_for(phone), len(rows)),
        factor_before=math.exp(sum(f for f, _ in factors) / len(factors)),
        factor_after=math.exp(sum(f for _, f in factors) / len(factors)),
        level=shipped.level,
        corrections={b: (_factor(shipped, b), _factor(found.model, b)) for b in blocks},
        rows=tuple(rows),
        disagreement=found.disagreement,
        warnings=_warnings(rows, found.disagreement),
    )
    if out is not None:
        _write(out, _to_json(found.model, report))
    return report


def load_calibration(path: Path, target: str) -> LatencyModel:
    """The predictor that `calibrate` wrote.

    Raises:
        InputError: not such a file, or its content has changed.
        TargetError: it was made for another target.
    """
    from mvsearch.errors import TargetError
    from mvsearch.targets.predictor.latency_model import LatencyModel
    from mvsearch.targets.predictor.phones import get_phone

    hint = "make one with `mvsearch calibrate --csv FILE`"
    try:
        data = parse_json(read_bytes(Path(path)))
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {error.strerror}", hint) from None
    except ValueError as error:
        raise InputError(f"`{path}` is not a calibration: no JSON: {error}", hint) from None
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise InputError(f"`{path}` is not a calibration", hint)
    if data.get("format") != FORMAT:
        raise InputError(
            f"`{path}` is a calibration of format `{shown(data.get('format'))}`, this version reads {FORMAT}", hint
        )
    if data.get("model_hash") != _hash(_canonical(data.get("model"))):
        raise InputError(f"`{path}` was changed after it was written, or is incomplete", hint)
    if data.get("target") != get_phone(target).name:
        raise TargetError(
            f"`{path}` was made for `{shown(data.get('target'))}`, not for `{target}`", "calibrations of two phones differ"
        )
    try:
        return LatencyModel.from_json(data["model"])
    except ValueError as error:
        raise InputError(f"`{path}` is no calibration of use: {error}", hint) from None


def _to_json(model: LatencyModel, report: CalibrationReport) -> dict[str, Any]:
    plain = json.loads(json.dumps(model.to_json()))
    return {
        "kind": KIND,
        "format": FORMAT,
        "target": report.target,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "csv": Path(report.csv).name,
        "csv_hash": report.csv_hash,
        "networks": report.anchors,
        "scale": report.scale,
        "model_hash": _hash(_canonical(plain)),
        "model": plain,
    }


def _canonical(model: Any) -> bytes:
    return json.dumps(model, sort_keys=True).encode()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _content(csv: Path) -> bytes:
    try:
        return read_bytes(csv)
    except OSError as error:
        raise InputError(f"cannot read `{csv}`: {error.strerror}", "a CSV file with columns `network` and `ms`") from None


def _expected(effects: tuple[AnchorEffect, ...], anchors: int) -> float:
    """Simulated error with so many anchors: on MobileViT, or on all families where that could not be simulated."""
    k = min(anchors, max(e.anchors for e in effects))
    chosen = [e for e in effects if e.anchors == k]
    return next((e for e in chosen if e.subset == "MobileViT"), chosen[0]).mape_percent


def _factor(model: LatencyModel, block: str) -> float:
    from mvsearch.targets.predictor.latency_model import body_of

    known = model.corrections.get(block) or model.corrections.get(body_of(block))
    return math.exp(known.log_factor) if known else 1.0


def _warnings(rows: list[CalibrationRow], disagreement: float) -> tuple[str, ...]:
    out = []
    if disagreement > WIDE:
        out.append(f"the measurements lie further apart than published ones do: intervals are {disagreement:.1f} times as wide")
    for r in rows:
        if r.after_ms and not 1 / STRANGE <= r.measured_ms / r.after_ms <= STRANGE:
            out.append(
                f"line {r.line}: `{r.network}` took {r.measured_ms:g} ms, {r.measured_ms / r.after_ms:.2g} times what the "
                "others predict for it: an operation off the Neural Engine, or another protocol?"
            )
    if len(rows) == 1:
        out.append("one measurement tells the scale only; the error after calibration needs two")
    return tuple(out)


def _writable(out: Path, csv: Path) -> Path:
    if out.is_dir():
        raise InputError(f"`{out}` is a folder", "name a file, e.g. `calibration.json`")
    if out.exists() and csv.exists() and out.samefile(csv):
        raise InputError(f"`{out}` holds the measurements", "name another file for the calibration")
    return out


def _write(out: Path, data: dict[str, Any]) -> None:
    """Replace the file in one step."""
    temporary = ""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place, thus on the same disk, where a move is one step.
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=out.parent, prefix=f".{out.name}-", delete=False) as f:
            temporary = f.name
            f.write(json.dumps(data, indent=1) + "\n")
        share(Path(temporary))
        Path(temporary).replace(out)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise InputError(f"`{out}` could not be written: {error.strerror or error}", "nothing was changed there") from error

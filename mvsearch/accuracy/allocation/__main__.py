"""Effects of how a fixed size is spent, from trained networks: `python -m mvsearch.accuracy.allocation [CSV]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from mvsearch.accuracy.allocation.cases import EXPLOITED, THINNED
from mvsearch.accuracy.allocation.effects import EffectFit
from mvsearch.accuracy.allocation.findings import TRANSFER, Finding, Findings, findings
from mvsearch.accuracy.allocation.table import SHIPPED, Result, read_results
from mvsearch.errors import InputError


def lines(results: Sequence[Result]) -> list[str]:
    """The table of effects, in words and numbers."""
    found = findings(results)
    one = results[0]
    text = [
        f"{found.top1.networks} networks of equal params and activations, {found.top1.trainings} trainings of {one.steps} "
        f"steps on {one.device} at {one.resolution} px,",
        f"scored on {one.num_val:,} images. Trained on a small task: these points are not ImageNet's.",
        "An effect is that of one doubling (or of one change of kind), with the widths that pay for it.",
        "",
        f"{'knob':<24}{'top-1, points':>17}{'t':>7}{'p (Holm)':>10}{'loss, nats':>19}{'nets':>6}{'runs':>6}  used for",
    ]
    text += [_line(f, found.loss) for f in found.findings]
    if found.top1.undetermined:
        text.append(f"not determined yet: {', '.join(found.top1.undetermined)}")
    text += ["", *_noise(found), *_exchange(found), *_cases(results)]
    if not any(f.effect.significant for f in found.findings):
        text.append("No effect stands out from noise: nothing of this is used.")
    return text


def _line(finding: Finding, loss: EffectFit) -> str:
    e, other = finding.effect, loss.effect(finding.effect.knob)
    nats = f"{other.value:+.3f} +- {other.se:.3f}" if other else ""
    star = "*" if e.significant else " "
    translated = ""
    if finding.translated is not None and e.significant:
        translated = f" ({finding.translated:+.1f} +- {finding.translated_se:.1f} points of the estimate)"
    return (
        f"{e.knob:<24}{e.value:>+9.2f} +- {e.se:.2f}{star}{e.t:>6.1f}{e.p_holm:>10.3f}{nats:>19}"
        f"{e.networks:>6}{e.trainings:>6}  {finding.use}: {finding.why}{translated}"
    )


def _noise(found: Findings) -> list[str]:
    fit = found.top1
    noise = "unknown, no network has two seeds" if fit.noise is None else f"{fit.noise:.2f} points ({fit.noise_dof} d.f.)"
    return [
        f"Noise of one training over seeds: {noise}. What the line misses of a network beyond it: {fit.misfit:.2f} points.",
        f"Tests with {fit.dof} d.f.; * is significant at 5 % over all knobs (Holm).",
        f"Params and activations off the base's are corrected for, by {found.largest_correction:.2f} points at most.",
    ]


def _exchange(found: Findings) -> list[str]:
    x = found.exchange
    if x is None:
        return ["No exchange rate to the estimate's points: base and thinned network are not trained, or do not differ."]
    return [
        f"One trained point stands for {x.value:.2f} +- {x.se:.2f} of the estimate's: base to thinned v3-XS, estimated "
        f"{x.estimated:+.1f}, trained {x.trained:+.1f} +- {x.trained_se:.1f}.",
        f"That knobs translate like size is an assumption; its error is taken as {TRANSFER:.0%} of the effect.",
    ]


def _cases(results: Sequence[Result]) -> list[str]:
    text = []
    for name in (EXPLOITED, THINNED):
        top1 = [f"{r.top1:.1f}" for r in results if r.name == name]
        if top1:
            text.append(f"Case `{name}`: trained top-1 {', '.join(top1)} % (one per seed).")
    return text


def main(arguments: Sequence[str]) -> int:
    """Print the table."""
    try:
        print("\n".join(lines(read_results(Path(arguments[0]) if arguments else SHIPPED))))
    except InputError as error:
        print(f"error: {error.message}\n\nhint: {error.hint}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

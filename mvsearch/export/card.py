"""The model card of a library entry, in the Hugging Face Hub's format; a pure function of what the entry says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mvsearch.spec.arch import from_json
from mvsearch.spec.published import FAMILIES, Family, family_of

_KINDS = {
    "counted": "exact, from the architecture",
    "predicted": "by a model fitted on other networks' measurements; not measured",
    "estimated": "by a model fitted on published results; not measured",
    "measured": "measured by us, on this network",
    "published": "reported by others",
}
_NAMES = {
    "params": "Parameters",
    "macs": "MACs",
    "flops": "FLOPs",
    "activations": "Activations",
    "weight_bytes": "Weights (float16)",
    "peak_memory": "Peak activation memory (float16)",
    "latency": "Latency",
    "top1": "ImageNet-1k top-1",
}
_FILES = {
    "config.json": "what the network is and what it takes",
    "model.safetensors": "weights, float32",
    "metrics.json": "every number with its provenance, for programs",
}


def render(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """The card's text.

    Args:
        config: the entry's `config.json`.
        metrics: the entry's `metrics.json`.
    """
    sections = (
        _front_matter(config, metrics),
        f"# {title(config)}\n\n**{weights_line(config)}**",
        _what(config),
        _numbers(metrics),
        _usage(config),
        *_exports(metrics),
        *_sureness(metrics),
        _provenance(config, metrics),
        _open(config, metrics),
        _files(metrics),
    )
    return "\n\n".join(sections) + "\n"


def title(config: Mapping[str, Any]) -> str:
    """Name of the network: the published one, or what it is and its `arch_id`."""
    return str(config["name"] or f"{_family(config).title} network {config['arch']['arch_id']}")


def weights_line(config: Mapping[str, Any]) -> str:
    """Whether it is trained, in one sentence."""
    if config["weights"]["status"] == "trained":
        return "Trained weights."
    seed = config["weights"]["seed"]
    return f"Initial weights: not trained{f' (seed {seed})' if seed is not None else ''}."


def _family(config: Mapping[str, Any]) -> Family:
    return FAMILIES[family_of(from_json(config["arch"]))]


def _front_matter(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    tags = [_family(config).title.lower(), "neural-architecture-search", "mvsearch", *sorted(metrics["exports"])]
    if config["weights"]["status"] == "initial":
        tags.append("untrained")
    return "\n".join(
        [
            "---",
            "library_name: mvsearch",
            "license: apache-2.0",
            "pipeline_tag: image-classification",
            "tags:",
            *(f"- {tag}" for tag in tags),
            "---",
        ]
    )


def _what(config: Mapping[str, Any]) -> str:
    arch, (channels, height, width) = config["arch"], config["input"]["shape"]
    rows = [f"| stem | {arch['stem']['kind']} | {arch['stem']['channels']} | | | | | |"]
    for i, stage in enumerate(arch["stages"]):
        switches = [k for k in ("dw_local", "fuse_1x1", "concat_local", "residual") if stage.get(k)]
        cells = (
            f"stages.{i}",
            stage["kind"] + (f" + {', '.join(switches)}" if switches else ""),
            stage["channels"],
            f"{stage['expansion']:g}" if "expansion" in stage else "",
            stage.get("dim", ""),
            _layers(stage),
            " ".join(f"{r:g}" for r in stage.get("ffn_ratios", [stage["ffn_ratio"]] if "ffn_ratio" in stage else [])),
            "x".join(map(str, stage["patch"])) if "patch" in stage else "",
        )
        rows.append(f"| {' | '.join(map(str, cells))} |")
    norm = f", norm `{arch['norm']}` in its transformers" if "norm" in arch else ""
    rows.append(f"| head | {arch['head']['kind']} | {arch['num_classes']} classes | | | | | |")
    return "\n".join(
        [
            "## What it is",
            "",
            f"An image classifier of the {_family(config).title} family, `arch_id` `{arch['arch_id']}`, "
            f"activation `{arch['activation']}`{norm}. "
            f"It takes {height} x {width} images, {channels} channels ({config['input']['channels']}, channels first), "
            f"values in [0, 1], without mean or standard deviation, and gives {arch['num_classes']} logits.",
            "",
            "| part | kind | channels | expansion | transformer width | layers | FFN ratio | patch |",
            "|---|---|---|---|---|---|---|---|",
            *rows,
        ]
    )


def _layers(stage: Mapping[str, Any]) -> str:
    ratios = stage.get("ffn_ratios")
    number = str(len(ratios) if ratios else stage.get("depth", stage.get("num_blocks", "")))
    return f"{number}, the last {stage['attention']} attend" if stage.get("attention") else number


def _numbers(metrics: Mapping[str, Any]) -> str:
    lines = [
        f"## Numbers, at {metrics['resolution']} pixels and batch size 1",
        "",
        "| what | value | kind | interval | basis |",
        "|---|---|---|---|---|",
    ]
    measurements = metrics["measurements"].values()
    for m in measurements:
        name = _NAMES.get(m["metric"], m["metric"]) + (f", {m['target']}" if m["target"] else "")
        interval = ""
        if m["low"] is not None and m["high"] is not None:
            level = f" ({100 * m['level']:g} %)" if m["level"] else ""
            interval = f"{_number(m['low'])} to {_number(m['high'])}{level}"
        basis = "; ".join(filter(None, (m["basis"], m["protocol"], ", ".join(m["flags"]))))
        value = " ".join(filter(None, (_number(m["value"], m["kind"] == "counted"), m["unit"])))
        kind = m["kind"] + (f", n = {m['n']}" if m["n"] else "")
        lines.append(f"| {name} | {value} | {kind} | {interval} | {_cell(basis)} |")
    kinds = [k for k in _KINDS if any(m["kind"] == k for m in measurements)]
    return "\n".join([*lines, "", *(f"- *{kind}*: {_KINDS[kind]}" for kind in kinds)]).rstrip()


def _usage(config: Mapping[str, Any]) -> str:
    shape = ", ".join(map(str, config["input"]["shape"]))
    return f"""## How to load it

In this folder, with mvsearch installed:

```python
import mvsearch
import torch

model = mvsearch.load(".")  # a torch.nn.Module in eval mode
images = torch.rand(1, {shape})  # {config["input"]["channels"]}, values in [0, 1]
with torch.inference_mode():
    logits = model(images)  # (1, {config["classes"]["count"]})
```"""


_SURENESS = ("probability_on_front", "runner_up", "probability_runner_up_better")


def _sureness(metrics: Mapping[str, Any]) -> list[str]:
    """How sure the choice of this network is, where a search has said so."""
    on_front, runner_up, better = (metrics["provenance"].get(k) for k in _SURENESS)
    if not isinstance(on_front, int | float):
        return []
    lines = [
        "## How sure the choice is",
        "",
        f"- With probability {on_front:.2f}, no other candidate of the search is as accurate and as fast in truth, "
        "and the budget is kept.",
    ]
    if runner_up and isinstance(better, int | float):
        flip = ": between the two it is a coin flip" if 0.4 <= better <= 0.6 else ""
        lines.append(
            f"- The runner-up, `{runner_up}`, is the better choice with probability {better:.2f} (more accurate by "
            f"0.5 points or more, or less than that apart and faster){flip}."
        )
    return ["\n".join([*lines, "- Worked out from the intervals above and from what two networks share of their errors."])]


def _provenance(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    provenance = {k: v for k, v in metrics["provenance"].items() if k not in _SURENESS}
    command = provenance.pop("command", None)
    lines = ["## How it was found", ""]
    if command:
        lines += ["```sh", str(command), "```", ""]
    lines += [f"- {key.replace('_', ' ')}: {_plain(value)}" for key, value in provenance.items()]
    lines.append(f"- written by: mvsearch {config['mvsearch_version']}")
    return "\n".join(lines)


def _open(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    by_kind: dict[str, list[str]] = {}
    for m in metrics["measurements"].values():
        by_kind.setdefault(m["kind"], []).append(
            _NAMES.get(m["metric"], m["metric"]) + (f" on {m['target']}" if m["target"] else "")
        )
    lines = ["## What was not measured", ""]
    if config["weights"]["status"] == "initial":
        lines.append("- The accuracy of these weights: they are untrained, so that the logits say nothing about an image.")
    if estimated := by_kind.get("estimated"):
        by = "its authors have" if config["name"] else "nobody has"
        lines.append(
            f"- {', '.join(estimated)}: estimated for this architecture when trained with its family's recipe; {by} trained it."
        )
    if predicted := by_kind.get("predicted"):
        lines.append(f"- {', '.join(predicted)}: predicted; this network has not run on the device.")
    for export in metrics["exports"].values():
        lines += [f"- {export.get('title', 'An export')}: {note}." for note in (export.get("check") or {}).get("notes", ())]
    return "\n".join(lines if len(lines) > 2 else [*lines, "- Nothing that is listed above."])


def _files(metrics: Mapping[str, Any]) -> str:
    files = dict(_FILES)
    for export in metrics["exports"].values():
        for name in export.get("files", ()):
            files[name] = export["title"] + _checked(export.get("check"))
    return "\n".join(["## Files", "", *(f"- `{name}`: {what}" for name, what in files.items())])


def _checked(check: Mapping[str, Any] | None) -> str:
    """What an export was compared by."""
    if not check:
        return ""
    if check["difference"] is None:
        return f"; rebuilt by {check['by']}"
    return f"; rebuilt by {check['by']}: outputs within {check['difference']:.1e} of ours, relative to the largest logit"


def _exports(metrics: Mapping[str, Any]) -> list[str]:
    """How to use each export."""
    parts = [f"### {e['title']}\n\n{e['usage'].strip()}" for e in metrics["exports"].values() if e.get("usage")]
    return ["## How to use it elsewhere", *parts] if parts else []


def _number(value: float, exact: bool = False) -> str:
    if exact or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_plain(v)}" for k, v in value.items())
    return str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")

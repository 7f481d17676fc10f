"""From an entry's configuration to what its exporters are told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mvsearch.export import card
from mvsearch.export.exporter import Subject
from mvsearch.spec.arch import ArchSpec, from_json
from mvsearch.spec.published import family_of, name_of


def identifier(spec: ArchSpec) -> str:
    """A name of the network that is safe as an identifier and as a file name: `mobilevitv2_0_75`, `mobilevit_35805c946070`."""
    name = name_of(spec)
    return re.sub(r"\W+", "_", name) if name else f"{family_of(spec)}_{spec.arch_id}"


def subject_of(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> Subject:
    """What an entry with these `config.json` and `metrics.json` is."""
    spec = from_json(config["arch"])
    names = config["classes"].get("names")
    target = metrics["provenance"].get("target")
    return Subject(
        spec=spec,
        resolution=config["input"]["shape"][-1],
        name=identifier(spec),
        title=card.title(config),
        weights=config["weights"]["status"],
        seed=config["weights"].get("seed"),
        labels=tuple(names) if names else None,
        target=target if isinstance(target, str) else None,
    )

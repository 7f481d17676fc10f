from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import yaml

from tests.export.nets import NETS, evaluation_of, images, save

SPEC = NETS["mixed, patches resized"]


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("library") / "entry"
    save(folder, SPEC)
    return folder, (folder / "README.md").read_text(encoding="utf-8")


def test_front_matter_is_the_hubs(card: tuple[Path, str]) -> None:
    _, front, _ = card[1].split("---\n", 2)
    data = yaml.safe_load(front)
    assert data["library_name"] == "mvsearch"
    assert data["license"] == "apache-2.0"
    assert data["pipeline_tag"] == "image-classification"
    assert {"mobilevit", "untrained"} <= set(data["tags"])


def test_every_number_is_there_with_its_kind_and_interval(card: tuple[Path, str]) -> None:
    text = card[1]
    for measurement in evaluation_of(SPEC).measurements.values():
        if measurement.kind == "counted":
            assert f"{measurement.value:,} {measurement.unit}".strip() + " | counted" in text
    assert "| ImageNet-1k top-1 | 68.1 % | estimated, n = 57 | 65.5 to 70.7 (90 %) | published anchors |" in text
    assert "| Latency, iphone12 | 1.23 ms | predicted | 0.65 to 2.34 (90 %) | left-out families; rough |" in text


def test_it_says_what_is_not_known(card: tuple[Path, str]) -> None:
    text = card[1]
    assert "**Initial weights: not trained (seed 7).**" in text
    unknown = text.split("## What was not measured")[1]
    assert "untrained" in unknown
    assert "nobody has trained it" in unknown
    assert "Latency on iphone12: predicted; this network has not run on the device" in unknown


def test_it_says_how_the_network_was_found(card: tuple[Path, str]) -> None:
    found = card[1].split("## How it was found")[1]
    assert "mvsearch run --budget 2M-params" in found
    assert "- space: tiny" in found
    assert "- budgets: 2M-params" in found


def test_its_code_runs_as_written(card: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, text = card
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 1
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    exec(blocks[0], names)
    assert isinstance(names["logits"], torch.Tensor)
    assert names["logits"].shape == (1, SPEC.num_classes)
    assert isinstance(names["images"], torch.Tensor)
    assert names["images"].shape == images(SPEC, batch=1).shape

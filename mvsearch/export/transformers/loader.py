"""Loads an export by transformers alone, and sees that nothing of it was swallowed; runs where mvsearch is not installed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

WEIGHTS, CONFIG, PROCESSOR = "model.safetensors", "config.json", "preprocessor_config.json"
_MISSED = ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")
_NOT_VALUES = {"architectures", "auto_map", "transformers_version", "model_type", "dtype"}


def load(entry: str) -> Callable[[np.ndarray], np.ndarray]:
    """The network in an entry's `transformers` folder: images (B, C, H, W) in [0, 1] -> logits.

    Raises:
        ValueError: a weight or an option is not in the model as it stands in the files, or the image processor gives
            other pixels than it should.
    """
    import torch
    from transformers import AutoConfig, AutoModelForImageClassification, logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    folder = Path(entry) / "transformers"
    written = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    trust = "auto_map" in written
    _check_options(written, AutoConfig.from_pretrained(folder, trust_remote_code=trust))
    model, report = AutoModelForImageClassification.from_pretrained(
        folder, trust_remote_code=trust, output_loading_info=True, dtype=torch.float32
    )
    for what in _MISSED:
        if report.get(what):
            raise ValueError(f"{what} of {folder}: {sorted(map(str, report[what]))[:3]}")
    if type(model).__name__ not in written["architectures"]:
        raise ValueError(f"a {type(model).__name__} was made, not a {written['architectures'][0]}")
    _check_weights(folder, model)
    if (folder / PROCESSOR).is_file():
        _check_processor(folder)
    model.eval()

    def run(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            logits: np.ndarray = model(pixel_values=torch.from_numpy(images)).logits.numpy()
            return logits

    return run


def _check_options(written: dict[str, Any], config: Any) -> None:
    """Every value of the file is a value that the configuration knows: what it does not know it keeps, and nothing reads."""
    known = type(config)().to_dict().keys() | {"id2label", "label2id", "image_size"}
    for name, value in written.items():
        if name in _NOT_VALUES:
            continue
        if name not in known:
            raise ValueError(f"{type(config).__name__} does not know `{name}`, and would ignore it")
        found = getattr(config, name)
        found = {str(k): v for k, v in found.items()} if name == "id2label" else found
        if json.loads(json.dumps(found)) != value:
            raise ValueError(f"`{name}` is `{found}` in {type(config).__name__}, and `{value}` in the file")


def _check_weights(folder: Path, model: Any) -> None:
    """What is missing transformers makes up, and it converts names; so every tensor is compared."""
    import torch
    from safetensors.torch import load_file

    file, state = load_file(folder / WEIGHTS), model.state_dict()
    if file.keys() != state.keys():
        raise ValueError(f"weights that are not in both: {sorted(file.keys() ^ state.keys())[:3]}")
    for name, tensor in file.items():
        if not torch.equal(tensor, state[name]):
            raise ValueError(f"`{name}` was loaded with other values than the file has")


def _check_processor(folder: Path) -> None:
    """One picture whose shorter edge needs no resizing, exactly; one that does, by its shape and its range."""
    from PIL import Image
    from transformers import AutoImageProcessor

    written = json.loads((folder / PROCESSOR).read_text(encoding="utf-8"))
    processor = AutoImageProcessor.from_pretrained(folder)  # type: ignore[no-untyped-call]
    found = processor.to_dict()
    for name, value in written.items():
        if name != "image_processor_type" and name not in found:
            raise ValueError(f"the image processor does not know `{name}`, and would ignore it")
        if name != "image_processor_type" and json.loads(json.dumps(found[name], default=dict)) != value:
            raise ValueError(f"`{name}` is `{found[name]}` in the image processor, and `{value}` in the file")
    edge, crop = written["size"]["shortest_edge"], written["crop_size"]["height"]
    pixels = np.random.default_rng(0).integers(0, 256, (edge, edge + 40, 3), dtype=np.uint8)
    image = np.asarray(processor(Image.fromarray(pixels), return_tensors="np")["pixel_values"])[0]
    top, left = (edge - crop) // 2, (edge + 40 - crop) // 2
    expected = pixels[top : top + crop, left : left + crop].transpose(2, 0, 1) / np.float32(255)
    if image.shape != expected.shape or not np.allclose(image, expected, atol=1e-6):
        raise ValueError("the image processor gives other pixels than the crop of the picture, as RGB in [0, 1]")
    flat = Image.new("RGB", (3 * edge, 2 * edge), (200, 100, 50))
    image = np.asarray(processor(flat, return_tensors="np")["pixel_values"])[0]
    colour = np.asarray([200, 100, 50], np.float32)[:, None, None] / np.float32(255)
    if image.shape != (3, crop, crop) or not np.allclose(image, colour, atol=1e-6):
        raise ValueError("the image processor changes colours")

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import mvsearch
from mvsearch.errors import ExportError, InputError
from mvsearch.export import library
from mvsearch.export.library import load, read_config, read_metrics, save_entry, verify_entry
from mvsearch.models import build
from mvsearch.spec.arch import ArchSpec, from_json
from mvsearch.spec.published import network
from mvsearch.spec.record import Measurement
from tests.export.nets import NETS, RESOLUTION, SEED, evaluation_of, images, save, shake
from tests.strategies import random_spec

V1, V2 = NETS["v1"], NETS["v2"]


def listing(folder: Path) -> list[str]:
    return sorted(str(f.relative_to(folder)) for f in folder.rglob("*"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@pytest.mark.parametrize("spec", [*NETS.values(), *map(random_spec, range(6))], ids=lambda s: s.arch_id)
def test_reloaded_network_is_the_same_to_the_bit(tmp_path: Path, spec: ArchSpec) -> None:
    folder = tmp_path / "entry"
    model = save(folder, spec)
    reloaded = mvsearch.load(folder)
    assert not reloaded.training
    x = images(spec)
    with torch.inference_mode():
        assert torch.equal(model(x), reloaded(x))
    verification = verify_entry(folder, model, RESOLUTION)
    assert verification.max_abs_difference == 0
    assert verification.params == sum(p.numel() for p in model.parameters()) == read_config(folder)["params"]
    assert verification.checks == {}


def test_entry_says_what_it_is(tmp_path: Path) -> None:
    spec = network("mobilevit_xxs")
    folder = tmp_path / "deep" / "entry"
    save(folder, spec)
    assert listing(folder) == ["README.md", "config.json", "metrics.json", "model.safetensors"]
    assert listing(folder.parent) == ["entry", *(f"entry/{f}" for f in listing(folder))], "leftovers"
    config, metrics = read_config(folder), read_metrics(folder)
    assert from_json(config["arch"]) == spec
    assert config["name"] == "mobilevit_xxs"
    assert config["input"]["shape"] == [3, RESOLUTION, RESOLUTION]
    assert (config["input"]["channels"], config["input"]["range"], config["input"]["normalisation"]) == ("RGB", [0, 1], None)
    assert config["weights"]["status"] == "initial"
    assert config["weights"]["seed"] == SEED
    assert Measurement.from_json(metrics["measurements"]["top1"]) == evaluation_of(spec).measurements["top1"]
    assert metrics["provenance"]["command"].startswith("mvsearch run")


def test_trained_weights_and_statistics_come_back(tmp_path: Path) -> None:
    model = shake(build(V2)).train()
    folder = tmp_path / "e"
    save_entry(folder, V2, RESOLUTION, model, evaluation_of(V2), provenance={}, weights="trained")
    assert model.training, "the network was to be left as it is"
    for name, tensor in load(folder).state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name
    assert "Trained weights" in (folder / "README.md").read_text()
    assert "not trained" not in (folder / "README.md").read_text()


def test_load_leaves_the_generator_alone(tmp_path: Path) -> None:
    save(tmp_path / "e", V1)
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    load(tmp_path / "e")
    assert torch.equal(torch.rand(1), expected)


def edit_config(**changes: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        for path, value in changes.items():
            *parents, key = path.split("__")
            place = config
            for parent in parents:
                place = place[parent]
            place[key] = value
        (folder / "config.json").write_text(json.dumps(config))

    return edit


def edit_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"arch_id": V1.arch_id})
        edit_config(weights__sha256=library.sha256(folder / "model.safetensors"))(folder)

    return edit


def write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def flip_a_bit(folder: Path) -> None:
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(data)


def foreign_weights(folder: Path) -> None:
    save(folder.parent / "other", V2)
    (folder.parent / "other" / "model.safetensors").replace(folder / "model.safetensors")


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), "config.json` is missing"),
    "config is no JSON": (write("config.json", b"{"), "cannot be read as JSON"),
    "config is binary": (write("config.json", b"\xff\xfe\x00"), "cannot be read as JSON"),
    "config is a list": (write("config.json", b"[]"), "is no library entry"),
    "another program's config": (write("config.json", b'{"model_type": "mobilevit"}'), "is no library entry"),
    "newer": (edit_config(schema_version=2), "is an entry of schema `2`"),
    "no schema": (edit_config(schema_version=None), "is an entry of schema `None`"),
    "weights are a list": (edit_config(weights=[]), "has no `weights`"),
    "no input": (edit_config(input=None), "has no `input`"),
    "no architecture": (edit_config(arch=None), "not an architecture"),
    "newer architecture": (edit_config(arch__schema_version=9), "architecture schema `9`"),
    "edited architecture": (edit_config(arch__activation="relu"), "arch_id"),
    "impossible architecture": (edit_config(arch__activation="tanh"), "unknown activation `tanh`"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "model.safetensors` is missing"),
    "truncated": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-100]),
        "model.safetensors` is corrupted",
    ),
    "empty weights": (write("model.safetensors", b""), "model.safetensors` is corrupted"),
    "a pickle": (write("model.safetensors", b"\x80\x04\x95" + bytes(100)), "model.safetensors` is corrupted"),
    "a bit flipped": (flip_a_bit, "is not the file that the entry was written with"),
    "another network's weights": (foreign_weights, f"holds weights of `{V2.arch_id}`"),
    "missing tensor": (edit_weights(lambda t: t.pop("stem.conv.weight")), "missing `stem.conv.weight`"),
    "unexpected tensor": (edit_weights(lambda t: t.update(extra=torch.zeros(1))), "unexpected `extra`"),
    "misshaped tensor": (
        edit_weights(lambda t: t.update({"head.fc.bias": torch.zeros(11)})),
        "`head.fc.bias` is float32 (11,), not float32 (10,)",
    ),
    "another type": (
        edit_weights(lambda t: t.update({"head.fc.bias": torch.zeros(10, dtype=torch.float16)})),
        "`head.fc.bias` is float16 (10,), not float32 (10,)",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_every_bad_folder_gives_one_clear_message(tmp_path: Path, case: str) -> None:
    folder = tmp_path / "entry"
    save(folder, V1)
    spoil, message = BAD[case]
    spoil(folder)
    with pytest.raises(InputError) as error:
        load(folder)
    assert message in str(error.value)
    assert error.value.hint


def test_no_folder() -> None:
    with pytest.raises(InputError, match="there is no folder `/nowhere`"):
        load("/nowhere")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    file, full, entry = tmp_path / "file", tmp_path / "full", tmp_path / "entry"
    file.write_text("mine")
    full.mkdir()
    (full / "config.json").write_text('{"model_type": "bert"}')
    save(entry, V1)
    before = contents(tmp_path)
    for folder, overwrite, message in (
        (file, False, "is a file"),
        (file, True, "is a file"),
        (full, False, "exists and is not empty"),
        (full, True, "is no library entry, and is not overwritten"),
        (entry, False, "exists and is not empty"),
        (file / "below", True, "cannot be written"),
    ):
        with pytest.raises(InputError, match=message):
            save(folder, V2, overwrite=overwrite)
    (entry / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds `notes\.txt`"):
        save(entry, V2, overwrite=True)
    (entry / "notes.txt").unlink()
    assert contents(tmp_path) == before
    assert sorted(f.name for f in tmp_path.iterdir()) == ["entry", "file", "full"], "leftovers"


def test_entry_is_replaced_when_that_is_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "entry"
    save(folder, V1)
    (folder / "model.onnx").write_bytes(b"an export")
    save(folder, V2, overwrite=True)
    assert from_json(read_config(folder)["arch"]) == V2
    assert not (folder / "model.onnx").exists()
    assert [f.name for f in tmp_path.iterdir()] == ["entry"]


def test_empty_folder_is_used(tmp_path: Path) -> None:
    save(tmp_path / "entry", V1)
    (tmp_path / "empty").mkdir()
    save(tmp_path / "empty", V1)
    assert listing(tmp_path / "empty") == listing(tmp_path / "entry")


@pytest.mark.parametrize("fault", [RuntimeError("planted"), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_failure_in_the_middle_leaves_the_old_entry_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    folder = tmp_path / "entry"
    save(folder, V1)
    before = contents(tmp_path)

    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr(library, "compare", fail)
    with pytest.raises(InputError if isinstance(fault, OSError) else type(fault)):
        save(folder, V2, overwrite=True)
    assert contents(tmp_path) == before


def test_what_does_not_belong_together_is_not_written(tmp_path: Path) -> None:
    folder = tmp_path / "entry"
    model = build(V1)
    with pytest.raises(ExportError, match="is not the one of the architecture") as error:
        save_entry(folder, V2, RESOLUTION, model, evaluation_of(V2), provenance={})
    assert "missing `" in error.value.hint
    with pytest.raises(ExportError, match="the numbers are those of"):
        save_entry(folder, V1, RESOLUTION, model, evaluation_of(V2), provenance={})
    with pytest.raises(ExportError, match="at 128 pixels"):
        save_entry(folder, V1, RESOLUTION, model, evaluation_of(V1, 128), provenance={})
    with pytest.raises(InputError, match="unknown export `tflite`"):
        save_entry(folder, V1, RESOLUTION, model, evaluation_of(V1), provenance={}, to=("tflite",))
    with torch.no_grad():
        model.get_parameter("head.fc.bias")[0] = torch.nan
    with pytest.raises(ExportError, match=r"`head\.fc\.bias` holds numbers that are not finite"):
        save_entry(folder, V1, RESOLUTION, model, evaluation_of(V1), provenance={})
    assert list(tmp_path.iterdir()) == []


def test_planted_wrong_mapping_is_caught_before_anything_is_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import safetensors.torch

    honest = safetensors.torch.save_file
    a, b = "stages.2.1.transformer.0.norm1.weight", "stages.2.1.transformer.0.norm2.weight"

    def swapped(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str]) -> None:
        honest({**tensors, a: tensors[b], b: tensors[a]}, path, metadata)

    monkeypatch.setattr(safetensors.torch, "save_file", swapped)
    model = shake(build(V1)).eval()
    with pytest.raises(ExportError, match=r"`stages\.2\.1\.transformer\.0\.norm1\.weight` of the reloaded network"):
        save_entry(tmp_path / "entry", V1, RESOLUTION, model, evaluation_of(V1), provenance={})
    assert list(tmp_path.iterdir()) == []


def test_verify_notices_another_network_and_another_size(tmp_path: Path) -> None:
    model = save(tmp_path / "entry", V1)
    with pytest.raises(ExportError, match="is not the original's"):
        verify_entry(tmp_path / "entry", build(V1, seed=SEED + 1), RESOLUTION)
    with pytest.raises(ExportError, match="not for `256`"):
        verify_entry(tmp_path / "entry", model, 256)

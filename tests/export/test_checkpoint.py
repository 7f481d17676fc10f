"""Weights under official names come in whole, and a stranger's file does no harm."""

from __future__ import annotations

import argparse
import io
import json
import pickle
import re
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from safetensors.torch import save, save_file
from torch import Tensor

from mvsearch.errors import InputError
from mvsearch.export import checkpoint_file
from mvsearch.export.checkpoint import import_weights, read_checkpoint
from mvsearch.export.names import LIBRARIES, to_library
from mvsearch.models import build
from mvsearch.spec.arch import ArchSpec
from mvsearch.spec.published import network, published_networks
from tests.export.nets import NETS, shake
from tests.hostile import hostile_bytes
from tests.parity.comparison import LIMIT, images, randomise, relative_error

SPEC = NETS["v3 on v1"]
STATE = shake(build(SPEC)).state_dict()


def saved(path: Path, data: Any, **options: Any) -> Path:
    torch.save(data, path, **options)
    return path


def imported(path: Path, spec: ArchSpec | None = SPEC, **options: Any) -> tuple[ArchSpec, dict[str, Tensor], str]:
    found, state, notes = import_weights(read_checkpoint(path), spec, **options)
    return found, state, "\n".join(notes)


def same(found: dict[str, Tensor], expected: dict[str, Tensor] = STATE) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[n], t) for n, t in expected.items())


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("spec", NETS.values(), ids=NETS)
def test_every_librarys_names_load_strictly(tmp_path: Path, library: str, spec: ArchSpec) -> None:
    model = shake(build(spec))
    save_file({n: t.contiguous() for n, t in to_library(library, spec, model.state_dict()).items()}, tmp_path / "w.safetensors")
    checkpoint = read_checkpoint(tmp_path / "w.safetensors")
    assert (checkpoint.format, checkpoint.container) == (library, "safetensors")
    found, state, _ = import_weights(checkpoint, spec)
    assert found == spec
    assert same(state, model.state_dict())
    build(spec).load_state_dict(state, strict=True)


@pytest.mark.parametrize("name", ["mobilevit_xxs", "mobilevitv2_0.5", "mobilevitv3_xxs_l2", "mobilevitv3_0.5"])
def test_a_published_network_is_found_by_its_weights(tmp_path: Path, name: str) -> None:
    spec = replace(network(name), num_classes=7, in_channels=1)
    model = shake(build(spec))
    path = saved(tmp_path / "w.pt", to_library("cvnets", spec, model.state_dict()))
    found, state, notes = imported(path, None)
    assert found == spec
    assert same(state, model.state_dict())
    assert f"the weights are those of `{name}`" in notes
    assert "patches 2x2, 2x2, 2x2" in notes
    # Patches change no weight; the official ones are taken, and the others are named.
    assert ("`mobilevit_xxs@patch=8,4,2`" in notes) == (name == "mobilevit_xxs")


OTHER = torch.ones(1)
NESTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "bare": ("", lambda s: s),
    "CVNets' training": (
        "ema_state_dict",
        lambda s: {"epoch": 3, "model_state_dict": {"x": torch.ones(1)}, "ema_state_dict": s},
    ),
    "timm's training": (
        "state_dict_ema",
        lambda s: {"state_dict": {"x": OTHER}, "state_dict_ema": s, "args": argparse.Namespace(lr=0.1), "arch": "x"},
    ),
    "Lightning": ("state_dict", lambda s: {"state_dict": {f"model.{n}": t for n, t in s.items()}}),
    "compiled, in parallel": ("model", lambda s: {"model": {f"module._orig_mod.{n}": t for n, t in s.items()}}),
    "averaged by torch": ("", lambda s: {"n_averaged": torch.tensor(3), **{f"module.{n}": t for n, t in s.items()}}),
    "two deep": ("model.state_dict", lambda s: {"model": {"state_dict": s}}),
}


@pytest.mark.parametrize("nest", NESTS)
def test_what_training_scripts_save_is_unwrapped(tmp_path: Path, nest: str) -> None:
    taken, wrap = NESTS[nest]
    _, state, notes = imported(saved(tmp_path / "w.pth", wrap(STATE)))
    assert same(state)
    assert (f"took `{taken}`" in notes) == bool(taken)
    assert ("took `module._orig_mod.` off every name" in notes) == (nest == "compiled, in parallel")


def test_a_published_efficientformer_is_found_by_its_weights(tmp_path: Path) -> None:
    for name in ("efficientformerv2_s0@head=distilled", "efficientformer_l1@resolution=64"):
        spec = replace(network(name), num_classes=7, in_channels=1)
        model = shake(build(spec))
        found, state, notes = imported(saved(tmp_path / "w.pth", model.state_dict()), None)
        assert found == spec
        assert same(state, model.state_dict())
        assert f"the weights are those of `{name}`" in notes
        assert "ImageNet's mean" in notes
        assert imported(tmp_path / "w.pth", network(name))[0] == spec


def test_an_efficientformer_that_is_not_published_is_told_from_the_nearest(tmp_path: Path) -> None:
    spec = network("efficientformerv2_s0")
    state = build(spec).state_dict()
    del state["stages.0.blocks.1.mlp.fc1.conv.weight"]
    path = saved(tmp_path / "w.pth", state)
    with pytest.raises(InputError, match="does not fit `efficientformerv2_s0`, the nearest published network") as caught:
        imported(path, None)
    assert "missing `stages.0.blocks.1.mlp.fc1.conv.weight`" in caught.value.hint


def test_places_of_attentions_table_are_the_networks(tmp_path: Path) -> None:
    name = "efficientformer_l1@resolution=64"
    state = build(network(name)).state_dict()
    state["stages.3.blocks.4.token_mixer.attention_bias_idxs"].fill_(99)
    with pytest.raises(InputError, match="has other places than the network"):
        imported(saved(tmp_path / "w.pth", state), None)


@pytest.mark.full
@pytest.mark.parametrize("name", [*published_networks("efficientformer"), *published_networks("efficientformerv2")])
@pytest.mark.parametrize("head", ["", "@head=distilled"])
def test_every_published_efficientformer_is_found(tmp_path: Path, name: str, head: str) -> None:
    spec = network(name + head)
    found, _, notes = imported(saved(tmp_path / "w.pth", build(spec).state_dict()), None)
    assert found == spec
    assert f"the weights are those of `{name}{head}`" in notes


def test_the_old_format_of_torch_is_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.pth", STATE, _use_new_zipfile_serialization=False)
    assert same(imported(path)[1])


def test_counters_may_be_absent_and_half_precision_is_widened(tmp_path: Path) -> None:
    state = {n: t.half() for n, t in STATE.items() if t.is_floating_point()}
    _, found, notes = imported(saved(tmp_path / "w.pt", state))
    assert found.keys() == STATE.keys()
    assert all(t.dtype == STATE[n].dtype for n, t in found.items())
    assert torch.equal(found["head.fc.weight"], STATE["head.fc.weight"].half().float())
    assert "converted from float16 to float32" in notes


def test_bgr_turns_the_first_layer(tmp_path: Path) -> None:
    theirs, ours = randomise(build(SPEC)), build(SPEC).eval()
    path = saved(tmp_path / "w.pt", theirs.state_dict())
    ours.load_state_dict(imported(path, bgr=True)[1])
    x = images(64, 64)
    with torch.inference_mode():
        assert relative_error(ours(x), theirs(x.flip(1))) <= LIMIT
        assert relative_error(ours(x), theirs(x)) > 0.01
    grey = replace(SPEC, in_channels=1)
    with pytest.raises(InputError, match="images of 1 channels"):
        imported(saved(tmp_path / "grey.pt", build(grey).state_dict()), grey, bgr=True)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_wrong_checkpoint_names_the_first_of_each_fault_as_the_file_does(tmp_path: Path, library: str) -> None:
    state = to_library(library, SPEC, STATE)
    names = [n for n in state if "norm" not in n and "bn" not in n]
    missing, misshaped = names[5], names[9]
    del state[missing]
    state[misshaped] = torch.zeros(3, 2)
    state["stem.extra"] = torch.zeros(1)
    with pytest.raises(InputError) as caught:
        imported(saved(tmp_path / "w.pt", state))
    assert caught.value.message == "`w.pt` does not fit the network"
    for text in (f"missing `{missing}`", "unexpected `stem.extra`", f"`{misshaped}` is float32 (3, 2), not float32"):
        assert text in caught.value.hint


def test_without_a_network_the_nearest_published_one_is_compared_with(tmp_path: Path) -> None:
    state = build(network("mobilevitv3_xs")).state_dict()
    del state["stages.2.1.norm.bias"]
    with pytest.raises(InputError, match="`mobilevitv3_xs`, the nearest published network") as caught:
        imported(saved(tmp_path / "w.pt", state), None)
    assert caught.value.hint.startswith("missing `stages.2.1.norm.bias` (")


def test_queries_without_their_keys_are_missing(tmp_path: Path) -> None:
    state = to_library("transformers", SPEC, STATE)
    name = next(n for n in state if n.endswith("key.weight"))
    del state[name]
    with pytest.raises(InputError) as caught:
        imported(saved(tmp_path / "w.pt", state))
    assert f"missing `{name}`" in caught.value.hint


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("new", [True, False], ids=["zip", "old format"])
def test_code_in_a_file_is_not_run(tmp_path: Path, new: bool) -> None:
    fuse = tmp_path / "ran"
    path = saved(tmp_path / "w.pt", {"state_dict": STATE, "args": Bomb(fuse)}, _use_new_zipfile_serialization=new)
    with pytest.raises(InputError, match="to load it is to run code that is in it") as caught:
        read_checkpoint(path)
    assert "trust" in caught.value.hint
    assert not fuse.exists()
    checkpoint = read_checkpoint(path, trust_pickle=True)
    assert fuse.exists()
    assert any("its code was run" in note for note in checkpoint.notes)
    assert same(import_weights(checkpoint, SPEC)[1])


def test_a_whole_pickled_module_is_refused_and_read_at_the_users_word(tmp_path: Path) -> None:
    model = build(SPEC)
    path = saved(tmp_path / "w.pt", {"model": model})
    with pytest.raises(InputError, match="run code") as caught:
        read_checkpoint(path)
    assert "mvsearch.models" in caught.value.message
    assert same(import_weights(read_checkpoint(path, trust_pickle=True), SPEC)[1], model.state_dict())


def test_a_plain_pickle_is_not_opened(tmp_path: Path) -> None:
    fuse = tmp_path / "ran"
    (tmp_path / "w.bin").write_bytes(pickle.dumps(Bomb(fuse)))
    with pytest.raises(InputError, match=r"is not what `torch\.save` wrote"):
        read_checkpoint(tmp_path / "w.bin")
    assert not fuse.exists()


def rezipped(path: Path, method: int, **parts: bytes) -> Path:
    """The same archive with another compression, some parts exchanged."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, parts.get(name.rpartition("/")[2].partition(".")[0], data))
    return path


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = rezipped(saved(tmp_path / "w.pt", {"stem.x": torch.zeros(1_000_000)}), zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    with pytest.raises(InputError, match="unpacks to more than it is"):
        read_checkpoint(path)


@pytest.mark.parametrize("new", [True, False], ids=["zip", "old format"])
def test_endless_descriptions_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new: bool) -> None:
    monkeypatch.setattr(checkpoint_file, "MAX_PICKLE_BYTES", 2**20)
    bomb = b"\x80\x02" + b"]" * (checkpoint_file.MAX_PICKLE_BYTES + 1) + b"."
    path = tmp_path / "w.pt"
    if new:
        rezipped(saved(path, {"stem.x": torch.zeros(1)}), zipfile.ZIP_STORED, data=bomb)
    else:
        path.write_bytes(bomb)
    with pytest.raises(InputError, match="describes its tensors in more than 1 MB"):
        read_checkpoint(path)


class Alone(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1


def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    torch.jit.script(Alone()).save(str(tmp_path / "w.pt"))  # type: ignore[no-untyped-call]
    for trust in (False, True):
        with pytest.raises(InputError, match="is a TorchScript program"):
            read_checkpoint(tmp_path / "w.pt", trust)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1).expand(2**20, 2**20),
        torch.zeros(8).to_sparse(),
        torch.empty(2**40, device="meta"),
    ],
    ids=["one number posing as many", "sparse", "without numbers"],
)
def test_tensors_that_no_state_has_are_refused(tmp_path: Path, tensor: Tensor) -> None:
    with pytest.raises(InputError, match=re.escape("`w.pt`")):
        read_checkpoint(saved(tmp_path / "w.pt", {"stem.conv.weight": tensor}))


def huge_header() -> bytes:
    return struct.pack("<Q", 2**40) + b"{}"


def lying_header() -> bytes:
    header = json.dumps({"stem.x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    return struct.pack("<Q", len(header)) + header


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no weights"),
        (b"\x93NUMPY\x01\x00v\x00{'descr'", "holds no weights"),
        (b"PK\3\4" + b"x" * 100, "is damaged"),
        (b"\x80\x02}q\x00.", "is damaged, or is not what"),
        (huge_header(), "is damaged"),
        (lying_header(), "is damaged"),
        (save({"a": torch.zeros(2)})[:-3], "is damaged"),
        (save({"layer1.0.conv1.weight": torch.zeros(2)}), "no MobileViT or EfficientFormer that is known here"),
        (save({"stem.conv.weight": torch.full((2,), torch.nan)}), "not finite"),
    ],
    ids=["empty", "numpy", "zip", "pickle", "header", "lengths", "truncated", "another network", "NaN"],
)
def test_files_that_are_no_checkpoint_get_one_message(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_checkpoint(tmp_path / "w.pt")


@pytest.mark.parametrize(
    "data",
    [{}, [], 3, {"epoch": 3}, {"model": {}}, {"model": "x"}, {3: torch.zeros(1)}, {"x" * 300: torch.zeros(1)}],
    ids=repr,
)
def test_objects_without_weights_get_one_message(tmp_path: Path, data: Any) -> None:
    with pytest.raises(InputError, match=re.escape("`w.pt`")):
        read_checkpoint(saved(tmp_path / "w.pt", data))


def test_places_that_are_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is missing"):
        read_checkpoint(tmp_path / "none.pt")
    with pytest.raises(InputError, match="is no plain file"):
        read_checkpoint(tmp_path)
    with pytest.raises(InputError, match="is no plain file"):
        read_checkpoint("/dev/zero")


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with path.open("wb") as file:
        file.truncate(checkpoint_file.MAX_BYTES + 1)
    with pytest.raises(InputError, match="at most 4 GiB are read"):
        read_checkpoint(path)


def _bytes(**options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save({"state_dict": {"stem.conv.weight": torch.ones(3, 3), "head.fc.bias": torch.ones(7)}}, buffer, **options)
    return buffer.getvalue()


FILES = {"zip": _bytes(), "old": _bytes(_use_new_zipfile_serialization=False), "safetensors": save({"stem.x": torch.ones(9)})}


@pytest.mark.parametrize("kind", FILES)
def test_damaged_files_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, kind: str) -> None:
    path = tmp_path_factory.mktemp("damaged") / "w.pt"

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(hostile_bytes(FILES[kind]))
    def attempt(content: bytes) -> None:
        path.write_bytes(content)
        try:
            read_checkpoint(path)
        except InputError as error:
            assert error.hint

    attempt()

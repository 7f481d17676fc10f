from __future__ import annotations

import random
import sys
from importlib import util
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mvsearch.costs import count
from mvsearch.errors import ConversionError, ExportError, InputError
from mvsearch.models import build
from mvsearch.spec.space_file import load_space
from mvsearch.targets.coreml import convert as coreml
from mvsearch.targets.coreml.convert import convert, coreml_available, read_package
from tests.export.nets import NETS, RESOLUTION, shake

needs_coremltools = pytest.mark.skipif(not coreml_available()[0], reason=coreml_available()[1])


class Net(nn.Module):
    """A convolution, something in the middle, a mean."""

    def __init__(self, middle: nn.Module) -> None:
        super().__init__()
        self.conv, self.middle = nn.Conv2d(3, 4, 3, 2), middle

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.middle(self.conv(x)).flatten(1)[:, :4]


class Unsupported(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.special.bessel_j0(x)


@needs_coremltools
@pytest.mark.parametrize("name", NETS)
def test_every_kind_of_block_converts(tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    spec, path = NETS[name], tmp_path / "net.mlpackage"
    model = shake(build(spec))
    program = convert(model, RESOLUTION, path, metadata={"arch_id": spec.arch_id})
    assert capfd.readouterr() == ("", ""), "noise"
    assert model.training, "the network was to be left as it is"
    assert program.input_shape == (1, 3, RESOLUTION, RESOLUTION)
    assert program.output_shape == (1, spec.num_classes)
    assert (program.deployment_target, program.precision) == ("iOS16", "float16")
    assert dict(program.versions).keys() == {"coremltools", "torch"}
    # Weights that no two are alike are all stored. A trained group norm becomes a batch norm, whose mean of 0 and
    # variance of 1 come on top; equal ones may be stored once.
    norms = sum(p.numel() for m in model.modules() if isinstance(m, nn.GroupNorm) for p in m.parameters())
    weights = count(spec, RESOLUTION).weight_bytes
    assert weights <= program.weight_bytes <= weights + 2 * norms
    assert program.weight_bytes < program.package_bytes < 1.5 * program.weight_bytes + 100_000
    reread = read_package(path)
    assert (reread.ops, reread.weight_bytes) == (program.ops, program.weight_bytes)
    assert [f.name for f in tmp_path.iterdir()] == ["net.mlpackage"]


@needs_coremltools
def test_failure_names_the_operation(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConversionError) as error:
        convert(Net(nn.Sequential(nn.ReLU(), Unsupported())), RESOLUTION, tmp_path / "net.mlpackage")
    assert error.value.op == "special_bessel_j0"
    assert "middle" in error.value.location
    assert "`special_bessel_j0`" in error.value.message
    assert error.value.kind == "convert-fail"
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@needs_coremltools
def test_network_that_does_not_run_is_a_failed_conversion_too(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="does not convert to Core ML: RuntimeError"):
        convert(Net(nn.Conv2d(5, 4, 1)), RESOLUTION, tmp_path / "net.mlpackage")


@needs_coremltools
def test_progress_bars_of_coremltools_are_given_back(tmp_path: Path) -> None:
    convert(Net(nn.ReLU()), RESOLUTION, tmp_path / "net.mlpackage")
    for module, name in coreml._PROGRESS_BARS:
        assert isinstance(getattr(sys.modules[module], name), type)


def test_path_is_checked_first(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no name for a Core ML package"):
        convert(Net(nn.ReLU()), RESOLUTION, tmp_path / "net.mlmodel")
    (tmp_path / "net.mlpackage").mkdir()
    with pytest.raises(InputError, match="exists"):
        convert(Net(nn.ReLU()), RESOLUTION, tmp_path / "net.mlpackage")


@pytest.mark.parametrize(
    ("coremltools", "numpy", "works"),
    [("9.0", "2.3.5", True), ("9.0", "2.4.0", False), ("8.3", "2.10.1", False), ("9.1", "2.4.6", True), ("10.0", "3.0", True)],
)
def test_numpy_too_new_is_said_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, coremltools: str, numpy: str, works: bool
) -> None:
    tmp_path.joinpath("libmilstoragepython.so").touch()
    monkeypatch.setattr(util, "find_spec", lambda _: SimpleNamespace(submodule_search_locations=[str(tmp_path)]))
    monkeypatch.setattr(coreml, "_version", {"coremltools": coremltools, "numpy": numpy}.__getitem__)
    available, reason = coreml_available()
    assert available == works
    if not works:
        assert f"coremltools {coremltools} fails with numpy {numpy}" in reason
        with pytest.raises(ExportError, match="cannot be made here") as error:
            convert(Net(nn.ReLU()), RESOLUTION, tmp_path / "net.mlpackage")
        assert "pip install 'numpy<2.4'" in error.value.hint


def test_without_coremltools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(util, "find_spec", lambda _: None)
    available, reason = coreml_available()
    assert not available
    assert "not installed" in reason


def _converts(tmp_path: Path, number: int, seed: int) -> None:
    space, rng = load_space("mobilevit"), random.Random(seed)
    for i in range(number):
        spec = space.decode(space.random_point(rng))
        folder = tmp_path / str(i)
        convert(build(spec, seed=i), 256, folder / "model.mlpackage", channels=spec.in_channels)


@needs_coremltools
def test_random_candidates_of_the_default_space_convert(tmp_path: Path) -> None:
    _converts(tmp_path, 2, seed=1)


@needs_coremltools
@pytest.mark.full
@pytest.mark.timeout(3600)
def test_a_hundred_random_candidates_of_the_default_space_convert(tmp_path: Path) -> None:
    _converts(tmp_path, 100, seed=0)

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mvsearch.errors import ExportError, InputError
from mvsearch.export import registry
from mvsearch.export.exporter import Refusal
from mvsearch.export.exports import plan
from mvsearch.export.library import add_exports, read_config, read_metrics, save_entry, verify_entry
from mvsearch.export.subject import subject_of
from mvsearch.models import build
from tests.export import fake_exporter
from tests.export.fake_exporter import FakeExporter
from tests.export.nets import NETS, RESOLUTION, evaluation_of, save, shake
from tests.export.test_library import contents

V1 = NETS["v1"]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeExporter:
    monkeypatch.setitem(registry._TABLE, "onnx", ("tests.export.fake_exporter", FakeExporter.files))
    monkeypatch.setitem(registry.FILES, "onnx", FakeExporter.files)
    exporter = FakeExporter()
    monkeypatch.setattr(fake_exporter, "EXPORTER", exporter)
    return exporter


def test_what_is_owned_is_what_is_said() -> None:
    for name in registry.EXPORTERS:
        exporter = registry.exporter(name)
        assert (exporter.name, exporter.files) == (name, registry.FILES[name])
        assert exporter.title and "\n" not in exporter.title


def test_names_are_checked_first() -> None:
    assert registry.parse_names("onnx, timm,onnx") == ("timm", "onnx")
    assert registry.parse_names("timm,all") == registry.EXPORTERS
    for text, message in (("", "`--to` is ``"), (",", "`--to` is"), ("onnx,timn", "unknown export `timn`")):
        with pytest.raises(InputError, match=message):
            registry.parse_names(text)
    with pytest.raises(InputError) as error:
        registry.parse_names("timn")
    assert "did you mean `timm`" in error.value.hint


def test_exports_come_with_a_new_entry_and_its_card(tmp_path: Path, fake: FakeExporter) -> None:
    folder = tmp_path / "entry"
    model = save(folder, V1, exports=("onnx",))
    listed = read_metrics(folder)["exports"]["onnx"]
    assert listed["files"] == ["model.onnx", "notes"]
    assert listed["check"] == {"difference": 0.0, "by": "torch, by name and value", "notes": []}
    card = (folder / "README.md").read_text()
    assert "### Weights in one file" in card and "- `notes`: Weights in one file; rebuilt by torch" in card
    assert verify_entry(folder, model, RESOLUTION).checks["onnx"].difference == 0
    assert [p.name for p in tmp_path.iterdir()] == ["entry"]


def test_exports_are_added_to_an_entry(tmp_path: Path, fake: FakeExporter) -> None:
    folder = tmp_path / "entry"
    save(folder, V1)
    (folder / "mine.txt").write_text("mine")
    (outcome,) = add_exports(folder, ("onnx",))
    assert (outcome.status, outcome.check and outcome.check.difference) == ("written", 0.0)
    assert (folder / "notes" / "a.txt").read_text() == f"mobilevit_{V1.arch_id}"
    assert (folder / "mine.txt").read_text() == "mine"
    assert "### Weights in one file" in (folder / "README.md").read_text()
    with pytest.raises(InputError, match=r"`.*model\.onnx` exists") as error:
        add_exports(folder, ("onnx",))
    assert "--overwrite" in error.value.hint
    assert add_exports(folder, ("onnx",), leave_out=True)[0].status == "kept"
    (folder / "notes" / "a.txt").write_text("old")
    add_exports(folder, ("onnx",), overwrite=True)
    assert (folder / "notes" / "a.txt").read_text() != "old"
    assert [p.name for p in tmp_path.iterdir()] == ["entry"], "leftovers"


def test_edited_card_is_kept(tmp_path: Path, fake: FakeExporter) -> None:
    folder = tmp_path / "entry"
    save(folder, V1)
    (folder / "README.md").write_text("mine")
    add_exports(folder, ("onnx",))
    assert (folder / "README.md").read_text() == "mine"
    assert "onnx" in read_metrics(folder)["exports"]


def swap_two(folder: Path) -> None:
    weights = torch.load(folder / "model.onnx", weights_only=True)
    a, b = "stages.2.1.transformer.0.norm1.weight", "stages.2.1.transformer.0.norm2.weight"
    torch.save({**weights, a: weights[b], b: weights[a]}, folder / "model.onnx")


def interrupt(folder: Path) -> None:
    raise KeyboardInterrupt


def fill_the_disk(folder: Path) -> None:
    raise OSError(28, "No space left on device")


FAULTS: dict[str, tuple[Callable[[Path], None], type[BaseException], str]] = {
    "two weights swapped": (swap_two, ExportError, "`onnx`: `stages.2.1.transformer.0.norm1.weight` is another"),
    "an interrupt": (interrupt, KeyboardInterrupt, ""),
    "a full disk": (fill_the_disk, InputError, "could not be written: No space left"),
}


def save_trained(folder: Path, to: tuple[str, ...] = ()) -> None:
    """An entry in which no two weights are alike."""
    model = shake(build(V1)).eval()
    save_entry(folder, V1, RESOLUTION, model, evaluation_of(V1), provenance={}, weights="trained", to=to)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("there", ["new", "added", "replaced"])
def test_fault_leaves_everything_as_it_was(tmp_path: Path, fake: FakeExporter, fault: str, there: str) -> None:
    folder = tmp_path / "entry"
    if there != "new":
        save_trained(folder, ("onnx",) if there == "replaced" else ())
    before = contents(tmp_path)
    plant, expected, message = FAULTS[fault]
    fake.plant = plant  # type: ignore[method-assign]
    with pytest.raises(expected) as error:
        save_trained(folder, ("onnx",)) if there == "new" else add_exports(folder, ("onnx",), overwrite=True)
    assert message in str(error.value)
    assert contents(tmp_path) == before


def test_move_that_fails_half_way_is_taken_back(tmp_path: Path, fake: FakeExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "entry"
    save(folder, V1, exports=("onnx",))
    before = contents(tmp_path)
    honest = Path.rename
    moves: list[Path] = []

    def failing(self: Path, target: Path) -> Path:
        moves.append(self)
        if len(moves) == 4:
            raise OSError(5, "Input/output error")
        return honest(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(InputError, match="Input/output error"):
        add_exports(folder, ("onnx",), overwrite=True)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("what", ["refusal", "absent"])
def test_what_cannot_be_made_is_refused_or_left_out(tmp_path: Path, fake: FakeExporter, what: str) -> None:
    folder = tmp_path / "entry"
    save(folder, V1)
    before = contents(tmp_path)
    if what == "refusal":
        fake.refusal = Refusal("stage3.patch", "`2x1` is not square", "the nearest is `mobilevit_xxs`")
    else:
        fake.absent = "onnx is not installed: `pip install onnx`"
    with pytest.raises(InputError) as error:
        add_exports(folder, ("onnx",))
    said = str(error.value)
    assert (
        ("stage3.patch: `2x1` is not square" in said and "nearest" in said) if what == "refusal" else "pip install onnx" in said
    )
    (outcome,) = add_exports(folder, ("onnx",), leave_out=True)
    assert outcome.status == {"refusal": "refused", "absent": "missing"}[what]
    assert contents(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_cannot_be_written(tmp_path: Path, fake: FakeExporter) -> None:
    folder = tmp_path / "closed" / "entry"
    save(folder, V1)
    folder.parent.chmod(0o500)
    try:
        with pytest.raises(InputError, match="cannot be written"):
            add_exports(folder, ("onnx",))
    finally:
        folder.parent.chmod(0o700)


def test_training_brings_its_model_along(tmp_path: Path, fake: FakeExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BRINGS, "onnx", ("timm",))
    save(tmp_path / "entry", V1)
    subject = subject_of(read_config(tmp_path / "entry"), read_metrics(tmp_path / "entry"))
    assert plan(("onnx",), subject, leave_out=False).names == ("onnx", "timm")
    assert plan(("onnx",), subject, leave_out=False, have=("timm",)).names == ("onnx",)
    monkeypatch.setattr(registry.exporter("timm").__class__, "missing", lambda self: "timm is not installed")
    found = plan(("onnx",), subject, leave_out=False)
    assert found.names == ("onnx",) and [o.name for o in found.left_out] == ["timm"]

"""`export`, `import` and `library`, as a user calls them: a network into every library, and back."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mvsearch.export.fresh_runner import declare_torchvision_operators
from mvsearch.export.names import to_library
from mvsearch.export.registry import EXPORTERS
from mvsearch.models import build
from mvsearch.spec.arch import to_json
from mvsearch.spec.published import network
from tests.e2e.here import call_here
from tests.e2e.test_command_line import call
from tests.export.nets import NETS, save, shake
from tests.export.test_library import contents

SPEC = NETS["v3 on v1"]
OPERATORS = declare_torchvision_operators()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A network in a file, exported to all there is, by a process of its own as a user would."""
    folder = tmp_path_factory.mktemp("exported")
    (folder / "net.json").write_text(json.dumps(to_json(SPEC)))
    (folder / "labels.txt").write_text("".join(f"class {i}\n" for i in range(SPEC.num_classes)))
    arguments = (
        "net.json",
        "--to",
        "all",
        "--library",
        "lib",
        "--resolution",
        "64",
        "--labels",
        "labels.txt",
        "--tag",
        "small",
    )
    done = call("export", *arguments, cwd=folder, timeout=500)
    assert done.returncode == 0, done.stderr
    return folder, done


def entry_of(folder):
    (entry,) = (p for p in (folder / "lib").iterdir() if p.is_dir())
    return entry


def test_every_library_has_it_or_says_why_not(exported):
    folder, done = exported
    listed = json.loads((entry_of(folder) / "metrics.json").read_text())["exports"]
    for name in EXPORTERS:
        assert f"{name}: written and checked" in done.stderr or re.search(rf"{name}: (refused|missing): .", done.stderr)
        assert (name in listed) == (f"{name}: written and checked" in done.stderr)
    assert {"timm", "transformers", "training", "onnx", "torch", "coreml"} <= listed.keys()
    assert "cvnets: refused: " in done.stderr, "no configuration of CVNets says this network"
    for name, export in listed.items():
        for file in export["files"]:
            assert (entry_of(folder) / file).exists()
        assert export["check"]["by"], name
        difference = export["check"]["difference"]
        assert difference is None or difference <= 1e-4
    assert "\x1b" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def snippets(entry):
    return re.findall(r"```python\n(.*?)```", (entry / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def test_every_snippet_of_the_card_runs_in_the_entrys_folder(exported, monkeypatch):
    entry = entry_of(exported[0])
    blocks = snippets(entry)
    assert len(blocks) >= 6
    monkeypatch.chdir(entry)
    monkeypatch.setattr(sys, "path", [*sys.path])
    # Python remembers which folder `timm` was from where it was asked first.
    sys.path_importer_cache.pop("timm", None)
    for block in blocks:
        if "coremltools" in block and sys.platform != "darwin":
            continue  # Predictions need macOS.
        exec(compile(block, "card", "exec"), {})


def test_the_library_lists_finds_and_verifies(exported):
    folder, _ = exported
    entry = entry_of(folder)
    done = call_here("library", "list", "lib", "--budget", "2M-params,50ms", "--tag", "small", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert entry.name in done.stdout and "predicted" in done.stdout and "iphone12" in done.stdout and "#small" in done.stdout
    for arguments in (("--budget", "1k-params"), ("--tag", "large"), ("--budget", "0.01ms")):
        assert "0 entries" in call_here("library", "list", "lib", *arguments, cwd=folder).stdout
    rows = json.loads(call_here("library", "list", "lib", "--target", "iphone13", "--json", cwd=folder).stdout)["entries"]
    assert rows[0]["measurements"]["latency"]["target"] == "iphone13"
    shown = json.loads(call_here("library", "show", "lib", SPEC.arch_id[:6], "--json", cwd=folder).stdout)
    assert shown["config"]["arch"]["arch_id"] == SPEC.arch_id
    assert SPEC.arch_id in call_here("library", "show", "lib", entry.name, cwd=folder).stdout
    done = call_here("library", "verify", "lib", cwd=folder)
    assert done.returncode == 0 and "1 entry in lib load" in done.stdout


def test_again_is_the_same_entry(exported):
    folder, _ = exported
    before = contents(entry_of(folder))
    again = ("export", "net.json", "--library", "lib", "--resolution", "64", "--labels", "labels.txt")
    done = call_here(*again, "--to", "all", cwd=folder)
    assert done.returncode == 0 and "the entry" in done.stdout and "is there" in done.stdout
    assert contents(entry_of(folder)) == before
    done = call_here(*again, "--to", "onnx", cwd=folder)
    assert done.returncode == 2 and "exists" in done.stderr and "--overwrite" in done.stderr
    assert contents(entry_of(folder)) == before


BAD = {
    "an unknown export": (("export", "net.json", "--to", "tflite"), "unknown export `tflite`"),
    "no export": (("export", "net.json", "--to", ""), "`--to` is ``"),
    "an unknown network": (("export", "mobilevit_huge"), "mobilevit_huge"),
    "no entry": (("export", "photos"), "`photos/config.json` is missing"),
    "a library with other things": (("export", "mobilevit_xxs", "--to", "onnx", "--library", "photos"), "holds `cat.jpg`"),
    "what a library cannot say": (("export", "net.json", "--to", "cvnets", "--library", "new"), "`cvnets` cannot express"),
    "labels that are not there": (("export", "net.json", "--labels", "none.txt"), "none.txt"),
    "labels and another number": (("export", "net.json", "--labels", "labels.txt", "--classes", "3"), "`--classes` is `3`"),
    "a member of no run": (("export", "net.json", "--member", "abc"), "which is no run"),
    "a size of an entry": (("export", "entry", "--resolution", "64"), "which has its own"),
    "a tag without a library": (("export", "entry", "--to", "onnx", "--tag", "x"), "`--tag` without `--library`"),
    "a tag that is none": (("export", "entry", "--library", "new", "--tag", "a,b"), "tag `a,b`"),
    "no library": (("library", "list", "nowhere"), "there is no library"),
    "an entry that is not added": (("library", "add", "new", "photos"), "config.json` is missing"),
    "no checkpoint": (("import", "none.pt"), "none.pt"),
    "a checkpoint that is none": (("import", "labels.txt"), "labels.txt"),
    "a pickle": (("import", "evil.pt"), "--trust-pickle"),
}


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    (folder / "net.json").write_text(json.dumps(to_json(SPEC)))
    (folder / "labels.txt").write_text("a\nb\n")
    (folder / "photos").mkdir()
    (folder / "photos" / "cat.jpg").write_bytes(b"")
    save(folder / "entry", NETS["v1"])
    torch.save(Evil(), folder / "evil.pt")
    return folder


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("pwned"),))


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_message(bad, name):
    arguments, said = BAD[name]
    before = contents(bad)
    done = call_here(*arguments, cwd=bad)
    assert done.returncode == 2, done.stderr
    assert done.stdout == "" and "Traceback" not in done.stderr
    assert said in done.stderr
    assert contents(bad) == before and not (bad / "new" / "index.json").exists()


def test_a_checkpoint_of_cvnets_comes_in_and_goes_out(tmp_path):
    spec = network("mobilevit_xxs")
    model = shake(build(spec)).eval()
    torch.save(to_library("cvnets", spec, model.state_dict()), tmp_path / "mobilevit_xxs.pt")
    done = call_here("import", "mobilevit_xxs.pt", "--library", "lib", "--resolution", "64", "--bgr", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "`mobilevit_xxs`" in done.stderr and "BGR to RGB" in done.stderr
    import mvsearch

    loaded = mvsearch.load(tmp_path / "lib" / "mobilevit_xxs")
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(loaded(images), model(images.flip(1)), atol=1e-5)
    card = (tmp_path / "lib" / "mobilevit_xxs" / "README.md").read_text()
    assert "Trained weights" in card and "of the architecture, not of these weights" in card
    state = to_library("cvnets", spec, model.state_dict())
    state.pop(next(iter(state)))
    torch.save(state, tmp_path / "short.pt")
    before = contents(tmp_path / "lib")
    done = call_here("import", "short.pt", "--library", "lib", cwd=tmp_path)
    assert done.returncode == 2 and "missing" in done.stderr and "Traceback" not in done.stderr
    assert contents(tmp_path / "lib") == before


def test_help_loads_no_library():
    code = (
        "import sys; from mvsearch.cli.main import app\n"
        "try:\n    app(['export', '--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = ('torch', 'timm', 'transformers', 'coremltools', 'onnx', 'numpy')\n"
        "print([m for m in heavy if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"

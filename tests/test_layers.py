"""The house: imports run down the layers, heavy libraries stay in their places, and light things stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "mvsearch"
# Top floor first; each may import itself and what is listed after it.
LAYERS = (
    "cli", "api", "report", "export", "scaling", "search", "accuracy", "targets", "models", "costs", "spec", "files", "errors",
)  # fmt: skip
HEAVY = {
    "torch",
    "ray",
    "optuna",
    "plotly",
    "pandas",
    "coremltools",
    "onnxruntime",
    "onnx",
    "openvino",
    "matplotlib",
    "fvcore",
    "scipy",
    "safetensors",
    "pymoo",
}
# The one module (or the one package of torch code) that may import a heavy library when it is itself imported.
AT_THE_TOP = {
    "models": {"torch"},
    "accuracy/training": {"torch"},
    "search/study": {"optuna"},
    "export/timm/blocks.py": {"torch"},  # Copied into files that run where timm is.
    "export/timm/networks.py": {"torch"},  # The same.
    "export/transformers/modeling_mvsearch.py": {"torch"},  # Runs where transformers loads it.
}


def modules():
    return [p for p in sorted(PACKAGE.rglob("*.py")) if p.name != "__main__.py" and p != PACKAGE / "__init__.py"]


def imports(path, top_level_only=False):
    """(module, names) of every import; those under `if TYPE_CHECKING` are not run."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(n)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.dump(branch.test)
        for n in ast.walk(branch)
    }
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import) and not (top_level_only and id(node) in skipped):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not (top_level_only and id(node) in skipped):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


def layer(module):
    parts = module.split(".")
    return parts[1] if parts[0] == "mvsearch" and len(parts) > 1 else None


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_down_the_layers(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for module in imports(path):
        other = layer(module)
        if other is not None:
            assert LAYERS.index(other) >= LAYERS.index(own), f"{path.name} imports `{module}`: an arrow that runs up"


def test_the_check_can_fail(tmp_path):
    file = tmp_path / "bad.py"
    file.write_text("from mvsearch.report.table import print_front\n")
    assert [layer(m) for m in imports(file)] == ["report"]
    assert LAYERS.index("report") < LAYERS.index("costs")


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_libraries_are_imported_lazily(path):
    relative = path.relative_to(PACKAGE)
    allowed = set().union(*(AT_THE_TOP.get(str(place), set()) for place in (relative, *relative.parents)))
    found = {m.split(".")[0] for m in imports(path, top_level_only=True)} & HEAVY
    assert found <= allowed, f"{relative} imports {found - allowed} when it is imported"


@pytest.mark.parametrize(
    "code",
    [
        "import mvsearch",
        "import mvsearch.cli.main",
        "import runpy, sys; sys.argv = ['mvsearch', '--help']; runpy.run_module('mvsearch')",
    ],
)
def test_light_things_load_nothing_heavy(code):
    loaded = f"set(sys.modules) & {HEAVY!r}"
    report = f"import atexit, sys\natexit.register(lambda: print('LOADED', *sorted({loaded}), file=sys.stderr))\n{code}"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    assert done.stderr.strip().splitlines()[-1] == "LOADED"

"""README cannot drift: its commands and options exist, its links lead somewhere, CI runs its commands."""

import re
from pathlib import Path

import pytest

from tests.e2e.here import call_here
from tests.small_space import write_small_space

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(
    r"^(?:.*&& )?(?:\.venv/bin/)?mvsearch ([a-z]+)([^\n#|]*)", "\n".join(re.findall(r"```bash\n(.*?)```", README, re.S)), re.M
)


def test_readme_shows_commands():
    assert {name for name, _ in COMMANDS} >= {"run", "describe"}


@pytest.mark.parametrize(("command", "rest"), COMMANDS, ids=lambda x: x.strip())
def test_every_option_exists(command, rest):
    # A command of a group is two words.
    words = [command, *(rest.split()[:1] if command == "library" else [])]
    done = call_here(*words, "--help", cwd=ROOT)
    assert done.returncode == 0
    for option in re.findall(r"--[a-z-]+", rest):
        assert option in done.stdout


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_every_link_leads_somewhere(target):
    assert (ROOT / target).exists()


def test_ci_reads_its_commands_from_readme():
    for mark in ("main", "test"):
        assert f"<!-- command: {mark} -->\n```bash\n" in README
        assert f"readme {mark}" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.full)], ids=["short", "as it stands"])
def test_its_python_runs(tmp_path, monkeypatch, whole):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    monkeypatch.chdir(tmp_path)
    if not whole:
        space = write_small_space(tmp_path)
        small = f'"1.4M-params", space={str(space)!r}, trials=50, in_process=True, exports="onnx"'
        code = code.replace('"2M-params", target="iphone12"', small).replace('"timm,transformers"', '"timm"')
        code = "\n".join(line for line in code.splitlines() if "measure(" not in line)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    result = names["result"]
    assert result.view.finished and names["maps"].channels
    assert whole or len(result.view.trials) == 4, "the space is exhausted, which is no error"
    assert result.winner in [m.evaluation.spec for m in result.view.front]
    assert sum(p.numel() for p in names["model"].parameters()) <= (2_000_000 if whole else 1_400_000)

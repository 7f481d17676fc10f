"""README cannot drift: its commands and options exist, its links lead somewhere, CI runs its commands."""

import re
from pathlib import Path

import pytest

from tests.e2e.here import call_here

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

"""The cluster files that ship: Ray takes them, and they install what this is."""

import json
import re
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
import yaml

import mvsearch

SEARCH = Path(mvsearch.__file__).parent / "search"
FILES = sorted((SEARCH / "cluster").glob("*.yaml"))
CONSTRAINTS = Path(mvsearch.__file__).parent.parent / "constraints.txt"


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_there_is_one_for_machines_at_hand_and_one_for_a_cloud():
    assert {read(p)["provider"]["type"] for p in FILES} == {"local", "aws"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_rays_launcher_takes_the_file(path):
    from jsonschema import ValidationError
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = read(path)
    validate_config(prepare_config(config))
    with pytest.raises(ValidationError):
        validate_config(prepare_config({**read(path), "setup_comands": []}))


@pytest.mark.parametrize("path", [*FILES, SEARCH / "README.md"], ids=lambda p: p.name)
def test_versions_are_those_that_this_was_tested_with(path):
    text = path.read_text(encoding="utf-8")
    tested = dict(re.findall(r"^([\w-]+)==([\w.]+)", CONSTRAINTS.read_text(encoding="utf-8"), re.M))
    assert set(re.findall(r"mvsearch==([\w.]+\w)", text)) == {metadata.version("mvsearch")}
    assert set(re.findall(r"ray\[default\]==([\w.]+\w)", text)) == {tested["ray"]}
    assert set(re.findall(r"torch==([\w.]+\w)", text)) == {tested["torch"]}


@pytest.mark.parametrize("text", [None, '{"iphone12": 1}'])
def test_machines_say_what_they_have(tmp_path, text):
    """The words of the file, run by a shell in the place of `ray`."""
    if text:
        (tmp_path / "mvsearch-resources.json").write_text(text)
    for commands in ("head_start_ray_commands", "worker_start_ray_commands"):
        words = re.search(r'--resources=("\$\(.*\)")', read(SEARCH / "cluster" / "on_premise.yaml")[commands][-1])[1]
        done = subprocess.run(
            ["sh", "-c", f"echo {words}"], env={"HOME": str(tmp_path)}, capture_output=True, text=True, check=True
        )
        assert json.loads(done.stdout) == json.loads(text or "{}")


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)#]+)\)", (SEARCH / "README.md").read_text(encoding="utf-8")))
def test_links_lead_somewhere(target):
    assert (SEARCH / target).exists()

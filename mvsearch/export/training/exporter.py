"""Writes `training/`: arguments for timm's train script, CVNets' configuration, and what either cannot do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.errors import ExportError
from mvsearch.export.cvnets import EXPORTER as CVNETS
from mvsearch.export.cvnets.config import config_text
from mvsearch.export.cvnets.variants import Variant, variant_of
from mvsearch.export.exporter import Check, Refusal, Subject
from mvsearch.export.timm import EXPORTER as TIMM
from mvsearch.export.training.annotated import render
from mvsearch.export.training.readme import readme
from mvsearch.export.training.recipes import SOURCES, recipe_of
from mvsearch.export.training.timm_config import arguments, devices, require_arguments, timm_tree

if TYPE_CHECKING:
    from torch import nn

TIMM_YAML, TIMM_SCRIPT, CVNETS_YAML, README = "timm.yaml", "timm.sh", "cvnets.yaml", "README.md"
_FOLDER = "training"
_SCRIPT = """\
#!/bin/sh
# Trains {name} with timm's own script: {script}, {version}.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
: "${{TIMM_TRAIN:?set it to the path of train.py of pytorch-image-models}}"
# The entry's folder `timm` registers the network.
PYTHONPATH="$here/../timm${{PYTHONPATH:+:$PYTHONPATH}}"
export PYTHONPATH
exec torchrun --nproc_per_node="${{DEVICES:-{devices}}}" "$TIMM_TRAIN" --config "$here/{config}" "$@"
"""


class TrainingExporter:
    """See `mvsearch.export.exporter.Exporter`."""

    name = "training"
    title = "Training: timm's script and CVNets by the family's recipe"
    files = (_FOLDER,)

    def missing(self) -> str | None:
        """Nothing: configurations are texts."""
        return None

    def refuse(self, subject: Subject) -> Refusal | None:
        """Nothing: a network that neither library expresses still has a recipe."""
        return None

    def write(self, subject: Subject, model: nn.Module, folder: Path) -> Mapping[str, Any]:
        """See `Exporter`."""
        target = folder / _FOLDER
        target.mkdir()
        texts = _texts(subject)
        for name, text in texts.items():
            (target / name).write_text(text, encoding="utf-8")
        recipe = recipe_of(subject.spec)
        return {"family": recipe.family, "reason": recipe.reason, "files": sorted(texts)}

    def check(self, subject: Subject, model: nn.Module, folder: Path) -> Check:
        """See `Exporter`: the files are what the recipe gives, and timm's script has every argument that is set.

        Both scripts take any key, and say nothing of those that they do not know.
        """
        import yaml

        texts = _texts(subject)
        found = {path.name: path.read_text(encoding="utf-8") for path in (folder / _FOLDER).iterdir()}
        if TIMM_YAML in found:
            require_arguments(yaml.safe_load(found[TIMM_YAML]))
        for name in sorted(texts.keys() | found.keys()):
            if texts.get(name) != found.get(name):
                raise ExportError(f"`{_FOLDER}/{name}` is not what the recipe gives")
        script = arguments()
        notes = [f"arguments were compared with those of timm's {script['script']}, {script['version']}; nothing was trained"]
        return Check(None, "mvsearch, by the families' recipes", tuple(notes))

    def usage(self, subject: Subject) -> str:
        """See `Exporter`."""
        recipe = recipe_of(subject.spec)
        file, key = (TIMM_YAML, "lr") if TIMM.refuse(subject) is None else (README, "")
        what = f"The recipe of {recipe.title}, value by value with its source, is in `training/{README}`."
        if not key:
            block = f'from pathlib import Path\n\nprint(Path("training/{README}").read_text())'
        else:
            what += f" `training/{TIMM_SCRIPT}` trains it with timm's own script."
            block = (
                f'from pathlib import Path\n\nimport yaml\n\narguments = yaml.safe_load(Path("training/{file}").read_text())\n'
                f'print(arguments["model"], arguments["{key}"])'
            )
        return f"{what}\n\n```python\n{block}\n```"


def _texts(subject: Subject) -> dict[str, str]:
    """The folder's files."""
    recipe = recipe_of(subject.spec)
    timm, cvnets = TIMM.refuse(subject), CVNETS.refuse(subject)
    texts = {README: readme(subject, recipe, timm, cvnets)}
    if timm is None:
        head = f"{subject.title} for timm's train.py (--config), by the recipe of {recipe.title}.\nSet `data_dir`.\n{SOURCES}"
        texts[TIMM_YAML] = render(timm_tree(subject, recipe), head)
        texts[TIMM_SCRIPT] = _SCRIPT.format(
            name=subject.name,
            config=TIMM_YAML,
            devices=devices(recipe),
            script=arguments()["script"],
            version=arguments()["version"],
        )
    if cvnets is None:
        variant = variant_of(subject.spec, subject.resolution)
        assert isinstance(variant, Variant), "not refused"
        texts[CVNETS_YAML] = config_text(variant, recipe, subject.resolution, subject.spec.num_classes, subject.title)
    return texts


EXPORTER = TrainingExporter()

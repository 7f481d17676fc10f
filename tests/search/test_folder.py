"""A run's folder: when a run may be gone on with, and how it says what differs."""

import json
from dataclasses import fields, replace
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from mvsearch.errors import InputError
from mvsearch.search.folder import ADDABLE, EXTENDABLE, check_folder, open_folder
from mvsearch.spec.budget import Budget, parse_budgets
from mvsearch.spec.run import RunSettings, TrainSettings

TRAIN = TrainSettings("/photos", "0123abcd", 128, candidates=12, steps=900, batch_size=128, seeds=2)
SETTINGS = RunSettings(parse_budgets(["2M-params", "5ms"]), "iphone12", "tiny", "hash", 10, 0, 256, 0.8, train=TRAIN)


@pytest.fixture
def run(tmp_path):
    """Makes the folder of a run with these settings."""

    def make(settings):
        folder = open_folder(tmp_path / "run", settings, resume=False)
        folder.write({"settings": settings.to_json()})
        return folder

    return make


def train(**changes):
    return replace(SETTINGS, train=replace(TRAIN, **changes))


def test_every_setting_that_differs_has_a_line(run):
    folder = run(SETTINGS)
    other = replace(train(steps=300, multi_scale=True), budgets=parse_budgets(["1M-params", "5ms"]))
    with pytest.raises(InputError) as raised:
        check_folder(folder.path, other, resume=True)
    assert raised.value.message.splitlines()[1:] == [
        "  budgets: `2M-params, 5ms` then, `1M-params, 5ms` now",
        "  train.steps: `900` then, `300` now",
        "  train.multi_scale: `off` then, `on` now",
    ]


def test_what_is_empty_is_called_none(run):
    folder = run(SETTINGS)
    with pytest.raises(InputError) as raised:
        check_folder(folder.path, replace(SETTINGS, calibration="0123"), resume=True)
    assert raised.value.message.splitlines()[1:] == ["  calibration: none then, `0123` now"]


def test_a_run_with_images_needs_its_images(run):
    folder = run(SETTINGS)
    with pytest.raises(InputError) as raised:
        check_folder(folder.path, replace(SETTINGS, train=None), resume=True)
    assert raised.value.message.splitlines()[1:] == ["  train.data: `/photos` then, none now"]


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (SETTINGS, SETTINGS),
        (SETTINGS, replace(SETTINGS, trials=20)),
        (SETTINGS, train(data="/moved/photos")),
        (SETTINGS, train(trust=True)),
        (train(trust=True), SETTINGS),
        (SETTINGS, train(validate_proxy=True)),
        (replace(SETTINGS, train=None), SETTINGS),
    ],
    ids=["same", "more trials", "images moved", "trusted", "no longer trusted", "validated", "training added"],
)
def test_what_leaves_everything_finished_valid_may_change(run, before, now):
    folder = run(before)
    check_folder(folder.path, now, resume=True)
    assert open_folder(folder.path, now, resume=True) == folder


def test_trained_published_networks_are_not_forgotten(run):
    folder = run(train(validate_proxy=True))
    with pytest.raises(InputError, match=r"train\.validate_proxy: `on` then, `off` now"):
        check_folder(folder.path, SETTINGS, resume=True)


def test_a_check_makes_nothing(tmp_path):
    check_folder(tmp_path / "new", SETTINGS, resume=False)
    assert not (tmp_path / "new").exists()


def other(hint, value):
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return type(value)(value * 0.75) if isinstance(value, float) else value + 32
    if get_origin(hint) is Literal:
        return next(o for o in get_args(hint) if o != value)
    if isinstance(value, str):
        return f"{value}-other"
    if isinstance(value, tuple) and value and isinstance(value[0], Budget):
        return parse_budgets(["1M-params"])
    if isinstance(value, tuple):
        return (*value, *value) if value else ("other",)
    raise AssertionError(f"say here what else a setting of type {hint} may be")


def every_setting():
    for cls, whole, prefix in ((RunSettings, SETTINGS, ""), (TrainSettings, TRAIN, "train.")):
        hints = get_type_hints(cls)
        for f in fields(cls):
            if f.name != "train":
                yield prefix + f.name, f.name, other(hints[f.name], getattr(whole, f.name))


@pytest.mark.parametrize(("shown", "name", "value"), list(every_setting()), ids=[s for s, *_ in every_setting()])
def test_no_setting_changes_unseen(run, shown, name, value):
    """A setting that is added to the dataclasses is compared without anybody thinking of it."""
    folder = run(SETTINGS)
    now = train(**{name: value}) if shown.startswith("train.") else replace(SETTINGS, **{name: value})
    assert now != SETTINGS
    if shown in (*EXTENDABLE, *ADDABLE):
        check_folder(folder.path, now, resume=True)
        return
    with pytest.raises(InputError) as raised:
        check_folder(folder.path, now, resume=True)
    lines = raised.value.message.splitlines()[1:]
    assert len(lines) == 1
    assert lines[0].startswith(f"  {shown}: ")
    assert raised.value.exit_code == 2


def test_settings_come_back_as_they_were(run):
    assert run(SETTINGS).settings() == SETTINGS


@pytest.mark.parametrize(
    "changes",
    [
        {"trials": 0}, {"seed": -1}, {"confidence": 1.0}, {"resolution": 10**9}, {"budgets": []}, {"target": 3},
        {"trials": "many"}, {"unknown": 1}, {"train": {}}, {"budgets": [{"metric": "params", "limit": -1.0, "text": "x"}]},
    ],
    ids=str,
)  # fmt: skip
def test_settings_that_no_run_has_are_refused(run, changes):
    folder = run(SETTINGS)
    data = json.loads(folder.run_file.read_text())
    data["settings"] |= changes
    folder.run_file.write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"run\.json` is damaged"):
        folder.settings()

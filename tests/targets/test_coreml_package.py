"""A package is known again where it is brought to, and by its content where it is not ours."""

from __future__ import annotations

import json
import shutil

import pytest

from mvsearch.errors import InputError
from mvsearch.spec.arch import to_json
from mvsearch.spec.published import network
from mvsearch.targets.coreml.convert import coreml_available, read_package
from mvsearch.targets.coreml.package import artifact_of, content_hash, read
from tests.targets.simulated_phone import write_package

SPEC = network("mobilevit_xxs")
OURS = {
    "mvsearch.arch_id": SPEC.arch_id,
    "mvsearch.resolution": "64",
    "mvsearch.precision": "float16",
    "mvsearch.spec": json.dumps(to_json(SPEC)),
    "com.github.apple.coremltools.version": "9.0",
    "com.github.apple.coremltools.source": "torch==2.13.0",
}


def test_ours_says_what_it_is(tmp_path) -> None:
    artifact = artifact_of(write_package(tmp_path / "a.mlpackage", OURS))
    assert artifact.key == f"{SPEC.arch_id}@64/iOS16-float16/coremltools9.0-torch2.13.0"
    assert (artifact.resolution, artifact.spec, artifact.arch_id) == (64, SPEC, SPEC.arch_id)
    assert artifact.sha256 == content_hash(tmp_path / "a.mlpackage")


def test_without_the_architecture_the_id_is_still_known(tmp_path) -> None:
    metadata = {k: v for k, v in OURS.items() if k != "mvsearch.spec"}
    artifact = artifact_of(write_package(tmp_path / "a.mlpackage", metadata))
    assert artifact.spec is None and artifact.arch_id == SPEC.arch_id


def test_another_is_its_content(tmp_path) -> None:
    path = write_package(tmp_path / "b.mlpackage", {"author": "somebody"}, shape=(1, 3, 192, 192))
    artifact = artifact_of(path)
    assert artifact.key == f"sha256:{content_hash(path)}"
    assert (artifact.resolution, artifact.spec, artifact.arch_id) == (192, None, "")


def test_an_image_input_has_no_shape(tmp_path) -> None:
    (only,) = read(write_package(tmp_path / "c.mlpackage", shape=())).inputs
    assert (only.name, only.shape) == ("image", ())


def test_a_network_that_takes_images_is_not_measured(tmp_path) -> None:
    with pytest.raises(InputError, match=r"`a\.mlpackage` takes images"):
        artifact_of(write_package(tmp_path / "a.mlpackage", OURS, shape=()))


def test_another_graph_of_a_network_is_another_thing_to_measure(tmp_path) -> None:
    plain = artifact_of(write_package(tmp_path / "a.mlpackage", {**OURS, "mvsearch.graph": "plain"}))
    other = artifact_of(write_package(tmp_path / "b.mlpackage", {**OURS, "mvsearch.graph": "neural-engine"}))
    assert plain.key == artifact_of(write_package(tmp_path / "c.mlpackage", OURS)).key
    assert other.key == f"{plain.key}/neural-engine"


def test_the_hash_is_of_the_content(tmp_path) -> None:
    first = content_hash(write_package(tmp_path / "a.mlpackage", OURS, ids="1F"))
    assert first == content_hash(write_package(tmp_path / "b.mlpackage", OURS, ids="2E"))
    assert first != content_hash(write_package(tmp_path / "c.mlpackage", {**OURS, "x": "y"}))


@pytest.mark.parametrize("damage", ["manifest", "model", "cut", "folder"])
def test_what_is_no_package_is_named(tmp_path, damage) -> None:
    path = write_package(tmp_path / "a.mlpackage", OURS)
    model = path / "Data/com.apple.CoreML/model.mlmodel"
    if damage == "manifest":
        (path / "Manifest.json").write_text("{}")
    elif damage == "model":
        model.write_bytes(b"\xff" * 40)
    elif damage == "cut":
        model.write_bytes(model.read_bytes()[:50])
    else:
        shutil.rmtree(path)
    with pytest.raises(InputError, match=r"`.*a\.mlpackage` cannot be read as a Core ML package") as error:
        artifact_of(path)
    assert "Manifest.json" in error.value.hint


def test_another_architecture_than_expected_is_refused(tmp_path) -> None:
    path = write_package(tmp_path / "a.mlpackage", OURS)
    with pytest.raises(InputError, match=f"is `{SPEC.arch_id}`, and not"):
        artifact_of(path, network("mobilevit_xs"))
    edited = write_package(tmp_path / "b.mlpackage", {**OURS, "mvsearch.spec": "{}"})
    with pytest.raises(InputError, match="an architecture that cannot be read"):
        artifact_of(edited)


@pytest.mark.skipif(not coreml_available()[0], reason=coreml_available()[1])
def test_a_converted_network_is_read_as_coremltools_reads_it(tmp_path) -> None:
    from mvsearch.targets.coreml.phone import phone_target

    artifact = phone_target("iphone12", {}).prepare(SPEC, 64, tmp_path)
    assert artifact.path is not None
    package, program = read(artifact.path), read_package(artifact.path)
    assert package.inputs[0].shape == program.input_shape
    assert package.deployment_target == program.deployment_target == "iOS16"
    assert package.ours("precision") == program.precision
    assert package.made_by == "-".join(f"{name}{version}" for name, version in program.versions)
    assert artifact.key == f"{SPEC.arch_id}@64/iOS16-float16/{package.made_by}"
    brought = shutil.move(artifact.path, tmp_path / "elsewhere.mlpackage")
    again = artifact_of(brought)
    assert (again.key, again.spec, again.sha256) == (artifact.key, SPEC, artifact.sha256)

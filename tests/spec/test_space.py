import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvsearch.errors import InputError, SpaceError, SpecError
from mvsearch.spec.mobilevit_space import legal_heads, parse_block
from mvsearch.spec.published import default_resolution, network, published_networks
from mvsearch.spec.space_file import load_space, parse_space, shipped_spaces

SPACES = (
    "efficientformer",
    "efficientformerv2",
    "mobilevit",
    "mobilevit_fast",
    "mobilevit_v1",
    "mobilevit_v2",
    "mobilevit_v3",
    "tiny",
)


def test_the_shipped_spaces():
    assert tuple(shipped_spaces()) == SPACES


@pytest.mark.parametrize(
    ("space", "holds"),
    [
        ("mobilevit", published_networks()),
        ("mobilevit_fast", published_networks()),
        ("mobilevit_v1", [n for n in published_networks() if n.startswith("mobilevit_")]),
        ("mobilevit_v2", [n for n in published_networks() if n.startswith("mobilevitv2_")]),
        ("mobilevit_v3", [n for n in published_networks() if n.startswith("mobilevitv3_")]),
        ("tiny", ["mobilevit_xxs", "mobilevitv3_xxs", "mobilevitv3_xxs_l2"]),
        ("efficientformer", published_networks("efficientformer")),
        ("efficientformerv2", published_networks("efficientformerv2")),
    ],
)
def test_published_networks_lie_inside_their_space(space, holds):
    loaded = load_space(space)
    assert set(loaded.published_points()) == set(holds)
    for name in holds:
        assert loaded.decode(loaded.encode(network(name))).arch_id == network(name).arch_id


@pytest.mark.parametrize("name", SPACES)
@given(seed=st.integers(0, 2**32))
def test_every_point_is_a_legal_network_and_comes_back(name, seed):
    space = load_space(name)
    spec = space.decode(space.random_point(random.Random(seed)))
    assert space.decode(space.encode(spec)).arch_id == spec.arch_id
    assert default_resolution(spec) == space.resolution
    for stage in spec.transformer_stages:
        heads = getattr(stage, "heads", 1)
        assert stage.dim % heads == 0
        assert heads == 1 or stage.dim // heads >= 8


@pytest.mark.parametrize(("dim", "heads", "legal"), [(48, 8, 4), (64, 8, 8), (120, 4, 4), (40, 8, 4), (8, 8, 1)])
def test_heads_are_lowered_until_they_fit(dim, heads, legal):
    assert legal_heads(dim, heads, (1, 2, 4, 8)) == legal


def test_outside_of_a_space_is_said_with_the_dimension():
    with pytest.raises(SpecError, match=r"stage3\.block"):
        load_space("mobilevit_v1").encode(network("mobilevitv2_0.5"))


@pytest.mark.parametrize("label", ["v1", "v2", "v3-v1", "v3-v2", "v1+AB", "v2+D"])
def test_block_labels(label):
    parse_block(label)


@pytest.mark.parametrize("label", ["v4", "v1+", "v1+BA", "v2+A", "", "v1+AA"])
def test_wrong_block_labels(label):
    with pytest.raises(SpecError):
        parse_block(label)


def faults(text):
    with pytest.raises(SpaceError) as caught:
        parse_space(text, "my.yaml")
    return caught.value.faults


def test_all_faults_at_once_with_file_line_key_and_what_is_allowed():
    text = """\
name: mine
colour: red
dimensions:
  stem.chanels: 16
  stem.channels: [16, 17]
  stage3.block: [v1, v9]
  stage4.patch: 0
  stage5.dim: {from: 64, to: 32, step: 8}
  stage5.dim: 64
"""
    found = faults(text)
    assert any(f.startswith("my.yaml:2: `colour`: unknown key") for f in found)
    assert any(f.startswith("my.yaml:4: `stem.chanels`") and "did you mean `stem.channels`" in f for f in found)
    assert any(f.startswith("my.yaml:5: `stem.channels`: `17`") and "multiples of 8" in f for f in found)
    assert any(f.startswith("my.yaml:6: `stage3.block`: unknown block `v9`") for f in found)
    assert any(f.startswith("my.yaml:7: `stage4.patch`: patch `0`") for f in found)
    assert any(f.startswith("my.yaml:8: `stage5.dim`: `from` 64 `to` 32") for f in found)
    assert any(f.startswith("my.yaml:9: `stage5.dim`: given twice") for f in found)
    assert any("missing: stage1.channels" in f for f in found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a mapping is expected"),
        ("name: x\ndims: [unclosed\n", "not YAML"),
        ("- a\n- b\n", "a mapping is expected"),
        ("name: x\n", "missing"),
        ("dimensions: 3\n", "a mapping is expected"),
        ("a: &x [*x]\n", "unknown key"),
        ("\t\t", "not YAML"),
    ],
)
def test_broken_files(text, said):
    assert any(said in f for f in faults(text))


def test_a_file_is_never_obeyed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    faults('!!python/object/apply:os.system ["touch pwned"]\n')
    faults('dimensions:\n  stem.channels: !!python/object/apply:os.system ["touch pwned"]\n')
    assert not (tmp_path / "pwned").exists()


@given(st.text(max_size=200))
def test_no_text_does_anything_else(text):
    with pytest.raises(SpaceError):
        parse_space(text, "my.yaml")


def test_unknown_names():
    with pytest.raises(InputError, match=r"did you mean `mobilevit_v\d`"):
        load_space("mobilevit_v")
    with pytest.raises(InputError, match="no search space file"):
        load_space("nowhere/x.yaml")

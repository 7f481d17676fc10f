"""What `import mvsearch` offers."""

import pytest

import mvsearch
from mvsearch.errors import InputError
from tests.small_space import write_small_space


def test_search_can_be_called_whatever_was_imported_before():
    import mvsearch.search.pareto  # the package of the same name

    with pytest.raises(InputError, match="has no unit"):
        mvsearch.search("2M")
    assert mvsearch.search.pareto.spread(3, 2) == [0, 2]


def test_describe_and_build():
    described = mvsearch.describe("mobilevit_xxs")
    model = mvsearch.build(described.evaluation.spec)
    assert sum(p.numel() for p in model.parameters()) == described.evaluation.measurements["params"].value


def test_everything_promised_is_there():
    assert all(callable(getattr(mvsearch, name)) for name in mvsearch.__all__ if name != "__version__")
    with pytest.raises(AttributeError, match="nonesuch"):
        _ = mvsearch.nonesuch


def test_a_whole_search_from_python(tmp_path):
    space = str(write_small_space(tmp_path))
    result = mvsearch.search("1.4M-params", space=space, trials=50, in_process=True, exports="onnx", out=tmp_path / "run")
    assert len(result.view.trials) == 4, "the space is exhausted, which is no error"
    assert result.view.finished
    assert result.winner in [m.evaluation.spec for m in result.view.front]
    model = mvsearch.load(result.folder / "winner")
    assert sum(p.numel() for p in model.parameters()) <= 1_400_000

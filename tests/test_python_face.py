"""What `import mvsearch` offers."""

import pytest

import mvsearch
from mvsearch.errors import InputError


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

"""No test reads or writes the user's own cache of measurements."""

import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    os.environ["MVSEARCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))


COSTLY = ("finished", "made")
"""Module-wide fixtures that take long."""


def pytest_collection_modifyitems(items):
    """Tests that share a costly fixture go to one worker (`--dist loadgroup`), so that it is made once."""
    for item in items:
        for name in set(COSTLY) & set(item.fixturenames):
            item.add_marker(pytest.mark.xdist_group(f"{item.module.__name__}:{name}"))

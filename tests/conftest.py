"""No test reads or writes the user's own cache of measurements."""

import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    os.environ["MVSEARCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))

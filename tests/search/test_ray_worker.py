"""What a node knows of its memory."""

import os

import pytest

from mvsearch.search.ray import worker
from mvsearch.search.ray.worker import (
    MEMORY_FLOOR_BYTES,
    Inquest,
    default_limit,
    inquest,
    lost_for_memory,
    memory_bytes,
    note_path,
    oom_kills,
    resident_bytes,
)

GIB = 2**30


@pytest.mark.parametrize(
    ("node", "workers", "limit"),
    [
        (64 * GIB, 4, 0.9 * 16 * GIB),
        (64 * GIB, 64, MEMORY_FLOOR_BYTES),
        (2 * GIB, 8, 0.9 * 2 * GIB),
    ],
)
def test_a_worker_may_take_its_share(node, workers, limit):
    assert default_limit(node, workers) == pytest.approx(limit)


def test_memory_of_a_container(tmp_path):
    whole = memory_bytes(tmp_path)
    assert whole == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_bytes(tmp_path) == whole
    (tmp_path / "memory.max").write_text("12345678\n")
    assert memory_bytes(tmp_path) == 12345678


def test_what_the_kernel_has_killed(tmp_path):
    vmstat = tmp_path / "vmstat"
    assert oom_kills(tmp_path, vmstat) == 0
    vmstat.write_text("nr_free_pages 12\noom_kill 7\n")
    assert oom_kills(tmp_path, vmstat) == 7
    (tmp_path / "memory.events").write_text("low 0\noom 9\noom_kill 3\noom_group_kill 0\n")
    assert oom_kills(tmp_path, vmstat) == 3, "of this container"


def test_resident_memory_grows_with_what_is_taken():
    before = resident_bytes()
    taken = bytearray(os.urandom(2**16)) * 1024
    assert 0.9 * len(taken) < resident_bytes() - before < 2 * len(taken)


def test_an_inquest_reads_the_last_words_once(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(worker, "oom_kills", lambda: 4)
    note_path("abc").write_text("took too much")
    assert inquest("abc") == Inquest("took too much", 4)
    assert inquest("abc") == Inquest("", 4)


def test_why_a_worker_died():
    assert lost_for_memory(4, Inquest("", 4)) is None
    assert lost_for_memory(4, Inquest("", 5)).kind == "oom"
    assert lost_for_memory(4, Inquest("took too much", 4)).message == "took too much"

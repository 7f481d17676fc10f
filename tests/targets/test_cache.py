"""Measurements that are kept: by what and on which target, with several writers, and with a broken file."""

from __future__ import annotations

import json
import multiprocessing
import re
import sqlite3
import threading
import time
from dataclasses import fields, replace
from pathlib import Path

import pytest

import mvsearch.targets.cache as cache_module
from mvsearch.errors import InputError, MeasureError
from mvsearch.targets import Artifact, LatencyRecord, MeasurementCache, TargetSpec, take
from mvsearch.targets.cache import CACHE_VARIABLE, FILE, REFERENCE_TIME, Reference

SPEC = TargetSpec("cpu", "a processor", "a processor", "a runtime", "float32", "1 thread", 1, "paired")
RECORD = LatencyRecord("a@256/onnx", "a", 256, "cpu", SPEC.key, "paired", 3.0, 2.9, 3.1, 0.95, "median", (3.0, 3.1, 2.9))
REFERENCE = Reference("r@256", 12.5, (12.5, 12.9), 300, "2026-11-21T10:00:00Z", (("load_before", "0.1"),))


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    record = replace(
        RECORD, reference_samples_ms=(2.0, 2.1, 2.0), conditions=(("device", "x"),), versions=(("v", "1"),), flags=("f: g",),
        load_ms=3.5,
    )  # fmt: skip
    MeasurementCache(tmp_path).put(record)
    assert MeasurementCache(tmp_path).get(record.artifact, SPEC) == record


@pytest.mark.parametrize("field", [f.name for f in fields(TargetSpec)])
def test_nothing_is_shared_between_targets_that_differ_in_anything(tmp_path: Path, field: str) -> None:
    cache = MeasurementCache(tmp_path)
    cache.put(RECORD)
    other = replace(SPEC, **{field: 100 if field == "batch" else "another"})
    assert cache.get(RECORD.artifact, other) is None
    assert cache.get("b@256/onnx", SPEC) is None
    assert cache.records(other) == []


def test_two_protocols_stand_side_by_side(tmp_path: Path) -> None:
    cache, other = MeasurementCache(tmp_path), replace(SPEC, protocol="another")
    cache.put(RECORD)
    cache.put(replace(RECORD, target_key=other.key, protocol="another", value_ms=30.0))
    assert cache.get(RECORD.artifact, SPEC).value_ms == 3.0
    assert cache.get(RECORD.artifact, other).value_ms == 30.0
    assert [r.protocol for r in cache.records()] == ["paired", "another"]


def test_the_newest_counts_and_the_older_ones_stay(tmp_path: Path) -> None:
    cache = MeasurementCache(tmp_path)
    for value in (3.0, 5.0, 4.0):
        cache.put(replace(RECORD, value_ms=value))
    assert cache.get(RECORD.artifact, SPEC).value_ms == 4.0
    assert [r.value_ms for r in cache.records(SPEC)] == [3.0, 5.0, 4.0]


@pytest.mark.parametrize("text", ["{}", "[]", "nonsense", json.dumps({**RECORD.to_json(), "schema": 99}), "null"])
def test_records_of_another_schema_are_passed_over(tmp_path: Path, text: str) -> None:
    cache = MeasurementCache(tmp_path)
    cache.put(RECORD)
    with sqlite3.connect(cache.path) as db:
        db.execute("INSERT INTO records (artifact, target_key, target, record) VALUES (?, ?, ?, ?)",
                   (RECORD.artifact, SPEC.key, "cpu", text))  # fmt: skip
    assert cache.get(RECORD.artifact, SPEC) == RECORD
    assert cache.records() == [RECORD]


# The reference network.


def test_a_reference_is_kept_by_target_versions_and_host(tmp_path: Path) -> None:
    cache, versions = MeasurementCache(tmp_path), (("runtime", "1"),)
    assert cache.reference(SPEC, versions, "here") is None
    cache.set_reference(SPEC, versions, "here", REFERENCE)
    assert MeasurementCache(tmp_path).reference(SPEC, versions, "here") == REFERENCE
    assert cache.reference(replace(SPEC, protocol="other"), versions, "here") is None
    assert cache.reference(SPEC, (("runtime", "2"),), "here") is None
    assert cache.reference(SPEC, versions, "there") is None


def test_a_record_counts_no_longer_when_its_reference_was_timed_anew(tmp_path: Path) -> None:
    cache = MeasurementCache(tmp_path)
    record = replace(RECORD, conditions=((REFERENCE_TIME, REFERENCE.taken_at),), host="here")
    cache.put(record)
    assert cache.get(RECORD.artifact, SPEC) == record  # This file knows of no other.
    cache.set_reference(SPEC, (), "here", REFERENCE)
    assert cache.get(RECORD.artifact, SPEC) == record
    cache.set_reference(SPEC, (), "there", replace(REFERENCE, taken_at="2026-11-22T10:00:00Z"))
    assert cache.get(RECORD.artifact, SPEC) == record
    cache.set_reference(SPEC, (), "here", replace(REFERENCE, taken_at="2026-11-22T10:00:00Z"))
    assert cache.get(RECORD.artifact, SPEC) is None
    assert cache.records() == [record]


# Files that cannot be used.


def test_a_broken_file_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / FILE
    file.write_bytes(b"this is no database, but it may be dear to somebody" * 50)
    before = file.read_bytes()
    with pytest.raises(InputError, match=re.escape(f"`{file}` cannot be used")) as error:
        MeasurementCache(tmp_path)
    assert "rename it" in error.value.hint and CACHE_VARIABLE in error.value.hint and "delete" not in error.value.hint
    assert file.read_bytes() == before


def test_a_file_that_breaks_later_is_answered_with_the_same_message(tmp_path: Path) -> None:
    cache = MeasurementCache(tmp_path)
    for n in range(50):
        cache.put(replace(RECORD, artifact=f"{n}"))
    content = cache.path.read_bytes()
    cache.path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    for call in (lambda: cache.get("7", SPEC), lambda: cache.put(RECORD), cache.records):
        with pytest.raises(InputError, match="cannot be used") as error:
            call()
        assert "rename it" in error.value.hint


def test_a_place_that_cannot_be_written_is_answered_with_another(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be used") as error:
        MeasurementCache(tmp_path / "file" / "folder")
    assert CACHE_VARIABLE in error.value.hint


def test_a_file_kept_by_another_process_is_waited_for_and_then_told(tmp_path: Path, monkeypatch) -> None:
    cache = MeasurementCache(tmp_path)
    other = sqlite3.connect(cache.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    threading.Timer(0.3, lambda: other.execute("COMMIT")).start()
    cache.put(RECORD)
    other.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(cache_module, "WAIT_S", 0.2)
    with pytest.raises(InputError, match="locked") as error:
        cache.put(RECORD)
    assert "another process" in error.value.hint
    other.close()
    assert cache.records() == [RECORD]


def _write(folder: str, writer: int, n: int) -> None:
    for i in range(n):
        cache = MeasurementCache(Path(folder))  # A new one each time: processes also start at any moment.
        cache.put(replace(RECORD, artifact=f"{writer}/{i}", value_ms=1.0 + i))
        assert cache.get(f"{writer}/{i}", SPEC) is not None


def test_several_processes_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers, n = 4, 25
    processes = [context.Process(target=_write, args=(str(tmp_path), w, n)) for w in range(writers)]
    for p in processes:
        p.start()
    for p in processes:
        p.join(60)
    assert [p.exitcode for p in processes] == [0] * writers
    found = MeasurementCache(tmp_path).records()
    assert {r.artifact for r in found} == {f"{w}/{i}" for w in range(writers) for i in range(n)}
    assert len(found) == writers * n


# take


class FakeTarget:
    """Counts measurements; fails as told.

    Args:
        faults: raised one by one before it works.
    """

    spec = SPEC
    name = "cpu"
    resource = "test-cache"

    def __init__(self, *faults: MeasureError) -> None:
        self.faults, self.measured = list(faults), 0

    def measure(self, artifact, policy=None) -> LatencyRecord:
        self.measured += 1
        if self.faults:
            raise self.faults.pop(0)
        return replace(RECORD, artifact=artifact.key, value_ms=float(self.measured))


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


def test_take_measures_once(tmp_path: Path) -> None:
    target, cache = FakeTarget(), MeasurementCache(tmp_path)
    first = take(target, Artifact("x", 256), cache=cache)
    assert take(target, Artifact("x", 256), cache=cache) == first
    assert target.measured == 1
    take(target, Artifact("y", 256), cache=cache)
    assert target.measured == 2


def test_fresh_appends(tmp_path: Path) -> None:
    target, cache = FakeTarget(), MeasurementCache(tmp_path)
    take(target, Artifact("x", 256), cache=cache)
    assert take(target, Artifact("x", 256), cache=cache, fresh=True).value_ms == 2.0
    assert [r.value_ms for r in cache.records()] == [1.0, 2.0]
    assert take(target, Artifact("x", 256), cache=cache).value_ms == 2.0
    assert target.measured == 2


def test_without_a_cache_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    target = FakeTarget()
    take(target, Artifact("x", 256))
    take(target, Artifact("x", 256), cache=None)
    assert target.measured == 2
    assert not (tmp_path / "cache").exists()


def test_what_may_pass_is_tried_again(tmp_path: Path, pauses: list[float]) -> None:
    locked = MeasureError("locked", "the phone is locked", retryable=True)
    cache = MeasurementCache(tmp_path)
    assert take(FakeTarget(locked, locked), Artifact("x", 256), cache=cache).value_ms == 3.0
    assert pauses == [2.0, 4.0]


def test_what_does_not_pass_is_raised_and_leaves_the_cache_alone(tmp_path: Path, pauses: list[float]) -> None:
    cache = MeasurementCache(tmp_path)
    cache.put(replace(RECORD, artifact="x", value_ms=7.0))
    for fault, retryable, tries in (("unplugged", False, 1), ("unsteady", True, 3)):
        target = FakeTarget(*(MeasureError(fault, fault, retryable=retryable) for _ in range(5)))
        with pytest.raises(MeasureError, match=fault):
            take(target, Artifact("x", 256), cache=cache, fresh=True)
        assert target.measured == tries
    assert [r.value_ms for r in cache.records()] == [7.0]
    assert take(FakeTarget(), Artifact("x", 256), cache=cache).value_ms == 7.0


def test_one_that_waited_for_the_device_takes_what_was_measured_meanwhile(tmp_path: Path) -> None:
    inside, go_on = threading.Event(), threading.Event()

    class Slow(FakeTarget):
        def measure(self, artifact, policy=None) -> LatencyRecord:
            inside.set()
            assert go_on.wait(20)
            return super().measure(artifact, policy)

    slow, other, got = Slow(), FakeTarget(), []
    cache = MeasurementCache(tmp_path)
    first = threading.Thread(target=lambda: got.append(take(slow, Artifact("x", 256), cache=cache)))
    second = threading.Thread(target=lambda: got.append(take(other, Artifact("x", 256), cache=cache)))
    first.start()
    assert inside.wait(20)
    second.start()
    second.join(0.3)
    assert second.is_alive() and other.measured == 0
    go_on.set()
    first.join(20)
    second.join(20)
    assert len(got) == 2 and got[0] == got[1]
    assert (slow.measured, other.measured) == (1, 0)


# README.md beside the code.

README = (Path(cache_module.__file__).parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [f.name for kind in (LatencyRecord, Reference, TargetSpec) for f in fields(kind)])
def test_the_readme_tells_of_every_field(name: str) -> None:
    assert f"`{name}`" in README


def test_the_readme_reads_a_cache_as_it_is_now(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    MeasurementCache(tmp_path).put(replace(RECORD, conditions=(("ratio", "1.5"),), flags=("reference: x",)))
    blocks = dict(re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL))
    spaces: dict = {}
    exec(blocks["python"].replace('"PATH"', repr(str(tmp_path / FILE))), spaces)
    assert list(spaces["records"].value_ms) == [3.0]
    assert list(spaces["conditions"].ratio) == ["1.5"]
    query = re.search(r'"(SELECT.*?)"', blocks["sh"], re.DOTALL)
    assert query is not None
    with sqlite3.connect(tmp_path / FILE) as db:
        assert db.execute(query[1]).fetchall() == [("a@256/onnx", "cpu", "paired", 3.0, 2.9, 3.1, "reference: x")]

"""Packages that travel: the same when they arrive, and refused when they mean harm."""

import io
import stat
import zipfile

import pytest

from mvsearch.errors import InputError
from mvsearch.search import packages as module
from mvsearch.search.packages import Packages, pack, unpack
from mvsearch.spec.published import network
from mvsearch.targets.coreml.package import content_hash
from tests.search.fake_phone import package

SPEC = network("mobilevit_xxs")


def zipped(*entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for info, content in entries:
            archive.writestr(info, content)
    return buffer.getvalue()


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def test_a_package_arrives_as_it_was(tmp_path):
    path = package(tmp_path / "a.mlpackage", SPEC, 256)
    data = pack(path)
    assert data == pack(path)
    kept = Packages(tmp_path / "coreml")
    assert not kept.has(SPEC.arch_id)
    assert kept.num_bytes() == 0
    kept.write(SPEC.arch_id, data)
    assert kept.has(SPEC.arch_id)
    assert content_hash(kept.path(SPEC.arch_id)) == content_hash(path)
    assert kept.num_bytes() == sum(f.stat().st_size for f in path.rglob("*") if f.is_file())


@pytest.mark.parametrize(
    "data",
    [
        b"no zip file",
        b"",
        zipped(("../out", b"x")),
        zipped(("a/../../out", b"x")),
        zipped(("/out", b"x")),
        zipped(("a\\..\\..\\out", b"x")),
        zipped(("C:out", b"x")),
        zipped((link("Manifest.json"), "/etc/passwd")),
        zipped(("Manifest.json", b"{}"))[:-20],
    ],
    # An archive holds the second that it was made in: as names, two workers would collect different tests.
    ids=["no archive", "empty", "up", "up from within", "absolute", "backslashes", "drive", "link", "cut"],
)
def test_what_means_harm_is_refused_and_leaves_nothing(tmp_path, data):
    kept = Packages(tmp_path / "run" / "coreml")
    with pytest.raises(InputError, match="cannot be unpacked"):
        kept.write("a", data)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]
    assert not kept.path("a").exists()


def test_what_is_too_large_is_refused(tmp_path, monkeypatch):
    data = zipped(("Manifest.json", b"{}"), ("weights", b"x" * 1000))
    monkeypatch.setattr(module, "MAX_BYTES", 500)
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(data, tmp_path)
    monkeypatch.setattr(module, "MAX_BYTES", 5000)
    monkeypatch.setattr(module, "MAX_FILES", 1)
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(data, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_package_takes_the_place_of_half_of_one(tmp_path):
    kept = Packages(tmp_path)
    (kept.path("a") / "Data").mkdir(parents=True)
    assert not kept.has("a")
    kept.write("a", zipped(("Manifest.json", b"{}")))
    assert kept.has("a")
    assert not (kept.path("a") / "Data").exists()

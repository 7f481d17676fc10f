"""What the driver's tool says, from recorded answers."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from mvsearch.targets.host.gpu import smi
from mvsearch.targets.host.gpu.device import Gpu
from mvsearch.targets.host.gpu.smi import count_processes, gpus_from_proc, installed_gpus, read_state, visible, visible_gpus

A, B = Gpu("NVIDIA H200", "580.159.04", "GPU-aaaa-1"), Gpu("NVIDIA L4", "580.159.04", "GPU-bbbb-2")

TOOL = """#!/bin/sh
case "$*" in
  *hang*) sleep 60 ;;
  *--query-gpu=name,driver_version,uuid*) printf 'NVIDIA H200, 580.159.04, GPU-aaaa-1\\nNVIDIA L4, 580.159.04, GPU-bbbb-2\\n' ;;
  *--query-gpu=clocks_event_reasons.active*)
    [ -n "$OLD_DRIVER" ] && { echo 'Field "clocks_event_reasons.active" is not a valid field to query.'; exit 2; }
    echo 0x0000000000000001 ;;
  *--query-gpu=clocks_throttle_reasons.active*) echo 0x0000000000000001 ;;
  *clocks.sm*-i\\ GPU-aaaa-1*) echo '1980, 3201, 1980, 312.55, 700.00, 41, 0x0000000000000024' ;;
  *clocks.sm*-i\\ GPU-bbbb-2*) echo '[N/A], 6251, 2040, [Not Supported], 72.00, 55, 0x0000000000000001' ;;
  *--query-compute-apps=pid*-i\\ GPU-aaaa-1*) printf '41\\n977\\n' ;;
  *--query-compute-apps=pid*) ;;
  *) echo 'No devices were found'; exit 6 ;;
esac
"""


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch):
    installed_gpus.cache_clear()
    smi._reason_field.cache_clear()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    yield
    installed_gpus.cache_clear()
    smi._reason_field.cache_clear()


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "nvidia-smi"
    path.write_text(TOOL)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(smi.shutil, "which", lambda name: str(path))
    return path


def test_gpus_are_found_and_hidden_ones_left_out(tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert visible_gpus() == (A, B)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert visible_gpus() == (B,)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == () and installed_gpus() == (A, B)


@pytest.mark.parametrize(
    ("wanted", "seen"),
    [(None, (A, B)), ("1,0", (B, A)), ("GPU-bb", (B,)), ("0,7,1", (A,)), ("-1", ()), ("GPU-zz,0", ())],
)
def test_visible_devices_are_read_as_cuda_reads_them(wanted: str | None, seen: tuple[Gpu, ...]) -> None:
    assert visible((A, B), wanted) == seen


def test_readings_are_named_and_missing_ones_left_out(tool: Path) -> None:
    state = read_state("GPU-aaaa-1")
    assert dict(state.readings) == {
        "sm_clock": "1980 MHz", "memory_clock": "3201 MHz", "max_sm_clock": "1980 MHz", "power": "312.55 W",
        "power_limit": "700.00 W", "temperature": "41 C",
    }  # fmt: skip
    assert state.slowdowns == {"power cap", "thermal"} and not state.missing
    poor = read_state("GPU-bbbb-2")
    assert set(dict(poor.readings)) == {"memory_clock", "max_sm_clock", "power_limit", "temperature"}
    assert poor.slowdowns == frozenset()


def test_an_older_driver_has_another_word_for_slowdowns(tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert smi._reason_field() == ["clocks_event_reasons.active"]
    smi._reason_field.cache_clear()
    monkeypatch.setenv("OLD_DRIVER", "1")
    assert smi._reason_field() == ["clocks_throttle_reasons.active"]


def test_processes_are_counted(tool: Path) -> None:
    assert count_processes("GPU-aaaa-1") == 2
    assert count_processes("GPU-bbbb-2") == 0


def test_without_the_tool_nothing_is_read_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smi.shutil, "which", lambda name: None)
    assert "`nvidia-smi` is not here" in read_state("GPU-aaaa-1").missing
    assert count_processes("GPU-aaaa-1") is None


def test_a_tool_that_hangs_or_fails_is_as_good_as_none(tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smi, "TIMEOUT_S", 0.2)
    assert smi._ask("--hang") is None
    assert read_state("GPU-unknown").missing


def test_the_kernel_drivers_files_serve_without_the_tool(tmp_path: Path) -> None:
    assert gpus_from_proc(tmp_path) == ()
    (tmp_path / "version").write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build\n")
    card = tmp_path / "gpus" / "0000:01:00.0"
    card.mkdir(parents=True)
    (card / "information").write_text("Model: \t\t NVIDIA H200\nIRQ:   	 0\nGPU UUID: \t GPU-aaaa-1\n")
    assert gpus_from_proc(tmp_path) == (A,)

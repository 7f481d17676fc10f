"""What the NVIDIA driver's own tool says: which GPUs there are, and how one is doing. Neither torch nor CUDA is loaded.

CUDA must not be started in a process that forks or that only wants to list targets; `nvidia-smi` is another process.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from mvsearch.targets.host.gpu.device import Gpu, GpuState

TOOL = "nvidia-smi"
TIMEOUT_S = 10.0
PROC = Path("/proc/driver/nvidia")

SLOWDOWNS = {
    0x2: "application clocks",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "thermal",
    0x40: "hardware thermal",
    0x80: "hardware power brake",
    0x100: "display clocks",
}
"""Bits of the driver's clock event reasons (NVML, `nvmlClocksEventReasons`); idle (0x1) is left out."""
HOT = frozenset({"thermal", "hardware thermal", "hardware slowdown", "hardware power brake"})
"""Slowdowns under which a latency is not that of the hardware."""

_READINGS = (
    ("sm_clock", "clocks.sm", "MHz"),
    ("memory_clock", "clocks.mem", "MHz"),
    ("max_sm_clock", "clocks.max.sm", "MHz"),
    ("power", "power.draw", "W"),
    ("power_limit", "power.limit", "W"),
    ("temperature", "temperature.gpu", "C"),
)
_REASON_FIELDS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")
"""Newer drivers first; each refuses a field that it does not know."""


@lru_cache(maxsize=1)
def installed_gpus() -> tuple[Gpu, ...]:
    """GPUs of this machine in the order of the driver's tool, asked once in a process; empty without a driver."""
    rows = _ask("--query-gpu=name,driver_version,uuid") or ()
    return tuple(Gpu(*row) for row in rows if len(row) == 3) or gpus_from_proc()


def visible_gpus() -> tuple[Gpu, ...]:
    """Those that CUDA programs of this process see."""
    return visible(installed_gpus(), os.environ.get("CUDA_VISIBLE_DEVICES"))


def visible(gpus: Sequence[Gpu], wanted: str | None) -> tuple[Gpu, ...]:
    """The GPUs that `CUDA_VISIBLE_DEVICES` leaves, in its order: CUDA reads it up to the first that does not exist."""
    if wanted is None:
        return tuple(gpus)
    chosen = []
    for item in (part.strip() for part in wanted.split(",")):
        if item.isdigit() and int(item) < len(gpus):
            chosen.append(gpus[int(item)])
        elif item.startswith("GPU-") and (found := [g for g in gpus if g.uuid.startswith(item)]):
            chosen.append(found[0])
        else:
            break
    return tuple(chosen)


def read_state(uuid: str) -> GpuState:
    """How the GPU with this identity is doing; readings that it does not have are left out."""
    rows = _ask("--query-gpu=" + ",".join([field for _, field, _ in _READINGS] + _reason_field()), uuid)
    if not rows or len(rows[0]) < len(_READINGS):
        return GpuState(missing=f"`{TOOL}` is not here or does not answer for this GPU")
    readings = tuple(
        (name, f"{value} {unit}")
        for (name, _, unit), value in zip(_READINGS, rows[0], strict=False)
        if re.fullmatch(r"\d+(\.\d+)?", value)
    )
    reasons = rows[0][-1]
    return GpuState(readings, slowdowns_of(int(reasons, 16)) if reasons.startswith("0x") else frozenset())


def count_processes(uuid: str) -> int | None:
    """Processes that compute on this GPU, by what the tool can see of them from here; None if it does not say."""
    rows = _ask("--query-compute-apps=pid", uuid)
    return None if rows is None else len(rows)


def slowdowns_of(mask: int) -> frozenset[str]:
    """Names of the bits that are set."""
    return frozenset(name for bit, name in SLOWDOWNS.items() if mask & bit)


@lru_cache(maxsize=1)
def _reason_field() -> list[str]:
    """The field of the clock event reasons that this driver knows, if any."""
    return next(([field] for field in _REASON_FIELDS if _ask(f"--query-gpu={field}")), [])


def _ask(query: str, uuid: str = "") -> list[list[str]] | None:
    """Rows of the tool's answer; None if it is not here, fails, or takes too long."""
    tool = shutil.which(TOOL)
    if tool is None:
        return None
    command = [tool, query, "--format=csv,noheader,nounits", *(["-i", uuid] if uuid else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    return [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines() if line.strip()]


def gpus_from_proc(folder: Path = PROC) -> tuple[Gpu, ...]:
    """GPUs by the kernel driver's own files, where a container has them but not the tool."""
    try:
        match = re.search(r"Kernel Module(?: for \S+)?\s+(\d[\d.]*)", (folder / "version").read_text(encoding="utf-8"))
        driver = match[1] if match else "unknown"
        gpus = []
        for file in sorted(folder.glob("gpus/*/information")):
            fields = dict(re.findall(r"^([^:\n]+):\s*(.*?)\s*$", file.read_text(encoding="utf-8"), re.MULTILINE))
            gpus.append(Gpu(fields.get("Model", "NVIDIA GPU"), driver, fields.get("GPU UUID", "")))
        return tuple(gpus)
    except OSError:
        return ()

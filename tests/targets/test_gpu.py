"""The target `gpu` on a simulated GPU, and where there is none."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

from mvsearch.errors import MeasureError, TargetError
from mvsearch.spec.published import network
from mvsearch.targets import Artifact, LatencyRecord, MeasurementCache, StopPolicy, take
from mvsearch.targets.host.gpu import target as gpu_module
from mvsearch.targets.host.gpu.device import Gpu
from mvsearch.targets.host.gpu.options import GpuOptions, parse_options
from mvsearch.targets.host.gpu.target import GpuTarget
from mvsearch.targets.host.machine import calibrate_here
from tests.targets.fake_gpu import FakeGpu

SIDE = 64
SPEC = network("mobilevitv2_0.5")
H200 = (Gpu("NVIDIA H200", "580", "GPU-a"),)


def target(gpu: FakeGpu | None = None, **options: str) -> GpuTarget:
    return GpuTarget(options, device=gpu or FakeGpu())


def measure(where: GpuTarget, tmp_path: Path, spec=SPEC, policy=None) -> LatencyRecord:
    return where.measure(where.prepare(spec, SIDE, tmp_path), policy)


@pytest.mark.parametrize(
    ("options", "name", "protocol"),
    [
        ({}, "gpu", "cuda-graph-median"),
        ({"launch": "graph", "precision": "float16", "batch": "1", "fold": "yes"}, "gpu", "cuda-graph-median"),
        ({"precision": "bfloat16", "launch": "eager"}, "gpu@launch=eager,precision=bfloat16", "cuda-eager-median"),
        (
            {"precision": "float32", "tf32": "yes", "device": "1"},
            "gpu@precision=float32,tf32=yes,device=1",
            "cuda-graph-median",
        ),
        ({"compile": "yes", "fold": "no", "batch": "100"}, "gpu@compile=yes,fold=no,batch=100", "cuda-graph-median"),
        ({"preset": "mobilevitv3"}, "gpu@mobilevitv3", "mobilevitv3-main-latency"),
        ({"preset": "mobilevitv3", "batch": "100"}, "gpu@mobilevitv3,batch=100", "mobilevitv3-main-latency"),
        ({"preset": "mobilevitv3", "runs": "500"}, "gpu@mobilevitv3,runs=500", "mobilevitv3-main-latency-500"),
    ],
)
def test_a_name_says_what_differs_from_the_default(options: dict[str, str], name: str, protocol: str) -> None:
    where = GpuTarget(options)
    assert (where.name, where.spec.protocol) == (name, protocol)
    base, _, text = name.partition("@")
    again = dict(p.split("=") if "=" in p else ("preset", p) for p in text.split(",")) if text else {}
    assert base == "gpu" and parse_options(again) == where.options


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"speed": "fast"}, "has no option `speed`", "launch, layout, precision, tf32, compile, fold, batch"),
        ({"launch": "lazy"}, "`launch=lazy` of `gpu` is not known", "graph, eager"),
        ({"batch": "0"}, "`batch=0` of `gpu` is not a whole number", "e.g. `batch=1`"),
        ({"batch": "ten"}, "`batch=ten`", "e.g. `batch=1`"),
        ({"device": "99"}, "`device=99`", "e.g. `device=0`"),
        ({"preset": "fast"}, "no preset `fast`", "gpu@mobilevitv3"),
        ({"preset": "mobilevitv3", "launch": "graph"}, "`launch` is part of", "batch, device, runs"),
        ({"runs": "50"}, "`runs` goes with a preset only", "gpu@mobilevitv3,runs=N"),
        ({"tf32": "yes"}, "`tf32=yes` goes with `precision=float32` only", "do not use it"),
    ],
)
def test_wrong_options_are_answered_with_right_ones(options: dict[str, str], message: str, hint: str) -> None:
    with pytest.raises(TargetError) as error:
        GpuTarget(options)
    assert message in error.value.message and hint in error.value.hint


def test_the_preset_is_the_papers_protocol() -> None:
    o = parse_options({"preset": "mobilevitv3"})
    assert o == GpuOptions("eager", "contiguous", "float32", False, False, False, 1, 0, "mobilevitv3", 10_000)
    assert (o.math.tf32, o.math.deterministic, o.math.autotune) == (False, True, False)
    assert parse_options({"preset": "mobilevitv3", "batch": "100"}).runs == 1_000


def test_keys_tell_apart_what_is_measured_in_another_way() -> None:
    ways: list[dict[str, str]] = [
        {}, {"launch": "eager"}, {"layout": "contiguous"}, {"precision": "bfloat16"}, {"precision": "float32"},
        {"precision": "float32", "tf32": "yes"}, {"compile": "yes"}, {"fold": "no"}, {"batch": "100"},
        {"preset": "mobilevitv3"}, {"preset": "mobilevitv3", "runs": "500"},
    ]  # fmt: skip
    assert len({target(**w).spec.key for w in ways}) == len(ways)


def test_a_record_holds_what_is_needed_to_distrust_it(tmp_path: Path) -> None:
    record = measure(target(), tmp_path)
    assert LatencyRecord.from_json(record.to_json()) == record
    assert record.low_ms <= record.value_ms <= record.high_ms
    assert (record.batch, record.protocol, record.statistic) == (1, "cuda-graph-median", "median")
    assert record.warm_up_n >= 20 and record.warm_up_s >= 0.5 and record.rounds >= 15
    for what, value in {
        "device": "Fake GPU, driver 1.2", "launch": "GPU, CUDA graph", "layout": "channels_last", "precision": "float16",
        "tf32": "no", "batch_norm_folded": "yes", "compiled": "no", "l2_cache": "not flushed between runs",
        "sm_clock_before": "1980 MHz", "temperature_after": "40 C", "slowdowns_after": "none", "other_processes": "0",
        "drift": "0.0000", "reference": "mobilevit_xxs", "cudnn": "deterministic no, autotuned no",
    }.items():  # fmt: skip
        assert record.condition(what) == value
    assert float(record.condition("images_per_s")) == pytest.approx(1e3 / record.value_ms, rel=1e-4)
    assert float(record.condition("memory_peak_mb")) > 0
    assert {"torch", "cudnn"} <= dict(record.versions).keys()
    assert record.flags == ()
    measured = record.measurement()
    assert (measured.kind, measured.target, measured.unit) == ("measured", "gpu", "ms")


def test_throughput_is_a_second_measurement(tmp_path: Path) -> None:
    one, many = (measure(target(batch=n), tmp_path) for n in ("1", "100"))
    assert many.batch == 100 and many.value_ms > one.value_ms
    assert float(many.condition("images_per_s")) == pytest.approx(1e5 / many.value_ms, rel=1e-4)
    assert float(many.condition("images_per_s")) > 5 * float(one.condition("images_per_s"))


def test_launches_are_timed_eagerly_and_hidden_in_a_graph(tmp_path: Path) -> None:
    eager, graph = (measure(target(launch=w), tmp_path) for w in ("eager", "graph"))
    assert eager.value_ms > 2 * graph.value_ms


def test_unfolded_networks_run_their_batch_norms(tmp_path: Path) -> None:
    assert measure(target(fold="no"), tmp_path).value_ms > 1.1 * measure(target(), tmp_path).value_ms


def test_the_preset_counts_its_runs_waits_after_each_and_is_deterministic(tmp_path: Path) -> None:
    gpu = FakeGpu()
    where = target(gpu, preset="mobilevitv3", runs="300")
    seen = []
    session = gpu.session
    gpu.session = lambda settings: (seen.append(settings), session(settings))[1]
    record = measure(where, tmp_path)
    assert record.n == record.rounds == 300 and gpu.synchronised > 300
    assert (record.statistic, record.protocol) == ("mean", "mobilevitv3-main-latency-300")
    assert record.condition("host_waits") == "after every run"
    assert record.condition("cudnn") == "deterministic yes, autotuned no"
    assert seen == [where.options.math] and gpu.replays == 0


def test_the_reference_is_loaded_once_and_not_counted_as_memory(tmp_path: Path) -> None:
    gpu = FakeGpu()
    where = target(gpu)
    measure(where, tmp_path)
    assert gpu.computed == 2
    record = measure(where, tmp_path)
    assert gpu.computed == 3 and gpu.sessions == 2 and gpu.settings is None
    own = float(record.condition("memory_peak_mb"))
    assert 0 < own < 2 * 16 * 32 * 32 * 4 / 1e6  # the reference's largest map at 256 px is sixteen times that


def test_what_does_not_fit_is_not_tried_again(tmp_path: Path) -> None:
    gpu = FakeGpu(memory=10_000_000)
    measure(target(gpu), tmp_path)
    with pytest.raises(MeasureError, match="at batch 1000 does not fit into the memory of Fake GPU") as error:
        measure(target(gpu, batch="1000"), tmp_path)
    assert (error.value.kind, error.value.retryable) == ("load", False)
    assert error.value.__context__ is None, "the error holds on to the frames, and so to the memory"
    assert gpu.settings is None
    assert measure(target(gpu), tmp_path).value_ms > 0


def test_what_the_device_refuses_is_told_in_one_line(tmp_path: Path) -> None:
    gpu = FakeGpu()

    def capture(run):
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nand much more")

    gpu.capture = capture
    with pytest.raises(MeasureError, match=r"does not run on Fake GPU: CUDA error: operation .* capturing\n\n") as error:
        measure(target(gpu), tmp_path)
    assert error.value.kind == "load" and error.value.hint == "measure with `launch=eager`"


def test_a_hot_gpu_is_refused_and_a_capped_one_flagged(tmp_path: Path) -> None:
    with pytest.raises(MeasureError, match=r"held its clocks back \(thermal\)") as error:
        measure(target(FakeGpu(slowdowns=["thermal", "power cap"])), tmp_path)
    assert error.value.kind == "hot" and error.value.retryable
    record = measure(target(FakeGpu(slowdowns=["power cap"], processes=3)), tmp_path)
    assert record.flags == ("clocks-held-back: power cap", "shared-gpu: 2 other processes held memory of it")
    assert record.condition("other_processes") == "2"


def test_drift_is_tried_again_by_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    gpu = FakeGpu(lambda t: 1 + min(t, 9.0))
    where = target(gpu)
    artifact = where.prepare(SPEC, SIDE, tmp_path)
    with pytest.raises(MeasureError) as error:
        where.measure(artifact)
    assert error.value.kind == "unsteady"
    cache = MeasurementCache(tmp_path / "cache")
    record = take(where, artifact, cache=cache)
    assert record.value_ms > 0 and cache.get(artifact.key, where.spec) == record


def test_a_wide_interval_is_flagged(tmp_path: Path) -> None:
    gpu = FakeGpu(lambda t: 1.0 + 0.5 * (int(t / 0.02) % 2))
    record = measure(target(gpu), tmp_path, policy=StopPolicy(max_s=0.4, min_rounds=15, max_drift=9))
    assert len(record.flags) == 1 and record.flags[0].startswith("imprecise: half the interval is")


def test_artifacts_name_network_size_versions_and_form(tmp_path: Path) -> None:
    artifact = target().prepare(SPEC, SIDE, tmp_path, seed=3)
    assert artifact.key.startswith(f"{SPEC.arch_id}@{SIDE}/torch") and artifact.key.endswith("/float16-channels_last-folded")
    assert artifact.path is None and artifact.spec is SPEC
    assert target(compile="yes", fold="no").prepare(SPEC, SIDE, tmp_path).key.endswith("unfolded-compiled")
    with pytest.raises(MeasureError, match="is a file"):
        target().measure(Artifact("file", SIDE))


def test_a_calibration_predicts_a_network_that_it_has_not_seen(tmp_path: Path) -> None:
    where = target()
    names = ("mobilevit_xxs", "mobilevit_xs", "mobilevitv2_0.5", "mobilevitv2_1.0", "mobilevitv3_xxs", "mobilevitv3_0.5")
    calibration = calibrate_here(where, [network(n) for n in names], SIDE)
    ready = where.calibrated(calibration)
    for name in ("mobilevitv3_xxs_l2", "mobilevitv2_0.75"):
        predicted = ready.predict(network(name), SIDE)
        truth = measure(where, tmp_path, network(name)).value_ms
        assert predicted.value == pytest.approx(truth, rel=0.15)
        assert predicted.kind == "predicted" and predicted.protocol == "cuda-graph-median"
    with pytest.raises(TargetError, match="not one of `gpu@launch=eager`"):
        target(launch="eager").calibrated(calibration)


def test_priors_know_batches_launches_and_precisions() -> None:
    from mvsearch.costs import lower
    from mvsearch.targets.predictor.features import op_cost

    def expected(name: str, side: int = 256, **options: str) -> float:
        rates = target(**options).expected_rates()
        return sum(rates.features(op_cost(o) for p in lower(network(name), side) for o in p.ops))

    graph, eager = expected("mobilevit_s"), expected("mobilevit_s", launch="eager")
    assert 0.2 < graph < 1.5 < eager < 12
    # Eager at batch 1 is launch-bound: MobileViTv3's Table 5 has MobileViT-S 1.4 % above XXS.
    assert eager < 1.2 * expected("mobilevit_xxs", launch="eager")
    # A full GPU is another matter: there S takes 2.58 times as long as XXS, and XS 1.94 times.
    xxs, xs, s = (expected(f"mobilevit_{n}", preset="mobilevitv3", batch="100") for n in ("xxs", "xs", "s"))
    assert s / xxs == pytest.approx(121.65 / 47.08, rel=0.2)
    assert xs / xxs == pytest.approx(91.16 / 47.08, rel=0.2)
    assert expected("mobilevit_s", batch="100") > 5 * graph
    assert expected("mobilevit_s", batch="100", precision="float32") > 1.5 * expected("mobilevit_s", batch="100")
    assert expected("mobilevit_s", fold="no") > graph > expected("mobilevit_s", compile="yes")


def test_resources_are_devices() -> None:
    assert target().resource == "gpu" and GpuTarget({"device": "1"}).resource == "gpu1"


def _here(monkeypatch: pytest.MonkeyPatch, gpus=H200, build=None, hidden=False) -> None:
    monkeypatch.setattr(gpu_module, "visible_gpus", lambda: () if hidden else gpus)
    monkeypatch.setattr(gpu_module, "installed_gpus", lambda: gpus)
    monkeypatch.setattr(gpu_module, "torch_build", lambda: {"torch": "2.13.0", "cuda": "13.0"} if build is None else build)


@pytest.mark.parametrize(
    ("here", "options", "reason", "fix"),
    [
        ({"gpus": ()}, {}, "no NVIDIA GPU and driver here", "on a machine with one"),
        ({"hidden": True}, {}, "`CUDA_VISIBLE_DEVICES` hides this machine's 1 NVIDIA GPU", "unset it"),
        ({}, {"device": "2"}, "there is no device 2: CUDA sees 1", "`device` is from 0 to 0"),
        ({"build": {}}, {}, "not installed: torch", "`python -m pip install torch`"),
        ({"build": {"torch": "2.13.0+cpu"}}, {}, "PyTorch 2.13.0+cpu is built without CUDA", "driver 580 supports"),
    ],
)
def test_what_is_missing_is_a_reason_with_a_fix(here, options, reason, fix, monkeypatch, tmp_path) -> None:
    _here(monkeypatch, **here)
    where = GpuTarget(options)
    capability = where.capability()
    assert capability.status == "unavailable"
    assert reason in capability.reason and fix in capability.fix
    with pytest.raises(TargetError, match="cannot be measured here"):
        where.prepare(SPEC, SIDE, tmp_path)
    with pytest.raises(TargetError, match="cannot be measured here"):
        where.measure(Artifact("a", SIDE, SPEC))
    with pytest.raises(TargetError, match="no predictor"):
        where.predict(SPEC, SIDE)


def test_where_all_is_there_it_is_available(monkeypatch: pytest.MonkeyPatch) -> None:
    _here(monkeypatch)
    where = GpuTarget()
    assert where.capability().status == "available"
    assert where.machine() == "NVIDIA H200, driver 580"
    assert where.describe() == "NVIDIA H200, driver 580, PyTorch float16, GPU, CUDA graph, batch 1: measured here"
    assert where.versions() == (("torch", "2.13.0"), ("cuda", "13.0"))
    _here(monkeypatch, gpus=(Gpu("NVIDIA H200", "590", "GPU-a"),))
    assert GpuTarget().spec.key != where.spec.key


def test_two_counts_of_the_devices_that_disagree_are_noticed(tmp_path: Path) -> None:
    gpu = FakeGpu()
    where = target(gpu)
    where._gpus = (Gpu("Fake GPU", "1.2"), Gpu("Other GPU", "1.2"))
    gpu.gpu = lambda: Gpu("Other GPU", "1.2")
    with pytest.raises(MeasureError, match="is `Other GPU` to CUDA and `Fake GPU` to the driver's tool") as error:
        measure(where, tmp_path)
    assert error.value.kind == "unavailable" and "PCI_BUS_ID" in error.value.hint


def test_listing_the_target_starts_nothing() -> None:
    code = (
        "import sys; from mvsearch.targets.host.gpu.target import GpuTarget; t = GpuTarget({'preset': 'mobilevitv3'});"
        "t.describe(), t.capability(), t.versions(), t.expected_rates(), t.resource;"
        "print(sorted({'numpy', 'torch', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_targets_can_be_sent_to_workers() -> None:
    import pickle

    sent = pickle.loads(pickle.dumps(GpuTarget({"launch": "eager"})))
    assert sent.spec == GpuTarget({"launch": "eager"}).spec


def test_policies_refuse_five_per_cent_of_drift() -> None:
    for policy in (GpuTarget.policy, GpuTarget.calibration_policy):
        assert (policy.max_drift, policy.precision) == (0.05, 0.02) and policy.warm_up_s >= 0.5
    assert replace(GpuTarget.policy, max_s=1.5) == GpuTarget.calibration_policy

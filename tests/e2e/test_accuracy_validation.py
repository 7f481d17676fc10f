"""`validate --accuracy`, as a user calls it."""

import json

import pytest

from tests.e2e.here import call_here as call

GOOD = "# trained with 100 epochs\nnetwork,top1\nmobilevit_xxs,66.0\nmobilevitv3_xs,74.1\nmobilevitv2_0.75,73.0\n"


def test_own_networks_sharpen_the_fit(tmp_path):
    (tmp_path / "my.csv").write_text(GOOD)
    done = call("validate", "--accuracy", "--no-proxies", "--anchors", "my.csv", "--out", "v", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no evidence beyond" in done.stdout and "Verdict" in done.stdout and "iphone" not in done.stdout.lower()
    assert {p.name for p in (tmp_path / "v").iterdir()} == {f"accuracy.{s}" for s in ("json", "csv", "svg", "png")}
    own = json.loads((tmp_path / "v" / "accuracy.json").read_text())["own"]
    assert own["mae_after"] < own["mae_before"]
    assert own["laboratory"] < -1


def test_a_target_that_is_named_is_validated_too(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # threads that wait for one another beside other tests take ten times as long
    done = call("validate", "--accuracy", "--no-proxies", "--target", "iphone13", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("Predicted latency on iphone13") < done.stdout.index("Estimated ImageNet-1k top-1")


@pytest.mark.parametrize(
    ("arguments", "text", "what"),
    [
        (("--anchors", "my.csv"), GOOD, "`--anchors` without `--accuracy`"),
        (("--accuracy", "--anchors", "my.csv"), "network,top1\nmobilevit_xxs,0.69\n", "a fraction"),
        (("--accuracy", "--anchors", "my.csv"), "network,top1\nmobilevit_xxs,78\n", "cannot be top-1 on ImageNet-1k"),
        (("--accuracy", "--target", "nonsense"), GOOD, "`nonsense`"),
    ],
)
def test_refused_and_nothing_written(tmp_path, arguments, text, what):
    (tmp_path / "my.csv").write_text(text)
    done = call("validate", *arguments, "--out", "v", cwd=tmp_path)
    assert done.returncode == 2
    assert what in done.stderr and "hint:" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "v").exists()

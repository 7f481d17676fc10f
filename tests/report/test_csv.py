import csv
import time
from dataclasses import replace
from pathlib import Path

from mvsearch import report
from mvsearch.report.anatomy import BY
from mvsearch.report.anatomy_files import columns as anatomy_columns
from mvsearch.report.csv import (
    COLUMNS,
    columns,
    columns_markdown,
    front_rows,
    spec_cells,
    spec_of_row,
    trial_rows,
    write_csv,
)
from mvsearch.spec.published import all_published, network
from tests.report.sample import invented_evaluation, synthetic_view


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_one_row_per_trial_under_documented_columns(tmp_path):
    view = synthetic_view(budgets="2M-params,5ms")
    write_csv(tmp_path / "trials.csv", trial_rows(view))
    rows = read(tmp_path / "trials.csv")
    assert list(rows[0]) == [name for name, _ in COLUMNS]
    assert next(iter(rows[0])) == "arch_id"
    assert all(meaning for _, meaning in COLUMNS)
    assert [int(r["number"]) for r in rows] == [t.number for t in view.trials]
    for row, trial in zip(rows, view.trials, strict=True):
        m = trial.evaluation.measurements
        assert int(row["params"]) == m["params"].value
        assert abs(float(row["latency_ms_high"]) / m["latency"].high - 1) < 1e-6
        assert (row["latency_ms_kind"], row["top1_kind"]) == ("predicted", "estimated")
        assert abs(float(row["lower_top1"]) - m["top1"].quantile(0.2)) < 1e-4
        assert row["feasible"] == str(int(trial.feasible))
    assert [r["arch_id"] for r in rows if r["role"] == "winner"] == [view.winner]
    assert {r["role"] for r in rows} >= {"winner", "candidate", "over", "struck"}


def test_architectures_survive_the_round_trip(tmp_path):
    view = synthetic_view()
    write_csv(tmp_path / "trials.csv", trial_rows(view))
    for row in read(tmp_path / "trials.csv"):
        assert spec_of_row(row).arch_id == row["arch_id"]
    for spec in all_published().values():
        row = {name: "" for name, _ in COLUMNS} | {k: str(v) for k, v in spec_cells(spec).items()}
        assert spec_of_row(row) == spec


def test_front_is_in_order_and_marks_the_winner(tmp_path):
    view = synthetic_view()
    write_csv(tmp_path / "front.csv", front_rows(view))
    rows = read(tmp_path / "front.csv")
    assert [r["arch_id"] for r in rows] == [m.evaluation.arch_id for m in view.front]
    latencies = [float(r["latency_ms"]) for r in rows]
    assert latencies == sorted(latencies)
    assert [r["role"] for r in rows].count("winner") == 1
    assert {r["rung"] for r in rows} == {"converted"}


def test_five_thousand_rows_take_little_time(tmp_path):
    view = synthetic_view()
    rows = list(trial_rows(view))
    copies = -(-5000 // len(rows))
    start = time.process_time()
    for _ in range(copies):
        write_csv(tmp_path / "trials.csv", trial_rows(view))
    assert time.process_time() - start < 2.5  # about 0.5 s on an idle core


def test_a_network_of_more_stages_adds_columns_and_loses_nothing(tmp_path):
    view = synthetic_view()
    deep = network("mobilevit_xxs")
    deep = replace(deep, stages=(*deep.stages[:2], *deep.stages))
    trial = replace(view.trials[0], evaluation=invented_evaluation(deep))
    write_csv(tmp_path / "trials.csv", trial_rows(replace(view, trials=(trial, *view.trials[1:]))))
    rows = read(tmp_path / "trials.csv")
    assert list(rows[0]) == [name for name, _ in columns(7)]
    assert rows[0]["block7"] == "v1" and rows[1]["block7"] == ""
    assert [spec_of_row(row).arch_id for row in rows] == [row["arch_id"] for row in rows]


def test_the_readme_holds_the_table_of_columns():
    text = (Path(report.__file__).parent / "README.md").read_text(encoding="utf-8")
    assert columns_markdown() in text, "put `mvsearch.report.csv.columns_markdown()` into mvsearch/report/README.md"
    for by in BY:
        for column in anatomy_columns(by):
            assert f"`{column}`" in text, column


def test_every_column_is_in_the_docs():
    text = (Path(__file__).parents[2] / "reports" / "README.md").read_text(encoding="utf-8")
    firsts = [name for name, _ in COLUMNS if not name[-1].isdigit() or name.endswith(("1",))]
    assert [name for name in firsts if f"`{name}`" not in text] == []

"""The accuracy report: what it says in a terminal, in files and as a picture."""

import csv
import io
import json

import pytest
from rich.console import Console

from mvsearch.accuracy.validation import OwnNetwork, validate, validate_accuracy
from mvsearch.accuracy.validation.proxies import ProxyScore
from mvsearch.errors import InputError
from mvsearch.report.accuracy_validation import render_accuracy_validation, write_accuracy_validation
from mvsearch.spec.published import network


@pytest.fixture(scope="module")
def found():
    """With own networks, and proxies that cost nothing: one that fails once, and one that always does."""
    calls = []

    def score(name, spec, images, seed):
        calls.append(name)
        works = name == "meco" and len(calls) % 19
        return ProxyScore(float(len(calls) * 7 % 5) if works else None, 0.25)

    own = [
        OwnNetwork(2, "mobilevit_xxs", network("mobilevit_xxs"), 256, 66.1),
        OwnNetwork(3, "mobilevitv3_xs", network("mobilevitv3_xs"), 256, 74.0),
    ]
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validate, "score_network", score)
        result = validate_accuracy(own, "mine.csv", progress=lambda done, total, what: seen.append((done, total, what)))
    assert seen[0][:2] == (1, 38) and seen[-1][:2] == (38, 38) and "naswot" in seen[0][2]
    return result


@pytest.fixture(scope="module")
def plain():
    return validate_accuracy(proxies=False)


def text_of(renderable, width=100):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(renderable)
    return console.export_text()


def test_the_terminal_names_size_first_and_says_how_everything_came_about(found):
    text = text_of(render_accuracy_validation(found))
    assert max(map(len, text.splitlines())) <= 100
    assert (
        text.index("params ")
        < text.index("activations ")
        < text.index("macs ")
        < text.index("estimate,")
        < text.index("naswot")
    )
    assert "no evidence beyond" in text and "beyond size" in text and "is size" in text
    for words in ("counted", "estimated", "untrained", "Nothing was trained", "trained by you, not checked here", "1/f noise"):
        assert words in text
    flat = " ".join(text.split())
    assert "In all 14 bins with 20 pairs or more both stated probabilities lie within 0.1" in flat
    assert "Noise floor" in text and "0.8 points in the median" in flat
    assert f"Verdict {found.verdict.letter}" in text and "Without your networks: B" in text
    assert "The rule, pairs with params within 20 %" in flat


def test_numbers_are_shown_as_they_are(found):
    text = text_of(render_accuracy_validation(found))
    for r in found.proxies:
        if r.right.value is not None:
            assert f"{r.right.value:.2f}" in text
    for k in found.knobs:
        assert k.change in text and f"{k.error:+.2f}" in text
    for c in found.coverage:
        assert f"{c.inside} of {c.networks}" in text
    naswot = next(r for r in found.proxies if r.name == "naswot")
    assert naswot.failures == 19 and naswot.right.value is None
    assert " 19\n" in text or " 19 " in text


def test_without_own_networks_or_proxies_there_are_no_empty_tables(plain):
    text = text_of(render_accuracy_validation(plain))
    assert "naswot" not in text and "Your " not in text and "Without your networks" not in text
    assert "Verdict B" in text


def test_files_hold_everything(found, tmp_path):
    written = write_accuracy_validation(found, tmp_path / "v")
    assert [p.name for p in written] == ["accuracy.json", "accuracy.csv", "accuracy.svg", "accuracy.png"]
    data = json.loads(written[0].read_text())
    assert len(data["networks"]) == 19
    assert data["own"]["rows"][0]["network"] == "mobilevit_xxs"
    assert data["networks"][0]["scores"]["naswot"] is None
    with written[1].open(newline="") as file:
        rows = list(csv.DictReader(file))
    taus = [r for r in rows if r["statistic"] == "kendall tau-b"]
    assert len(taus) == 5 * len(found.proxies)
    assert {r["subset"] for r in taus} == {"all", "XXS", "XS", "S", "larger"}
    params = next(r for r in taus if r["row"] == "params" and r["subset"] == "all")
    assert float(params["low"]) < float(params["value"]) < float(params["high"])
    assert float(params["value"]) == pytest.approx(found.proxies[0].correlations[0].kendall.value, abs=1e-4)
    assert {r["value"] for r in rows if r["row"] == "naswot" and r["statistic"] == "failures"} == {"19"}
    svg = written[2].read_text()
    assert "v3-XXS" in svg and "no evidence beyond size" in svg and "yours, refitted" in svg
    again = write_accuracy_validation(found, tmp_path / "w")
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in written]


def test_the_seed_moves_intervals_only(plain):
    other = validate_accuracy(proxies=False, seed=1)
    assert other != plain
    assert [r.right.value for r in other.proxies] == [r.right.value for r in plain.proxies]


def test_a_place_that_cannot_be_written_is_refused(plain, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="cannot write"):
        write_accuracy_validation(plain, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"

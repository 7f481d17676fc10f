"""The CSV of own networks: what is read, and how everything else is refused at once, with line numbers."""

import json

import pytest

from mvsearch.api.anchors_csv import read_anchors_csv
from mvsearch.errors import InputError
from mvsearch.spec.arch import to_json
from mvsearch.spec.published import network


def read(tmp_path, text):
    path = tmp_path / "my.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_anchors_csv(path)


def test_names_files_and_entries(tmp_path):
    (tmp_path / "net.json").write_text(json.dumps(to_json(network("mobilevitv3_xs"))))
    (tmp_path / "entry").mkdir()
    (tmp_path / "entry" / "config.json").write_text(json.dumps({"arch": to_json(network("mobilevitv2_0.75"))}))
    text = "# my networks\nspec,top1,resolution,note\n\nmobilevit_xxs,67.5,,a\n# two\nnet.json,74 %,320,\nentry,73.1,256,b\n"
    rows = read(tmp_path, text)
    assert [(r.line, r.name, r.resolution, r.top1) for r in rows] == [
        (4, "mobilevit_xxs", 256, 67.5), (6, "net.json", 320, 74.0), (7, "entry", 256, 73.1),
    ]  # fmt: skip
    assert [r.arch_id for r in rows] == [network(n).arch_id for n in ("mobilevit_xxs", "mobilevitv3_xs", "mobilevitv2_0.75")]


def test_semicolons_and_a_byte_order_mark(tmp_path):
    assert read(tmp_path, "\ufeffnetwork;top1\r\nmobilevit_xxs;67.5\r\n".encode())[0].line == 2


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", ["is empty"]),
        ("# only a comment\n", ["is empty"]),
        (b"\x00\x01\x02", ["not a text file"]),
        (b"\xff\xfe\x00", ["not a text file in UTF-8"]),
        ("network,top1\n", ["line 1: no network follows the header"]),
        ("network,note\nmobilevit_xxs,a\n", ["line 1: no column `top1`"]),
        ("name,top1\nmobilevit_xxs,70\n", ["no column `network`", "unknown column `name`"]),
        ("network,accuracy\nmobilevit_xxs,70\n", ["column `accuracy`: write top-1 in %", "no column `top1`"]),
        ("network,error\nmobilevit_xxs,30\n", ["write 100 less the error"]),
        ("network,spec,top1\na,b,70\n", ["keep one"]),
        ("network,top1,top1\nmobilevit_xxs,70,70\n", ["column `top1` is there 2 times"]),
        ("network,top1\nmobilevit_xxs,0.69\n", ["line 2: `top1` is `0.69`: a fraction", "e.g. `69`"]),
        ("network,top1\nmobilevit_xxs,100\n", ["line 2: `top1` is `100`: not between 0 and 100 %"]),
        ("network,top1\nmobilevit_xxs,-3\n", ["not between"]),
        ("network,top1\nmobilevit_xxs,nan\n", ["not between"]),
        ("network,top1\nmobilevit_xxs,seventy\n", ["not a number"]),
        ('network,top1\nmobilevit_xxs,"69,1"\n', ["write a point, not a comma"]),
        ("network,top1\nno_such_network,69\n", ["line 2: unknown network `no_such_network`"]),
        ("network,top1\n,69\n", ["no `network`"]),
        ("network,top1,resolution\nmobilevit_xxs,69,7\n", ["`resolution` is `7`"]),
        ("network,top1\nmobilevit_xxs\n", ["1 values for 2 columns"]),
        ("network,top1\nmobilevit_xs@patch=8,4,2,73\n", ["4 values for 2 columns", "quotes"]),
        ("network,top1\nmobilevit_xxs,68\nmobilevit_xxs,69\n", ["line 3: `mobilevit_xxs` at 256 pixels is in line 2 already"]),
        ("network,top1\nmobilevit_xxs,68\n# x\nnothing,0.7\n", ["2 faults", "line 4: `top1` is `0.7`", "`nothing`"]),
        ("network,top1\nmobilevit_xxs,93.5\nmobilevit_s,95.0\n", ["line 2", "line 3", "too far off for ImageNet-1k"]),
        (
            "network,top1\nmobilevit_xxs,78\nmobilevit_xs,84\n",
            ["points above their estimates", "cannot be top-1 on ImageNet-1k"],
        ),
        (
            "network,top1\nmobilevit_xxs,50\nmobilevit_xs,51\n",
            ["points below their estimates", "cannot be top-1 on ImageNet-1k"],
        ),
    ],
)
def test_refused(tmp_path, text, what):
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    for words in what:
        assert words in error.value.message
    assert "my.csv" in error.value.message
    assert "`network,top1`" in error.value.hint


def test_another_number_of_classes_is_another_task(tmp_path):
    (tmp_path / "ten.json").write_text(json.dumps(to_json(network("mobilevit_xxs").with_classes(10))))
    with pytest.raises(InputError, match="has 10 classes, ImageNet-1k 1000"):
        read(tmp_path, "network,top1\nten.json,69\n")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        read_anchors_csv(tmp_path / "none.csv")
    with pytest.raises(InputError, match="not a plain file"):
        read_anchors_csv(tmp_path)

# SPDX-License-Identifier: Apache-2.0
"""scripts/int8_baseline.py: what it writes, that it is not written twice, ModelOpt where it is not."""
import json
import os
import sys

import onnx
import pytest
from helpers import INT4Q, ROOT, run_int4q, yolo_scene

SCRIPTS = os.path.join(ROOT, "scripts")
sys.path.insert(0, SCRIPTS)
import int8_baseline  # noqa: E402

TOOL = ["--int4q", INT4Q]


@pytest.fixture(scope="module")
def yolo(tmp_path_factory):
    return yolo_scene(tmp_path_factory.mktemp("yolo"))


def test_int8(yolo, tmp_path, capsys):
    """Weights in INT8; activations too where ONNX Runtime does it; what is there is not made again."""
    args = [str(yolo / "n.onnx"), "--images", str(yolo / "images"), "-n", "2", "-o", str(tmp_path), *TOOL]
    int8_baseline.main([*args, "--kind", "ort", "int4q"])
    for name, activations in (("ort-w8a8", True), ("int4q-w8", False)):
        nodes = [n.op_type for n in onnx.load(tmp_path / f"{name}.onnx").graph.node]
        assert nodes.count("DequantizeLinear") >= 82 and ("QuantizeLinear" in nodes) == activations
        totals = json.loads(run_int4q("inspect", tmp_path / f"{name}.onnx", "--json", "-").stdout)["totals"]
        assert totals["int8"] >= 82
    assert sorted(os.listdir(tmp_path)) == ["int4q-w8.onnx", "int4q-w8.stamp.json", "ort-w8a8.onnx", "ort-w8a8.stamp.json"]
    before = os.stat(tmp_path / "ort-w8a8.onnx").st_mtime_ns
    capsys.readouterr()
    int8_baseline.main([*args, "--kind", "ort"])
    assert os.stat(tmp_path / "ort-w8a8.onnx").st_mtime_ns == before and "was there" in capsys.readouterr().out
    int8_baseline.main([*args[:4], "1", *args[5:], "--kind", "ort"])
    assert os.stat(tmp_path / "ort-w8a8.onnx").st_mtime_ns != before
    with pytest.raises(SystemExit, match="none.onnx: No such file"):
        int8_baseline.main([str(tmp_path / "none.onnx"), *args[1:]])


def test_no_modelopt(yolo, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "modelopt", None)
    with pytest.raises(SystemExit, match=r"int8_baseline.py: ModelOpt is not installed: pip install") as end:
        int8_baseline.main([str(yolo / "n.onnx"), "--images", str(yolo / "images"), "--kind", "modelopt", "-o",
                            str(tmp_path), *TOOL])
    assert "\n" not in end.value.code


def test_help(capsys):
    with pytest.raises(SystemExit) as end:
        int8_baseline.main(["--help"])
    assert end.value.code == 0 and "ort-w8a8.onnx" in capsys.readouterr().out

# SPDX-License-Identifier: Apache-2.0
"""scripts/int8_baseline.py: what it writes, that it is not written twice, ModelOpt where it is not."""
import importlib.machinery
import json
import os
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import onnx
import pytest
from helpers import INT4Q, assert_equal_outputs, make_model, run_int4q, tensor, value, yolo_scene
from onnx import helper, numpy_helper
from PIL import Image

from int4q.lab.commands import int8_baseline

TOOL = ["--int4q", INT4Q]


@pytest.fixture(scope="module")
def yolo(tmp_path_factory):
    return yolo_scene(tmp_path_factory.mktemp("yolo"))


def test_int8(yolo, tmp_path, capsys):
    """Weights in INT8; activations too where ONNX Runtime does it; what is there is not made again."""
    args = [str(yolo / "n.onnx"), "--images", str(yolo / "images"), "-n", "2", "-o", str(tmp_path), *TOOL]
    int8_baseline.main([*args, "--kind", "ort", "int4q", "int4q-a8"])
    for name, activations in (("ort-w8a8", True), ("int4q-w8", False), ("int4q-w8a8", True)):
        nodes = [n.op_type for n in onnx.load(tmp_path / f"{name}.onnx").graph.node]
        assert nodes.count("DequantizeLinear") >= 82 and ("QuantizeLinear" in nodes) == activations
        totals = json.loads(run_int4q("inspect", tmp_path / f"{name}.onnx", "--json", "-").stdout)["totals"]
        assert totals["int8"] >= 82
    assert sorted(os.listdir(tmp_path)) == [f"{name}.{end}" for name in ("int4q-w8", "int4q-w8a8", "ort-w8a8")
                                            for end in ("onnx", "stamp.json")]
    before = os.stat(tmp_path / "ort-w8a8.onnx").st_mtime_ns
    capsys.readouterr()
    int8_baseline.main([*args, "--kind", "ort"])
    assert os.stat(tmp_path / "ort-w8a8.onnx").st_mtime_ns == before and "was there" in capsys.readouterr().out
    int8_baseline.main([*args[:4], "1", *args[5:], "--kind", "ort"])
    assert os.stat(tmp_path / "ort-w8a8.onnx").st_mtime_ns != before
    with pytest.raises(SystemExit, match="none.onnx: No such file"):
        int8_baseline.main([str(tmp_path / "none.onnx"), *args[1:]])


def test_old_opset(tmp_path):
    """A model of an opset without DequantizeLinear for channels is raised to one; its weights stay what they are."""
    nodes = [helper.make_node("Constant", [], ["v"], value=tensor("v", 6, 3, 1, 1)),
             helper.make_node("Conv", ["x", "w"], ["c"], name="first", pads=[1] * 4),
             helper.make_node("Split", ["c"], ["l", "r"], axis=1, split=[3, 3]),
             helper.make_node("Conv", ["l", "v"], ["d"], name="second", strides=[8, 8]),
             helper.make_node("Reshape", ["d", "shape"], ["y"])]
    stored = [tensor("w", 6, 3, 3, 3), numpy_helper.from_array(np.array([1, -1, 6]), "shape")]
    model = make_model(nodes, stored, [value("x", 1, 3, 32, 32)], [value("y", 1, 16, 6)], opset=11)
    onnx.save(model, tmp_path / "m.onnx")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)).save(tmp_path / "p.png")
    int8_baseline.main([str(tmp_path / "m.onnx"), "--images", str(tmp_path), "-n", "1", "--family", "yolov10", "--kind", "ort",
                        "-o", str(tmp_path / "out"), *TOOL])
    assert onnx.load(tmp_path / "out" / "ort-w8a8.onnx").opset_import[0].version >= 13
    raised = onnx.load(int8_baseline.with_opset(str(tmp_path / "m.onnx"), INT4Q, str(tmp_path)))
    assert raised.opset_import[0].version == 13 and [t.name for t in raised.graph.initializer if t.name in "wv"] == ["w", "v"]
    assert_equal_outputs(model, raised)


@pytest.mark.parametrize("package, title", [("modelopt", "ModelOpt"), ("nncf", "NNCF")])
def test_not_installed(yolo, tmp_path, monkeypatch, package, title):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SystemExit, match=rf"int8_baseline.py: {title} is not installed: pip install") as end:
        int8_baseline.main([str(yolo / "n.onnx"), "--images", str(yolo / "images"), "--kind", package, "-o",
                            str(tmp_path), *TOOL])
    assert "\n" not in end.value.code


def test_help(capsys):
    with pytest.raises(SystemExit) as end:
        int8_baseline.main(["--help"])
    assert end.value.code == 0 and "ort-w8a8.onnx" in capsys.readouterr().out


# What ModelOpt 0.47 does: it reads the calibration twice, writes to its input, and leaves models beside its output.
def modelopt_quantize(onnx_path, quantize_mode="int8", calibration_data_reader=None, output_path=None, **more):
    reader, seen = calibration_data_reader, []
    first = reader.get_first()
    for _ in range(2):
        reader.rewind()
        seen.append(list(iter(reader.get_next, None)))
    assert len(seen[0]) == len(seen[1]) == 2 and all(x["images"].shape == (1, 3, 64, 64) for x in (first, *seen[0]))
    np.testing.assert_array_equal(first["images"], seen[0][0]["images"])
    model = onnx.load(onnx_path)
    model.producer_name = "overwritten"
    for path in (onnx_path, *(output_path.replace(".onnx", f"_{n}.onnx") for n in ("named", "opset19", "reconciled"))):
        onnx.save(model, path)
    if more["op_types_to_quantize"] != ["Conv"] or quantize_mode != "int8" or "breaks" in more:
        raise ValueError("it fails")
    onnx.save(model, output_path)


def stand_in(monkeypatch, quantize):
    """A package modelopt with this function."""
    package = ModuleType("modelopt")
    package.__version__, package.__spec__ = "0.47.0", importlib.machinery.ModuleSpec("modelopt", None)
    for name, module in (("modelopt", package), ("modelopt.onnx", ModuleType("modelopt.onnx")),
                         ("modelopt.onnx.quantization", SimpleNamespace(quantize=quantize))):
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize("fails", [False, True])
def test_modelopt(yolo, tmp_path, monkeypatch, capsys, fails):
    """The user's model stays as it is, and nothing but the output is left, even where ModelOpt fails."""
    stand_in(monkeypatch, (lambda *a, **k: modelopt_quantize(*a, **k, breaks=True)) if fails else modelopt_quantize)
    model = tmp_path / "model" / "m.onnx"
    model.parent.mkdir()
    onnx.save(onnx.load(yolo / "n.onnx"), model, save_as_external_data=True, location="m.data")
    before = {path: path.read_bytes() for path in model.parent.iterdir()}
    args = [str(model), "--images", str(yolo / "images"), "-n", "2", "--kind", "modelopt", "-o", str(tmp_path / "out"), *TOOL]
    if fails:
        with pytest.raises(SystemExit, match="m.onnx: modelopt-w8a8: it fails"):
            int8_baseline.main(args)
    else:
        int8_baseline.main(args)
        assert onnx.load(tmp_path / "out" / "modelopt-w8a8.onnx").producer_name == "overwritten"
    assert {path: path.read_bytes() for path in model.parent.iterdir()} == before
    left = [] if fails else ["modelopt-w8a8.onnx", "modelopt-w8a8.stamp.json"]
    assert sorted(os.listdir(tmp_path / "out")) == left


def test_nncf(yolo, tmp_path, monkeypatch):
    """NNCF gets the model at an opset with scales a channel, every image, and is not made to run twice."""
    seen = []

    def quantize(model, dataset, preset, subset_size):
        seen.append((next(o.version for o in model.opset_import if not o.domain), preset, subset_size, len(list(dataset))))
        return model
    package = SimpleNamespace(quantize=quantize, Dataset=lambda source, transform: [transform(item) for item in source],
                              QuantizationPreset=SimpleNamespace(MIXED="mixed"), __version__="3.4.0",
                              __spec__=importlib.machinery.ModuleSpec("nncf", None))
    monkeypatch.setitem(sys.modules, "nncf", package)
    model = onnx.load(yolo / "n.onnx")
    for _ in range(2):
        int8_baseline.main([str(yolo / "n.onnx"), "--images", str(yolo / "images"), "-n", "2", "--kind", "nncf", "-o",
                            str(tmp_path / "out"), *TOOL])
    version = max(13, next(o.version for o in model.opset_import if not o.domain))
    assert [found[1:] for found in seen] == [("mixed", 2, 2)] and seen[0][0] >= version
    assert sorted(os.listdir(tmp_path / "out")) == ["nncf-w8a8.onnx", "nncf-w8a8.stamp.json"]

# SPDX-License-Identifier: Apache-2.0
"""Models of MNN in scripts/other_tools.py and eval_coco.py, with ONNX Runtime in the place of MNN."""
import os
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
from helpers import ROOT, make_model, tensor, value
from onnx import helper

from int4q.lab.base import errors
from int4q.lab.commands import eval_coco, other_tools
from int4q.lab.detection import detectors, heads, mnn
from int4q.lab.experiment import rivals
from int4q.lab.models import session

PLACES = sum(heads.cells((64, 64)))


class FakeModule:
    """What load_module_from_file gives: it runs the ONNX model of this file, from these inputs to these outputs."""

    def __init__(self, path, inputs, outputs, runtime_manager):
        assert runtime_manager == [{"numThread": 2}]
        try:
            model = session.with_outputs(onnx.load(path), outputs)
        except Exception as error:
            raise SystemError("returned a result with an exception set") from error
        self.inputs = inputs
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    def forward(self, values):
        assert all(v.shape == (1, 3, 64, 64) for v in values)
        return self.session.run(None, dict(zip(self.inputs, values)))


class FakeExpr:
    NCHW = "NCHW"

    @staticmethod
    def const(values, shape, order):
        assert order == "NCHW" and shape == list(values.shape)
        return values

    @staticmethod
    def convert(values, order):
        return SimpleNamespace(read=lambda: values) if order == "NCHW" else None


@pytest.fixture
def fake_mnn(monkeypatch):
    nn = SimpleNamespace(create_runtime_manager=list, load_module_from_file=FakeModule)
    monkeypatch.setitem(sys.modules, "MNN", SimpleNamespace(expr=FakeExpr, nn=nn))


def small_detector(path, seed):
    """A model that ends in detections [1, 1, 6], with boxes and probabilities of all anchors inside."""
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], strides=[64, 64]),
             helper.make_node("Reshape", ["c", "boxes_shape"], ["flat_boxes"]),
             helper.make_node("Split", ["flat_boxes"], ["boxes", "logits"], axis=1, num_outputs=2),
             helper.make_node("Sigmoid", ["logits"], ["p"]),
             helper.make_node("Concat", ["boxes", "p"], ["all"], axis=1),
             helper.make_node("ReduceMean", ["all"], ["mean"], keepdims=1),
             helper.make_node("Mul", ["mean", "detection"], ["y"])]
    stored = [tensor("w", 8 * PLACES, 3, 64, 64, seed=seed),
              onnx.numpy_helper.from_array(np.array([1, 8, PLACES]), "boxes_shape"),
              onnx.numpy_helper.from_array(np.array([[[0, 0, 9, 9, .5, 0]]], np.float32), "detection")]
    model = make_model(nodes, stored, inputs=[value("x", 1, 3, 64, 64)], outputs=[value("y", 1, 1, 6)], opset=18)
    onnx.save(model, path)
    return str(path)


def test_detector(tmp_path, fake_mnn):
    """The same network gives the same outputs, taps among them; another one, others."""
    origin = detectors.Detector(small_detector(tmp_path / "m.onnx", 0), probabilities=True)
    same, other = shutil.copy(origin.path, str(tmp_path / "same.mnn")), small_detector(tmp_path / "other.mnn", 1)
    found, differs = (mnn.MnnDetector(path, origin, 2) for path in (same, other))
    assert (found.path, found.name, found.size, len(found.taps)) == (same, "yolov10", (64, 64), 2)
    values, placement = found.prepare(np.random.default_rng(0).integers(0, 256, (50, 80, 3), np.uint8))
    outputs, wanted = found.run(values), origin.run(values)
    assert len(outputs) == 3
    for mine, its in zip(outputs, wanted):
        np.testing.assert_array_equal(mine, its)
    assert found.probabilities(outputs).shape == (PLACES, 4) and found.all_boxes(outputs).shape == (PLACES, 4)
    for mine, its in zip(found.detections(outputs, placement), origin.detections(wanted, placement)):
        np.testing.assert_array_equal(mine, its)
    assert not np.array_equal(differs.run(values)[1], wanted[1])
    differs.module = SimpleNamespace(forward=lambda values: [])
    with pytest.raises(errors.Error, match="other.mnn: MNN cannot run it"):
        differs.run(values)


def test_table(tmp_path, fake_mnn):
    """By its name a model is opened by MNN, after the reference, wherever that was named."""
    origin = small_detector(tmp_path / "m.onnx", 0)
    other = shutil.copy(origin, str(tmp_path / "other.mnn"))
    for models in ([origin, other], [other, "--reference", origin]):
        options = ["--images", ".", "--annotations", "truth.json", "--threads", "2"]
        found = eval_coco.open_models(eval_coco.parse([*models, *options]))
        assert [type(d).__name__ for d in found] == ["Detector", "MnnDetector"] and found[1].path == other


def test_refused(tmp_path, fake_mnn, monkeypatch):
    """No model of MNN, no reference before it, no MNN: a line each."""
    origin = detectors.Detector(small_detector(tmp_path / "m.onnx", 0))
    (tmp_path / "bad.mnn").write_bytes(b"garbage")
    with pytest.raises(errors.Error, match="bad.mnn: MNN: no model with x, y$"):
        mnn.MnnDetector(str(tmp_path / "bad.mnn"), origin, 2)
    with pytest.raises(errors.Error, match="bad.mnn: not an ONNX model"):
        eval_coco.open_models(eval_coco.parse([str(tmp_path / "bad.mnn"), "--images", ".", "--annotations", "truth.json"]))
    monkeypatch.setitem(sys.modules, "MNN", None)
    with pytest.raises(errors.Error, match="m.onnx: the Python package MNN is not installed"):
        mnn.MnnDetector(origin.path, origin, 2)


# What _tools.mnnconvert does: it ends in success even where it makes nothing. This one also writes where it should not.
TOOLS = """
import shutil
def mnnconvert(args):
    options = dict(zip(args, args[1:]))
    if options["--weightQuantBits"] == "4" and "--hqq" in args and options["-f"] == "ONNX" and "Block" not in str(args):
        shutil.copy(options["--modelFile"], options["--MNNModel"])
    for stray in (options["--modelFile"], options["--modelFile"] + ".data", "stray"):
        open(stray, "w").close()
"""
NN = """
def load_module_from_file(path, inputs, outputs):
    open(path).close()
"""


def test_conversion(tmp_path, capfd, monkeypatch):
    """The model that was made is named, the other is not, though one from before is there; nothing else is left."""
    for name, text in (("_tools.py", TOOLS), ("MNN/__init__.py", ""), ("MNN/nn.py", NN)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(rivals, "KINDS", rivals.KINDS[1:])
    made = tmp_path / "out" / "mnn-hqq.mnn"
    made.parent.mkdir()
    (made.parent / "mnn-hqq-block32.mnn").write_text("old")
    model = small_detector(tmp_path / "m.onnx", 0)
    content = (tmp_path / "m.onnx").read_bytes()
    other_tools.main([model, "-o", str(made.parent)])
    said = capfd.readouterr()
    assert said.out == f"{made}\n" and made.read_bytes() == content == (tmp_path / "m.onnx").read_bytes()
    assert os.listdir(made.parent) == [made.name] and not os.path.exists(f"{model}.data") and not os.path.exists("stray")
    assert "other_tools.py: mnn-hqq-block32: MNN made no model\n" in said.err
    assert "other_tools.py: onnxsim: not installed\n" in said.err and "mnn-hqq:" not in said.err


def test_not_installed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(rivals, "KINDS", rivals.KINDS[1:])
    monkeypatch.setattr(rivals.importlib.util, "find_spec", lambda name: None)
    other_tools.main([__file__, "-o", str(tmp_path)])
    said = capsys.readouterr()
    assert not said.out and said.err.count(": not installed\n") == len(rivals.TOOLS)


def test_versions_agree():
    """The environment that evaluates beside other tools has the packages of the usual one."""
    def pins(name):
        with open(os.path.join(ROOT, "scripts", name), encoding="utf-8") as file:
            return dict(line.split("==") for line in file if "==" in line)
    usual, bench = pins("requirements.txt"), pins("requirements-bench.txt")
    both = usual.keys() & bench.keys()
    assert {name: usual[name] for name in both} == {name: bench[name] for name in both} and "pycocotools" in both
    assert "mnn" in bench and "mnn" not in usual

# SPDX-License-Identifier: Apache-2.0
"""What is written as QONNX, in the tools that it is for: qonnx executes it, hls4ml reads it.

`scripts/check.sh qonnx` installs them; without them there is nothing to run.
"""
import os
from importlib.util import find_spec

import numpy as np
import onnx
import pytest
from helpers import ROOT, make_model, random_feeds, rewrite, run, tensor, value
from onnx import helper
from test_qonnx import detector
from test_qonnx_export import ACTIVATIONS, export

# Each test for itself: a module that is skipped as a whole makes pytest say that it found no tests.
pytestmark = pytest.mark.skipif(find_spec("qonnx") is None, reason="needs qonnx: scripts/check.sh qonnx")


def executed(model, feeds, clean):
    """The outputs by qonnx, as it is or after its clean-up, which gives new names."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes
    from qonnx.util.cleanup import cleanup_model
    wrapped = ModelWrapper(onnx.shape_inference.infer_shapes(model))
    wrapped = cleanup_model(wrapped) if clean else wrapped.transform(InferShapes())
    made = execute_onnx(wrapped, dict(zip([i.name for i in wrapped.graph.input], feeds.values(), strict=True)))
    return [made[o.name] for o in wrapped.graph.output]


def assert_same(exported, integers):
    feeds = random_feeds(integers)
    for clean in (False, True):
        for got, want in zip(executed(exported, feeds, clean), run(integers, feeds), strict=True):
            assert np.array_equal(got, want), f"cleaned: {clean}, difference {np.abs(got - want).max()}"


def convs():
    """The detector without its products, which ONNX Runtime sums otherwise when their weights are constant."""
    model = detector()
    del model.graph.node[-4:], model.graph.output[:]
    model.graph.output.append(value("e", 1, 4, 5, 5))
    return model


FORMATS = {"qonnx": "int4", "qonnx2": "int2", "qonnx3": "packed3", "qonnx5": "packed5", "qonnx6": "packed6", "qonnx8": "int8"}


@pytest.mark.parametrize("fmt", FORMATS)
def test_rewritten(tmp_path, fmt):
    exported, _ = rewrite(convs(), tmp_path, "--format", fmt)
    integers, _ = rewrite(convs(), tmp_path, "--format", FORMATS[fmt])
    assert_same(exported, integers)


@pytest.mark.parametrize("args", [[], ["--method", "squant"], ["--format", "uint4"], ["--format", "packed3"], ["--decode", "nbits"],
                                  ["--op-types", "Conv,ConvTranspose"]], ids=" ".join)
def test_restored(tmp_path, args):
    stored, _ = rewrite(convs(), tmp_path, *args)
    assert_same(export(stored, tmp_path)[0], stored)


@pytest.mark.parametrize("name", ["good-detector", "good-inputs-listed"])
def test_models(tmp_path, name):
    stored, _ = rewrite(onnx.load(os.path.join(ROOT, "tests", "data", name + ".onnx")), tmp_path)
    assert_same(export(stored, tmp_path)[0], stored)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(tmp_path, name):
    stored = ACTIVATIONS[name][0]
    assert_same(export(stored, tmp_path)[0], stored)


def test_hls4ml(tmp_path):
    """Its weights have 4 bits; scales of channels are for Convs without a bias (hls4ml 1.3.0)."""
    hls4ml = pytest.importorskip("hls4ml")
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.channels_last import ConvertToChannelsLastAndClean
    from qonnx.util.cleanup import cleanup_model
    window = {"kernel_shape": [3, 3], "strides": [1, 1], "dilations": [1, 1], "pads": [1] * 4, "group": 1}
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"], name="one", **window), helper.make_node("Relu", ["a"], ["b"]),
             helper.make_node("Conv", ["b", "v"], ["y"], name="two", **window)]
    original = make_model(nodes, [tensor("w", 4, 3, 3, 3), tensor("v", 5, 4, 3, 3)], inputs=[value("x", 1, 3, 8, 8)],
                          outputs=[value("y", 1, 5, 8, 8)], opset=13)
    exported, _ = rewrite(original, tmp_path, "--format", "qonnx")
    wrapped = cleanup_model(ModelWrapper(exported)).transform(ConvertToChannelsLastAndClean())
    wrapped = cleanup_model(wrapped) # names for the nodes that are new
    config = hls4ml.utils.config_from_onnx_model(wrapped, granularity="name", backend="Vitis")
    made = hls4ml.converters.convert_from_onnx_model(wrapped, output_dir=str(tmp_path / "hls"), io_type="io_stream", backend="Vitis",
                                                     hls_config=config)
    weights = [layer.weights["weight"].type.precision for layer in made.get_layers() if "weight" in getattr(layer, "weights", {})]
    assert [(p.width, p.integer, p.signed) for p in weights] == [(4, 4, True)] * 2

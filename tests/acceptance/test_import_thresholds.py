# SPDX-License-Identifier: Apache-2.0
"""--import all: FINN's MultiThreshold becomes comparisons and a sum, which ONNX Runtime has."""
import numpy as np
import pytest
from exchange import QONNX, finn_model, stored
from helpers import make_model, rewrite, run, value
from onnx import TensorProto, helper, numpy_helper

FINN = "finn.custom_op.general"


def multithreshold(x, thresholds, scale=1.0, bias=0.0, last=False):
    """How many thresholds of its channel each element reaches; qonnx's definition."""
    moved = x if last else np.moveaxis(x, 1, -1)
    count = (moved[..., None] >= thresholds).sum(-1).astype(np.float32)
    count = count if last else np.moveaxis(count, -1, 1)
    return np.float32(scale) * count + np.float32(bias)


def threshold_node(source, made, name="threshold", domain=FINN, **attributes):
    return helper.make_node("MultiThreshold", [source, "t"], [made], name, domain=domain, out_dtype="UINT4", **attributes)


def threshold_model(shape, thresholds, domain=FINN, **attributes):
    model = make_model([threshold_node("x", "y", domain=domain, **attributes)], [stored("t", thresholds)],
                       inputs=[value("x", *shape)])
    model.opset_import.append(helper.make_opsetid(domain, 1))
    return model


@pytest.mark.parametrize("shape, last", [((2, 3), False), ((1, 3, 6, 6), False), ((1, 3, 6), False), ((1, 6, 6, 3), True)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale, bias", [(1.0, 0.0), (0.3, 0.0), (1.0, -8.0), (2.0, -1.0)])
@pytest.mark.parametrize("domain", [FINN, QONNX])
def test_thresholds(tmp_path, shape, last, channels, scale, bias, domain):
    """Equal numbers, of values that hit a threshold and of infinities too."""
    rng = np.random.default_rng(channels)
    thresholds = np.sort(rng.integers(-9, 9, (channels, 15)) / 2).astype(np.float32)
    layout = {"data_layout": "NHWC"} if last else {}
    model = threshold_model(shape, thresholds, domain, out_scale=scale, out_bias=bias, **layout)
    result, report = rewrite(model, tmp_path, "--import", "all", "--strict")
    assert report["quants"]["steps"] == 1 and [o.domain for o in result.opset_import] == [""]
    x = (rng.integers(-12, 12, shape) / 2).astype(np.float32)
    x.reshape(-1)[:3] = [np.inf, -np.inf, -0.0]
    np.testing.assert_array_equal(run(result, {"x": x})[0], multithreshold(x, thresholds, scale, bias, last))


@pytest.mark.parametrize("spoil", [
    lambda model: model.graph.input[0].type.tensor_type.ClearField("shape"),
    lambda model: model.graph.initializer[0].CopyFrom(stored("t", np.zeros((3, 4)), np.float64)),
    lambda model: model.graph.initializer[0].CopyFrom(stored("t", np.zeros(4))),
    lambda model: model.graph.node[0].input.append("t")])
def test_what_stays(tmp_path, spoil):
    """Without the rank of what it reads, or with thresholds that are none."""
    model = threshold_model((1, 3, 6, 6), np.zeros((3, 4)))
    spoil(model)
    weights = finn_model(np.ones((4, 3, 3, 3)), "INT4")
    model.graph.node.extend(weights.graph.node)
    model.graph.node[1].output[0] = "v"
    model.graph.initializer.extend(weights.graph.initializer)
    model.graph.quantization_annotation.extend(weights.graph.quantization_annotation)
    model.graph.output.append(helper.make_tensor_value_info("v", TensorProto.FLOAT, None))
    _, report = rewrite(model, tmp_path, "--import", "all")
    assert report["quants"]["left"] == [{"node": "threshold", "op": "MultiThreshold", "reason": "shape"}]


def test_finn_network(tmp_path):
    """Integers as weights, thresholds as activations, without shapes between: as Brevitas writes for FINN, with nothing left."""
    rng = np.random.default_rng(9)
    weight = rng.integers(-7, 8, (4, 3, 3, 3)).astype(np.float32)
    thresholds = np.sort(rng.integers(-200, 200, (4, 15))).astype(np.float32)
    model = finn_model(weight, "INT4")
    model.graph.node[0].output[0] = "a"
    model.graph.node.append(helper.make_node("Relu", ["a"], ["b"]))
    model.graph.node.append(threshold_node("b", "y"))
    model.graph.initializer.append(stored("t", thresholds))
    result, report = rewrite(model, tmp_path, "--import", "all", "--strict")
    assert report["totals"]["imported"] == 1 and not [n for n in result.graph.node if n.domain]
    feeds = {"x": rng.integers(0, 16, (1, 3, 6, 6)).astype(np.float32)}
    plain = make_model([helper.make_node("Conv", ["x", "w"], ["y"])], [numpy_helper.from_array(weight, "w")])
    np.testing.assert_array_equal(run(result, feeds)[0], multithreshold(np.maximum(run(plain, feeds)[0], 0), thresholds))


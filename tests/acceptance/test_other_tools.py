# SPDX-License-Identifier: Apache-2.0
"""What inspect and restore make of weights as other quantizers write them."""
import json

import numpy as np
import onnx
import pytest
from helpers import make_model, run_int4q, tensor, value
from onnx import TensorProto, helper, numpy_helper

SHAPE = [4, 3, 3, 3]


def inspect(model, folder, *args, status=0):
    onnx.save(model, folder / "in.onnx")
    return json.loads(run_int4q("inspect", folder / "in.onnx", "--json", "-", *args, status=status).stdout)


def dequantized(codes, scale, zero=None, opset=21, **attributes):
    """A Conv whose weight is decoded by one DequantizeLinear."""
    stored = [t for t in (codes, scale, zero) if t is not None]
    nodes = [helper.make_node("DequantizeLinear", [t.name for t in stored], ["w"], **attributes),
             helper.make_node("Conv", ["x", "w"], ["y"], name="conv")]
    return make_model(nodes, stored, opset=opset)


def numbers(name, array):
    return numpy_helper.from_array(array, name)


@pytest.mark.parametrize("zero, kind", [(0, "zero"), (5, "asymmetric")])
def test_int16(tmp_path, zero, kind):
    codes = np.random.default_rng(0).integers(-32768, 32768, SHAPE).astype(np.int16)
    scale = np.array([.5, 1, 2, 4], np.float32)
    model = dequantized(numbers("q", codes), numbers("s", scale), numbers("z", np.full(4, zero, np.int16)), axis=0)
    [row] = inspect(model, tmp_path, "--stats")["convs"]
    assert (row["storage"], row["granularity"], row["zero_point"]) == ("other", "per-channel", kind)
    assert (row["bytes"], row["scale_min"], row["scale_max"]) == (2 * 108 + 16 + 8, .5, 4)
    assert row["histogram"] is None and row["zero_channels"] == 0
    run_int4q("restore", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx")
    [weight] = onnx.load(tmp_path / "out.onnx").graph.initializer
    wanted = (codes.astype(np.float32) - np.float32(zero)) * scale.reshape(4, 1, 1, 1)
    assert numpy_helper.to_array(weight).tobytes() == wanted.tobytes()


def test_uint16(tmp_path):
    """A type that is not read: what is not known is null, not "none"."""
    codes = np.zeros(SHAPE, np.uint16)
    model = dequantized(numbers("q", codes), numbers("s", np.float32(1)), numbers("z", np.uint16(3)))
    [row] = inspect(model, tmp_path, "--stats")["convs"]
    assert (row["storage"], row["granularity"], row["zero_point"]) == ("other", "per-tensor", None)
    assert row["bytes"] == 2 * 108 + 4 + 2


@pytest.mark.parametrize("kind, size, name", [
    (TensorProto.FLOAT8E4M3FN, 108, "other"), (TensorProto.FLOAT8E5M2, 108, "other"), (TensorProto.FLOAT4E2M1, 54, "other"),
    (TensorProto.UINT2, 27, "uint2")])
def test_sizes_of_rare_types(tmp_path, kind, size, name):
    codes = TensorProto(name="q", dims=SHAPE, data_type=kind, raw_data=bytes(size))
    [row] = inspect(dequantized(codes, numbers("s", np.float32(1)), opset=25), tmp_path)["convs"]
    assert (row["storage"], row["bytes"]) == (name, size + 4)


def test_activations_are_no_weights(tmp_path):
    """The product of two activations that a static quantizer wrapped has no row; a MatMul with a stored weight has."""
    scale = [numbers("s", np.float32(.1)), numbers("z", np.int8(0))]
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
             helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
             helper.make_node("MatMul", ["xd", "xd"], ["a"], name="activations"),
             helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"]),
             helper.make_node("MatMul", ["a", "w"], ["y"], name="weight")]
    model = make_model(nodes, [*scale, numbers("q", np.ones([6, 6], np.int8))], inputs=[value("x", 6, 6)])
    report = inspect(model, tmp_path)
    assert [(r["node"], r["storage"]) for r in report["convs"]] == [("weight", "int8")]
    assert report["totals"]["other"] == 0


def code_tensor(kind):
    return helper.make_tensor("q", kind, SHAPE, [1] * 108)


@pytest.mark.parametrize("kind, scale, attributes, opset", [
    (TensorProto.INT8, np.float32, {"axis": 0}, 13), (TensorProto.INT8, np.float16, {"axis": 0}, 19),
    (TensorProto.INT4, np.float32, {"axis": 0}, 21), (TensorProto.INT16, np.float32, {"axis": 0}, 21),
    (TensorProto.INT8, np.float32, {"axis": 1, "block_size": 3}, 21)])
def test_opset_too_old(tmp_path, kind, scale, attributes, opset):
    """A DequantizeLinear that the model's opset does not have yet is a problem: readers refuse it."""
    scales = numbers("s", np.ones([4, 1, 3, 3] if "block_size" in attributes else 4, scale))
    report = inspect(dequantized(code_tensor(kind), scales, opset=opset, **attributes), tmp_path)
    assert report["problems"] == []
    report = inspect(dequantized(code_tensor(kind), scales, opset=opset - 1, **attributes), tmp_path, status=3)
    assert report["problems"] == [f"node 'conv': its DequantizeLinear needs opset {opset}, the model has {opset - 1}"]


def test_blocks_along_the_inputs(tmp_path):
    """Blocks of 2 on a [4, 27] view whose last one is short, then a Reshape, as onnxsim writes them."""
    codes = np.random.default_rng(0).integers(-8, 8, [4, 27])
    scale = np.random.default_rng(1).random([4, 14], np.float32) + 1
    stored = [helper.make_tensor("q", TensorProto.INT4, [4, 27], codes.ravel()), numbers("s", scale),
              numbers("shape", np.array(SHAPE))]
    nodes = [helper.make_node("DequantizeLinear", ["q", "s"], ["flat"], axis=1, block_size=2),
             helper.make_node("Reshape", ["flat", "shape"], ["w"]), helper.make_node("Conv", ["x", "w"], ["y"], name="conv")]
    [row] = inspect(make_model(nodes, stored, opset=21), tmp_path)["convs"]
    assert (row["storage"], row["granularity"], row["block"], row["zero_point"]) == ("int4", "block", 2, "none")
    assert row["shape"] == SHAPE and row["bytes"] == 54 + 4 * 56
    run_int4q("restore", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx")
    weights = {t.name: numpy_helper.to_array(t) for t in onnx.load(tmp_path / "out.onnx").graph.initializer}
    wanted = codes.astype(np.float32) * np.repeat(scale, 2, 1)[:, :27]
    assert weights["w"].tobytes() == wanted.reshape(SHAPE).tobytes()


def test_unused_originals(tmp_path):
    """Float originals that a tool left in the file are no weight of any Conv."""
    model = dequantized(code_tensor(TensorProto.INT4), numbers("s", np.ones(4, np.float32)), axis=0)
    model.graph.initializer.append(tensor("w_old", *SHAPE))
    report = inspect(model, tmp_path)
    assert (report["totals"]["int4"], report["totals"]["float"], report["totals"]["float_bytes"]) == (1, 0, 0)

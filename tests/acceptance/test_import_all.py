# SPDX-License-Identifier: Apache-2.0
"""--import all: Quant nodes of activations and constants become what ONNX Runtime has."""
import itertools
import json
import os

import numpy as np
import onnx
import pytest
from exchange import QONNX, conv, quant, quant_model, quant_node, stored
from helpers import make_model, random_feeds, rewrite, run, run_int4q, shared_data, value
from onnx import TensorProto, helper, numpy_helper

# ---- --import all


def activation_model(scale=0.25, zero=0.0, bits=4, op="Quant", inputs=("x", "s", "z", "b"), **attributes):
    tensors = [stored("s", scale)] + ([] if op == "BipolarQuant" else [stored("z", zero), stored("b", bits)])
    inputs = inputs[:2] if op == "BipolarQuant" else inputs
    model = make_model([quant_node("quant", op, inputs=inputs, output="y", **attributes)], tensors,
                       inputs=[value("x", 1, 3, 6, 6)])
    model.opset_import.append(helper.make_opsetid(QONNX, 1))
    return model


def hard_activations(scale):
    """Ties, infinities, both zeros, and any others."""
    x = np.random.default_rng(7).integers(-600, 600, (1, 3, 6, 6)).astype(np.float32) / 2 * np.float32(scale)
    x.reshape(-1)[:6] = [np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40]
    return x


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("signed, narrow", itertools.product((0, 1), (0, 1)))
@pytest.mark.parametrize("shape", [(), (1,), (1, 3, 1, 1), (3, 1, 1)])
def test_activations(tmp_path, bits, signed, narrow, shape):
    """QuantizeLinear, Clip where the type has other bounds, DequantizeLinear: the same numbers, of ties too."""
    scale = np.random.default_rng(8).choice([0.25, 0.5, 2.0], shape).astype(np.float32)
    model = activation_model(scale, bits=bits, signed=signed, narrow=narrow)
    if bits == 1 and signed:
        pytest.skip("codes -1 and 1, which QuantizeLinear has not: test_import_steps.py")
    result, report = rewrite(model, tmp_path, "--import", "all")
    full = bits == 8 and not narrow
    assert [n.op_type for n in result.graph.node] == ["QuantizeLinear"] + ["Clip"] * (not full) + ["DequantizeLinear"]
    assert [o.domain for o in result.opset_import] == [""]
    assert report["quants"] == {"linear": 1, "sign": 0, "steps": 0, "folded": 0, "left": []}
    x = hard_activations(0.25)
    np.testing.assert_array_equal(run(result, {"x": x})[0], quant(x, scale, np.float32(0), bits, signed, narrow))


def test_bipolar_activations(tmp_path):
    result, _ = rewrite(activation_model([[[0.5]], [[1.0]], [[2.0]]], op="BipolarQuant"), tmp_path, "--import", "all")
    assert [n.op_type for n in result.graph.node] == ["GreaterOrEqual", "Where"]
    x = hard_activations(1)
    step = np.array([0.5, 1, 2], np.float32).reshape(3, 1, 1)
    np.testing.assert_array_equal(run(result, {"x": x})[0], np.where(x >= 0, step, -step))


@pytest.mark.parametrize("case, reason", [
    ({"rounding_mode": "NEAREST"}, "rounding"), ({"bits": 25}, "bit-width"), ({"bits": 4.5}, "bit-width"),
    ({"scale": 0}, "scale-value"), ({"op": "FloatQuant"}, "float-quant")])
def test_activations_that_stay(tmp_path, case, reason):
    """Told with the reason, and that ONNX Runtime cannot run the file."""
    model = activation_model(**case)
    nodes = [quant_node("weight", inputs=("w", "t", "z", "c"), output="q"), conv("q", "v", source="y")]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend([stored("w", np.ones((4, 3, 3, 3))), stored("t", 1), stored("c", 4)])
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("v", TensorProto.FLOAT, None))
    onnx.save(model, tmp_path / "in.onnx")
    done = run_int4q("rewrite", tmp_path / "in.onnx", "--import", "all", "-o", tmp_path / "out.onnx",
                     "--json", tmp_path / "r.json")
    assert "--strict: node 'quant'" in run_int4q("rewrite", tmp_path / "in.onnx", "--import", "all", "--strict", "-n",
                                                 status=3).stderr
    op = case.get("op", "Quant")
    assert f"left       1 {op} ({reason}): ONNX Runtime cannot run this file" in done.stdout
    told = json.loads((tmp_path / "r.json").read_text())["quants"]
    assert told["left"] == [{"node": "quant", "op": op, "reason": reason}]
    assert QONNX in [o.domain for o in onnx.load(tmp_path / "out.onnx").opset_import]


@pytest.mark.parametrize("case, told", [
    ({"inputs": ("x", "s", "z")}, "it has 3 inputs, not 4"), ({"signed": 1.5}, "an attribute that is to be 0 or 1 is neither"),
    ({"rounding_mode": 3}, "its rounding_mode is no text"), ({"inputs": ("x", "", "z", "b")}, "it has no scale")])
def test_malformed_activations(tmp_path, case, told):
    """What no runtime could make sense of is an error, of activations as of weights."""
    onnx.save(activation_model(**case), tmp_path / "in.onnx")
    done = run_int4q("rewrite", tmp_path / "in.onnx", "--import", "all", "-n", status=3)
    assert done.stderr == f"int4q: {tmp_path / 'in.onnx'}: node 'quant' (Quant): {told}\n"


def test_without_a_zero_point(tmp_path):
    """One that is left out is 0."""
    model = activation_model(inputs=("x", "s", "", "b"))
    assert rewrite(model, tmp_path, "--import", "all", "--strict")[1]["quants"]["linear"] == 1
    model = activation_model(inputs=("x", "s", "", "b"), rounding_mode="FLOOR")
    assert rewrite(model, tmp_path, "--import", "all", "--strict")[1]["quants"]["steps"] == 1


@pytest.mark.parametrize("bits", [4, 8, 16, 24, 32])
def test_biases(tmp_path, bits):
    """Constants that are no weights become floats, whatever their width."""
    rng = np.random.default_rng(bits)
    bias, scale = rng.standard_normal(4).astype(np.float32), rng.uniform(1e-4, 1e-3, 4).astype(np.float32)
    weight = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
    nodes = [quant_node("quant"), quant_node("bias", inputs=("v", "t", "z", "c"), output="vq", narrow=0),
             helper.make_node("Conv", ["x", "q", "vq"], ["y"], name="conv")]
    model = quant_model(weight, 0.1, extra=[stored("v", bias), stored("t", scale), stored("c", bits)], nodes=nodes)
    result, report = rewrite(model, tmp_path, "--import", "all")
    assert report["quants"] == {"linear": 0, "sign": 0, "steps": 0, "folded": 1, "left": []}
    found = next(numpy_helper.to_array(t) for t in result.graph.initializer if t.name == "vq")
    np.testing.assert_array_equal(found, quant(bias, scale, np.float32(0), bits))
    assert {t.name for t in result.graph.initializer} == {"q_quantized", "q_scale", "q_zero_point", "vq"}
    run(result, random_feeds(model))


@pytest.mark.parametrize("bits, shape, zero, reason, fate", [
    (12, (4, 1, 1, 1), 0.0, "bit-width", "folded"), (4, (4, 3, 1, 1), 0.0, "scale-shape", "steps"),
    (4, (), 0.5, "zero-point", "steps")])
def test_weights_that_no_integers_hold(tmp_path, bits, shape, zero, reason, fate):
    """They keep their reason, and the file runs all the same."""
    rng = np.random.default_rng(bits)
    scale = rng.uniform(0.01, 0.5, shape).astype(np.float32)
    weight = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
    model = quant_model(weight, scale, zero, bits)
    onnx.save(model, tmp_path / "in.onnx")
    assert f": {reason} (" in run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--import", "all", "--strict", status=3).stderr
    result, report = rewrite(model, tmp_path, "--import", "all")
    assert report["convs"][0]["reason"] == reason and report["quants"][fate] == 1 and not report["quants"]["left"]
    assert not [n for n in result.graph.node if n.domain]
    plain = make_model([conv("w")], [stored("w", quant(weight, scale, np.float32(zero), bits, narrow=1))])
    feeds = random_feeds(plain)
    np.testing.assert_array_equal(run(result, feeds)[0], run(plain, feeds)[0])


def test_all_keeps_what_the_user_excludes(tmp_path):
    nodes = [quant_node("quant"), conv("q")]
    onnx.save(quant_model(np.ones((4, 3, 3, 3)), 0.5, nodes=nodes), tmp_path / "in.onnx")
    done = run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--import", "all", "--exclude", "conv", status=4)
    assert "left       1 Quant" in done.stdout


@pytest.mark.parametrize("name", ["qonnx_espcn_nn_quant", "zoo_TFC_1W1A", "zoo_TFC_2W2A", "b010_lpyolo_4w4a.qonnx",
                                  "b013_lpyolo_4w4a.qonnx", "b010_act_shift4.qonnx", "b010_w4_bias8.qonnx",
                                  "b008_lpyolo_4w4a.finn"])
def test_files_run_afterwards(tmp_path, name):
    """Nothing of QONNX is left, ONNX Runtime runs the result, and PyTorch's output is near where there is one."""
    path = shared_data("exchange", f"{name}.onnx")
    result, report = rewrite(onnx.load(path), tmp_path, "--import", "all")
    assert report["quants"]["left"] == [] and not [n for n in result.graph.node if n.domain]
    beside = path.replace(".qonnx.onnx", ".npz").replace(".finn.onnx", ".npz").replace(".onnx", ".npz")
    if os.path.exists(beside):
        with np.load(beside) as arrays:
            got = run(result, {result.graph.input[0].name: arrays["x"]})[0]
            assert np.abs(got - arrays["y"]).max() <= 1e-6 + np.abs(arrays["y"]).max() / 8
    else:
        run(result, random_feeds(result))

# SPDX-License-Identifier: Apache-2.0
"""--import all: Quant and Trunc that QuantizeLinear has no match for become Div, Round, Mul, with the same numbers."""
import itertools

import numpy as np
import pytest
from exchange import QONNX, ROUNDINGS, quant, quant_node, stored
from helpers import make_model, rewrite, run, value
from onnx import TensorProto, helper, numpy_helper
from test_import_all import activation_model, hard_activations

STEPS = {"linear": 0, "sign": 0, "steps": 1, "folded": 0, "left": []}


def stepped(model, tmp_path):
    """The model without Quant and its kin, and whatever the report tells of them."""
    result, report = rewrite(model, tmp_path, "--import", "all", "--strict")
    assert report["quants"] == STEPS and not [n for n in result.graph.node if n.domain]
    assert [o.domain for o in result.opset_import] == [""]
    return result


def assert_same(model, tmp_path, want, scale=0.25):
    x = hard_activations(scale)
    np.testing.assert_array_equal(run(stepped(model, tmp_path), {"x": x})[0], want(x))


@pytest.mark.parametrize("mode", ROUNDINGS)
@pytest.mark.parametrize("bits, signed, narrow", [(2, 1, 0), (4, 1, 1), (4, 0, 1), (8, 0, 0), (12, 1, 0), (24, 0, 0)])
@pytest.mark.parametrize("zero", [0.0, 1.0, -3.0])
def test_quant(tmp_path, mode, bits, signed, narrow, zero):
    """Every mode, of ties too; zero points are added before anything is rounded."""
    if not zero and mode in ("ROUND", "HALF_EVEN") and bits <= 8:
        pytest.skip("QuantizeLinear does: test_import_all.py")
    model = activation_model(0.3, zero, bits, signed=signed, narrow=narrow, rounding_mode=mode)
    assert_same(model, tmp_path, lambda x: quant(x, np.float32(0.3), np.float32(zero), bits, signed, narrow, mode), 0.3)


@pytest.mark.parametrize("zero", [0.0, 0.25])
def test_one_signed_bit(tmp_path, zero):
    assert_same(activation_model(0.25, zero, 1), tmp_path, lambda x: quant(x, np.float32(0.25), np.float32(zero), 1))


@pytest.mark.parametrize("bits, mode", [(4, "ROUND"), (4, "CEIL"), (1, "ROUND")], ids=["linear", "clipped", "sign"])
def test_constants_stand_as_they_are_read(tmp_path, bits, mode):
    """Not in the order in which a compiler happens to evaluate arguments: the same bytes, whoever built int4q."""
    result, _ = rewrite(activation_model(0.25, bits=bits, rounding_mode=mode), tmp_path, "--import", "all")
    names = [t.name for t in result.graph.initializer]
    assert names == list(dict.fromkeys(name for node in result.graph.node for name in node.input if name in names))


@pytest.mark.parametrize("shape", [(1, 3, 6, 1), (3, 6, 6), (1, 3, 1, 6)])
@pytest.mark.parametrize("op", ["Quant", "BipolarQuant"])
def test_scales_of_many_axes(tmp_path, op, shape):
    scale = np.random.default_rng(3).uniform(0.1, 2, shape).astype(np.float32)
    want = {"Quant": lambda x: quant(x, scale, np.float32(0), 4, narrow=1), "BipolarQuant": lambda x: np.where(x >= 0, scale, -scale)}
    assert_same(activation_model(scale, op=op), tmp_path, want[op])


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 1, 1)])
def test_scales_of_more_dimensions(tmp_path, shape):
    """They are the result's as well, which QuantizeLinear has not; here only Flatten tells that it reads fewer."""
    scale = np.full(shape, 0.25, np.float32)
    model = activation_model(scale, inputs=("flat", "s", "z", "b"))
    model.graph.node.insert(0, helper.make_node("Flatten", ["x"], ["flat"]))
    assert_same(model, tmp_path, lambda x: quant(x.reshape(1, -1), scale, np.float32(0), 4, narrow=1))


@pytest.mark.parametrize("what, stays", [("s", False), ("z", True)])
def test_parameters_that_callers_may_replace(tmp_path, what, stays):
    """The steps read a scale; a zero point, whose stored number they would hold, must not be another in a run."""
    model = activation_model(0.25, 0.0, rounding_mode="CEIL")
    model.graph.input.append(value(what))
    model.graph.node[0].output[0] = "a"
    model.graph.node.append(quant_node("other", inputs=("a", "half", "none", "four"), output="y"))
    model.graph.initializer.extend([stored("half", 0.5), stored("none", 0.0), stored("four", 4.0)])
    result, report = rewrite(model, tmp_path, "--import", "all")
    assert report["quants"]["steps"] == (not stays) and report["quants"]["linear"] == 1
    assert [left["reason"] for left in report["quants"]["left"]] == ["scale-computed"] * stays
    assert what in [i.name for i in result.graph.input]


@pytest.mark.parametrize("what", ["s", "z"])
def test_computed_parameters(tmp_path, what):
    """What no file holds can be divided by and added all the same."""
    model = activation_model(0.5, 3.0)
    kept = [t for t in model.graph.initializer if t.name != what]
    number = next(numpy_helper.to_array(t) for t in model.graph.initializer if t.name == what)
    del model.graph.initializer[:]
    model.graph.initializer.extend([*kept, stored("half", number / 2)])
    model.graph.node.insert(0, helper.make_node("Add", ["half", "half"], [what]))
    assert_same(model, tmp_path, lambda x: quant(x, np.float32(0.5), np.float32(3), 4, narrow=1))


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.int8])
@pytest.mark.parametrize("zero", [0, 3])
def test_integers_as_parameters(tmp_path, kind, zero):
    """QKeras stores zero point and width as INT64."""
    model = activation_model(0.5)
    del model.graph.initializer[1:]
    model.graph.initializer.extend([stored("z", zero, kind), stored("b", 5, kind)])
    if zero:
        assert_same(model, tmp_path, lambda x: quant(x, np.float32(0.5), np.float32(zero), 5, narrow=1))
    else:
        assert rewrite(model, tmp_path, "--import", "all", "--strict")[1]["quants"]["linear"] == 1


def trunc_model(*parameters, **attributes):
    names = [f"p{i}" for i in range(len(parameters))]
    node = helper.make_node("Trunc", ["x", *names], ["y"], name="trunc", domain=QONNX, **attributes)
    model = make_model([node], [stored(n, p) for n, p in zip(names, parameters, strict=True)], inputs=[value("x", 1, 3, 6, 6)])
    model.opset_import.append(helper.make_opsetid(QONNX, 2 if len(parameters) == 5 else 1))
    return model


@pytest.mark.parametrize("mode", [None, "FLOOR", "ROUND", "CEIL", "HALF_UP"])
@pytest.mark.parametrize("shape", [(), (1, 3, 1, 1)])
def test_trunc(tmp_path, mode, shape):
    """Version 1, as behind the average pool of the zoo's MobileNet: two bits go, the scale stays."""
    scale = np.random.default_rng(4).uniform(0.1, 2, shape).astype(np.float32)
    model = trunc_model(scale, 0.0, 10, 8, **({"rounding_mode": mode} if mode else {}))
    # Version 1 gives no finite numbers for infinities.
    x = np.nan_to_num(hard_activations(0.25), posinf=900, neginf=-900)
    want = (ROUNDINGS[mode or "FLOOR"](np.rint(x / scale) / np.float32(4)) * scale).astype(np.float32)
    np.testing.assert_array_equal(run(stepped(model, tmp_path), {"x": x})[0], want)


@pytest.mark.parametrize("signed, narrow", itertools.product((0, 1), (0, 1)))
def test_trunc_that_clamps(tmp_path, signed, narrow):
    """Version 2: the scale behind tells how many bits go."""
    model = trunc_model(0.25, 0.0, 10, 2.0, 5, signed=signed, narrow=narrow, rounding_mode="FLOOR")
    low, high = (-16 + narrow, 15) if signed else (0, 31 - narrow)
    assert_same(model, tmp_path, lambda x: np.floor(np.clip(np.rint(x / np.float32(0.25)) / 8, low, high)).astype(np.float32) * 2)


@pytest.mark.parametrize("parameters, reason", [((0.5, 1.0, 10, 8), "zero-point"), ((0.5, 0.0, 10.5, 8), "bit-width"),
                                                ((-0.5, 0.0, 10, 8), "scale-value")])
def test_trunc_that_stays(tmp_path, parameters, reason):
    model = trunc_model(*parameters)
    model.graph.node.append(quant_node("other", inputs=("x", "p0", "p1", "p3"), output="o"))
    model.graph.initializer[0].CopyFrom(stored("p0", parameters[0]))
    model.graph.node[1].input[1] = "t"
    model.graph.initializer.append(stored("t", 1.0))
    model.graph.output.append(value("o", 1, 3, 6, 6))
    _, report = rewrite(model, tmp_path, "--import", "all")
    assert report["quants"]["left"] == [{"node": "trunc", "op": "Trunc", "reason": reason}]


def constant_model(constant, scale, node="Quant"):
    """x + Quant(constant)"""
    nodes = [quant_node("quant", node), helper.make_node("Add", ["x", "q"], ["y"])]
    model = make_model(nodes, [stored("w", constant), stored("s", scale), stored("z", 0), stored("b", 4)],
                       inputs=[value("x", 1, 3, 6, 6)], outputs=[helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    model.opset_import.append(helper.make_opsetid(QONNX, 1))
    return model


@pytest.mark.parametrize("node", ["Quant", "BipolarQuant"])
def test_scalar_constants(tmp_path, node):
    """A number without dimensions becomes another one."""
    model = constant_model(2.3, 0.5, node)
    if node == "BipolarQuant":
        del model.graph.node[0].input[2:]
    result, report = rewrite(model, tmp_path, "--import", "all", "--strict")
    assert report["quants"]["folded"] == 1
    found = next(t for t in result.graph.initializer if t.name == "q")
    assert not found.dims and numpy_helper.to_array(found) == (2.5 if node == "Quant" else 0.5)


def test_constants_that_grow(tmp_path):
    """A scale with more dimensions gives them to the result."""
    constant, scale = np.float32([1, 2, 3, 4, 5, -6]), np.random.default_rng(5).uniform(0.3, 1, (3, 1, 6)).astype(np.float32)
    result = stepped(constant_model(constant, scale), tmp_path)
    x = hard_activations(1.0)
    np.testing.assert_array_equal(run(result, {"x": x})[0], x + quant(constant, scale, np.float32(0), 4, narrow=1))


def test_old_opset(tmp_path):
    model = activation_model(0.5, 1.0)
    model.opset_import[0].version = 9
    assert_same(model, tmp_path, lambda x: quant(x, np.float32(0.5), np.float32(1), 4, narrow=1))

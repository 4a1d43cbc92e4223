# SPDX-License-Identifier: Apache-2.0
"""--import weights: what stands for integers already is stored as these. Every value against the definitions."""
import itertools

import numpy as np
import onnx
import pytest
from exchange import (
    QONNX,
    ROUNDINGS,
    assert_imported,
    conv,
    finn_model,
    hard_weights,
    qcdq,
    quant,
    quant_model,
    quant_node,
    stored,
)
from helpers import decoded_values, make_model, random_feeds, rewrite, run, run_int4q, shared_data, tensor, value
from onnx import TensorProto, helper, numpy_helper

SCALES = ((), (1,), (4, 1, 1, 1), (1, 3, 1, 1))


@pytest.mark.parametrize("bits, signed", itertools.product(range(1, 9), (0, 1)))
def test_quant(tmp_path, bits, signed):
    """384 of the 6144 combinations of width, sign, narrow, rounding, shape and kind of the scale, and zero point."""
    rng = np.random.default_rng([bits, signed])
    nodes, tensors, weights = [], [stored("b", bits)], {}
    cases = itertools.product((0, 1), ROUNDINGS, SCALES, (0, 1, 2 ** (bits - 1)), (0, 1))
    for i, (narrow, mode, shape, zero, dyadic) in enumerate(cases):
        scale = np.float32(2) ** rng.integers(-9, 3, shape) if dyadic else rng.uniform(1e-3, 1, shape).astype(np.float32)
        weight = hard_weights(rng, (4, 3, 2, 2), scale, bits)
        nodes += [quant_node(f"quant{i}", inputs=(f"w{i}", f"s{i}", f"z{i}", "b"), output=f"q{i}", signed=signed,
                             narrow=narrow, rounding_mode=mode), conv(f"q{i}", f"y{i}", f"conv{i}")]
        tensors += [stored(f"w{i}", weight), stored(f"s{i}", scale), stored(f"z{i}", zero)]
        weights[f"q{i}"] = quant(weight, scale.astype(np.float32), np.float32(zero), bits, signed, narrow, mode)
    outputs = [helper.make_tensor_value_info(f"y{i}", TensorProto.FLOAT, None) for i in range(len(weights))]
    result, report = assert_imported(make_model(nodes, tensors, outputs=outputs), tmp_path, weights)
    assert len(weights) == 384 and report["totals"]["imported"] == 384
    assert {t.name for t in result.graph.initializer} == {
        f"q{i}_{part}" for i in range(384) for part in ("quantized", "scale", "zero_point")}
    four_bits = {c["storage"] for c in report["convs"][:2]} <= {"int4", "uint4"}  # those without a zero point
    assert four_bits == (bits <= 4)


@pytest.mark.parametrize("domain", [QONNX, "onnx.brevitas", "finn.custom_op.general"])
@pytest.mark.parametrize("op", ["Quant", "IntQuant", "BipolarQuant"])
def test_domains(tmp_path, domain, op):
    """Found by operator and domain, which the model need not import, under a Constant node as well."""
    weight, scale = tensor("w", 4, 3, 3, 3), stored("s", np.full((4, 1, 1, 1), 0.1))
    inputs = ("w", "s") if op == "BipolarQuant" else ("w", "s", "z", "b")
    nodes = [helper.make_node("Constant", [], ["w"], value=weight), quant_node("quant", op, domain, inputs), conv("q")]
    array, step = numpy_helper.to_array(weight), np.float32(0.1)
    wanted = np.where(array >= 0, step, -step) if op == "BipolarQuant" else quant(array, step, np.float32(0), 4, 1, 1)
    model = make_model(nodes, [scale] + [stored("z", 0), stored("b", [4])] * (op != "BipolarQuant"))
    result, report = assert_imported(model, tmp_path, {"q": wanted}, formats=["int4"])
    row = report["convs"][0]
    assert row["source"] == ("bipolar" if op == "BipolarQuant" else "quant") and row["exact"] is True
    assert row["source_bits"] == (1 if op == "BipolarQuant" else 4) and row["reason"] is None
    assert [n.op_type for n in result.graph.node] == ["DequantizeLinear", "Conv"]
    assert row["sqnr_db"] is None and row["max_error"] == 0


@pytest.mark.parametrize("clip", [None, (-7, 7), (-8, 7), (None, 5), (-3, None)])
@pytest.mark.parametrize("from_floats", [False, True])
@pytest.mark.parametrize("per_channel", [False, True])
def test_dequantize(tmp_path, clip, from_floats, per_channel):
    rng = np.random.default_rng(1)
    codes = rng.integers(-20, 20, (4, 3, 3, 3)).astype(np.int8)
    scale = rng.uniform(0.01, 1, (4,) if per_channel else ()).astype(np.float32)
    column = scale.reshape(-1, 1, 1, 1) if per_channel else scale
    floats = (codes + np.float32(0.4)) * column if from_floats else None
    low, high = clip or (None, None)
    wanted = np.clip(codes, -128 if low is None else low, 127 if high is None else high)
    model = qcdq(codes, scale, np.zeros(scale.shape), clip, floats)
    if not clip and not from_floats: # bytes with a DequantizeLinear stay
        source = tmp_path / "in.onnx"
        onnx.save(model, source)
        assert "already-quantized" in run_int4q("rewrite", source, "-n", "--import", "weights", status=4).stderr
        return
    four = clip in ((-7, 7), (-8, 7))
    result, report = assert_imported(model, tmp_path, {"q": wanted.astype(np.float32) * column},
                                     formats=["int4" if four else "int8"])
    assert [n.op_type for n in result.graph.node] == ["DequantizeLinear", "Conv"]
    assert report["convs"][0]["source"] == ("qcdq" if clip else "qdq")
    if four:
        assert report["convs"][0]["source_bits"] == 4


@pytest.mark.parametrize("zero, codes, wanted", [(0, (-8, 8), "int4"), (3, (-8, 8), "int4"), (100, (92, 108), "int4"),
                                                 (0, (-9, 8), None)])
def test_bytes_of_4_bits(tmp_path, zero, codes, wanted):
    """8-bit integers that 4 bits hold, with the zero point or without it."""
    array = np.random.default_rng(2).integers(*codes, (4, 3, 3, 3))
    array.reshape(-1)[:2] = codes[0], codes[1] - 1
    model = qcdq(array, np.full(4, 0.25), np.full(4, zero))
    if wanted:
        assert_imported(model, tmp_path, {"q": (array - zero).astype(np.float32) * np.float32(0.25)}, formats=[wanted])
    else:
        onnx.save(model, tmp_path / "in.onnx")
        run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--import", "weights", status=4)


def test_shifted_bytes(tmp_path):
    """Brevitas' shifted weights: UINT8 codes of 4 bits, a zero point a channel."""
    rng = np.random.default_rng(3)
    codes, zero = rng.integers(0, 16, (4, 3, 3, 3)), np.array([7, 8, 9, 0])
    scale = rng.uniform(0.01, 1, 4).astype(np.float32)
    wanted = (codes - zero.reshape(-1, 1, 1, 1)).astype(np.float32) * scale.reshape(-1, 1, 1, 1)
    model = qcdq(codes, scale, zero, (0, 15), kind=np.uint8)
    assert_imported(model, tmp_path, {"q": wanted}, formats=["uint4"])


@pytest.mark.parametrize("datatype, low, high, wanted", [("INT4", -8, 8, "int4"), ("UINT4", 0, 16, "uint4"),
                                                         ("INT8", -128, 128, "int8"), ("BIPOLAR", -1, 2, "int4")])
def test_finn(tmp_path, datatype, low, high, wanted):
    weight = np.random.default_rng(4).integers(low, high, (4, 3, 3, 3)).astype(np.float32)
    weight[weight == 0] = 1 if datatype == "BIPOLAR" else 0
    weight.reshape(-1)[:2] = low, high - 1
    assert_imported(finn_model(weight, datatype), tmp_path, {"w": weight}, formats=[wanted])


def test_behind_transpose(tmp_path):
    """The Transpose stays: DequantizeLinear, Transpose, MatMul. Also where --op-types does not name MatMul."""
    weight, scale = tensor("w", 5, 6), stored("s", np.full((5, 1), 0.125))
    nodes = [quant_node("quant", narrow=0), helper.make_node("Transpose", ["q"], ["t"], perm=[1, 0]),
             helper.make_node("MatMul", ["x", "t"], ["y"], name="matmul")]
    model = make_model(nodes, [weight, scale, stored("z", 0), stored("b", 4)], inputs=[value("x", 2, 6)])
    wanted = quant(numpy_helper.to_array(weight), np.float32(0.125), np.float32(0), 4)
    result, _ = assert_imported(model, tmp_path, {"q": wanted}, formats=["int4"])
    assert [n.op_type for n in result.graph.node] == ["DequantizeLinear", "Transpose", "MatMul"]


def test_shared(tmp_path):
    """One tensor under two Quants, one Quant with two Convs, one zero point for all; a Quant that is an output."""
    array = numpy_helper.to_array(tensor("w", 4, 3, 3, 3))
    nodes = [quant_node("quant"), quant_node("quant2", inputs=("w", "s2", "z", "b"), output="q2"),
             conv("q", "a", "first"), conv("q", "b1", "second"), conv("q2", "c", "third"),
             helper.make_node("Sum", ["a", "b1", "c"], ["y"])]
    model = quant_model(array, 0.1, extra=[stored("s2", 0.3)], nodes=nodes)
    model.graph.output.append(helper.make_tensor_value_info("q2", TensorProto.FLOAT, None))
    wanted = {f"q{i}": quant(array, np.float32(s), np.float32(0), 4, 1, 1) for i, s in (("", 0.1), ("2", 0.3))}
    result, _ = assert_imported(model, tmp_path, wanted, formats=["int4"] * 3)
    assert len([n for n in result.graph.node if n.op_type == "DequantizeLinear"]) == 2


def test_activations_keep_the_zero_point(tmp_path):
    """What a Quant of activations still reads stays; what it does not goes."""
    nodes = [quant_node("quant"), quant_node("act", inputs=("x", "t", "z", "b"), output="xq"),
             conv("q", source="xq")]
    model = quant_model(numpy_helper.to_array(tensor("w", 4, 3, 3, 3)), 0.1, extra=[stored("t", 0.5)], nodes=nodes)
    result, report = rewrite(model, tmp_path, "--import", "weights")
    assert {t.name for t in result.graph.initializer} == {"z", "b", "t", "q_quantized", "q_scale", "q_zero_point"}
    assert report["convs"][0]["storage"] == "int4"


@pytest.mark.parametrize("extra, storage", [((), "float32"), (("--format", "uint4"), "uint4"),
                                            (("--method", "squant"), "int4")])
def test_the_rest(tmp_path, extra, storage):
    """Other weights stay float unless a format or a method is given."""
    array = numpy_helper.to_array(tensor("w", 3, 3, 3, 3))
    nodes = [quant_node("quant"), conv("q", "a", "first", pads=[1, 1, 1, 1]), conv("v", "y", "second", source="a")]
    model = quant_model(array, 0.1, extra=[tensor("v", 4, 3, 3, 3)], nodes=nodes)
    wanted = {"q": quant(array, np.float32(0.1), np.float32(0), 4, 1, 1)}
    _, report = rewrite(model, tmp_path, "--import", "weights", *extra)
    assert [c["storage"] for c in report["convs"]] == ["int4", storage]
    assert report["convs"][1]["reason"] == (None if extra else "import-only")
    result, _ = rewrite(model, tmp_path, "--import", "weights", *extra)
    np.testing.assert_array_equal(decoded_values(result.graph)["q"], wanted["q"])


@pytest.mark.parametrize("decode", ["dq", "cast", "nbits"])
def test_decoding(tmp_path, decode):
    array = numpy_helper.to_array(tensor("w", 4, 3, 3, 3))
    model = quant_model(array, np.full((4, 1, 1, 1), 0.1))
    result, _ = rewrite(model, tmp_path, "--import", "weights", "--decode", decode)
    plain = make_model([conv("w")], [stored("w", quant(array, np.float32(0.1), np.float32(0), 4, 1, 1))])
    feeds = random_feeds(plain)
    np.testing.assert_array_equal(run(result, feeds)[0], run(plain, feeds)[0])


BAD = {
    "scale-computed": {"nodes": [helper.make_node("Abs", ["s0"], ["s"]), quant_node("quant"), conv("q")]},
    "scale-shape": {"scale": np.full((4, 3, 1, 1), 0.1)},
    "scale-value": {"scale": [0.0]},
    "scale-value negative": {"scale": [-0.5]},
    "scale-value nan": {"scale": [np.nan]},
    "scale-value infinite": {"scale": [np.inf]},
    "zero-point": {"zero": 0.5},
    "zero-point far": {"zero": 1e9},
    "zero-point shape": {"zero": np.zeros((1, 3, 1, 1)), "scale": np.ones((4, 1, 1, 1))},
    "bit-width": {"bits": 9},
    "bit-width fraction": {"bits": 4.5},
    "bit-width zero": {"bits": 0},
    "bit-width channels": {"bits": np.full((4, 1, 1, 1), 4)},
    "rounding": {"rounding_mode": "SOMEHOW"},
    "float-quant": {"op": "FloatQuant"},
    "non-finite": {"weight": np.full((4, 3, 3, 3), np.nan)},
    "weight-computed": {"nodes": [helper.make_node("Abs", ["w"], ["w1"]),
                                  quant_node("quant", inputs=("w1", "s", "z", "b")), conv("q")]},
}


@pytest.mark.parametrize("name", BAD)
def test_reasons(tmp_path, name):
    """What cannot be stored exactly stays, and says why; without --import it is but quantized already."""
    case = {"weight": np.ones((4, 3, 3, 3)), "scale": 0.5, **BAD[name]}
    if name == "scale-computed":
        model = quant_model(**case, extra=[stored("s0", [0.5])])
        model.graph.initializer.remove(next(t for t in model.graph.initializer if t.name == "s"))
    else:
        model = quant_model(**case)
    onnx.save(model, tmp_path / "in.onnx")
    reason = name.split()[0]
    assert f"'{reason}'" in run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--import", "weights", status=4).stderr
    assert "has to stay" in run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--import", "weights", "--strict",
                                      status=3).stderr
    assert "already-quantized" in run_int4q("rewrite", tmp_path / "in.onnx", "-n", status=4).stderr


@pytest.mark.parametrize("half", ["w", "s"])
def test_other_types(tmp_path, half):
    model = quant_model(np.ones((4, 3, 3, 3)), 0.5)
    found = next(t for t in model.graph.initializer if t.name == half)
    found.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(found).astype(np.float16), half))
    onnx.save(model, tmp_path / "in.onnx")
    assert "'dtype'" in run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--import", "weights", status=4).stderr


@pytest.mark.parametrize("change, complaint", [
    (lambda node: node.input.pop(), "(Quant): it has 3 inputs, not 4"),
    (lambda node: node.input.append("z"), "(Quant): it has 5 inputs, not 4"),
    (lambda node: node.attribute.append(helper.make_attribute("signed", "yes")), "is neither"),
    (lambda node: node.attribute.append(helper.make_attribute("rounding_mode", 3)), "is no text"),
])
def test_malformed(tmp_path, change, complaint):
    model = quant_model(np.ones((4, 3, 3, 3)), 0.5)
    del model.graph.node[0].attribute[:]
    change(model.graph.node[0])
    onnx.save(model, tmp_path / "in.onnx")
    assert complaint in run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--import", "weights", status=3).stderr


def test_second_output(tmp_path):
    """Of a node with another output nobody knows what it makes."""
    model = quant_model(np.ones((4, 3, 3, 3)), 0.5)
    model.graph.node[0].output[:] = ["other", "q"]
    onnx.save(model, tmp_path / "in.onnx")
    assert "'weight-computed'" in run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--import", "all", status=4).stderr


def test_malformed_finn(tmp_path):
    model = finn_model(np.ones((4, 3, 3, 3)), "INT4")
    model.graph.initializer[0].dims[0] = 5
    onnx.save(model, tmp_path / "in.onnx")
    for option in ((), ("--import", "all")):
        assert "'w'" in run_int4q("rewrite", tmp_path / "in.onnx", "-n", *option, status=3).stderr


@pytest.mark.parametrize("listed, wanted", [((), None), (("w",), None), (("s",), "weight-is-input"),
                                            (("w", "s", "z", "b"), None)])
def test_listed_inputs(tmp_path, listed, wanted):
    """Exporters list weights among the inputs; a parameter that is listed alone was meant to be replaced."""
    model = quant_model(np.ones((4, 3, 3, 3)), 0.5)
    for name in listed:
        found = next(t for t in model.graph.initializer if t.name == name)
        model.graph.input.append(value(name, *found.dims))
    onnx.save(model, tmp_path / "in.onnx")
    if wanted:
        assert wanted in run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--import", "weights", status=4).stderr
    else:
        result, _ = rewrite(model, tmp_path, "--import", "weights")
        assert [i.name for i in result.graph.input] == ["x"]


@pytest.mark.parametrize("method", ["absmax", "squant"])
@pytest.mark.parametrize("make", [lambda: quant_model(np.ones((4, 3, 3, 3)), 0.5),
                                  lambda: finn_model(np.ones((4, 3, 3, 3)), "INT4"),
                                  lambda: qcdq(np.ones((4, 3, 3, 3)), np.float32(1), 0, (-7, 7))])
def test_guard(tmp_path, method, make):
    """Without the option no method touches them, and a hint names it."""
    onnx.save(make(), tmp_path / "in.onnx")
    done = run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--method", method, status=4)
    assert "already-quantized" in done.stderr and "--import" in done.stderr
    assert "hint       1 weights stand for integers already: --import weights" in done.stdout


FILES = {
    "b008_lpyolo_4w4a.finn": {"int4": 5, "int8": 2}, "b008_lpyolo_4w4a_pertensor.finn": {"int4": 5, "int8": 2},
    "b010_lpyolo_2w4a.qonnx": {"int4": 5, "int8": 2}, "b010_lpyolo_2w4a.qcdq": {"int4": 5, "int8": 2},
    "b010_lpyolo_4w4a.qonnx": {"int4": 5, "int8": 2}, "b010_lpyolo_4w4a.qcdq": {"int4": 5, "int8": 2},
    "b013_lpyolo_4w4a.qonnx": {"int4": 5, "int8": 2}, "qonnx_espcn_nn_quant": {"int4": 2, "int8": 2},
    "zoo_TFC_1W1A": {"int4": 4}, "zoo_TFC_2W2A": {"int4": 4}, "b010_w1.qonnx": {"int4": 1}, "b010_w8.qcdq": {"int8": 1},
    "b010_w4_ShiftedUint8WeightPerChannelFloat.qcdq": {"uint4": 1}, "b010_w4_transpose.qonnx": {"int4": 1},
    "b010_w4_dw.qcdq": {"int4": 1}, "qdq_float8": {"int4": 1}, "qcdq_float4": {"int4": 1},
}


@pytest.mark.parametrize("name", FILES)
def test_files_of_other_tools(tmp_path, name):
    """Real files and files of the real tools, where they are at hand; PyTorch's output beside some of them."""
    path = shared_data("exchange", f"{name}.onnx")
    result, report = rewrite(onnx.load(path), tmp_path, "--import", "weights")
    stored_as = [c["storage"] for c in report["convs"]]
    assert {word: stored_as.count(word) for word in set(stored_as)} == FILES[name]
    if any(n.domain for n in result.graph.node) or ".finn" in name:
        return
    before = [n for n in onnx.load(path).graph.node if n.domain not in ("", "com.microsoft")]
    if not before:
        feeds = random_feeds(result)
        for want, got in zip(run(onnx.load(path), feeds), run(result, feeds)):
            np.testing.assert_array_equal(got, want)


def test_no_hint_how_to_run_what_does_not_run(tmp_path):
    """A Quant that is left keeps ONNX Runtime from loading the file at all."""
    model = quant_model(np.ones((4, 3, 3, 3)), 0.5)
    onnx.save(model, tmp_path / "whole.onnx")
    assert "hint       ONNX Runtime" in run_int4q("rewrite", tmp_path / "whole.onnx", "-n", "--import", "weights").stdout
    step = [stored("left_" + name, number) for name, number in (("s", 0.5), ("z", 0), ("b", 4))]
    model.graph.initializer.extend(step)
    model.graph.node.append(helper.make_node("Quant", [model.graph.output[0].name, *(t.name for t in step)], ["left"],
                                             domain="qonnx.custom_op.general", signed=1, narrow=0, rounding_mode="ROUND"))
    onnx.save(model, tmp_path / "left.onnx")
    said = run_int4q("rewrite", tmp_path / "left.onnx", "-n", "--import", "weights").stdout
    assert "ONNX Runtime cannot run this file" in said and "hint" not in said

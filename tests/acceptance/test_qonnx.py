# SPDX-License-Identifier: Apache-2.0
"""rewrite --format qonnx: Quant nodes with the numbers of the same rewrite as integers, as FINN wants them."""
import os

import numpy as np
import onnx
import pytest
import test_activations as activations
from helpers import ROOT, int4_codes, make_model, random_feeds, rewrite, run, run_int4q, tensor, value
from onnx import TensorProto, helper, numpy_helper
from qonnx_reference import (
    assert_as_finn_wants,
    assert_decoded_alike,
    constants,
    grid,
    half_model,
    in_plain_operators,
    quants,
)

INTEGERS = {"qonnx": "int4", "qonnx2": "int2", "qonnx3": "packed3", "qonnx5": "packed5", "qonnx6": "packed6", "qonnx8": "int8"}


def detector():
    """A shared weight, groups, a transposed Conv and products, at an opset of 2021."""
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"], name="one", pads=[1] * 4), helper.make_node("Relu", ["a"], ["b"]),
             helper.make_node("Conv", ["b", "w"], ["c"], name="two", pads=[1] * 4),
             helper.make_node("Conv", ["c", "v", "bias"], ["d"], name="three", group=3),
             helper.make_node("ConvTranspose", ["d", "t"], ["e"], name="four"),
             helper.make_node("GlobalAveragePool", ["e"], ["f"]), helper.make_node("Flatten", ["f"], ["g"]),
             helper.make_node("Gemm", ["g", "u"], ["h"], name="five", transB=1), helper.make_node("MatMul", ["h", "m"], ["y"], name="six")]
    return make_model(nodes, [tensor("w", 3, 3, 3, 3), tensor("v", 6, 1, 3, 3), tensor("bias", 6), tensor("t", 6, 4, 2, 2),
                              tensor("u", 7, 4), tensor("m", 7, 2)], opset=13, outputs=[value("y", 1, 2)])


ALL_OPS = ["--op-types", "Conv,ConvTranspose,Gemm,MatMul"]


METHODS = [[], ["--scale", "signed"], ["--method", "squant"], ["--scale", "mse"]]


@pytest.mark.parametrize("fmt, method", [(f, m) for f in INTEGERS for m in METHODS if not (m and f == "qonnx8")], ids=str)
def test_same_numbers_as_integers(tmp_path, fmt, method):
    original = detector()
    exported, report = rewrite(original, tmp_path, "--format", fmt, *ALL_OPS, *method)
    onnx.checker.check_model(in_plain_operators(exported), full_check=True)
    assert_as_finn_wants(exported)
    assert [o.version for o in exported.opset_import if o.domain == ""] == [13]
    assert exported.ir_version == original.ir_version
    assert {(c["storage"], c["reason"]) for c in report["convs"]} == {(fmt, None)}
    plain = ["--scale", "mse", "--rounding", "squant"] if "squant" in method else method
    integers, _ = rewrite(original, tmp_path, "--format", INTEGERS[fmt], *ALL_OPS, *plain, "--no-bias-correction")
    if "squant" not in method:
        feeds = random_feeds(original)
        assert run(in_plain_operators(exported), feeds)[0].tobytes() == run(integers, feeds)[0].tobytes()
    elif fmt == "qonnx":
        stored = {t.name: t for t in integers.graph.initializer}
        for name in "wvtum":
            made, scales, bits = grid(exported, name)
            assert bits == 4 and np.array_equal(made, int4_codes(stored[f"{name}_quantized"]))
            assert scales.tobytes() == stored[f"{name}_scale"].raw_data


def test_what_is_written(tmp_path):
    exported, _ = rewrite(detector(), tmp_path, "--format", "qonnx", *ALL_OPS)
    dims = {t.name: list(t.dims) for t in exported.graph.initializer}
    assert dims["v_float"] == [6, 1, 3, 3] and dims["v_scale"] == [6, 1, 1, 1]
    assert dims["t_float"] == [6, 4, 2, 2] and dims["t_scale"] == [1, 4, 1, 1]
    assert dims["u_scale"] == [7, 1] and dims["m_scale"] == [1, 2]
    made = quants(exported)["v"]
    assert list(made.input) == ["v_float", "v_scale", "v_zeropt", "v_bitwidth"] and dims["v_zeropt"] == dims["v_bitwidth"] == []
    assert [(a.name, helper.get_attribute_value(a)) for a in made.attribute] == [
        ("signed", 1), ("narrow", 1), ("rounding_mode", b"ROUND")]
    assert constants(exported)["v_bitwidth"] == 4


def test_every_reader_has_its_own_node(tmp_path):
    exported, _ = rewrite(detector(), tmp_path, "--format", "qonnx")
    one, two = (next(n for n in exported.graph.node if n.name == name) for name in ("one", "two"))
    assert one.input[1] == "w" and two.input[1] == "w_again"
    first, again = quants(exported)["w"], quants(exported)["w_again"]
    assert first.input == again.input and first.name != again.name


def test_weight_of_a_body(tmp_path):
    """Captured and read there, and once outside."""
    branch = [helper.make_graph([helper.make_node("Conv", ["x", "w"], [name], name=name)], name,
                                [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)]) for name in ("then", "else")]
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"], name="outside"),
             helper.make_node("If", ["which"], ["b"], then_branch=branch[0], else_branch=branch[1]),
             helper.make_node("Add", ["a", "b"], ["y"])]
    model = make_model(nodes, [tensor("w", 4, 3, 3, 3)], inputs=[value("x", 1, 3, 6, 6), value("which", kind=TensorProto.BOOL)],
                       outputs=[value("y", 1, 4, 4, 4)])
    exported, _ = rewrite(model, tmp_path, "--format", "qonnx")
    integers, _ = rewrite(model, tmp_path, "--format", "int4")
    assert len(quants(exported)) == 3
    feeds = random_feeds(model) | {"which": np.array(True)}
    assert run(in_plain_operators(exported), feeds)[0].tobytes() == run(integers, feeds)[0].tobytes()


def test_half(tmp_path):
    """Quant is for FLOAT: a Cast follows, and the numbers are those of DequantizeLinear all the same."""
    model = half_model()
    exported, _ = rewrite(model, tmp_path, "--format", "qonnx")
    integers, _ = rewrite(model, tmp_path, "--format", "int4")
    assert_as_finn_wants(exported)
    assert_decoded_alike(in_plain_operators(exported), integers, random_feeds(model))


def test_kept_in_8_bits(tmp_path):
    exported, report = rewrite(detector(), tmp_path, "--format", "qonnx", "--keep-format", "int8", "--min-weights", "80")
    assert [c["storage"] for c in report["convs"]] == ["qonnx", "qonnx", "qonnx8"]
    assert_as_finn_wants(exported)
    assert grid(exported, "v")[2] == 8 and grid(exported, "w")[2] == 4


def test_bytes_told_are_those_written(tmp_path):
    exported, report = rewrite(detector(), tmp_path, "--format", "qonnx", *ALL_OPS)
    sizes = {t.name: len(t.raw_data) for t in exported.graph.initializer}
    for conv in report["convs"]:
        name = conv["weight"]
        assert conv["bytes_after"] == sum(sizes[f"{name}_{part}"] for part in ("float", "scale", "zeropt", "bitwidth"))
    assert report["output"]["bytes"] == os.path.getsize(tmp_path / "out.onnx")


def test_rewritten_again(tmp_path):
    """What is on a grid stays on it."""
    rewrite(detector(), tmp_path, "--format", "qonnx")
    done = run_int4q("rewrite", tmp_path / "out.onnx", "-o", tmp_path / "again.onnx", status=4)
    assert "already-quantized" in done.stderr


@pytest.mark.parametrize("name", ["good-detector", "good-inputs-listed"])
def test_models(tmp_path, name):
    model = onnx.load(os.path.join(ROOT, "tests", "data", name + ".onnx"))
    exported, _ = rewrite(model, tmp_path, "--format", "qonnx")
    integers, _ = rewrite(model, tmp_path)
    feeds = random_feeds(integers)
    for got, want in zip(run(in_plain_operators(exported), feeds), run(integers, feeds)):
        assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("args, told", [
    (["--block", "8"], "--format qonnx cannot be combined with --block"),
    (["--decode", "cast"], "--format qonnx cannot be combined with --decode cast"),
    (["--dq-domain", "com.microsoft"], "--format qonnx cannot be combined with --dq-domain com.microsoft"),
    (["--asymmetric"], "--format qonnx has no zero points, which --asymmetric asks for"),
    (["--scale", "range"], "--format qonnx has no zero points, which --scale range asks for")])
def test_refused(tmp_path, args, told):
    onnx.save(detector(), tmp_path / "in.onnx")
    assert told in run_int4q("rewrite", tmp_path / "in.onnx", "--format", "qonnx", *args, status=2).stderr


def test_hints(tmp_path):
    onnx.save(detector(), tmp_path / "in.onnx")
    told = run_int4q("rewrite", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", "--format", "qonnx").stdout
    assert "no ONNX Runtime runs it" in told and "FINN needs quantized activations: this model has none" in told
    quantized = detector()
    quantized.graph.node.extend([helper.make_node("QuantizeLinear", ["x", "step"], ["q"]), helper.make_node("DequantizeLinear", ["q", "step"], ["z"])])
    quantized.graph.initializer.append(numpy_helper.from_array(np.float32(1), "step"))
    onnx.save(quantized, tmp_path / "in.onnx")
    told = run_int4q("rewrite", tmp_path / "in.onnx", "-fo", tmp_path / "out.onnx", "--format", "qonnx").stdout
    assert "FINN needs" not in told


@pytest.mark.parametrize("levels", [None, "uint8"])
def test_the_hint_knows_of_activations_that_are_quantized_now(tmp_path, levels):
    path = activations.statistics(tmp_path, {name: activations.spread(activations.lopsided(name)) for name in ("t", "c")})
    onnx.save(activations.detector(), tmp_path / "in.onnx")
    options = ["--method", "squant", "--calibration", path, *(["--activations", levels] if levels else [])]
    said = run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--format", "qonnx", *options).stdout
    assert ("FINN needs quantized activations" in said) == (levels is None)

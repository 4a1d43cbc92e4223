# SPDX-License-Identifier: Apache-2.0
"""restore --as qonnx: Quant nodes that make every number that DequantizeLinear made."""
import os

import numpy as np
import onnx
import pytest
from helpers import ROOT, make_model, random_feeds, rewrite, run, run_int4q, tensor, value
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
from test_qonnx import ALL_OPS, detector

FORMS = {"int4": 4, "uint4": 4, "int8": 8, "packed-u8": 4, "packed2": 2, "packed3": 3, "packed5": 5, "packed6": 6}


def export(model, folder, *args, status=0):
    onnx.save(model, os.path.join(folder, "stored.onnx"))
    done = run_int4q("restore", os.path.join(folder, "stored.onnx"), "--as", "qonnx", "-fo", os.path.join(folder, "quant.onnx"),
                     *args, status=status)
    return onnx.load(os.path.join(folder, "quant.onnx")) if status == 0 else None, done


def assert_same_numbers(stored, exported):
    feeds = random_feeds(stored)
    for got, want in zip(run(in_plain_operators(exported), feeds), run(stored, feeds), strict=True):
        assert got.tobytes() == want.tobytes()


WAYS = [[], ["--decode", "cast"], ["--decode", "nbits"], ["--dq-domain", "com.microsoft"]]


@pytest.mark.parametrize("fmt, decode", [(f, w) for f in FORMS for w in WAYS if not f.startswith("packed") or ("cast" not in w and "--dq-domain" not in w)], ids=str)
def test_of_every_form(tmp_path, fmt, decode):
    ops = [] if "nbits" in decode else ALL_OPS
    stored, _ = rewrite(detector(), tmp_path, "--format", fmt, *ops, *decode)
    exported, done = export(stored, tmp_path)
    assert_same_numbers(stored, exported)
    assert_as_finn_wants(exported)
    assert {grid(exported, name)[2] for name in quants(exported)} == {FORMS[fmt]}
    assert "with more bits" not in done.stdout
    assert f" {fmt}\n" in done.stdout
    assert [o.version for o in exported.opset_import if o.domain == ""] == [o.version for o in stored.opset_import if o.domain == ""]
    assert not {o.domain for o in exported.opset_import} & {"com.microsoft", "com.int4q"}
    assert {t.data_type for t in exported.graph.initializer} == {TensorProto.FLOAT}


def test_same_file_as_by_rewriting(tmp_path):
    """The codes and the scales of the two ways are the same."""
    direct, _ = rewrite(detector(), tmp_path, "--format", "qonnx", *ALL_OPS)
    stored, _ = rewrite(detector(), tmp_path, *ALL_OPS)
    exported, _ = export(stored, tmp_path)
    for name in quants(direct):
        for one, other in zip(grid(direct, name), grid(exported, name), strict=True):
            assert np.array_equal(one, other)


@pytest.mark.parametrize("args", [["--method", "squant"], ["--format", "uint4", "--asymmetric"], ["--asymmetric", "--decode", "cast"]], ids=" ".join)
def test_zero_points_take_a_bit(tmp_path, args):
    stored, _ = rewrite(detector(), tmp_path, *args)
    exported, done = export(stored, tmp_path)
    assert_same_numbers(stored, exported)
    assert_as_finn_wants(exported)
    assert "with more bits than are stored, for their zero points" in done.stdout
    _, refused = export(stored, tmp_path, "--strict", status=3)
    assert "needs 5 bits for its zero points" in refused.stderr


def test_blocks_stay(tmp_path):
    original = make_model([helper.make_node("Conv", ["x", "w"], ["a"], name="one"), helper.make_node("Conv", ["a", "v"], ["y"], name="two")],
                          [tensor("w", 4, 3, 3, 3), tensor("v", 2, 4, 1, 1)], outputs=[value("y", 1, 2, 4, 4)], opset=21)
    stored, _ = rewrite(original, tmp_path, "--block", "8")
    exported, done = export(stored, tmp_path)
    assert list(quants(exported)) == ["v"] and "1 behind Quant: 1 int4" in done.stdout and "left       1 weights: 1 block" in done.stdout
    assert_same_numbers(stored, exported)
    _, refused = export(stored, tmp_path, "--strict", status=3)
    assert "weight 'w' has to stay as it is: block" in refused.stderr


def test_nothing_but_blocks(tmp_path):
    """An error that says what stays, rather than that nothing was there."""
    stored, _ = rewrite(make_model([helper.make_node("Conv", ["x", "w"], ["y"], name="one")], [tensor("w", 4, 3, 3, 3)]),
                        tmp_path, "--block", "8")
    _, refused = export(stored, tmp_path, status=4)
    assert "nothing to restore: 1 weights have to stay: block" in refused.stderr


def test_zero_points_of_bytes(tmp_path):
    """Nine bits, which no integers of ONNX hold: said when they are written, and floats once they come back."""
    codes = np.random.default_rng(6).integers(-128, 128, (4, 3, 3, 3)).astype(np.int8)
    codes[0, 0, 0] = -128, 127, 0
    stored = make_model([helper.make_node("DequantizeLinear", ["c", "s", "z"], ["w"], axis=0), helper.make_node("Conv", ["x", "w"], ["y"])],
                        [numpy_helper.from_array(codes, "c"), numpy_helper.from_array(np.full(4, 0.25, np.float32), "s"),
                         numpy_helper.from_array(np.array([5, 0, -3, 1], np.int8), "z")], opset=21)
    exported, done = export(stored, tmp_path)
    assert "for their zero points: more than 8, which --import all makes floats of" in done.stdout
    back, report = rewrite(exported, tmp_path, "--import", "all")
    assert report["convs"][0]["reason"] == "bit-width" and [n.op_type for n in back.graph.node] == ["Conv"]
    feeds = random_feeds(stored)
    np.testing.assert_array_equal(run(back, feeds)[0], run(stored, feeds)[0])


def test_zero_points_of_bytes_beside_nibbles(tmp_path):
    """Only those of more than 8 bits are told to become floats."""
    def conv(name, source, kind, codes, zero):
        return ([helper.make_node("DequantizeLinear", [f"c{name}", "s", f"z{name}"], [f"w{name}"], axis=0),
                 helper.make_node("Conv", [source, f"w{name}"], [name])],
                [helper.make_tensor(f"c{name}", kind, [3, 3, 3, 3], codes * 27), helper.make_tensor(f"z{name}", kind, [3], zero)])
    nodes, tensors = conv("a", "x", TensorProto.INT8, [-128, 127, 0], [5, 0, -3])
    more, others = conv("y", "a", TensorProto.INT4, [-8, 7, 0], [3, 0, -3])
    stored = make_model([*nodes, *more], [*tensors, *others, numpy_helper.from_array(np.full(3, 0.25, np.float32), "s")], opset=21)
    _, done = export(stored, tmp_path)
    assert "2 with more bits than are stored, for their zero points: 1 of them more than 8, which --import all" in done.stdout


def test_half_there_and_back(tmp_path):
    """Behind Quant and Cast there are the same integers again."""
    model = half_model()
    exported, _ = rewrite(model, tmp_path, "--format", "qonnx")
    stored, report = rewrite(exported, tmp_path, "--import", "all", "--strict")
    assert {c["storage"] for c in report["convs"] if c["source"]} == {"int4"}
    run_int4q("restore", tmp_path / "in.onnx", "-fo", tmp_path / "floats.onnx")
    feeds = random_feeds(model)
    for got, want in zip(run(stored, feeds), run(onnx.load(tmp_path / "floats.onnx"), feeds), strict=True):
        np.testing.assert_array_equal(got, want)


def test_half(tmp_path):
    model = half_model()
    stored, _ = rewrite(model, tmp_path)
    exported, _ = export(stored, tmp_path)
    assert_as_finn_wants(exported)
    assert_decoded_alike(in_plain_operators(exported), stored, random_feeds(model))


def on_a_grid(kind, codes=np.int8, ends=(-7, 7), zero=0, axis=0):
    """A weight of 4 bits as other tools leave it, of a ConvTranspose where the axis is 1."""
    shape = (4, 3, 3, 3) if axis == 0 else (3, 4, 3, 3)
    scale = np.linspace(0.1, 0.4, 4).astype(np.float32)
    integers = np.random.default_rng(2).integers(ends[0], ends[1], shape, endpoint=True)
    floats = ((integers - zero) * np.expand_dims(scale, tuple(i for i in range(4) if i != axis))).astype(np.float32)
    stored = [numpy_helper.from_array(scale, "s"), numpy_helper.from_array(np.full(4, zero, codes), "z"),
              numpy_helper.from_array(codes(ends[0]), "low"), numpy_helper.from_array(codes(ends[1]), "high"),
              numpy_helper.from_array(floats if kind != "clip" else integers.astype(codes), "v")]
    steps = {"clip": ["Clip"], "floats": ["QuantizeLinear"], "floats, clip": ["QuantizeLinear", "Clip"]}[kind]
    nodes, made = [], "v"
    for step in steps:
        more, attributes = (["low", "high"], {}) if step == "Clip" else (["s", "z"], {"axis": axis})
        nodes.append(helper.make_node(step, [made, *more], [step], **attributes))
        made = step
    nodes += [helper.make_node("DequantizeLinear", [made, "s", "z"], ["w"], axis=axis),
              helper.make_node("ConvTranspose" if axis else "Conv", ["x", "w"], ["y"], name="one")]
    return make_model(nodes, stored, outputs=[value("y", 1, 4, *([8, 8] if axis else [4, 4]))], opset=13)


@pytest.mark.parametrize("kind, codes, ends, zero, axis, bits", [
    ("clip", np.int8, (-7, 7), 0, 0, 4), ("clip", np.int8, (-8, 7), 0, 0, 4), ("clip", np.int8, (-7, 7), 0, 1, 4),
    ("clip", np.uint8, (0, 15), 8, 0, 4), ("clip", np.uint8, (0, 15), 7, 0, 5), ("clip", np.int8, (-127, 127), 0, 0, 8),
    ("floats", np.int8, (-127, 127), 0, 0, 8), ("floats, clip", np.int8, (-7, 7), 0, 0, 4), ("floats, clip", np.int8, (-3, 3), 0, 1, 3)])
def test_of_other_tools(tmp_path, kind, codes, ends, zero, axis, bits):
    stored = on_a_grid(kind, codes, ends, zero, axis)
    exported, _ = export(stored, tmp_path)
    assert_same_numbers(stored, exported)
    assert_as_finn_wants(exported)
    assert [n.op_type for n in exported.graph.node] == ["Quant", "ConvTranspose" if axis else "Conv"]
    assert grid(exported, "w")[2] == bits


def test_behind_a_transpose(tmp_path):
    """As QONNX files have the weights of MatMul: what moves the elements stays, before the Quant there and back."""
    nodes = [helper.make_node("Quant", ["u", "s", "z", "b"], ["q"], domain="qonnx.custom_op.general", signed=1, narrow=1, rounding_mode="ROUND"),
             helper.make_node("Transpose", ["q"], ["t"], perm=[1, 0]), helper.make_node("MatMul", ["x", "t"], ["y"], name="one")]
    stored = [tensor("u", 5, 3), numpy_helper.from_array(np.linspace(0.1, 0.5, 5).astype(np.float32).reshape(5, 1), "s"),
              *(numpy_helper.from_array(np.float32(v), n) for n, v in (("z", 0), ("b", 3)))]
    trained = make_model(nodes, stored, inputs=[value("x", 2, 3)], outputs=[value("y", 2, 5)], opset=13)
    trained.opset_import.append(helper.make_opsetid("qonnx.custom_op.general", 1))
    imported, _ = rewrite(trained, tmp_path, "--import", "weights")
    run_int4q("inspect", tmp_path / "out.onnx", "--require", "int4==1", "--require", "fake==0", "--require", "valid")
    exported, _ = export(imported, tmp_path)
    assert [n.op_type for n in exported.graph.node] == ["Quant", "Transpose", "MatMul"]
    assert_same_numbers(imported, exported)
    for one, two in zip(grid(exported, "q")[:2], grid(trained, "q")[:2]):
        assert np.array_equal(one, two)


def test_quant_stays(tmp_path):
    """What is there needs no export."""
    exported, _ = rewrite(detector(), tmp_path, "--format", "qonnx")
    _, done = export(exported, tmp_path, status=4)
    assert "nothing to restore" in done.stderr


def quantized(zero=0, codes=np.uint8, clip=None, scale=0.25, other=None, channels=None, bias=np.int32):
    """A Conv of INT8 between activations that are quantized, as other tools' static quantization leaves it."""
    scale = np.float32(scale) if channels is None else np.linspace(0.1, 0.4, channels).astype(np.float32)
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"], axis=1)]
    stored = [numpy_helper.from_array(scale, "s"), numpy_helper.from_array(np.full(np.shape(scale), zero, codes), "z")]
    if clip:
        nodes.append(helper.make_node("Clip", ["xq", "low", "high"], ["xc"]))
        stored += [numpy_helper.from_array(codes(end), name) for end, name in zip(clip, ("low", "high"))]
    behind = ["t" if other else "s", "z"]
    nodes += [helper.make_node("DequantizeLinear", ["xc" if clip else "xq", *behind], ["xd"], axis=1),
              helper.make_node("DequantizeLinear", ["wq", "ws", "wz"], ["wd"], axis=0),
              helper.make_node("DequantizeLinear", ["bq", "bs"], ["bd"], axis=0),
              helper.make_node("Conv", ["xd", "wd", "bd"], ["y"], name="one")]
    stored += [numpy_helper.from_array(np.float32(other), "t")] if other else []
    random = np.random.default_rng(1)
    stored += [numpy_helper.from_array(random.integers(-127, 128, (4, 3, 3, 3), np.int8), "wq"),
               numpy_helper.from_array(random.uniform(0.01, 0.02, 4).astype(np.float32), "ws"),
               numpy_helper.from_array(np.zeros(4, np.int8), "wz"),
               numpy_helper.from_array(random.integers(-2 ** 28, 2 ** 28, 4).astype(bias), "bq"),
               numpy_helper.from_array(random.uniform(1e-8, 2e-8, 4).astype(np.float32), "bs")]
    return make_model(nodes, stored, inputs=[value("x", 1, 3, 6, 6)], outputs=[value("y", 1, 4, 4, 4)], opset=13)


# name: (model, bits, signed, narrow)
ACTIVATIONS = {
    "uint8": (quantized(), 8, 0, 0),
    "int8": (quantized(codes=np.int8), 8, 1, 0),
    "uint8 around 128": (quantized(zero=128), 8, 1, 0),
    "int8 from -128": (quantized(zero=-128, codes=np.int8), 8, 0, 0),
    "narrow int8": (quantized(codes=np.int8, clip=(-127, 127)), 8, 1, 1),
    "4 bit": (quantized(clip=(0, 15)), 4, 0, 0),
    "narrow 4 bit": (quantized(clip=(0, 14)), 4, 0, 1),
    "4 bit around 8": (quantized(zero=8, clip=(0, 15)), 4, 1, 0),
    "2 bit": (quantized(codes=np.int8, clip=(-2, 1)), 2, 1, 0),
    "channels": (quantized(channels=3), 8, 0, 0),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(tmp_path, name):
    stored, bits, signed, narrow = ACTIVATIONS[name]
    exported, done = export(stored, tmp_path)
    assert [n.op_type for n in exported.graph.node] == ["Quant", "Quant", "Conv"]
    assert_as_finn_wants(exported)
    assert_same_numbers(stored, exported)
    node, known = quants(exported)["xd"], constants(exported)
    told = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    assert (known[node.input[3]], told["signed"], told["narrow"]) == (bits, signed, narrow)
    assert known[node.input[1]].shape == ((1, 3, 1, 1) if name == "channels" else ())
    assert "biases     1 as floats" in done.stdout and "activations 1 behind Quant, 0 left" in done.stdout
    assert "FINN needs" not in done.stdout


LEFT = {"zero-point": quantized(zero=3), "zero-point of clipped": quantized(clip=(0, 12)), "scale": quantized(other=0.5)}


@pytest.mark.parametrize("name", LEFT)
def test_activations_that_stay(tmp_path, name):
    exported, done = export(LEFT[name], tmp_path)
    assert list(quants(exported)) == ["wd"] and "0 behind Quant, 1 left" in done.stdout
    assert_same_numbers(LEFT[name], exported)
    _, refused = export(LEFT[name], tmp_path, "--strict", status=3)
    assert f"activation 'x' has to stay as it is: {name.split()[0]}" in refused.stderr


@pytest.mark.parametrize("opset, domain", [(13, ""), (9, "com.microsoft")])
def test_what_stays_is_standard(tmp_path, opset, domain):
    """qonnx knows no QuantizeLinear of com.microsoft; where the standard has it, it means the same."""
    stored = quantized(zero=3)
    stored.opset_import[0].version = opset
    stored.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    for node in stored.graph.node:
        if node.op_type != "Conv":
            node.domain = "com.microsoft"
    exported, _ = export(stored, tmp_path)
    assert [(n.op_type, n.domain) for n in exported.graph.node if "Linear" in n.op_type] == [("QuantizeLinear", domain), ("DequantizeLinear", domain)]
    assert any(o.domain == "com.microsoft" for o in exported.opset_import) == bool(domain)
    if opset >= 11:  # Round
        assert_same_numbers(stored, exported)


@pytest.mark.parametrize("kind", [np.int8, np.int32])
def test_biases(tmp_path, kind):
    """Numbers beyond 24 bits are rounded as ONNX Runtime rounds them."""
    stored = quantized(bias=kind)
    exported, _ = export(stored, tmp_path)
    stored.graph.output.append(helper.make_tensor_value_info("bd", TensorProto.FLOAT, [4]))
    assert constants(exported)["bd"].tobytes() == run(stored, random_feeds(stored))[1].tobytes()


def test_many_biases_of_the_same_integers(tmp_path):
    """Some become floats, until these are eight times the model."""
    stored = quantized(bias=np.int8)
    big = numpy_helper.from_array(np.arange(4096).astype(np.int8), "big")
    stored.graph.initializer.append(big)
    names = [f"many{i}" for i in range(64)]
    stored.graph.node.extend(helper.make_node("DequantizeLinear", ["big", "s"], [name]) for name in names)
    stored.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, [4096]) for name in names)
    exported, _ = export(stored, tmp_path)
    folded = [t for t in exported.graph.initializer if t.name in names]
    assert 0 < len(folded) < 64 and 4 * 4096 * len(folded) <= 8 * os.path.getsize(tmp_path / "stored.onnx")
    assert_same_numbers(stored, exported)


def test_only_some(tmp_path):
    stored = ACTIVATIONS["4 bit"][0]
    assert list(quants(export(stored, tmp_path, "--weights")[0])) == ["wd"]
    assert list(quants(export(stored, tmp_path, "--activations")[0])) == ["xd"]


def test_shared_weight(tmp_path):
    stored, _ = rewrite(detector(), tmp_path)
    exported, _ = export(stored, tmp_path)
    assert {n.name: n.input[1] for n in exported.graph.node if n.name in ("one", "two")} == {"one": "w", "two": "w_again"}


def test_usage(tmp_path):
    onnx.save(detector(), tmp_path / "in.onnx")
    assert "--strict needs --as qonnx" in run_int4q("restore", tmp_path / "in.onnx", "--strict", status=2).stderr
    assert "--as: 'finn' is none of float, qonnx" in run_int4q("restore", tmp_path / "in.onnx", "--as", "finn", status=2).stderr
    assert "nothing to restore" in run_int4q("restore", tmp_path / "in.onnx", "--as", "qonnx", "-o", tmp_path / "o", status=4).stderr


@pytest.mark.parametrize("name", ["good-detector", "good-inputs-listed"])
def test_models(tmp_path, name):
    stored, _ = rewrite(onnx.load(os.path.join(ROOT, "tests", "data", name + ".onnx")), tmp_path)
    assert_same_numbers(stored, export(stored, tmp_path)[0])

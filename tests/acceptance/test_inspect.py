# SPDX-License-Identifier: Apache-2.0
"""What inspect tells of models that others made: kinds of weights, differences from a reference, what is not sound."""
import json

import numpy as np
import onnx
import onnxruntime
import pytest
from helpers import decoded_weights, make_model, rewrite, run_int4q, tensor
from onnx import TensorProto, helper, numpy_helper
from test_activations import detector, lopsided, spread, statistics


def conv(weight="w", output="y", source="x", name="conv", **attributes):
    return helper.make_node("Conv", [source, weight], [output], name=name, **attributes)


def inspect(folder, model, *args, status=0):
    """The JSON of a model that is saved to in.onnx."""
    if model:
        onnx.save(model, folder / "in.onnx")
    run_int4q("inspect", folder / "in.onnx", "--json", folder / "report.json", *args, status=status)
    return json.loads((folder / "report.json").read_text())


# ---- differences from a reference


def plain():
    """Tensors wherever a model may have them: initializers, a Constant, the body of an If."""
    def body(name):
        return helper.make_graph([helper.make_node("Add", ["a", name], [f"sum_{name}"])], name,
                                 [], [helper.make_tensor_value_info(f"sum_{name}", TensorProto.FLOAT, None)], [tensor(name, 300)])
    nodes = [conv(output="c"), helper.make_node("Constant", [], ["k"], value=tensor("", 300)),
             helper.make_node("Reshape", ["c", "shape"], ["a"]), helper.make_node("Add", ["a", "k"], ["d"]),
             helper.make_node("If", ["yes"], ["y"], then_branch=body("t"), else_branch=body("e"))]
    return make_model(nodes, [tensor("w", 4, 3, 1, 1), numpy_helper.from_array(np.int64([-1, 1]), "shape"),
                              numpy_helper.from_array(np.array(True), "yes"), tensor("b", 300)])


def in_typed_fields(model):
    """The same numbers in float_data and its like instead of raw_data."""
    for stored in model.graph.initializer:
        array = numpy_helper.to_array(stored)
        stored.CopyFrom(helper.make_tensor(stored.name, stored.data_type, array.shape, array.reshape(-1).tolist()))
    return model


@pytest.mark.parametrize("location", ["other.bin", "a-longer-name-that-moves-what-follows.bin"])
def test_equal_is_equal_wherever_it_is_stored(tmp_path, location):
    onnx.save(plain(), tmp_path / "inline.onnx")
    onnx.save(in_typed_fields(plain()), tmp_path / "typed.onnx")
    for name in ("in.onnx", location.replace(".bin", ".onnx")):
        onnx.save(plain(), tmp_path / name, save_as_external_data=True, location=name.replace(".onnx", ".bin"), size_threshold=0,
                  convert_attribute=True)
    for ours in ("in.onnx", "inline.onnx", "typed.onnx"):
        for theirs in (location.replace(".bin", ".onnx"), "inline.onnx", "typed.onnx"):
            run_int4q("inspect", tmp_path / ours, "--reference", tmp_path / theirs, "--json", tmp_path / "report.json")
            assert json.loads((tmp_path / "report.json").read_text())["differences"] == [], (ours, theirs)


@pytest.mark.parametrize("change, told", {
    "a bit of an initializer": (lambda m: flip(m.graph.initializer[3]), "initializer 'b' changed"),
    "a bit of a Constant": (lambda m: flip(m.graph.node[1].attribute[0].t), "node 'k' (Constant) changed"),
    "a bit in a body": (lambda m: flip(m.graph.node[4].attribute[0].g.initializer[0]), "node 'y' (If) changed"),
    "a type": (lambda m: setattr(m.graph.initializer[3], "data_type", TensorProto.INT32), "initializer 'b' changed"),
    "a shape": (lambda m: m.graph.initializer[3].dims.insert(0, 1), "initializer 'b' changed"),
    "a doc string": (lambda m: setattr(m.graph.initializer[3], "doc_string", "new"), "initializer 'b' changed"),
}.values())
def test_what_differs_is_told(tmp_path, change, told):
    changed = plain()
    change(changed)
    onnx.save(plain(), tmp_path / "other.onnx", save_as_external_data=True, location="other.bin", size_threshold=0)
    assert inspect(tmp_path, changed, "--reference", tmp_path / "other.onnx")["differences"] == [told]


@pytest.mark.parametrize("chains", [3, 4, 12, 13])
def test_differences_fit_on_a_screen(tmp_path, chains):
    """Four nodes of a kind are a line, three are not; of the kinds twelve are told; --table and JSON have all of it."""
    kinds = ["Abs", "Neg", "Relu", "Sigmoid", "Tanh", "Ceil", "Floor", "Exp", "Sqrt", "Softplus", "Softsign", "Erf", "Round"]
    pairs = [(kind, i) for kind in kinds[:1 if chains < 5 else chains] for i in range(chains if chains < 5 else 4)]
    model = plain()
    onnx.save(model, tmp_path / "less.onnx")
    model.graph.node.extend(helper.make_node(kind, ["y"], [f"{kind}{i}"], name=f"{kind}{i}") for kind, i in pairs)
    onnx.save(model, tmp_path / "more.onnx")
    args = ["inspect", tmp_path / "more.onnx", "--reference", tmp_path / "less.onnx"]
    lines = [line.removeprefix("differs    ") for line in run_int4q(*args).stdout.splitlines() if line.startswith("differs")]
    if chains == 3:
        assert lines == [f"node 'Abs{i}' (Abs) is new" for i in range(3)]
    else:
        told = [f"4 nodes ({kind}) are new" for kind in kinds[:1 if chains == 4 else 12]]
        assert lines == told + ["and in 1 other way"] * (chains == 13)
        assert run_int4q(*args).stdout.endswith("\n           (--table lists all differences)\n")
    assert run_int4q(*args, "--table").stdout.count("\ndiffers ") == len(pairs)
    assert len(inspect(tmp_path, model, "--reference", tmp_path / "less.onnx")["differences"]) == len(pairs)


def flip(stored):
    stored.raw_data = bytes([stored.raw_data[0] ^ 1]) + stored.raw_data[1:]


# ---- Convs under other names


def fused(folder, level):
    """As ONNX Runtime saves it after optimizing, for the CPU at hand: Conv and Relu in one node."""
    nodes = [conv("w", "c", name="a", pads=[1] * 4), helper.make_node("Relu", ["c"], ["r"]), conv("v", "y", "r", name="b", pads=[1] * 4)]
    onnx.save(make_model(nodes, [tensor("w", 16, 3, 3, 3), tensor("v", 16, 16, 3, 3)]), folder / "plain.onnx")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level, options.log_severity_level = level, 4
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    onnxruntime.InferenceSession(str(folder / "plain.onnx"), options, providers=["CPUExecutionProvider"])
    return onnx.load(folder / "optimized.onnx")


@pytest.mark.parametrize("level", ["ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"])
def test_convs_of_the_optimizer(tmp_path, level):
    """They count, are named, and no check passes over them."""
    model = fused(tmp_path, getattr(onnxruntime.GraphOptimizationLevel, level))
    names = [f"{n.domain}::{n.op_type}" if n.domain else n.op_type for n in model.graph.node if n.op_type.endswith("Conv")]
    foreign = [n for n in names if "::" in n]
    assert foreign
    report = inspect(tmp_path, model, "--require", "convs==2", "--require", "float==2")
    assert [c["op"] for c in report["convs"]] == names
    run_int4q("inspect", tmp_path / "in.onnx", "--require", "float==0", status=4)
    done = run_int4q("rewrite", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", "--strict", "--json", tmp_path / "r.json", status=3)
    told = json.loads((tmp_path / "r.json").read_text())
    assert [(c["op"], c["reason"]) for c in told["convs"]] == [(n, "custom-conv" if n in foreign else None) for n in names]
    assert told["totals"]["kept"] == len(foreign) and "custom-conv" in done.stderr
    shown = run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--table", status=0 if len(foreign) < 2 else 4).stdout
    assert all(f"({n})" in shown for n in foreign)


def test_channels_last(tmp_path):
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv", domain="qonnx.custom_op.channels_last")
    report = inspect(tmp_path, make_model([node], [tensor("w", 4, 3, 3, 3)]), "--require", "float==1")
    assert [c["op"] for c in report["convs"]] == ["qonnx.custom_op.channels_last::Conv"]


def test_what_only_has_the_name_of_a_conv(tmp_path):
    """A function of the model (whose Conv counts), an operator without a constant for a weight."""
    function = helper.make_function("local", "Conv", ["x", "w"], ["y"], [helper.make_node("Conv", ["x", "w"], ["y"], name="inner")],
                                    [helper.make_opsetid("", 17)])
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], domain="local", name="call"),
             helper.make_node("Conv", ["c"], ["d"], domain="other"), helper.make_node("FusedConv", ["d", "x"], ["y"], domain="other")]
    report = inspect(tmp_path, make_model(nodes, [tensor("w", 4, 3, 3, 3)], ir=8, functions=[function], local=1))
    assert [c["node"] for c in report["convs"]] == ["inner"]


# ---- floats that nodes quantize


@pytest.mark.parametrize("kind, clip", [(np.float32, False), (np.float32, True), (np.int8, True)])
def test_weights_that_nodes_quantize(tmp_path, kind, clip):
    """They are on a grid, so nobody quantizes them again; what is stored of them is told."""
    weight = numpy_helper.from_array((np.random.default_rng(0).standard_normal((4, 3, 3, 3)) * 3).astype(kind), "f")
    nodes = [helper.make_node("QuantizeLinear", ["f", "s", "z"], ["q"])] if kind == np.float32 else []
    nodes += [helper.make_node("Clip", ["q" if nodes else "f", "low", "high"], ["k"])] if clip else []
    nodes += [helper.make_node("DequantizeLinear", ["k" if clip else "q", "s", "z"], ["w"]), conv()]
    constants = [numpy_helper.from_array(np.array(v), n) for n, v in
                 (("s", np.float32(0.25)), ("z", np.int8(0)), ("low", np.int8(-7)), ("high", np.int8(7)))]
    model, stored = make_model(nodes, [weight, *constants]), "float32" if kind == np.float32 else "int8"
    found = inspect(tmp_path, model, "--require", "valid")["convs"][0]
    assert (found["storage"], found["shape"], found["bytes"]) == (stored, [4, 3, 3, 3], 108 * weight_size(kind))
    run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--json", tmp_path / "r.json", status=4)
    told = json.loads((tmp_path / "r.json").read_text())["convs"][0]
    assert (told["reason"], told["weights"], told["bytes_before"]) == ("already-quantized", 108, 108 * weight_size(kind))
    run_int4q("restore", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx")


def weight_size(kind):
    return np.dtype(kind).itemsize


def compared(folder, *arguments, change=None):
    """What inspect tells of the detector with activations of scales a channel, and that model."""
    found, report = detector(), folder / "report.json"
    path = statistics(folder, {name: spread(lopsided(name)) for name in ("t", "c")})
    made, _ = rewrite(found, folder, "--calibration", path, "--activations", "uint4", "--activation-scales", "channel", *arguments)
    if change:
        change(made)
        onnx.save(made, folder / "out.onnx")
    run_int4q("inspect", folder / "out.onnx", "--reference", folder / "in.onnx", "--json", report)
    return json.loads(report.read_text()), made


@pytest.mark.parametrize("arguments", [[], ["--format", "int8"], ["--decode", "nbits"], ["--block", "4"]], ids=" ".join)
def test_factors_of_channels_are_undone(tmp_path, arguments):
    """Weights make up for what the activations were scaled by: one reads a pair with two scales, one a pair behind a Mul."""
    told, _ = compared(tmp_path, *arguments)
    assert all(row["sqnr_db"] > 10 for row in told["convs"]) and not any("factors" in text for text in told["differences"])
    out, report = tmp_path / "out.onnx", tmp_path / "report.json"
    run_int4q("inspect", out, "--reference", out, "--json", report)
    assert all(row["max_error"] == 0 for row in json.loads(report.read_text())["convs"])


def test_what_weights_are_without_factors(tmp_path):
    """By numpy: of a depthwise Conv and of one that reads the same channels."""
    told, made = compared(tmp_path)
    stored = {t.name: numpy_helper.to_array(t) for t in [*detector().graph.initializer, *made.graph.initializer]
              if t.data_type == TensorProto.FLOAT}
    ratio = stored["t_activation_step"] / stored["t_activation_scale"]
    decoded, rows = decoded_weights(made.graph), {row["weight"]: row for row in told["convs"]}
    for name, shape in ("d", (8, 1, 1, 1)), ("p", (1, 8, 1, 1)):
        error = (decoded[name] * ratio.reshape(shape)).astype(np.float64) - stored[name]
        assert np.isclose(rows[name]["sqnr_db"], 10 * np.log10(np.square(stored[name], dtype=np.float64).sum() / np.square(error).sum()))
        assert np.isclose(rows[name]["max_error"], np.abs(error).max())


def test_factors_that_cannot_be_told(tmp_path):
    """Along an axis that is counted from the end: the rank of the tensor may be anything."""
    def change(model):
        for node in model.graph.node:
            if node.output[0] == "t_activation_quantized":
                node.attribute[0].i = -3
    told, _ = compared(tmp_path, change=change)
    assert [row["weight"] for row in told["convs"] if row["sqnr_db"] is None and row["max_error"] is None] == ["d", "p"]
    assert any("weights of 2 Convs hold factors of the channels that they read, which cannot be told" in t for t in told["differences"])

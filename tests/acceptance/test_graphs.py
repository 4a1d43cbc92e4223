# SPDX-License-Identifier: Apache-2.0
"""Where a Conv's weight can come from, and what becomes of it: small graphs through tool, checker and ONNX Runtime."""
import json

import numpy as np
import onnx
import pytest
from helpers import (
    assert_equal_outputs,
    graphs,
    make_model,
    random_feeds,
    rewrite,
    run,
    run_int4q,
    tensor,
    value,
    with_output_shapes,
)
from onnx import TensorProto, helper, numpy_helper


def conv(weight="w", output="y", source="x", name="conv", **attributes):
    return helper.make_node("Conv", [source, weight], [output], name=name, **attributes)


def reasons(report):
    return [c["reason"] for c in report["convs"]]


def absmax(weight):
    """The definition, by numpy: codes and scales."""
    wide = weight.astype(np.float32)
    peak = np.abs(wide).reshape(wide.shape[0], -1).max(1)
    scale = (peak / np.float32(7)).astype(weight.dtype)
    if weight.dtype == np.float16:
        scale[(scale == 0) & (peak != 0)] = np.float16(2 ** -24)
    scale[scale == 0] = 1
    step = scale.astype(np.float32).reshape([-1] + [1] * (wide.ndim - 1))
    return np.clip(np.rint(wide / step), -7, 7).astype(np.int8), scale


def stored(model, name):
    return next(t for g in graphs(model.graph) for t in g.initializer if t.name == name)


def assert_defined(model, name, weight):
    """Codes, scales and zero points of one weight, bit for bit."""
    codes, scale = absmax(weight)
    assert list(stored(model, f"{name}_quantized").dims) == list(weight.shape)
    raw = np.frombuffer(stored(model, f"{name}_quantized").raw_data, np.uint8)
    assert raw.size == (weight.size + 1) // 2
    nibbles = np.stack([raw & 15, raw >> 4], 1).reshape(-1)
    np.testing.assert_array_equal(nibbles[:weight.size], codes.reshape(-1) & 15)
    assert not nibbles[weight.size:].any()
    assert stored(model, f"{name}_scale").raw_data == scale.tobytes()
    zero = stored(model, f"{name}_zero_point")
    assert zero.data_type == TensorProto.INT4 and list(zero.dims) == [weight.shape[0]]
    assert zero.raw_data == bytes((weight.shape[0] + 1) // 2)
    decoder = next(n for g in graphs(model.graph) for n in g.node if n.name == f"{name}_DequantizeLinear")
    assert decoder.domain == "" and list(decoder.output) == [name]
    assert list(decoder.input) == [f"{name}_{part}" for part in ("quantized", "scale", "zero_point")]
    assert [(a.name, a.type, a.i) for a in decoder.attribute] == [("axis", onnx.AttributeProto.INT, 0)]


@pytest.mark.parametrize("shape, group, x", [
    ((4, 3, 3, 3), 1, (1, 3, 6, 6)), ((5, 3, 3, 3), 1, (1, 3, 6, 6)), ((3, 1, 3, 3), 3, (1, 3, 6, 6)),
    ((4, 2, 1, 1), 2, (1, 4, 6, 6)), ((1, 3, 1, 1), 1, (1, 3, 6, 6)), ((3, 3, 5), 1, (1, 3, 9)),
    ((2, 3, 3, 3, 3), 1, (1, 3, 5, 5, 5)), ((7, 1, 1, 1), 1, (1, 1, 4, 4)), ((64, 33, 3, 3), 1, (1, 33, 5, 5))])
@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_shapes(tmp_path, shape, group, x, kind):
    number = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    weight = tensor("w", *shape, kind=kind)
    original = with_output_shapes(make_model([conv(group=group)], [weight], inputs=[value("x", *x, kind=number)],
                                             outputs=[onnx.ValueInfoProto(name="y")]))
    rewritten, report = rewrite(original, tmp_path)
    assert reasons(report) == [None]
    assert_defined(rewritten, "w", numpy_helper.to_array(weight))
    # ONNX Runtime has no FLOAT16 Conv on the CPU and computes it in FLOAT, with the same decoded weights.
    assert_equal_outputs(original, rewritten)


@pytest.mark.parametrize("values", [
    [0.0] * 9, [1e-45] * 9, [-0.0] * 8 + [7.0], [3.4e38] * 9, [0.5, 1.5, 2.5, 3.5, -0.5, -1.5, -2.5, -3.5, 7.0],
    [1e-45, 2e-45, 3e-45, 4e-45, 5e-45, 6e-45, 7e-45, 8e-45, 1.1e-44], [float(2 ** -126)] * 9])
def test_values(tmp_path, values):
    weight = numpy_helper.from_array(np.array(values * 3, np.float32).reshape(1, 3, 3, 3), "w")
    original = with_output_shapes(make_model([conv()], [weight], outputs=[onnx.ValueInfoProto(name="y")]))
    rewritten, _ = rewrite(original, tmp_path)
    assert_defined(rewritten, "w", numpy_helper.to_array(weight))
    assert_equal_outputs(original, rewritten)


def test_float16_in_int32_data_and_float_data(tmp_path):
    half, full = tensor("h", 2, 3, 3, 3, kind=np.float16), tensor("w", 2, 3, 3, 3)
    bits = numpy_helper.to_array(half).view(np.uint16)
    for weight, array, kind in ((half, numpy_helper.to_array(half), TensorProto.FLOAT16),
                                (full, numpy_helper.to_array(full), TensorProto.FLOAT)):
        weight.ClearField("raw_data")
        if kind == TensorProto.FLOAT16:
            weight.int32_data.extend(int(b) for b in bits.reshape(-1))
        else:
            weight.float_data.extend(array.reshape(-1).tolist())
        original = with_output_shapes(make_model([conv(weight.name)], [weight], inputs=[value("x", 1, 3, 6, 6, kind=kind)],
                                                 outputs=[onnx.ValueInfoProto(name="y")]))
        rewritten, _ = rewrite(original, tmp_path)
        assert_defined(rewritten, weight.name, array)
        assert_equal_outputs(original, rewritten)


Y = [value("y", 1, 3, 4, 4)]
W = tensor("w", 3, 3, 3, 3)


def test_constant_node(tmp_path):
    constant = helper.make_node("Constant", [], ["k"], name="constant", value=tensor("", 3, 3, 3, 3))
    original = make_model([constant, conv("k", "a"), conv("w", "y", "a", "second", pads=[1] * 4)], [W], outputs=Y)
    rewritten, report = rewrite(original, tmp_path)
    assert [c["weight"] for c in report["convs"]] == ["k", "w"]
    assert [n.op_type for n in rewritten.graph.node] == ["DequantizeLinear", "DequantizeLinear", "Conv", "Conv"]
    # W stands where it stood, what came from a node at the end
    assert [t.name[0] for t in rewritten.graph.initializer] == ["w", "w", "w", "k", "k", "k"]
    assert_defined(rewritten, "k", numpy_helper.to_array(constant.attribute[0].t))
    assert_equal_outputs(original, rewritten)


def test_identity_chain(tmp_path):
    nodes = [helper.make_node("Identity", ["w"], ["i"]), helper.make_node("Identity", ["i"], ["j"]), conv("j", "y")]
    original = make_model(nodes, [W], outputs=Y)
    rewritten, report = rewrite(original, tmp_path)
    assert report["convs"][0]["weight"] == "w"
    assert [n.op_type for n in rewritten.graph.node] == ["DequantizeLinear", "Identity", "Identity", "Conv"]
    assert_equal_outputs(original, rewritten)


def test_shared_by_convs(tmp_path):
    nodes = [conv("w", "a", pads=[1] * 4, name="one"), conv("w", "y", "a", name="two")]
    original = make_model(nodes, [W], outputs=Y)
    rewritten, report = rewrite(original, tmp_path)
    assert [n.op_type for n in rewritten.graph.node] == ["DequantizeLinear", "Conv", "Conv"]
    counts = {"convs": 2, "quantized": 2, "kept": 0, "weights": 81, "weights_quantized": 81}
    assert report["totals"].items() >= counts.items()
    assert_equal_outputs(original, rewritten)
    onnx.save(original, tmp_path / "in.onnx")
    done = run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--exclude", "two", status=4)
    assert "shared" in done.stdout and "excluded" in done.stdout


def branches(then, orelse, initializers=(), local=()):
    """If: x to y in two branches; `local` are initializers of the first."""
    first = helper.make_graph(then, "then", [], [helper.make_tensor_value_info("y1", TensorProto.FLOAT, None)], list(local))
    second = helper.make_graph(orelse, "else", [], [helper.make_tensor_value_info("y2", TensorProto.FLOAT, None)])
    yes = helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True)))
    return make_model([yes, helper.make_node("If", ["yes"], ["y"], name="if", then_branch=first, else_branch=second)],
                      initializers, outputs=Y)


def test_captured_by_a_body(tmp_path):
    """The weight is decoded in the graph that defines it."""
    original = branches([conv("w", "y1", name="a")], [conv("w", "y2", name="b")], [W])
    rewritten, report = rewrite(original, tmp_path)
    assert reasons(report) == [None, None]
    assert rewritten.graph.node[0].op_type == "DequantizeLinear"
    assert_equal_outputs(original, rewritten)


def test_local_to_a_body(tmp_path):
    """The weight is decoded inside the body; its new names are free in the whole model."""
    taken = tensor("v_scale", 3, 3, 3, 3)
    original = branches([conv("v", "y1", name="a")], [conv("v_scale", "y2", name="b")], [taken], [tensor("v", 3, 3, 3, 3)])
    rewritten, report = rewrite(original, tmp_path)
    assert reasons(report) == [None, None]
    branch = next(n for n in rewritten.graph.node if n.op_type == "If")
    body = next(a.g for a in branch.attribute if a.name == "then_branch")
    assert [n.op_type for n in body.node] == ["DequantizeLinear", "Conv"]
    assert [t.name for t in body.initializer] == ["v_quantized", "v_scale_1", "v_zero_point"]
    assert_equal_outputs(original, rewritten)


def test_names_that_are_taken(tmp_path):
    nodes = [conv("w", "w_scale", name="w_zero_point"), helper.make_node("Relu", ["w_scale"], ["y"], name="w_quantized_1")]
    original = make_model(nodes, [W, tensor("w_quantized", 1)], outputs=Y)
    rewritten, _ = rewrite(original, tmp_path)
    decoder = rewritten.graph.node[0]
    assert list(decoder.input) == ["w_quantized_2", "w_scale_1", "w_zero_point_1"]
    assert decoder.name == "w_DequantizeLinear"
    assert_equal_outputs(original, rewritten)


def left(**models):
    return pytest.mark.parametrize("reason, make", [pytest.param(k.split("__")[0].replace("_", "-"), m, id=k) for k, m in models.items()])


def with_input(model, *names):
    for name in names:
        model.graph.input.append(value(name, 3, 3, 3, 3))
    return model


def sparse():
    indices = numpy_helper.from_array(np.array([1, 5], np.int64), "")
    values = numpy_helper.from_array(np.array([1, 2], np.float32), "w")
    made = make_model([conv()], outputs=Y)
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [3, 3, 3, 3]))
    return made


def function():
    inner = [helper.make_node("Conv", ["a", "b"], ["c"], name="inner")]
    made = helper.make_function("local", "F", ["a", "b"], ["c"], inner, [helper.make_opsetid("", 17)])
    return make_model([helper.make_node("F", ["x", "w"], ["y"], domain="local")], [W], outputs=Y, functions=[made], local=1)


def quantized(op_type="DequantizeLinear", domain=""):
    codes = numpy_helper.from_array(np.ones((3, 3, 3, 3), np.int8), "q")
    scale = numpy_helper.from_array(np.full(3, 0.1, np.float32), "s")
    node = helper.make_node(op_type, ["q", "s"], ["d"], axis=0, domain=domain)
    return make_model([node, conv("d")], [codes, scale], outputs=Y, **({"com_microsoft": 1} if domain else {}))


def input_of_a_body():
    """In a Loop, whose initial value it is that counts; the main graph has no initializer that is no input."""
    body = helper.make_graph([conv("v", "y1"), helper.make_node("Identity", ["go"], ["on"])], "body",
                             [value("i", kind=TensorProto.INT64), value("go", kind=TensorProto.BOOL), value("v", 3, 3, 3, 3)],
                             [value("on", kind=TensorProto.BOOL), value("v", 3, 3, 3, 3), value("y1", 1, 3, 4, 4)],
                             [tensor("v", 3, 3, 3, 3)])
    nodes = [helper.make_node("Loop", ["n", "", "p"], ["q", "ys"], body=body),
             helper.make_node("Squeeze", ["ys"], ["y"])]
    return make_model(nodes, inputs=[value("x", 1, 3, 6, 6), value("n", kind=TensorProto.INT64), value("p", 3, 3, 3, 3)], outputs=Y)


def with_nan(index, number):
    array = numpy_helper.to_array(W).copy()
    array.reshape(-1)[index] = number
    return make_model([conv()], [numpy_helper.from_array(array, "w")], outputs=Y)


CAST = [helper.make_node("Cast", ["q"], ["d"], to=TensorProto.FLOAT), helper.make_node("Mul", ["d", "s"], ["e"]), conv("e")]
CODES = [numpy_helper.from_array(np.ones((3, 3, 3, 3), np.int8), "q"), numpy_helper.from_array(np.ones((3, 1, 1, 1), np.float32), "s")]
ARANGE = numpy_helper.from_array(np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1), "w")


@left(
    already_quantized=quantized,
    already_quantized__microsoft=lambda: quantized(domain="com.microsoft"),
    already_quantized__cast=lambda: make_model(CAST, CODES, outputs=Y),
    already_quantized__integer=lambda: make_model(
        [helper.make_node("ConvInteger", ["x", "w"], ["y"], name="conv")],
        [numpy_helper.from_array(np.ones((3, 3, 3, 3), np.int8), "w")], inputs=[value("x", 1, 3, 6, 6, kind=TensorProto.INT8)],
        outputs=[value("y", 1, 3, 4, 4, kind=TensorProto.INT32)]),
    function=function,
    weight_computed=lambda: make_model([helper.make_node("Mul", ["w", "w"], ["v"]), conv("v")], [W], outputs=Y),
    weight_computed__input=lambda: make_model([helper.make_node("Relu", ["p"], ["v"]), conv("v")],
                                              inputs=[value("x", 1, 3, 6, 6), value("p", 3, 3, 3, 3)], outputs=Y),
    weight_computed__65_identities=lambda: make_model(
        [helper.make_node("Identity", [f"i{i}" if i else "w"], [f"i{i + 1}"]) for i in range(65)] + [conv("i65")], [W], outputs=Y),
    weight_computed__decoder_of_two=lambda: make_model(
        [CAST[0], helper.make_node("Mul", ["d", "s"], ["f", "e"]), conv("e")], CODES, outputs=Y),
    weight_computed__two_constants=lambda: make_model([helper.make_node("Constant", [], ["c", "d"], value=W), conv("d")], outputs=Y),
    weight_computed__value_of_two=lambda: make_model([helper.make_node("Constant", [], ["c"], value=W, value_int=1), conv("c")],
                                                     outputs=Y),
    weight_is_input=lambda: make_model([conv("p")], inputs=[value("x", 1, 3, 6, 6), value("p", 3, 3, 3, 3)], outputs=Y),
    weight_is_input__default=lambda: with_input(make_model([conv(), helper.make_node("Add", ["y", "b"], ["z"])], [W, tensor("b", 1)],
                                                           outputs=[value("z", 1, 3, 4, 4)]), "w"),
    weight_is_input__body=input_of_a_body,
    weight_is_output=lambda: make_model([conv()], [W], outputs=[*Y, value("w", 3, 3, 3, 3)]),
    weight_is_output__identity=lambda: make_model([conv(), helper.make_node("Identity", ["w"], ["i"])], [W],
                                                  outputs=[*Y, value("i", 3, 3, 3, 3)]),
    weight_shared_with_other_op=lambda: make_model([conv("w", "a"), helper.make_node("ReduceSum", ["w"], ["s"]),
                                                    helper.make_node("Add", ["a", "s"], ["y"])], [W], outputs=Y),
    weight_shared_with_other_op__data=lambda: make_model([conv("w", "y", "w")], [tensor("w", 3, 3, 1, 1)],
                                                         outputs=[value("y", 3, 3, 1, 1)]),
    sparse=sparse,
    dtype=lambda: make_model([conv()], [tensor("w", 3, 3, 3, 3, kind=np.float64)], inputs=[value("x", 1, 3, 6, 6, kind=TensorProto.DOUBLE)],
                             outputs=[value("y", 1, 3, 4, 4, kind=TensorProto.DOUBLE)]),
    shape=lambda: make_model([conv()], [tensor("w", 3, 3)], outputs=Y),
    empty=lambda: make_model([conv()], [tensor("w", 0, 3, 3, 3)], outputs=[value("y", 1, 0, 4, 4)]),
    dfl=lambda: make_model([conv()], [ARANGE], inputs=[value("x", 1, 4, 6, 6)], outputs=[value("y", 1, 1, 6, 6)]),
    non_finite=lambda: with_nan(80, np.nan),
    non_finite__infinity=lambda: with_nan(0, -np.inf),
)
def test_left_alone(tmp_path, reason, make):
    """The reason is told, nothing is written, and with --strict only where nobody meant it."""
    onnx.save(make(), tmp_path / "in.onnx")
    report = tmp_path / "report.json"
    run_int4q("rewrite", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", "--json", report, status=4)
    convs = json.loads(report.read_text())["convs"]
    assert [c["reason"] for c in convs] == [reason]
    assert not (tmp_path / "out.onnx").exists()
    meant = reason in ("already-quantized", "dfl")
    run_int4q("rewrite", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", "--strict", status=4 if meant else 3)
    run_int4q("inspect", tmp_path / "in.onnx", "--json", report)
    run_int4q("inspect", tmp_path / "in.onnx", "--reference", tmp_path / "in.onnx", "--json", report)
    assert json.loads(report.read_text())["differences"] == []


def test_convs_of_one_name(tmp_path):
    """Names of nodes need not differ; each Conv is compared with its own former self."""
    other = helper.make_node("ConvTranspose", ["x", "u"], ["b"], name="c")
    original = make_model([other, conv("v", "a", "b", name="c"), conv("w", "y", "a", name="c")],
                          [tensor("u", 3, 3, 1, 1, 1), tensor("v", 3, 3, 1, 1), W], outputs=Y)
    _, report = rewrite(original, tmp_path)
    run_int4q("inspect", tmp_path / "out.onnx", "--reference", tmp_path / "in.onnx", "--json", tmp_path / "report.json")
    inspected = json.loads((tmp_path / "report.json").read_text())
    assert not any("shape" in d for d in inspected["differences"])
    assert [c["sqnr_db"] for c in inspected["convs"]] == [c["sqnr_db"] for c in report["convs"]]


def test_outputs_left_out(tmp_path):
    """The first output of a node need not have a name: it is then not by it that the node is known."""
    nodes = [conv(), helper.make_node("GRU", ["y", "a", "b"], ["", "z"], hidden_size=1)]
    onnx.save(make_model(nodes, [W, tensor("a", 1, 3, 4), tensor("b", 1, 3, 1)]), tmp_path / "in.onnx")
    run_int4q("inspect", tmp_path / "in.onnx", "--reference", tmp_path / "in.onnx", "--json", tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text())["differences"] == []


def test_dfl_by_name(tmp_path):
    """Whoever names it gets it."""
    original = make_model([conv()], [ARANGE], inputs=[value("x", 1, 4, 6, 6)], outputs=[value("y", 1, 1, 6, 6)])
    rewritten, _ = rewrite(original, tmp_path, "--include", "conv")
    assert_equal_outputs(original, rewritten)
    onnx.save(original, tmp_path / "in.onnx")
    run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--include", "con*", status=4)


@pytest.mark.parametrize("ir, listed", [(3, ["w", "b"]), (3, ["w"]), (7, ["w", "b"]), (7, ["b"])])
def test_listed_inputs(tmp_path, ir, listed):
    """IR version 3, or all of them listed: constants. Some of them listed: only those are replaceable."""
    original = make_model([helper.make_node("Conv", ["x", "w", "b"], ["y"], name="conv")], [W, tensor("b", 3)], outputs=Y,
                          opset=11, ir=ir)
    shapes = {"w": (3, 3, 3, 3), "b": (3,)}
    original.graph.input.extend(value(name, *shapes[name]) for name in listed)
    rewritten, report = rewrite(original, tmp_path)
    constant = ir == 3 or len(listed) == 2
    assert [i.name for i in rewritten.graph.input] == (["x"] if constant else ["x", "b"])
    assert report["inputs_dropped"] == (len(listed) if constant else 0)
    assert_equal_outputs(original, rewritten)


def test_the_rest_stays(tmp_path):
    """Names, doc strings, metadata, value_info, unknown fields: all as it was."""
    original = make_model([conv("w", "a"), helper.make_node("Relu", ["a"], ["y"], name="relu", doc_string="why")], [W, tensor("spare", 2)],
                          outputs=Y, opset=21)
    original.graph.value_info.append(value("w", 3, 3, 3, 3))
    original.graph.value_info.append(value("a", 1, 3, 4, 4))
    original.graph.doc_string = "graph"
    helper.set_model_props(original, {"names": "{0: 'person'}", "stride": "32"})
    original.graph.node[0].metadata_props.add(key="pkg", value="x")
    original.graph.quantization_annotation.add(tensor_name="a")
    raw = original.SerializeToString() + b"\xc2\x3e\x03abc"  # field 1000, of a later ONNX
    (tmp_path / "in.onnx").write_bytes(raw)
    run_int4q("rewrite", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", "-q")
    assert (tmp_path / "out.onnx").read_bytes().endswith(b"\xc2\x3e\x03abc")
    rewritten = onnx.load(tmp_path / "out.onnx")
    for field in ("name", "doc_string", "value_info", "input", "output", "quantization_annotation"):
        assert getattr(rewritten.graph, field) == getattr(original.graph, field)
    assert rewritten.metadata_props == original.metadata_props
    assert list(rewritten.graph.node)[1:] == list(original.graph.node)
    assert [t.name for t in rewritten.graph.initializer] == ["w_quantized", "w_scale", "w_zero_point", "spare"]
    assert_equal_outputs(original, rewritten)


def test_twice_is_nothing(tmp_path):
    """What int4q has written it recognizes."""
    original = make_model([conv()], [W], outputs=Y)
    rewritten, _ = rewrite(original, tmp_path)
    onnx.save(rewritten, tmp_path / "in.onnx")
    done = run_int4q("rewrite", tmp_path / "in.onnx", "-n", status=4)
    assert "already-quantized" in done.stdout


def test_unsorted_nodes(tmp_path):
    """ONNX Runtime takes them; so does int4q, and leaves the order alone."""
    original = make_model([helper.make_node("Relu", ["a"], ["y"]), conv("w", "a")], [W], outputs=Y)
    rewritten, _ = rewrite(original, tmp_path)
    assert [n.op_type for n in rewritten.graph.node] == ["DequantizeLinear", "Relu", "Conv"]
    feeds = random_feeds(original)
    assert run(rewritten, feeds)[0].shape == run(original, feeds)[0].shape


def branch(name, *nodes):
    return helper.make_graph(list(nodes), name, [], [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)])


def in_branches(captured):
    """An If whose branches read `captured`, and which makes b."""
    inner = [branch(n, helper.make_node("Relu", [captured], [f"{n}1"])) for n in ("then", "else")]
    return helper.make_node("If", ["yes"], ["b"], name="if", then_branch=inner[0], else_branch=inner[1])


ADD = helper.make_node("Add", ["x", "b"], ["a"], name="add")
CYCLES = {
    "of two": [ADD, helper.make_node("Relu", ["a"], ["b"], name="relu")],
    "of one": [helper.make_node("Add", ["x", "a"], ["a"], name="add")],
    "through a body": [ADD, in_branches("a")],
    "of a node and its body": [in_branches("b"), ADD],
    "within a body": [helper.make_node("If", ["yes"], ["a"], name="if", else_branch=branch("e", helper.make_node("Relu", ["x"], ["e1"])),
                                       then_branch=branch("t", helper.make_node("Add", ["x", "q"], ["p"]), helper.make_node("Relu", ["p"], ["q"])))],
}


@pytest.mark.parametrize("name", CYCLES)
def test_cycles_are_refused(tmp_path, name):
    nodes = [*CYCLES[name], helper.make_node("Relu", ["a"], ["r"]), conv(source="r")]
    model = make_model(nodes, [W, numpy_helper.from_array(np.array(True), "yes")], outputs=Y)
    onnx.save(model, tmp_path / "in.onnx")
    for command in (["rewrite", "-o", tmp_path / "out.onnx"], ["inspect"], ["restore", "-o", tmp_path / "out.onnx"]):
        done = run_int4q(*command, tmp_path / "in.onnx", status=3)
        assert "nodes wait for each other" in done.stderr and not (tmp_path / "out.onnx").exists()


def test_long_ways_in_any_order(tmp_path):
    """No cycle: a body that reads what stands behind it, and ten thousand nodes from the last to the first."""
    chain = [helper.make_node("Relu", [f"v{i}" if i else "x"], [f"v{i + 1}"]) for i in range(10000)]
    nodes = [conv(source="b"), in_branches("v10000"), *reversed(chain)]
    original = make_model(nodes, [W, numpy_helper.from_array(np.array(True), "yes")], outputs=Y)
    rewritten, report = rewrite(original, tmp_path)
    assert reasons(report) == [None] and len(rewritten.graph.node) == len(nodes) + 1


def test_hostile_names(tmp_path):
    """Control characters reach no terminal, and the JSON is valid whatever the bytes."""
    original = make_model([conv("w\x1b[31m", "y", name="n\n\x07")], [tensor("w\x1b[31m", 3, 3, 3, 3)], outputs=Y)
    onnx.save(original, tmp_path / "in.onnx")
    for view in ("--summary", "--table"):
        done = run_int4q("rewrite", tmp_path / "in.onnx", "-f", "-o", tmp_path / "out.onnx", view)
        assert "\x1b" not in done.stdout and "\x07" not in done.stdout and "n??" in done.stdout
    raw = (tmp_path / "in.onnx").read_bytes().replace(b"n\n\x07", b"n\xff\xfe")
    (tmp_path / "latin.onnx").write_bytes(raw)
    report = json.loads(run_int4q("rewrite", tmp_path / "latin.onnx", "-n", "--json", "-").stdout)
    assert report["convs"][0]["node"] == "n\ufffd\ufffd"


@pytest.mark.parametrize("args", [[], ["--format", "packed-u8"], ["--decode", "cast"], ["--block", "9"], ["--dq-domain", "com.microsoft"]],
                         ids=" ".join)
@pytest.mark.parametrize("from_node", [False, True])
def test_what_is_said_of_a_weight_goes_along(tmp_path, args, from_node):
    """To the codes, and back to the floats."""
    weight = tensor("w", 4, 3, 3, 3)
    weight.doc_string = "why"
    weight.metadata_props.add(key="source", value="training run 7")
    nodes = [helper.make_node("Constant", [], ["w"], value=weight)] if from_node else []
    original = make_model([*nodes, conv()], [] if from_node else [weight], opset=21)
    rewritten, _ = rewrite(original, tmp_path, *args)
    run_int4q("restore", tmp_path / "out.onnx", "-o", tmp_path / "back.onnx")
    for model in (rewritten, onnx.load(tmp_path / "back.onnx")):
        told = {t.name: (t.doc_string, list(t.metadata_props)) for t in model.graph.initializer}
        holder = max(told, key=lambda name: name in ("w", "w_quantized", "w_packed"))
        assert told.pop(holder) == ("why", list(weight.metadata_props))
        assert {t for t, _ in told.values()} <= {""}


# ---- weights that are on a grid already

def quant(op="Quant", domain="qonnx.custom_op.general", output="q"):
    constants = [numpy_helper.from_array(np.float32(v), n) for n, v in (("s", 0.25), ("z", 0), ("b", 4))]
    inputs = ["w", "s"] if op == "BipolarQuant" else ["w", "s", "z", "b"]
    return helper.make_node(op, inputs, [output], domain=domain), [tensor("w", 4, 3, 3, 3), *constants]


@pytest.mark.parametrize("op", ["Quant", "IntQuant", "BipolarQuant"])
@pytest.mark.parametrize("domain", ["onnx.brevitas", "qonnx.custom_op.general", "finn.custom_op.general"])
@pytest.mark.parametrize("between", [[], ["Identity"], ["Transpose", "Transpose"]])
def test_weights_behind_quant_are_left(tmp_path, op, domain, between):
    node, constants = quant(op, domain)
    names = ["q", *(f"v{i}" for i in range(len(between)))]
    moves = [helper.make_node(kind, [a], [b]) for kind, a, b in zip(between, names, names[1:])]
    nodes = [node, *moves, helper.make_node("Conv", ["x", names[-1]], ["y"], name="one")]
    onnx.save(make_model(nodes, constants), tmp_path / "in.onnx")
    run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--json", tmp_path / "report.json", status=4)
    assert reasons(json.loads((tmp_path / "report.json").read_text())) == ["already-quantized"]


def test_quant_of_another_domain_is_a_node_like_any_other(tmp_path):
    node, constants = quant(domain="somebody.else")
    onnx.save(make_model([node, helper.make_node("Conv", ["x", "q"], ["y"], name="one")], constants), tmp_path / "in.onnx")
    run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--json", tmp_path / "report.json", status=4)
    assert reasons(json.loads((tmp_path / "report.json").read_text())) == ["weight-computed"]


def finn_model(datatype, values):
    model = make_model([conv()], [numpy_helper.from_array(np.resize(np.float32(values), (4, 3, 3, 3)), "w")])
    annotation = model.graph.quantization_annotation.add(tensor_name="w")
    annotation.quant_parameter_tensor_names.add(key="finn_datatype", value=datatype)
    return model


@pytest.mark.parametrize("datatype, values", [
    ("INT4", [-8, 0, 7]), ("INT8", [-128, 127]), ("UINT4", [0, 15]), ("BIPOLAR", [-1, 1]), ("TERNARY", [-1, 0, 1]), ("INT2", [1])])
@pytest.mark.parametrize("method", ["absmax", "squant"])
def test_integers_that_finn_annotates_are_left(tmp_path, datatype, values, method):
    onnx.save(finn_model(datatype, values), tmp_path / "in.onnx")
    run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--method", method, "--json", tmp_path / "report.json", status=4)
    assert reasons(json.loads((tmp_path / "report.json").read_text())) == ["already-quantized"]


@pytest.mark.parametrize("datatype, values", [
    ("INT4", [-9, 0]), ("INT4", [0.5]), ("UINT4", [-1]), ("FLOAT32", [1]), ("INT", [1]), ("INT99", [1]), ("int4", [1])])
def test_an_annotation_that_does_not_hold_is_none(tmp_path, datatype, values):
    _, report = rewrite(finn_model(datatype, values), tmp_path)
    assert reasons(report) == [None]

# SPDX-License-Identifier: Apache-2.0
"""--decode nbits: which Convs become one node, what goes with them, and that the function body computes what `dq` does,
bit for bit, where nobody knows the operator."""
import json

import numpy as np
import onnx
import pytest
from helpers import make_model, random_feeds, rewrite, run, run_int4q, tensor, value, with_output_shapes
from onnx import TensorProto, helper, numpy_helper

DOMAIN, OP = "com.int4q", "ConvNBits"


def conv(weight="w", name="conv", x="x", y="y", bias=None, **attributes):
    return helper.make_node("Conv", [x, weight, *([bias] if bias else [])], [y], name=name, **attributes)


def nbits_nodes(model):
    return [n for n in model.graph.node if n.domain == DOMAIN]


def attributes(node):
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def check(model, folder, *options, count=1):
    """Rewritten both ways: as many nodes as expected, valid, and the same bytes. Returns the model and its report."""
    made, report = rewrite(with_output_shapes(model), folder, "--decode", "nbits", *options)
    assert len(nbits_nodes(made)) == count
    onnx.checker.check_model(made, full_check=True)
    onnx.shape_inference.infer_shapes(made, check_type=True, strict_mode=True)
    feeds = random_feeds(model)
    got = run(made, feeds)
    plain, _ = rewrite(with_output_shapes(model), folder, *options)
    for a, b in zip(got, run(plain, feeds)):
        assert a.tobytes() == b.tobytes()
    run(made, feeds, optimize=True)
    return made, report


# ---- the window

@pytest.mark.parametrize("given, strides, dilations, pads", [
    ({}, [1, 1], [1, 1], [0, 0, 0, 0]),
    ({"strides": [2, 1], "pads": [1, 0, 2, 1]}, [2, 1], [1, 1], [1, 0, 2, 1]),
    ({"dilations": [1, 2], "kernel_shape": [3, 2]}, [1, 1], [1, 2], [0, 0, 0, 0]),
    ({"auto_pad": "VALID"}, [1, 1], [1, 1], [0, 0, 0, 0]),
    ({"auto_pad": "SAME_UPPER"}, [1, 1], [1, 1], [1, 0, 1, 1]),
    ({"auto_pad": "SAME_LOWER"}, [1, 1], [1, 1], [1, 1, 1, 0]),  # with dilations ONNX Runtime refuses it
])
def test_window(tmp_path, given, strides, dilations, pads):
    made, _ = check(make_model([conv(**given)], [tensor("w", 4, 3, 3, 2)]), tmp_path)
    node, = nbits_nodes(made)
    found = attributes(node)
    assert (found["strides"], found["dilations"], found["pads"]) == (strides, dilations, pads)
    assert found["weight_shape"] == [4, 3, 3, 2] and found["group"] == 1 and found["accuracy_level"] == 4
    assert [a.name for a in node.attribute] == ["weight_shape", "strides", "dilations", "pads", "group", "bits", "axis",
                                                "block_size", "accuracy_level", "activation", "alpha", "beta",
                                                "input_scale", "input_zero_point"]
    assert list(node.input) == ["x", "w_quantized", "w_scale", "w_zero_point", ""]


@pytest.mark.parametrize("options, bits, axis, block", [
    ([], 4, 0, 0), (["--format", "uint4"], 4, 0, 0), (["--format", "int8"], 8, 0, 0), (["--block", "8"], 4, 1, 8),
    (["--block", "10"], 4, 1, 10), (["--asymmetric"], 4, 0, 0)])
def test_formats(tmp_path, options, bits, axis, block):
    made, report = check(make_model([conv(bias="b")], [tensor("w", 4, 3, 3, 3), tensor("b", 4)]), tmp_path, *options)
    found = attributes(nbits_nodes(made)[0])
    assert (found["bits"], found["axis"], found["block_size"]) == (bits, axis, block)
    assert report["convs"][0]["storage"] == (options[1] if options[:1] == ["--format"] else "int4")


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("options", [[], ["--asymmetric"]])
@pytest.mark.parametrize("shape", [(4, 3, 3, 3), (5, 3, 1, 1)])
def test_any_width(tmp_path, bits, options, shape):
    """The same floats as from the standard operators that take the stream apart; zero points are bytes."""
    word = f"packed{bits}"
    model = make_model([conv(bias="b")], [tensor("w", *shape), tensor("b", shape[0])])
    made, report = check(model, tmp_path, "--format", word, *options)
    node, = nbits_nodes(made)
    found, count = attributes(node), int(np.prod(shape))
    assert (found["bits"], found["axis"], found["block_size"]) == (bits, 0, 0)
    assert list(node.input) == ["x", "w_packed", "w_scale", "w_zero_point", "b"]
    stored = {t.name: numpy_helper.to_array(t) for t in made.graph.initializer}
    assert stored["w_packed"].shape == (-(-count * bits // 8),) and stored["w_packed"].dtype == np.uint8
    assert stored["w_zero_point"].shape == shape[:1] and stored["w_zero_point"].dtype == np.uint8
    assert report["convs"][0]["storage"] == ("packed-u8" if bits == 4 else word)
    stored_bytes = sum(stored[name].nbytes for name in node.input[1:4])
    assert report["convs"][0]["bytes_after"] == stored_bytes

    onnx.save(made, tmp_path / "made.onnx")
    done = run_int4q("inspect", tmp_path / "made.onnx", "--json", "-", "--require", "valid")
    row = json.loads(done.stdout)["convs"][0]
    assert (row["op"], row["storage"], row["shape"]) == (OP, report["convs"][0]["storage"], list(shape))


def test_widths_beside_each_other(tmp_path):
    """One function for all of them, also for codes that are elements of their own."""
    nodes = [conv(name="a", y="c"), helper.make_node("Relu", ["c"], ["r"]), conv("v", name="b", x="r", y="d"),
             helper.make_node("Sigmoid", ["d"], ["s"]), helper.make_node("Mul", ["d", "s"], ["m"]), conv("u", name="c", x="m", y="y")]
    model = make_model(nodes, [tensor("w", 4, 3, 3, 3), tensor("v", 4, 4, 1, 1), tensor("u", 2, 4, 2, 2)])
    made, whole = with_output_shapes(model), with_output_shapes(model)
    for name, word in (("a", "packed3"), ("b", "int8"), ("c", "packed5")):
        made, _ = rewrite(made, tmp_path, "--decode", "nbits", "--include", name, "--format", word)
        whole, _ = rewrite(whole, tmp_path, "--include", name, "--format", word)
    assert [attributes(n)["bits"] for n in nbits_nodes(made)] == [3, 8, 5] and len(made.functions) == 1
    onnx.checker.check_model(made, full_check=True)
    onnx.shape_inference.infer_shapes(made, check_type=True, strict_mode=True)
    feeds = random_feeds(model)
    assert run(made, feeds)[0].tobytes() == run(whole, feeds)[0].tobytes()
    run(made, feeds, optimize=True)


def test_one_dimension_and_groups(tmp_path):
    nodes = [conv(x="x", y="c", group=3, pads=[1, 1]), helper.make_node("Relu", ["c"], ["y"])]
    check(make_model(nodes, [tensor("w", 6, 1, 3)], inputs=[value("x", 2, 3, 9)]), tmp_path)


@pytest.mark.parametrize("given, shape, x", [
    ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, (4, 3, 3, 3), (1, 3, 6, 6)), ({}, (4, 3, 3, 3, 3), (1, 3, 6, 6, 6))])
def test_others_keep_the_plain_form(tmp_path, given, shape, x):
    made, report = check(make_model([conv(**given)], [tensor("w", *shape)], inputs=[value("x", *x)]), tmp_path, count=0)
    assert report["convs"][0]["storage"] == "int4" and not made.functions
    assert any("--decode nbits: 1 weights are decoded by nodes" in note for note in report["notes"])


def test_other_operators_are_told_of(tmp_path):
    """By a reason that is theirs, and without a node that packed formats do not have."""
    nodes = [helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up")]
    model = make_model(nodes, [tensor("w", 3, 4, 2, 2)], inputs=[value("x", 1, 3, 6, 6)])
    _, report = rewrite(model, tmp_path, "--decode", "nbits", "--op-types", "ConvTranspose", "--format", "packed3")
    notes = [note for note in report["notes"] if note.startswith("--decode nbits")]
    assert len(notes) == 1 and "of Conv itself" in notes[0] and "DequantizeLinear" not in notes[0]


def test_float16_keeps_the_plain_form(tmp_path):
    model = make_model([conv()], [tensor("w", 4, 3, 3, 3, kind=np.float16)], inputs=[value("x", 1, 3, 6, 6, kind=TensorProto.FLOAT16)],
                       outputs=[value("y", 1, 4, 4, 4, kind=TensorProto.FLOAT16)])
    made, report = rewrite(model, tmp_path, "--decode", "nbits")
    assert not nbits_nodes(made)
    assert any("FLOAT16" in note for note in report["notes"])


# ---- the activation

def activation(kind):
    """(nodes from c to y, initializers) of each activation."""
    node = helper.make_node
    return {
        "silu": ([node("Sigmoid", ["c"], ["s"]), node("Mul", ["s", "c"], ["y"])], []),
        "silu2": ([node("Sigmoid", ["c"], ["s"]), node("Mul", ["c", "s"], ["y"])], []),
        "relu": ([node("Relu", ["c"], ["y"])], []),
        "leaky-relu": ([node("LeakyRelu", ["c"], ["y"], alpha=0.25)], []),
        "leaky": ([node("LeakyRelu", ["c"], ["y"])], []),
        "hard-swish": ([node("HardSwish", ["c"], ["y"])], []),
        "hard": ([node("HardSigmoid", ["c"], ["s"], alpha=1 / 6), node("Mul", ["c", "s"], ["y"])], []),
        "sigmoid": ([node("Sigmoid", ["c"], ["y"])], []),
        "clip": ([node("Clip", ["c", "low", "high"], ["y"])], [numpy_helper.from_array(np.float32(0), "low"),
                                                               numpy_helper.from_array(np.float32(6), "high")]),
        "clip-low": ([node("Clip", ["c", "low"], ["y"])], [numpy_helper.from_array(np.float32(-0.5), "low")]),
        "clip-high": ([node("Constant", [], ["high"], value=numpy_helper.from_array(np.float32(0.5))),
                       node("Clip", ["c", "", "high"], ["y"])], []),
    }[kind]


LARGEST = float(np.finfo(np.float32).max)


@pytest.mark.parametrize("kind, code, alpha, beta", [
    ("silu", 1, 0, 0), ("silu2", 1, 0, 0), ("relu", 2, 0, 0), ("leaky-relu", 3, 0.25, 0), ("leaky", 3, 0.01, 0),
    ("hard-swish", 4, 0, 0), ("hard", 4, 0, 0), ("sigmoid", 5, 0, 0), ("clip", 6, 0, 6), ("clip-low", 6, -0.5, LARGEST),
    ("clip-high", 6, -LARGEST, 0.5)])
def test_activation(tmp_path, kind, code, alpha, beta):
    nodes, constants = activation(kind)
    model = make_model([conv(y="c", bias="b"), *nodes], [tensor("w", 4, 3, 3, 3), tensor("b", 4), *constants])
    model.graph.value_info.extend([value("c", 1, 4, 4, 4), value("w", 4, 3, 3, 3)])
    onnx.save(model, tmp_path / "in.onnx")
    run_int4q("rewrite", tmp_path / "in.onnx", "-qf", "-o", tmp_path / "nbits.onnx", "--decode", "nbits")
    made = onnx.load(tmp_path / "nbits.onnx")
    node, = made.graph.node
    found = attributes(node)
    assert (node.op_type, node.name, list(node.output)) == (OP, "conv", ["y"])
    assert found["activation"] == code
    assert (found["alpha"], found["beta"]) == (pytest.approx(alpha), pytest.approx(beta))
    assert [t.name for t in made.graph.initializer] == ["w_quantized", "w_scale", "w_zero_point", "b"]
    assert not made.graph.value_info
    if kind != "hard":  # there the two round differently
        check(model, tmp_path)
    else:
        feeds = random_feeds(model)
        plain, _ = rewrite(model, tmp_path)
        np.testing.assert_allclose(run(made, feeds)[0], run(plain, feeds)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("nodes, outputs, left", [
    # what is between them is wanted by somebody else too
    ([("Relu", ["c"], ["y"]), ("Neg", ["c"], ["z"])], ["y", "z"], ["Relu", "Neg"]),
    ([("Relu", ["c"], ["y"])], ["y", "c"], ["Relu"]),
    ([("Sigmoid", ["c"], ["s"]), ("Mul", ["c", "s"], ["y"])], ["y", "s"], ["Sigmoid", "Mul"]),
    ([("Sigmoid", ["c"], ["s"]), ("Mul", ["c", "s"], ["y"]), ("Neg", ["s"], ["z"])], ["y", "z"], ["Sigmoid", "Mul", "Neg"]),
    ([("Sigmoid", ["c"], ["s"]), ("Mul", ["c", "s"], ["y"]), ("Neg", ["c"], ["z"])], ["y", "z"], ["Sigmoid", "Mul", "Neg"]),
    # no activation that it knows
    ([("Mul", ["c", "c"], ["y"])], ["y"], ["Mul"]),
    ([("Tanh", ["c"], ["s"]), ("Mul", ["c", "s"], ["y"])], ["y"], ["Tanh", "Mul"]),
    ([("Sigmoid", ["c"], ["s"]), ("Add", ["c", "s"], ["y"])], ["y"], ["Sigmoid", "Add"]),
])
def test_what_is_read_elsewhere_stays(tmp_path, nodes, outputs, left):
    nodes = [conv(y="c"), *(helper.make_node(*n) for n in nodes)]
    model = make_model(nodes, [tensor("w", 4, 3, 3, 3)], outputs=[value(o, 1, 4, 4, 4) for o in outputs])
    made, _ = check(model, tmp_path)
    assert attributes(nbits_nodes(made)[0])["activation"] == 0
    assert [n.op_type for n in made.graph.node if n.domain != DOMAIN] == left


@pytest.mark.parametrize("kind", ["silu", "hard", "relu"])
def test_activations_that_give_nothing_stay(tmp_path, kind):
    """No runtime takes such a node, but it is no reason to crash."""
    nodes, _ = activation(kind)
    del nodes[-1].output[:]
    model = make_model([conv(y="c"), *nodes, helper.make_node("Neg", ["x"], ["y"])], [tensor("w", 4, 3, 3, 3)])
    onnx.save(model, tmp_path / "in.onnx")
    run_int4q("rewrite", tmp_path / "in.onnx", "-q", "--decode", "nbits", "-o", tmp_path / "out.onnx")
    [made] = nbits_nodes(onnx.load(tmp_path / "out.onnx"))
    assert attributes(made).get("activation", 0) == 0


def test_bounds_that_are_computed_stay(tmp_path):
    nodes = [conv(y="c"), helper.make_node("Clip", ["c", "", "high"], ["y"])]
    model = make_model(nodes, [tensor("w", 4, 3, 3, 3)], inputs=[value("x", 1, 3, 6, 6), value("high")])
    made, _ = check(model, tmp_path)
    assert [n.op_type for n in made.graph.node] == [OP, "Clip"]


def test_opset_6_clip(tmp_path):
    nodes = [conv(y="c"), helper.make_node("Clip", ["c"], ["y"], min=0.0, max=6.0)]
    made, _ = check(make_model(nodes, [tensor("w", 4, 3, 3, 3)], opset=9), tmp_path)
    assert attributes(nbits_nodes(made)[0])["activation"] == 6 and len(made.graph.node) == 1
    assert [t.name for t in made.graph.initializer] == ["w_quantized", "w_scale", "w_zero_point"]


# ---- the model

def test_one_function_for_all(tmp_path):
    nodes = [conv(name="a", y="c"), helper.make_node("Relu", ["c"], ["r"]),
             conv("v", name="b", x="r", y="d"), helper.make_node("Sigmoid", ["d"], ["s"]), helper.make_node("Mul", ["d", "s"], ["m"]),
             conv("u", name="c", x="m", y="y")]
    model = make_model(nodes, [tensor("w", 4, 3, 3, 3), tensor("v", 4, 4, 1, 1), tensor("u", 2, 4, 2, 2)])
    made, _ = check(model, tmp_path, count=3)
    function, = made.functions
    assert (function.domain, function.name, [(o.domain, o.version) for o in function.opset_import]) == (DOMAIN, OP, [("", 21)])
    assert {o.domain: o.version for o in made.opset_import} == {"": 21, DOMAIN: 1} and made.ir_version >= 10
    assert [n.op_type for n in function.node].count("If") == 1


def test_a_second_run_widens_the_function(tmp_path):
    """Convs of the first run are quantized already; those of the second bring another activation."""
    nodes = [conv(name="a", y="c"), helper.make_node("Relu", ["c"], ["r"]),
             conv("v", name="b", x="r", y="d"), helper.make_node("Sigmoid", ["d"], ["y"])]
    model = make_model(nodes, [tensor("w", 4, 3, 3, 3), tensor("v", 4, 4, 1, 1)])
    first, _ = rewrite(with_output_shapes(model), tmp_path, "--decode", "nbits", "--include", "a")
    second, report = rewrite(first, tmp_path, "--decode", "nbits")
    assert len(nbits_nodes(second)) == 2 and len(second.functions) == 1
    assert [c["reason"] for c in report["convs"]] == ["already-quantized", None]
    onnx.checker.check_model(second, full_check=True)
    whole, _ = rewrite(model, tmp_path)
    assert run(second, random_feeds(model))[0].tobytes() == run(whole, random_feeds(model))[0].tobytes()


def test_identities_shared_weights_and_kept_convs(tmp_path):
    nodes = [helper.make_node("Identity", ["w"], ["i"]), helper.make_node("Identity", ["b"], ["ib"]),
             conv("i", name="a", y="p", bias="ib"), conv("w", name="b", y="q", strides=[2, 2]),
             conv("v", name="c", y="r"), helper.make_node("Flatten", ["p"], ["fp"]), helper.make_node("Flatten", ["q"], ["fq"]),
             helper.make_node("Flatten", ["r"], ["fr"]), helper.make_node("Concat", ["fp", "fq", "fr"], ["y"], axis=1)]
    model = make_model(nodes, [tensor("w", 4, 3, 3, 3), tensor("b", 4), tensor("v", 4, 3, 3, 3)])
    made, _ = check(model, tmp_path, "--exclude", "c", count=2)
    assert {n.input[1] for n in nbits_nodes(made)} == {"w_quantized"}
    assert [n.input[4] for n in nbits_nodes(made)] == ["b", ""]
    assert [n.op_type for n in made.graph.node].count("Identity") == 0
    assert [n.op_type for n in made.graph.node].count("Conv") == 1


def test_in_a_body(tmp_path):
    """A Conv of a branch becomes a node there if its weight lies there too."""
    def branch(name, weight):
        nodes = [conv(weight, name=f"conv_{name}", y=f"c_{name}"), helper.make_node("Relu", [f"c_{name}"], [f"y_{name}"])]
        stored = [tensor(weight, 4, 3, 3, 3)] if weight != "outer" else []
        return helper.make_graph(nodes, name, [], [value(f"y_{name}", 1, 4, 4, 4)], stored)
    node = helper.make_node("If", ["question"], ["y"], then_branch=branch("a", "inner"), else_branch=branch("b", "outer"))
    model = make_model([node], [tensor("outer", 4, 3, 3, 3)], inputs=[value("x", 1, 3, 6, 6), value("question", kind=TensorProto.BOOL)],
                       outputs=[value("y", 1, 4, 4, 4)])
    made, _ = rewrite(model, tmp_path, "--decode", "nbits")
    plain, _ = rewrite(model, tmp_path)
    branches = {a.name: [n.op_type for n in a.g.node] for a in made.graph.node[-1].attribute}
    assert branches == {"then_branch": [OP], "else_branch": ["Conv", "Relu"]}
    onnx.checker.check_model(made, full_check=True)
    for question in (True, False):
        feeds = {"x": random_feeds(model)["x"], "question": np.array(question)}
        assert run(made, feeds)[0].tobytes() == run(plain, feeds)[0].tobytes()


@pytest.mark.parametrize("external", [False, True])
def test_dry_run_tells_the_size(tmp_path, external):
    nodes, constants = activation("clip")
    model = make_model([conv(y="c"), *nodes], [tensor("w", 64, 3, 3, 3), *constants])
    onnx.save(model, tmp_path / "in.onnx", save_as_external_data=external, size_threshold=0, location="weights")
    for extra in (["-n"], []):
        run_int4q("rewrite", tmp_path / "in.onnx", "-qf", "-o", tmp_path / "out.onnx", "--decode", "nbits", *extra, "--json",
                  tmp_path / f"report{len(extra)}.json")
    reports = [(tmp_path / f"report{i}.json").read_text() for i in (0, 1)]
    assert reports[0].replace('"written": true', "").split('"output"')[1].split("}")[0] == \
        reports[1].split('"output"')[1].split("}")[0]


@pytest.mark.parametrize("options", [["--format", "packed3", "--block", "32"], ["--dq-domain", "com.microsoft"]])
def test_combinations_that_cannot_be(tmp_path, options):
    onnx.save(make_model([conv()], [tensor("w", 4, 3, 3, 3)]), tmp_path / "in.onnx")
    done = run_int4q("rewrite", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", "--decode", "nbits", *options, status=2)
    assert "cannot be combined with" in done.stderr and options[-2 if "--block" in options else 0] in done.stderr


@pytest.mark.parametrize("fmt", ["int4", "packed-u8", "packed3"])
def test_the_hint_is_that_of_the_node(tmp_path, fmt):
    onnx.save(make_model([conv()], [tensor("w", 4, 3, 3, 3)]), tmp_path / "in.onnx")
    said = run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--format", fmt, "--decode", "nbits").stdout
    assert "with libint4q_ort.so registered" in said and "decodes these weights" not in said


def test_inspect_explains_it(tmp_path):
    nodes, constants = activation("silu")
    model = with_output_shapes(make_model([conv(y="c"), *nodes], [tensor("w", 4, 3, 3, 3), *constants]))
    rewrite(model, tmp_path, "--decode", "nbits", "--block", "9")
    done = run_int4q("inspect", tmp_path / "out.onnx", "--json", "-", "--require", "int4==1", "--require", "valid",
                     "--reference", tmp_path / "in.onnx")
    row = json.loads(done.stdout)["convs"][0]
    assert (row["op"], row["storage"], row["granularity"], row["block"], row["activation"]) == (OP, "int4", "block", 9, "silu")
    assert row["shape"] == [4, 3, 3, 3] and row["sqnr_db"] > 10


@pytest.mark.parametrize("change, told", [
    (lambda node: node.attribute[9].__setattr__("i", 2), "computes other than its Conv"),
    (lambda node: node.attribute[3].ints.__setitem__(0, 1), "computes other than its Conv"),
    (lambda node: None, None)])
def test_the_reference_knows_what_it_was(tmp_path, change, told):
    nodes, constants = activation("clip")
    model = make_model([helper.make_node("Identity", ["b"], ["i"]), conv(y="c", bias="i"), *nodes],
                       [tensor("w", 4, 3, 3, 3), tensor("b", 4), *constants], opset=21)
    made, _ = rewrite(with_output_shapes(model), tmp_path, "--decode", "nbits")
    change(nbits_nodes(made)[0])
    onnx.save(made, tmp_path / "out.onnx")
    done = run_int4q("inspect", tmp_path / "out.onnx", "--json", "-", "--reference", tmp_path / "in.onnx")
    differences = [d for d in json.loads(done.stdout)["differences"] if "com.int4q" not in d]
    assert any(told in d for d in differences) if told else differences == []


# ---- the way back

@pytest.mark.parametrize("kind", ["silu", "relu", "leaky-relu", "hard-swish", "sigmoid", "clip"])
@pytest.mark.parametrize("options", [[], ["--block", "8", "--format", "uint4"], ["--format", "packed5", "--asymmetric"]])
def test_restore(tmp_path, kind, options):
    """Standard operators again, with the weights that were decoded; nothing of the operator is left."""
    nodes, constants = activation(kind)
    model = make_model([conv(y="c", bias="b", pads=[1, 0, 1, 0], strides=[2, 1]), *nodes],
                       [tensor("w", 4, 3, 3, 3), tensor("b", 4), *constants])
    made, _ = rewrite(with_output_shapes(model), tmp_path, "--decode", "nbits", *options)
    run_int4q("restore", tmp_path / "out.onnx", "-q", "-o", tmp_path / "float.onnx")
    restored = onnx.load(tmp_path / "float.onnx")
    onnx.checker.check_model(restored, full_check=True)
    assert [n.op_type for n in restored.graph.node] == ["Conv"] + ([] if kind != "clip" else ["Constant"] * 2) + [
        n.op_type for n in nodes]
    assert not restored.functions and [o.domain for o in restored.opset_import] == [""]
    assert {t.name for t in restored.graph.initializer} == {"w", "b"}
    feeds = random_feeds(model)
    assert run(restored, feeds)[0].tobytes() == run(made, feeds)[0].tobytes()


def test_restore_of_a_shared_weight_and_other_activations(tmp_path):
    nodes = [conv(name="a", y="p"), conv(name="b", y="c"), helper.make_node("Relu", ["c"], ["q"]),
             helper.make_node("Add", ["p", "q"], ["y"])]
    made, _ = rewrite(with_output_shapes(make_model(nodes, [tensor("w", 4, 3, 3, 3)])), tmp_path, "--decode", "nbits")
    run_int4q("restore", tmp_path / "out.onnx", "-q", "-o", tmp_path / "float.onnx")
    restored = onnx.load(tmp_path / "float.onnx")
    assert [t.name for t in restored.graph.initializer] == ["w"]
    feeds = random_feeds(made)
    assert run(restored, feeds)[0].tobytes() == run(made, feeds)[0].tobytes()

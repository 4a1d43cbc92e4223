# SPDX-License-Identifier: Apache-2.0
"""--op-types: ConvTranspose, Gemm and MatMul, whose output channels lie along other axes."""
import numpy as np
import onnx
import pytest
from helpers import make_model, random_feeds, rewrite, run, run_int4q, tensor, value, with_output_shapes
from onnx import helper, numpy_helper


def dequantized(weight, axis):
    """The definition of absmax INT4 along one axis."""
    others = tuple(i for i in range(weight.ndim) if i != axis)
    scale = np.abs(weight.astype(np.float32)).max(others) / np.float32(7)
    scale[scale == 0] = 1
    step = scale.reshape([-1 if i == axis else 1 for i in range(weight.ndim)])
    return np.clip(np.rint(weight / step), -7, 7).astype(np.int8).astype(np.float32) * step, scale


def one(op, shape, x, inputs=("x", "w"), **attributes):
    node = helper.make_node(op, inputs, ["y"], name="it", **attributes)
    return with_output_shapes(make_model([node], [tensor("w", *shape)], inputs=[value("x", *x)],
                                         outputs=[onnx.ValueInfoProto(name="y")]))


CASES = {
    "ConvTranspose": (lambda: one("ConvTranspose", (4, 5, 3, 3), (1, 4, 6, 6)), 1),
    "ConvTranspose groups": (lambda: one("ConvTranspose", (4, 3, 2, 2), (1, 4, 6, 6), group=2, strides=[2, 2]), 1),
    "ConvTranspose 1-D": (lambda: one("ConvTranspose", (3, 7, 5), (1, 3, 9)), 1),
    "Gemm": (lambda: one("Gemm", (33, 17), (2, 33)), 1),
    "Gemm transB": (lambda: one("Gemm", (17, 33), (2, 33), transB=1), 0),
    "Gemm transA": (lambda: one("Gemm", (5, 3), (5, 2), transA=1), 1),
    "ConvTranspose to one": (lambda: one("ConvTranspose", (4, 1, 3, 3), (1, 4, 6, 6)), 1),
    "MatMul": (lambda: one("MatMul", (9, 5), (2, 3, 9)), 1),
    "MatMul on the left": (lambda: one("MatMul", (5, 9), (2, 9, 3), ("w", "x")), 0),
    "Gemm on the left": (lambda: one("Gemm", (5, 9), (9, 3), ("w", "x")), 0),
    "Gemm on the left, transA": (lambda: one("Gemm", (9, 5), (9, 3), ("w", "x"), transA=1), 1),
    "Gemm on the left, transB": (lambda: one("Gemm", (5, 9), (3, 9), ("w", "x"), transB=1), 0),
}


@pytest.mark.parametrize("args", [[], ["--decode", "cast"], ["--format", "uint4"], ["--format", "int8"], ["--format", "packed-u8"]])
@pytest.mark.parametrize("name", CASES)
def test_operator(tmp_path, name, args):
    make, axis = CASES[name]
    original = make()
    op = original.graph.node[0].op_type
    rewritten, report = rewrite(original, tmp_path, "--op-types", op, *args)
    onnx.checker.check_model(rewritten, full_check=True)
    weight = numpy_helper.to_array(original.graph.initializer[0])
    probe = onnx.ModelProto()
    probe.CopyFrom(rewritten)
    probe.graph.output.append(onnx.ValueInfoProto(name="w"))
    feeds = random_feeds(original)
    got, decoded = run(probe, feeds)
    scale = numpy_helper.to_array(next(t for t in rewritten.graph.initializer if t.name == "w_scale"))
    if "int8" in args:
        assert scale.size == weight.shape[axis] and np.abs(decoded - weight).max() <= scale.max() * 0.5001
    else:
        wanted, scales = dequantized(weight, axis)
        np.testing.assert_array_equal(decoded, wanted)
        np.testing.assert_array_equal(scale.reshape(-1), scales)
    reference = onnx.ModelProto()
    reference.CopyFrom(original)
    reference.graph.initializer[0].CopyFrom(numpy_helper.from_array(decoded, "w"))
    np.testing.assert_array_equal(got, run(reference, feeds)[0])
    assert [(c["op"], c["reason"]) for c in report["convs"]] == [(op, None)]
    fmt = args[1] if "--format" in args else "int4"
    run_int4q("inspect", tmp_path / "out.onnx", "--require", f"{fmt}==1", "--require", "valid")


def test_conv_is_the_default(tmp_path):
    onnx.save(CASES["Gemm"][0](), tmp_path / "in.onnx")
    run_int4q("rewrite", tmp_path / "in.onnx", "-n", status=4)
    assert "--op-types" in run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--op-types", "Conv,Relu", status=2).stderr


def test_different_axes_do_not_mix(tmp_path):
    """One weight, read along axis 0 and along axis 1."""
    nodes = [helper.make_node("Gemm", ["x", "w"], ["a"], name="one"),
             helper.make_node("Gemm", ["a", "w"], ["y"], name="two", transB=1)]
    original = make_model(nodes, [tensor("w", 4, 4)], inputs=[value("x", 2, 4)], outputs=[value("y", 2, 4)])
    onnx.save(original, tmp_path / "in.onnx")
    done = run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--op-types", "Gemm", status=4)
    assert "weight-shared-with-other-op" in done.stdout


def test_all_together(tmp_path):
    """Blocks are for Conv; the rest stays per channel, with a note."""
    nodes = [helper.make_node("Conv", ["x", "v"], ["a"], name="conv"), helper.make_node("Flatten", ["a"], ["b"]),
             helper.make_node("Gemm", ["b", "w"], ["y"], name="gemm")]
    original = make_model(nodes, [tensor("v", 4, 3, 3, 3), tensor("w", 64, 40)], outputs=[value("y", 1, 40)])
    rewritten, report = rewrite(original, tmp_path, "--op-types", "Conv,Gemm", "--block", 9)
    assert [c["reason"] for c in report["convs"]] == [None, None] and len(report["notes"]) == 1
    onnx.checker.check_model(rewritten, full_check=True)
    run(rewritten, random_feeds(original))


def attention(**more):
    """Softmax(q k) v of activations, behind and before products with a weight."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["q"], name="project"), helper.make_node("Transpose", ["q"], ["k"], perm=[0, 2, 1]),
             helper.make_node("MatMul", ["q", "k"], ["s"], name="scores"), helper.make_node("Softmax", ["s"], ["p"]),
             helper.make_node("MatMul", ["p", "q"], ["v"], name="values"), helper.make_node("MatMul", ["u", "v"], ["y"], name="mix")]
    return make_model([*nodes, *more.get("nodes", ())], [tensor("w", 8, 8), tensor("u", 4, 6), *more.get("weights", ())],
                      inputs=[value("x", 2, 6, 8)], outputs=[value("y", 2, 4, 8)])


def test_products_of_activations_have_no_weight(tmp_path):
    """They are no candidates, so nothing is left that --strict could fail for; constants on either side are."""
    _, report = rewrite(attention(), tmp_path, "--op-types", "MatMul", "--strict")
    assert [(c["node"], c["weight"], c["reason"]) for c in report["convs"]] == [("project", "w", None), ("mix", "u", None)]
    assert report["totals"]["convs"] == report["totals"]["quantized"] == 2
    run_int4q("inspect", tmp_path / "out.onnx", "--require", "int4==2", "--require", "convs==2")


def test_products_of_constants_through_nodes(tmp_path):
    """A weight that nodes compute from constants is one."""
    more = [helper.make_node("Transpose", ["t"], ["tt"]), helper.make_node("MatMul", ["y", "tt"], ["z"], name="behind")]
    _, report = rewrite(attention(nodes=more, weights=[tensor("t", 5, 8)]), tmp_path, "--op-types", "MatMul")
    assert [(c["node"], c["reason"]) for c in report["convs"]] == [("project", None), ("mix", None), ("behind", "weight-computed")]


def test_left_and_right_of_one_weight(tmp_path):
    """Its channels would lie along both axes."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"], name="right"), helper.make_node("MatMul", ["w", "a"], ["y"], name="left")]
    model = make_model(nodes, [tensor("w", 6, 6)], inputs=[value("x", 6, 6)], outputs=[value("y", 6, 6)])
    onnx.save(model, tmp_path / "in.onnx")
    done = run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--table", "--op-types", "MatMul", status=4)
    assert done.stdout.count("(weight-shared-with-other-op)") == 2


RUN = np.arange(16, dtype=np.float32)
# how exporters write the expectation of 16 bins: (operator, weight, shape of x, attributes)
PROJECTIONS = {
    "Conv": ("Conv", RUN.reshape(1, 16, 1, 1), (1, 16, 4, 6), {}),
    "grouped Conv": ("Conv", np.tile(RUN, 4).reshape(4, 16, 1, 1), (1, 64, 4, 6), {"group": 4}),
    "Conv of several outputs": ("Conv", np.tile(RUN, 3).reshape(3, 16, 1), (1, 16, 6), {}),
    "MatMul": ("MatMul", RUN.reshape(16, 1), (2, 4, 16), {}),
    "Gemm": ("Gemm", RUN.reshape(16, 1), (8, 16), {}),
    "Gemm transB": ("Gemm", RUN.reshape(1, 16), (8, 16), {"transB": 1}),
}


def projection(name, weight=None):
    op, values, x, attributes = PROJECTIONS[name]
    node = helper.make_node(op, ["x", "w"], ["y"], name="it", **attributes)
    return make_model([node], [numpy_helper.from_array(values if weight is None else weight, "w")], inputs=[value("x", *x)])


@pytest.mark.parametrize("name", PROJECTIONS)
def test_projections_are_protected(tmp_path, name):
    """In every form; one weight that is another number, and it is a weight like others."""
    op, values, _, _ = PROJECTIONS[name]
    onnx.save(projection(name), tmp_path / "in.onnx")
    assert "(dfl)" in run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--table", "--op-types", op, status=4).stdout
    other = values.copy()
    other.reshape(-1)[-1] += 1
    _, report = rewrite(projection(name, other), tmp_path, "--op-types", op)
    assert report["convs"][0]["reason"] is None

# SPDX-License-Identifier: Apache-2.0
"""The opset upgrade: every rule at every opset it starts from, in the main graph, in a body and in a function."""
import numpy as np
import onnx
import pytest
from helpers import (
    IR_OF_OPSET,
    assert_equal_outputs,
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

CONV = helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1] * 4)
WEIGHT = tensor("w", 4, 3, 3, 3)  # so that c is [1, 4, 6, 6]


def node(op, inputs=("c",), **attributes):
    """One operator from c to y."""
    return [helper.make_node(op, list(inputs), ["y"], name="it", doc_string="kept", **attributes)]


def constant(name, array):
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array))


def ints(name, *values):
    return constant(name, np.array(values, np.int64))


def floats(name, *values):
    return constant(name, np.array(values, np.float32))


REDUCTIONS = ["ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSumSquare"]
INDICES = constant("i", np.zeros((1, 4, 6, 6), np.int64))

# name: (nodes, first opset that has this form, last one, version of the rule or None where nothing changes)
CASES = {
    **{f"{op} axes": (node(op, axes=[1, 3], keepdims=0), 7, 17, 18) for op in REDUCTIONS},
    "ReduceLogSum": ([helper.make_node("Abs", ["c"], ["a"]), *node("ReduceLogSum", ["a"], axes=[2])], 7, 17, 18),
    "ReduceMax all": (node("ReduceMax", keepdims=0), 7, 17, None),
    "ReduceMean negative": (node("ReduceMean", axes=[-1]), 11, 17, 18),
    "ReduceSum axes": (node("ReduceSum", axes=[2], keepdims=1), 7, 12, 13),
    "ReduceSum all": (node("ReduceSum"), 7, 12, None),
    "Squeeze axes": (node("Squeeze", axes=[0]), 7, 12, 13),
    "Squeeze": (node("Squeeze"), 7, 12, None),
    "Unsqueeze": (node("Unsqueeze", axes=[0, 3]), 7, 12, 13),
    "Split sizes": ([helper.make_node("Split", ["c"], ["y", "z"], name="it", axis=1, split=[1, 3])], 7, 12, 13),
    "Split even": ([helper.make_node("Split", ["c"], ["y", "z"], name="it", axis=1)], 7, 17, 18),
    "Split input": ([ints("s", 1, 3), helper.make_node("Split", ["c", "s"], ["y", "z"], name="it", axis=1)], 13, 17, None),
    "Softmax default": (node("Softmax"), 7, 12, 13),
    "LogSoftmax 2": (node("LogSoftmax", axis=2), 7, 12, 13),
    "Hardmax default": (node("Hardmax"), 7, 12, 13),
    "Hardmax 0": (node("Hardmax", axis=0), 7, 12, 13),
    "Softmax last": (node("Softmax", axis=3), 7, 12, 13),
    "Softmax -1": (node("Softmax", axis=-1), 11, 12, None),
    "Softmax -2": (node("Softmax", axis=-2), 11, 12, 13),
    "Dropout": (node("Dropout", ratio=0.25), 7, 11, 12),
    "Dropout default": (node("Dropout"), 7, 11, None),
    "Dropout unread mask": ([helper.make_node("Dropout", ["c"], ["y", "mask"], name="it", doc_string="kept")], 7, 9, 10),
    "BatchNormalization": ([floats("o", 1, 2, 3, 4), *node("BatchNormalization", ["c", "o", "o", "o", "o"], epsilon=0.1)], 7, 13, None),
    "BatchNormalization spatial": ([floats("o", 1, 2, 3, 4), *node("BatchNormalization", ["c", "o", "o", "o", "o"], spatial=1)], 7, 8, 9),
    "RoiAlign default": ([floats("r", 0, 0, 4, 4), ints("b", 0), ints("rs", 1, 4), helper.make_node("Reshape", ["r", "rs"], ["rr"]),
                          *node("RoiAlign", ["c", "rr", "b"], output_height=3, output_width=3, sampling_ratio=2)], 10, 15, 16),
    "RoiAlign half_pixel": ([floats("r", 0, 0, 4, 4), ints("b", 0), ints("rs", 1, 4), helper.make_node("Reshape", ["r", "rs"], ["rr"]),
                             *node("RoiAlign", ["c", "rr", "b"], output_height=3, output_width=3,
                                   coordinate_transformation_mode="half_pixel")], 16, 20, None),
    "Resize scales": ([floats("s", 1, 1, 2, 2), floats("e"), *node("Resize", ["c", "e", "s"], mode="nearest", nearest_mode="floor",
                                                                  coordinate_transformation_mode="asymmetric")], 11, 18, None),
    "Resize sizes": ([floats("e"), ints("z", 1, 4, 9, 9), *node("Resize", ["c", "e", "e", "z"], mode="linear")], 11, 12, 13),
    "DFT default": ([ints("s", 1, 24, 6, 1), helper.make_node("Reshape", ["c", "s"], ["r"]), *node("DFT", ["r"])], 17, 19, 20),
    "DFT axis": ([ints("s", 1, 24, 6, 1), helper.make_node("Reshape", ["c", "s"], ["r"]), *node("DFT", ["r"], axis=2, onesided=1)], 17, 19, 20),
    "GridSample bilinear": ([helper.make_node("Tanh", ["c"], ["t"]), ints("s", 1, 6, 12, 2), helper.make_node("Reshape", ["t", "s"], ["g"]),
                             *node("GridSample", ["c", "g"], mode="bilinear")], 16, 19, 20),
    "GridSample bicubic": ([helper.make_node("Tanh", ["c"], ["t"]), ints("s", 1, 6, 12, 2), helper.make_node("Reshape", ["t", "s"], ["g"]),
                            *node("GridSample", ["c", "g"], mode="bicubic")], 16, 19, 20),
    "GridSample default": ([helper.make_node("Tanh", ["c"], ["t"]), ints("s", 1, 6, 12, 2), helper.make_node("Reshape", ["t", "s"], ["g"]),
                            *node("GridSample", ["c", "g"])], 16, 19, None),
    "Scatter": ([INDICES, *node("Scatter", ["c", "i", "c"], axis=1)], 9, 10, 11),
    "ScatterElements": ([INDICES, *node("ScatterElements", ["c", "i", "c"], axis=1)], 11, 20, None),
    "LpPool": (node("LpPool", kernel_shape=[2, 2]), 7, 17, None),
    "AveragePool": (node("AveragePool", kernel_shape=[3, 3], pads=[1] * 4), 7, 18, None),
    "MaxPool": (node("MaxPool", kernel_shape=[2, 2]), 7, 20, None),
    "Clip": (node("Clip", min=-0.5, max=0.75), 7, 10, 11),
    "Clip max": (node("Clip", max=0.5), 7, 10, 11),
    "Pad": (node("Pad", pads=[0, 0, 1, 1, 0, 0, 2, 2], value=1.5), 7, 10, 11),
    "Pad reflect": (node("Pad", pads=[0, 0, 1, 1, 0, 0, 2, 2], mode="reflect"), 7, 10, 11),
    "Slice": (node("Slice", starts=[1, 2], ends=[3, 6], axes=[1, 2]), 7, 9, 10),
    "Slice no axes": (node("Slice", starts=[0, 1], ends=[1, 3]), 7, 9, 10),
    "TopK": ([helper.make_node("TopK", ["c"], ["y", "z"], name="it", k=2, axis=1)], 7, 9, 10),
    "Upsample nearest": (node("Upsample", mode="nearest", scales=[1.0, 1.0, 2.0, 2.0]), 7, 8, 11),
    "Upsample linear": (node("Upsample", mode="linear", scales=[1.0, 1.0, 2.0, 2.0]), 7, 8, 11),
    "Upsample input": ([floats("s", 1, 1, 2, 3), *node("Upsample", ["c", "s"], mode="nearest")], 9, 9, 11),
    "Resize 10 up": ([floats("s", 1, 1, 1.5, 2), *node("Resize", ["c", "s"], mode="nearest")], 10, 10, 11),
    "Resize 10 down": ([floats("s", 1, 1, 0.7, 0.5), *node("Resize", ["c", "s"], mode="nearest")], 10, 10, 11),
    "Resize 10 linear": ([floats("s", 1, 1, 1.5, 0.7), *node("Resize", ["c", "s"], mode="linear")], 10, 10, 11),
    "Gemm": ([helper.make_node("Flatten", ["c"], ["f"]), constant("g", np.ones((144, 5), np.float32)), floats("h", *range(5)),
              *node("Gemm", ["f", "g", "h"])], 7, 20, None),
    "others": ([helper.make_node("Relu", ["c"], ["a"]), helper.make_node("Flatten", ["a"], ["b"]),
                helper.make_node("Transpose", ["b"], ["d"]), *node("ArgMax", ["d"], axis=0, keepdims=0)], 7, 20, None),
}


def unshaped(name):
    """An output whose type ONNX Runtime finds out; with_output_shapes writes it down."""
    return onnx.ValueInfoProto(name=name)


def model_of(nodes, opset):
    return make_model([CONV, *nodes], [WEIGHT], opset=opset,
                      outputs=[unshaped(o) for n in nodes for o in n.output if o in ("y", "z")])


def every_start():
    for name, (nodes, first, last, version) in CASES.items():
        for opset in range(first, last + 1):
            if has_schema(nodes, opset):
                yield pytest.param(nodes, opset, version, id=f"{name} {opset}")


def has_schema(nodes, opset):
    """Whether every operator exists at that opset."""
    return all(onnx.defs.has(n.op_type, opset, "") for n in nodes)


@pytest.mark.parametrize("nodes, opset, version", every_start())
def test_rule(tmp_path, nodes, opset, version):
    original = with_output_shapes(model_of(nodes, opset))
    rewritten, report = rewrite(original, tmp_path)
    assert rewritten.opset_import[0].version == 21 and rewritten.ir_version >= 10
    assert report["input"]["opset"] == opset and report["output"]["opset"] == 21
    # GroupNormalization of opset 18 and Resize with an empty tensor pass; 1e-5: other opsets, other kernels.
    assert_equal_outputs(original, rewritten, 1e-5)
    upgraded = [u for u in report["upgrades"] if u["node"] == "it"]
    if version is None:
        assert not report["upgrades"]
        before = next(n for n in original.graph.node if n.name == "it")
        assert before in list(rewritten.graph.node)
    else:
        schema = onnx.defs.get_schema(upgraded[0]["op"], opset, "")
        assert [(u["from"], u["to"]) for u in upgraded] == [(schema.since_version, version)]
        kept = next(n for n in rewritten.graph.node if n.name == "it")
        before = next(n for n in original.graph.node if n.name == "it")
        assert kept.doc_string == before.doc_string


@pytest.mark.parametrize("opset, target, nodes", [
    pytest.param(opset, target, nodes, id=f"{name} {opset}-{target}")
    for name, (nodes, first, last, _) in CASES.items() for opset in (7, 9, 10, 12, 16) for target in (9, 10, 11, 12, 13, 16, 18)
    if first <= opset <= last and opset < target and has_schema(nodes, opset)])
def test_every_target(tmp_path, opset, target, nodes):
    """Each step on its own is valid too; com.microsoft has INT4 at every opset."""
    original = with_output_shapes(model_of(nodes, opset))
    rewritten, _ = rewrite(original, tmp_path, "--dq-domain", "com.microsoft", "--opset", target)
    assert rewritten.opset_import[0].version == target
    assert_equal_outputs(original, rewritten, 1e-5)


def in_if(nodes, opset):
    """The same nodes in a branch of an If, on a value that the branch captures."""
    other = [helper.make_node("Identity", ["n" if nodes[-1].op_type == "ArgMax" else "c"], ["y2"])]
    then = helper.make_graph(list(nodes), "then", [], [unshaped("y")])
    orelse = helper.make_graph(other, "else", [], [unshaped("y2")])
    branch = helper.make_node("If", ["yes"], ["out"], then_branch=then, else_branch=orelse)
    return with_output_shapes(make_model([CONV, constant("yes", np.array(True)), ints("n", 1), branch], [WEIGHT],
                                         opset=opset, outputs=[unshaped("out")]))


SINGLE = [p for p in every_start() if len(p.values[0][-1].output) == 1]


@pytest.mark.parametrize("nodes, opset, version", [p for p in SINGLE if p.values[1] in (11, 13, 16, 17, 18)])
def test_rule_in_a_body(tmp_path, nodes, opset, version):
    original = in_if(nodes, opset)
    rewritten, report = rewrite(original, tmp_path)
    assert_equal_outputs(original, rewritten, 1e-5)
    assert [u["to"] for u in report["upgrades"]] == ([version] if version else [])


@pytest.mark.parametrize("nodes, opset, version", [p for p in SINGLE if p.values[1] in (15, 17, 19)])
def test_rule_in_a_function(tmp_path, nodes, opset, version):
    """A function has an opset of its own; here it is that of the model, as the checker wants it."""
    function = helper.make_function("local", "F", ["c"], ["y"], list(nodes), [helper.make_opsetid("", opset)])
    call = helper.make_node("F", ["c"], ["out"], domain="local")
    original = with_output_shapes(make_model([CONV, call], [WEIGHT], opset=opset, ir=8, functions=[function], local=1,
                                             outputs=[unshaped("out")]))
    rewritten, report = rewrite(original, tmp_path)
    assert rewritten.functions[0].opset_import[0].version == 21
    assert_equal_outputs(original, rewritten, 1e-5)
    assert [u["to"] for u in report["upgrades"]] == ([version] if version else [])


@pytest.mark.parametrize("opset", [18, 19, 20])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_group_normalization(tmp_path, opset, groups):
    """Neither checker nor ONNX Runtime takes the old form any more: numpy is the reference."""
    nodes = [CONV, *node("GroupNormalization", ["c", "s", "b"], num_groups=groups, epsilon=1e-3)]
    original = make_model(nodes, [WEIGHT, tensor("s", groups), tensor("b", groups)], opset=opset,
                          outputs=[value("y", 1, 4, 6, 6)])
    rewritten, report = rewrite(original, tmp_path)
    onnx.checker.check_model(rewritten, full_check=True)
    assert [(u["op"], u["from"], u["to"]) for u in report["upgrades"]] == [("GroupNormalization", 18, 21)]
    feeds = random_feeds(original)
    probe = onnx.ModelProto()
    probe.CopyFrom(rewritten)
    probe.graph.output.append(value("c", 1, 4, 6, 6))
    got, c = run(probe, feeds)
    x = c.reshape(1, groups, -1)
    x = (x - x.mean(2, keepdims=True)) / np.sqrt(x.var(2, keepdims=True) + 1e-3)
    s, b = (numpy_helper.to_array(t).reshape(1, groups, 1) for t in original.graph.initializer[1:])
    np.testing.assert_allclose(got, (x * s + b).reshape(c.shape), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_group_normalization_precision(tmp_path, kind):
    """The old form normalized in the type of the data, which is not the default of the new one."""
    data = helper.tensor_dtype_to_np_dtype(kind)
    nodes = [CONV, helper.make_node("Cast", ["c"], ["d"], to=kind), *node("GroupNormalization", ["d", "s", "b"], num_groups=2)]
    original = make_model(nodes, [WEIGHT, tensor("s", 2, kind=data), tensor("b", 2, kind=data)], opset=18,
                          outputs=[value("y", 1, 4, 6, 6, kind=kind), value("d", 1, 4, 6, 6, kind=kind)])
    rewritten, _ = rewrite(original, tmp_path)
    onnx.checker.check_model(rewritten, full_check=True)
    stash = [a.i for n in rewritten.graph.node if n.name == "it" for a in n.attribute if a.name == "stash_type"]
    assert stash == ([] if kind == TensorProto.FLOAT else [kind])
    y, d = run(rewritten, random_feeds(original))
    x = d.astype(np.float64).reshape(1, 2, -1)
    x = (x - x.mean(2, keepdims=True)) / np.sqrt(x.var(2, keepdims=True) + 1e-5)
    s, b = (numpy_helper.to_array(t).astype(np.float64).reshape(1, 2, 1) for t in original.graph.initializer[1:])
    tolerance = {TensorProto.FLOAT: 1e-5, TensorProto.FLOAT16: 1e-2, TensorProto.DOUBLE: 1e-12}[kind]
    np.testing.assert_allclose(y, (x * s + b).reshape(d.shape), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("opset", [9, 12])
@pytest.mark.parametrize("shape, axis", [([0, 3, 4], 0), ([2, 0, 4], 2), ([2, 3, 0], 1), ([0, 0, 4], 1)])
def test_softmax_of_an_empty_tensor(tmp_path, opset, shape, axis):
    """As behind a selection that finds nothing: the shape is known at run time only."""
    nodes = [CONV, helper.make_node("ConstantOfShape", ["n"], ["e"]), *node("Softmax", ["e"], axis=axis)]
    original = make_model(nodes, [WEIGHT, numpy_helper.from_array(np.array(shape, np.int64), "n")], opset=opset,
                          outputs=[value("y", *shape), value("c", 1, 4, 6, 6)])
    rewritten, _ = rewrite(original, tmp_path)
    assert_equal_outputs(original, rewritten, 1e-5)


def test_import_entries_are_merged(tmp_path):
    """The first spelling stays; what is higher than the target stays altogether."""
    functions = [helper.make_function("local", name, ["c"], ["y"], node("Relu"), [helper.make_opsetid(*o) for o in opsets])
                 for name, opsets in {"Low": [("ai.onnx", 17), ("", 16)], "High": [("", 17), ("ai.onnx", 22)]}.items()]
    original = make_model([CONV, *node("Relu")], [WEIGHT], opset=17, functions=functions, local=1,
                          outputs=[value("y", 1, 4, 6, 6)])
    rewritten, _ = rewrite(original, tmp_path)
    low, high = ([(o.domain, o.version) for o in f.opset_import] for f in rewritten.functions)
    assert low == [("ai.onnx", 21)] and high == [("", 17), ("ai.onnx", 22)]


REFUSED = {
    "Resize tf_half_pixel_for_nn": ([floats("s", 1, 1, 2, 2), floats("e"),
                                     *node("Resize", ["c", "e", "s"], mode="nearest",
                                           coordinate_transformation_mode="tf_half_pixel_for_nn")], 11),
    "BatchNormalization training": ([floats("o", 1, 2, 3, 4), helper.make_node(
        "BatchNormalization", ["c", "o", "o", "o", "o"], ["y", "mean", "var"], name="it")], 13),
    "BatchNormalization spatial": ([floats("o", 1, 2, 3, 4), *node("BatchNormalization", ["c", "o", "o", "o", "o"], spatial=0)], 7),
    "unknown operator": (node("Convolve"), 17),
    "Dropout mask of the data's type": ([helper.make_node("Dropout", ["c"], ["y", "z"], name="it")], 7),
    "Dropout mask of zeros": ([helper.make_node("Dropout", ["c"], ["y", "z"], name="it")], 10),
    "MeanVarianceNormalization": (node("MeanVarianceNormalization", across_channels=1), 8),
    "Upsample": ([floats("s", 1, 1, 2, 2), *node("Upsample", ["c", "s"])], 10),
    "Upsample both ways": (node("Upsample", mode="nearest", scales=[1.0, 1.0, 2.0, 0.5]), 7),
    "Scatter": ([INDICES, *node("Scatter", ["c", "i", "c"], axis=1)], 11),
    "Softmax of nothing": (node("Softmax", []), 7),
    "ReduceMax axes not INTS": (node("ReduceMax", axes=1), 17),
    "GroupNormalization": ([helper.make_node("Secret", [n], [n * 2], domain="local") for n in "csb"] + [
        *node("GroupNormalization", ["cc", "ss", "bb"], num_groups=2)], 18),
    "Clip": ([helper.make_node("Secret", ["c"], ["d"], domain="local"), *node("Clip", ["d"], min=0.0)], 9),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path, name):
    nodes, opset = REFUSED[name]
    source, target = tmp_path / "in.onnx", tmp_path / "out.onnx"
    onnx.save(model_of(nodes, opset), source)
    done = run_int4q("rewrite", source, "-o", target, status=3)
    assert f"node 'it' ({nodes[-1].op_type})" in done.stderr and not target.exists()
    assert not done.stdout


# ---- element types


def schemas(name):
    """The operator's schemas that a model may mean before the opset from which on no rule asks for types."""
    versions = {s.since_version: s for s in onnx.defs.get_all_schemas_with_history() if not s.domain and s.name == name}
    return [versions[v] for v in versions if 7 <= v <= 20 or v == max((w for w in versions if w <= 7), default=0)]


def typed_inputs(schema):
    """Inputs that share the type of the first output by the schema; of those without end the first two and the ninth."""
    kind, repeated = schema.outputs[0].type_str, schema.inputs and schema.inputs[-1].option.name == "Variadic"
    found = {i for i, p in enumerate(schema.inputs) if p.type_str == kind and (p.option.name != "Variadic" or p.is_homogeneous)}
    last = len(schema.inputs) - 1
    return found | ({last + 1, last + 8} if repeated and last in found else set())


BODIES = {"If", "Loop", "Scan", "SequenceMap"}
PARTICULAR = {"DFT", "GroupNormalization", "Resize", "Upsample"}  # have rules that ask for more than names


def following():
    """Every operator with each input that tells, in all of its versions, what comes out of it."""
    for name in sorted({s.name for s in onnx.defs.get_all_schemas_with_history() if not s.domain}):
        known = [s for s in schemas(name) if s.outputs and "(" not in s.outputs[0].type_str]
        if not known or name in BODIES | PARTICULAR:
            continue
        longest = max(len(s.inputs) for s in known)
        for i in set.union(*map(typed_inputs, known)):
            if i != 7 and all(i in typed_inputs(s) or i >= len(s.inputs) for s in known):  # the eighth has no bit of its own
                yield pytest.param(name, i, max(longest, i + 1), id=f"{name} {i}")


def clip_type(folder, *nodes, **more):
    """The type of the limit that Clip gets, which is that of its input d."""
    nodes = [CONV, *nodes, *node("Clip", ["d"], min=0.5)]
    original = make_model(nodes, [WEIGHT, *more.pop("initializers", ())], opset=9, outputs=more.pop("outputs", [unshaped("c")]), **more)
    rewritten, _ = rewrite(original, folder)
    return next(n.attribute[0].t.data_type for n in rewritten.graph.node if n.op_type == "Constant" and n.attribute[0].t.dims == [])


@pytest.mark.parametrize("name, index, count", following())
def test_types_follow_every_operator(tmp_path, name, index, count):
    """One input of DOUBLE among others of which nothing is known; it need not make sense otherwise."""
    unknown = helper.make_node("Secret", ["x"], ["u"], domain="local")
    it = helper.make_node(name, ["t" if i == index else "u" for i in range(count)], ["d"])
    assert clip_type(tmp_path, unknown, it, inputs=[value("x", 1, 3, 6, 6), value("t", 1, kind=TensorProto.DOUBLE)],
                     local=1) == TensorProto.DOUBLE


def body(name, *outputs):
    return helper.make_graph([helper.make_node("Secret", ["x"], [o.name], domain="local") for o in outputs], name, [], outputs)


FLAG, HALF = value("f", 1, kind=TensorProto.BOOL), value("h", 1, kind=TensorProto.FLOAT16)
# what comes out as d: (nodes, type)
TELLING = {
    "Cast": ([helper.make_node("Cast", ["u"], ["d"], to=TensorProto.FLOAT16)], TensorProto.FLOAT16),
    "Constant": ([constant("d", np.float64(1))], TensorProto.DOUBLE),
    "ConstantOfShape": ([helper.make_node("ConstantOfShape", ["u"], ["d"])], TensorProto.FLOAT),
    "ConstantOfShape of a value": ([helper.make_node("ConstantOfShape", ["u"], ["d"], value=tensor("", 1, kind=np.float16))],
                                   TensorProto.FLOAT16),
    "RandomNormal": ([helper.make_node("RandomNormal", [], ["d"], shape=[1])], TensorProto.FLOAT),
    "RandomNormalLike": ([helper.make_node("RandomNormalLike", ["u"], ["d"], dtype=TensorProto.DOUBLE)], TensorProto.DOUBLE),
    "Split": ([helper.make_node("Cast", ["u"], ["v"], to=TensorProto.FLOAT16), helper.make_node("Split", ["v"], ["e", "d"])],
              TensorProto.FLOAT16),
    "If": ([helper.make_node("If", ["u"], ["e", "d"], then_branch=body("a", FLAG, HALF), else_branch=body("b", FLAG, HALF))],
           TensorProto.FLOAT16),
    "Loop": ([helper.make_node("Loop", ["u", "", "u"], ["d"], body=body("a", FLAG, HALF))], TensorProto.FLOAT16),
    "Scan": ([helper.make_node("Scan", ["u"], ["d"], body=body("a", HALF), num_scan_inputs=1)], TensorProto.FLOAT16),
    "nodes in another order": ([helper.make_node("Relu", ["v"], ["d"]), helper.make_node("Cast", ["u"], ["v"], to=TensorProto.FLOAT16)],
                               TensorProto.FLOAT16),
}


@pytest.mark.parametrize("name", TELLING)
def test_nodes_tell_types(tmp_path, name):
    nodes, kind = TELLING[name]
    assert clip_type(tmp_path, helper.make_node("Secret", ["x"], ["u"], domain="local"), *nodes, local=1) == kind


def test_output_tells_the_type(tmp_path):
    """Nothing is known of what Clip reads, but what comes out is declared."""
    assert clip_type(tmp_path, helper.make_node("Secret", ["x"], ["d"], domain="local"), local=1,
                     outputs=[value("c"), value("y", 1, kind=TensorProto.DOUBLE)]) == TensorProto.DOUBLE


@pytest.mark.parametrize("args", [[], ["--block", "8"], ["--opset", "23"], ["--opset", "23", "--dq-domain", "com.microsoft"]], ids=" ".join)
@pytest.mark.parametrize("kind", [np.float32, np.float16])
@pytest.mark.parametrize("opset", [8, 12, 17, 20])
def test_ways_around_a_refusal(tmp_path, opset, kind, args):
    """What the message names does work, and the opset stays."""
    source, target, number = tmp_path / "in.onnx", tmp_path / "out.onnx", helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    onnx.save(make_model([CONV, *node("Convolve")], [tensor("w", 4, 3, 3, 3, kind=kind)], [value("x", 1, 3, 6, 6, kind=number)],
                         opset=opset), source)
    told = run_int4q("rewrite", source, "-o", target, *args, status=3).stderr
    own = "--dq-domain" in args
    if "--opset" in args:
        assert told.endswith(f"; without --opset the result has opset {opset if own else 21}\n")
        assert run_int4q("rewrite", source, "-o", target, *[a for a in args if a not in ("--opset", "23")], status=0 if own else 3)
        return
    ways = told.strip().split("; what leaves the opset as it is: ")[1].split(", ")
    wanted = {"--dq-domain com.microsoft", *(["--format packed-u8"] if opset >= 11 else []),
              *(["--format int8"] if opset >= (13 if kind == np.float32 else 19) else [])}
    assert set(ways) == wanted
    for way in ways:
        run_int4q("rewrite", source, "-f", "-o", target, *way.split())
        assert onnx.load(target).opset_import[0].version == opset


def test_attribute_of_a_function_is_refused(tmp_path):
    """An axis that only the call knows cannot become an input."""
    squeeze = helper.make_node("ReduceMax", ["c"], ["y"], name="it")
    squeeze.attribute.append(onnx.AttributeProto(name="axes", ref_attr_name="axes", type=onnx.AttributeProto.INTS))
    function = helper.make_function("local", "F", ["c"], ["y"], [squeeze], [helper.make_opsetid("", 17)], ["axes"])
    call = helper.make_node("F", ["c"], ["out"], domain="local", axes=[1])
    original = make_model([CONV, call], [WEIGHT], ir=8, functions=[function], local=1,
                          outputs=[unshaped("out")])
    onnx.save(original, tmp_path / "in.onnx")
    done = run_int4q("rewrite", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", status=3)
    assert "node 'it' (ReduceMax)" in done.stderr and "axes" in done.stderr


@pytest.mark.parametrize("spelling", ["", "ai.onnx"])
def test_spelling_of_the_import_stays(tmp_path, spelling):
    original = make_model([CONV, *node("ReduceMax", axes=[1])], [WEIGHT])
    original.opset_import[0].domain = spelling
    original.opset_import.append(helper.make_opsetid("com.example", 3))
    rewritten, _ = rewrite(original, tmp_path)
    assert [(o.domain, o.version) for o in rewritten.opset_import] == [(spelling, 21), ("com.example", 3)]


@pytest.mark.parametrize("own, asked, expected", [(17, 22, 22), (21, None, 21), (22, None, 22), (23, None, 23), (25, None, 25), (21, 25, 25)])
def test_wanted_opset(tmp_path, own, asked, expected):
    original = with_output_shapes(make_model([CONV, *node("Relu")], [WEIGHT], opset=own))
    rewritten, _ = rewrite(original, tmp_path, *(["--opset", asked] if asked else []))
    assert rewritten.opset_import[0].version == expected
    assert rewritten.ir_version == max(10, IR_OF_OPSET[own])
    assert_equal_outputs(original, rewritten, 1e-6)


GRID = [helper.make_node("Tanh", ["c"], ["t"]), ints("s", 1, 6, 12, 2), helper.make_node("Reshape", ["t", "s"], ["g"])]
REFERENCES = {  # attribute of a function: (nodes, the attribute, its value in the call, opset)
    "ReduceMax": (node("ReduceMax"), "axes", [1], 17),
    "Upsample": (node("Upsample", mode="linear"), "scales", [1.0, 1.0, 2.0, 2.0], 8),
    "Resize": ([floats("s", 1, 1, 2, 2), floats("e"), *node("Resize", ["c", "e", "s"])], "coordinate_transformation_mode", "asymmetric", 11),
    "GridSample": ([*GRID, *node("GridSample", ["c", "g"])], "mode", "bilinear", 17),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_reference_to_an_attribute_is_refused(tmp_path, name):
    """What it stands for is known at the call only."""
    nodes, attribute, given, opset = REFERENCES[name]
    last = onnx.NodeProto()
    last.CopyFrom(nodes[-1])
    last.attribute.append(onnx.AttributeProto(name=attribute, ref_attr_name="a", type=helper.make_attribute("a", given).type))
    function = helper.make_function("local", "F", ["c"], ["y"], [*nodes[:-1], last], [helper.make_opsetid("", opset)], ["a"])
    onnx.save(make_model([CONV, helper.make_node("F", ["c"], ["y"], domain="local", a=given)], [WEIGHT], opset=opset, ir=8,
                         functions=[function], local=1), tmp_path / "in.onnx")
    done = run_int4q("rewrite", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", status=3)
    assert f"node 'it' ({name})" in done.stderr and attribute in done.stderr and not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize("own, asked", [(22, 21), (17, 20)])
def test_opset_below_the_need(tmp_path, own, asked):
    onnx.save(make_model([CONV, *node("Relu")], [WEIGHT], opset=own), tmp_path / "in.onnx")
    done = run_int4q("rewrite", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", "--opset", asked, status=2)
    assert "--opset" in done.stderr


def test_old_opset_is_refused(tmp_path):
    original = make_model([CONV, *node("Relu")], [WEIGHT], opset=7)
    original.opset_import[0].version = 6
    onnx.save(original, tmp_path / "in.onnx")
    assert "opset 6" in run_int4q("rewrite", tmp_path / "in.onnx", status=3).stderr

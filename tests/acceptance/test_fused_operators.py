# SPDX-License-Identifier: Apache-2.0
"""--decode fused: operators between Convs, sizes that are not known, Convs in bodies and functions; and why Convs stay float."""
import numpy as np
import onnx
import pytest
from helpers import make_model, run, run_int4q, tensor, value
from onnx import TensorProto, helper, numpy_helper
from test_fused import OPTIONS, conv, detector, error_db, fuse, measured, needs_cast, optimized, pairs, pictures, weights_of

LIMITS = [numpy_helper.from_array(np.float32(limit), name) for name, limit in (("zero", 0), ("one", 1), ("six", 6))]
YES = numpy_helper.from_array(np.array(True), "yes")
W2 = numpy_helper.from_array(numpy_helper.to_array(tensor("w2", 8, 8, 1, 1)) / 6, "w2")


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def between(*nodes, constants=LIMITS, opset=19, **options):
    """x → Conv → a → these nodes → m → Conv → Softmax → y."""
    weights = [*weights_of(0, (8, 3, 3, 3)), *weights_of(1, (5, 8, 1, 1))]
    return make_model([conv("x", "w0", "a", "b0", pads=[1] * 4), *nodes, conv("m", "w1", "c", "b1"), node("Softmax", "c", "y", axis=1)],
                      [*weights, *constants], [value("x", 1, 3, 12, 12)], [value("y", None, 5, None, None)], opset=opset, **options)


def body(*nodes, output="t"):
    return helper.make_graph(list(nodes), f"body_{output}", [], [value(output, None, None, None, None)])


def fused_error(folder, model, feed=None):
    """(dB between what the float model and the file give in a session with all optimizations, its operators, notes)."""
    made, report = fuse(folder, model)
    feeds = {"x": pictures()[0] if feed is None else feed}
    wanted, got = run(model, feeds)[0], run(made, feeds, optimize=True)[0]
    assert error_db(run(made, feeds)[0], got) > 25, "as without optimizations"
    return error_db(wanted, got), optimized(folder, made), [n for n in report["notes"] if "--decode fused" in n]


# ---- operators


@needs_cast
@pytest.mark.parametrize("nodes, computed", [
    ([node("AveragePool", "a", "m", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)], "QLinearAveragePool"),
    ([node("AveragePool", "a", "m", kernel_shape=[2, 2], ceil_mode=1)], "QLinearAveragePool"),
    ([node("GlobalAveragePool", "a", "m")], "QLinearGlobalAveragePool"),
    ([node("GlobalAveragePool", "a", "g"), node("HardSigmoid", "g", "k"), node("Mul", "a k", "m")], "QLinearMul"),
    ([node("HardSwish", "a", "h"), node("Concat", "h a", "n", axis=2), node("MaxPool", "n", "m", kernel_shape=[1, 1])], "QLinearConcat"),
    ([node("Clip", "a zero six", "h"), node("Add", "h a", "m")], "QLinearAdd"),
    ([node("Clip", "a zero one", "m")], "QLinearConv"),
], ids=lambda v: v if isinstance(v, str) else " ".join(n.op_type for n in v))
def test_operators(tmp_path, nodes, computed):
    """What the statistics tell of is computed on codes, and does not end a stretch where it is not."""
    error, ops, notes = fused_error(tmp_path, between(*nodes))
    assert error > 15 and not notes and ops["QLinearConv"] == 2 and "Conv" not in ops
    assert computed in ops and "Clip" not in ops and "Add" not in ops and "Concat" not in ops


@needs_cast
def test_clip_that_cuts_codes(tmp_path):
    """Codes of what a Conv gives are those before a Clip within whose bounds zero is not."""
    model = between(node("Clip", "a one six", "m"))
    made, _ = fuse(tmp_path, model)
    assert {"a", "m"} <= set(pairs(made)) and optimized(tmp_path, made)["QLinearConv"] == 2
    made, _ = fuse(tmp_path, between(node("Clip", "a zero six", "m")))
    assert "a" not in pairs(made)


@needs_cast
@pytest.mark.parametrize("pool", [
    node("AveragePool", "a", "m", kernel_shape=[2, 2], dilations=[2, 2]),
    node("AveragePool", "a", "m", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, pads=[1] * 4, count_include_pad=1),
    node("MaxPool", "a", "m places", kernel_shape=[2, 2])], ids=["dilated", "rounded up and padded", "places"])
def test_pools_that_are_no_others_in_8_bits(tmp_path, pool):
    """ONNX Runtime would refuse the session, or count other pixels; places are no values."""
    error, ops, notes = fused_error(tmp_path, between(pool))
    assert error > 15 and ops["QLinearConv"] == 1 and ops["Conv"] == 1 and pool.op_type in ops
    assert "1 Convs compute in float: what they read comes from a pooling" in notes[0]


def test_errors_count_behind_hard_swish(tmp_path):
    """It is 0 below -3, whichever way it is written, and that takes no levels."""
    ways = [[node("HardSwish", "a", "m")], [node("HardSigmoid", "a", "g", alpha=1 / 6), node("Mul", "g a", "m")]]
    loud = [40 * a for a in pictures()]
    lows = []
    for way in ways:
        made, _ = fuse(tmp_path, between(*way), arrays=loud)
        scale, zero = pairs(made)["a"]
        lows.append(-zero * scale)
    made, _ = fuse(tmp_path, between(node("Tanh", "a", "m")), arrays=loud)
    scale, zero = pairs(made)["a"]
    assert lows[0] == lows[1] > -zero * scale / 2


# ---- graphs


@needs_cast
def test_sizes_that_are_not_known(tmp_path):
    """Batch, height and width of any size."""
    model = detector()
    for info in model.graph.input[0], model.graph.output[0]:
        for i in 0, 2, 3:
            info.type.tensor_type.shape.dim[i].dim_param = f"d{i}"
    error, ops, notes = fused_error(tmp_path, model, np.random.default_rng(3).uniform(0, 1, (3, 3, 20, 16)).astype(np.float32))
    assert error > 15 and ops["QLinearConv"] == 6 and not notes


LOOP = helper.make_graph([conv("p", "w2", "r"), node("Add", "r a", "q"), node("Identity", "go", "on")], "loop",
                         [value("i", kind=TensorProto.INT64), value("go", kind=TensorProto.BOOL), value("p", 1, 8, 12, 12)],
                         [value("on", kind=TensorProto.BOOL), value("q", 1, 8, 12, 12)])


@needs_cast
@pytest.mark.parametrize("nodes", [
    [helper.make_node("If", ["yes"], ["m"], then_branch=body(conv("a", "w2", "t")), else_branch=body(node("Relu", "a", "e"), output="e"))],
    [helper.make_node("If", ["yes"], ["k"], then_branch=body(conv("a", "w2", "t")), else_branch=body(node("Neg", "a", "e"), output="e")),
     node("Add", "a k", "m")],
    [helper.make_node("Loop", ["twice", "yes", "a"], ["m"], body=LOOP)],
], ids=["If", "beside If", "Loop"])
def test_bodies(tmp_path, nodes):
    """Convs there compute in float; what they read of the graph around them is what all others read."""
    constants = [YES, W2, numpy_helper.from_array(np.int64(2), "twice")]
    error, _, notes = fused_error(tmp_path, between(*nodes, constants=constants))
    assert error > 15 and notes == ["--decode fused: 1 Convs compute in float: they stand in bodies of If, Loop or Scan"]


@needs_cast
def test_functions(tmp_path):
    """Their Convs are left as they are, between others that compute in 8 bits."""
    inner = [conv("p", "w", "s"), node("Sigmoid", "s", "g"), node("Mul", "s g", "r")]
    function = helper.make_function("local", "F", ["p", "w"], ["r"], inner, [helper.make_opsetid("", 19)])
    model = between(helper.make_node("F", ["a", "w2"], ["m"], domain="local"), constants=[W2], functions=[function], local=1)
    error, ops, notes = fused_error(tmp_path, model)
    assert error > 15 and ops["QLinearConv"] == 2 and not notes


# ---- why Convs stay float


def test_inputs_that_are_quantized_already(tmp_path):
    """As where weights alone were restored."""
    fuse(tmp_path, between(node("Relu", "a", "m")))
    run_int4q("restore", tmp_path / "out.onnx", "-qf", "-o", tmp_path / "weights.onnx")
    done = run_int4q("rewrite", tmp_path / "weights.onnx", "-f", "-o", tmp_path / "again.onnx", "--method", "squant", "--calibration",
                     tmp_path / "stats", "--allow-other-model", *OPTIONS)
    assert "2 Convs compute in float: what they read is quantized already" in done.stdout and "QLinearConv" not in done.stdout


def test_half_precision(tmp_path):
    """FLOAT16 models have no 8-bit form here: their weights are decoded, and the report says so."""
    kind = TensorProto.FLOAT16
    model = make_model([conv("x", "w", "a"), conv("a", "v", "y")],
                       [tensor("w", 4, 3, 3, 3, kind=np.float16), tensor("v", 4, 4, 1, 1, kind=np.float16)],
                       [value("x", 1, 3, 6, 6, kind=kind)], [value("y", 1, 4, 4, 4, kind=kind)])
    arrays = [a.astype(np.float16) for a in pictures(2, (1, 3, 6, 6))]
    made, report = fuse(tmp_path, model, "--method", "squant", arrays=arrays)
    assert not pairs(made) and any("2 Convs compute in float: they are FLOAT16" in n for n in report["notes"])


def test_each_reason_is_told(tmp_path):
    """The first one that applies, with how many Convs have it."""
    model = detector()
    model.graph.output.append(value("a1", 1, 8, 12, 12))
    (tmp_path / "keep.json").write_text('{"sum": 1}')
    keep = ("--keep-activations", str(tmp_path / "keep.json"))
    _, report = fuse(tmp_path, model, "--method", "squant", "--keep-format", "int8", "--exclude", "conv_w5", keep=keep)
    told = [n.split(": ", 1)[1] for n in report["notes"] if "compute in float" in n]
    assert told == ["1 Convs compute in float: what they give is an output of the model",
                    "1 Convs compute in float: what they read or give stays float for what it would lose"]


@pytest.mark.parametrize("outputs", [[], ["z", "w"], ["z", ""]], ids=len)
def test_convs_with_other_results_than_one(tmp_path, outputs):
    """Nothing that a runtime takes, but no reason to crash: they compute in float."""
    model = between(node("Relu", "a", "m"), helper.make_node("Conv", ["m", "w1", "b1"], ["z"], "odd"))
    stats = measured(tmp_path, model, pictures())
    odd = next(n for n in model.graph.node if n.name == "odd")
    odd.output[:] = outputs
    onnx.save(model, tmp_path / "odd.onnx")
    run_int4q("rewrite", tmp_path / "odd.onnx", "-q", "-o", tmp_path / "out.onnx", "--calibration", stats, *OPTIONS)
    made = onnx.load(tmp_path / "out.onnx")
    assert next(list(n.output) for n in made.graph.node if n.name == "odd") == outputs and not {"z", "w"} & set(pairs(made))


def test_other_layers_are_no_convs_in_float(tmp_path):
    """Weights of Gemm are told of elsewhere."""
    model = between(node("Relu", "a", "m"))
    del model.graph.node[-1]
    model.graph.node.extend([node("GlobalAveragePool", "c", "p"), node("Flatten", "p", "f"), node("Gemm", "f w9", "y")])
    model.graph.initializer.append(tensor("w9", 5, 4))
    model.graph.output[0].CopyFrom(value("y", 1, 4))
    made, report = fuse(tmp_path, model, "--method", "squant", "--op-types", "Conv,Gemm")
    assert "w9_quantized" in {t.name for t in made.graph.initializer} and not any("in float" in n for n in report["notes"])

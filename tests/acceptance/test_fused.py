# SPDX-License-Identifier: Apache-2.0
"""--decode fused: what ONNX Runtime makes of it (QLinearConv), which stretches compute in 8 bits, ranges, biases, the way back."""
import json
import os

import numpy as np
import onnx
import onnxruntime
import pytest
from helpers import INT4Q, int4_codes, make_model, run, run_int4q, tensor, value
from onnx import TensorProto, helper, numpy_helper

from int4q.lab.commands import calibrate

OPTIONS = ("--activations", "uint8", "--decode", "fused")
needs_cast = pytest.mark.skipif(tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 23), reason="no Cast of INT4")


def silu(source, output):
    return [helper.make_node("Sigmoid", [source], [f"{output}_gate"]), helper.make_node("Mul", [source, f"{output}_gate"], [output])]


def conv(source, weight, output, bias=None, **attributes):
    return helper.make_node("Conv", [source, weight, *([bias] if bias else [])], [output], name=f"conv_{weight}", **attributes)


def weights_of(i, shape):
    """w<i> and b<i>, of a size that keeps values about as large as they are."""
    scaled = numpy_helper.to_array(tensor(f"w{i}", *shape)) / np.float32(np.sqrt(np.prod(shape[1:])))
    return [numpy_helper.from_array(scaled, f"w{i}"), *([] if i == 2 else [tensor(f"b{i}", shape[0])])]


def detector(opset=13):
    """Two inputs' worth of everything that a stretch may hold: SiLU, LeakyRelu, Relu, Split, Concat, MaxPool, Resize, Add, a
    depthwise Conv; then attention, a Conv behind it, and a tail that no Conv follows."""
    nodes = [conv("x", "w0", "a0", "b0", pads=[1] * 4), *silu("a0", "h0"), conv("h0", "w1", "a1", "b1", pads=[1] * 4),
             *silu("a1", "h1"), helper.make_node("Split", ["h1", "halves"], ["p", "q"], axis=1),
             conv("q", "w2", "a2", pads=[1] * 4, group=4), helper.make_node("LeakyRelu", ["a2"], ["h2"], alpha=0.1),
             helper.make_node("Concat", ["p", "h2"], ["cat"], axis=1),
             helper.make_node("MaxPool", ["cat"], ["small"], kernel_shape=[2, 2], strides=[2, 2]),
             helper.make_node("Resize", ["small", "", "factors"], ["large"]),
             helper.make_node("Add", ["large", "cat"], ["sum"]), conv("sum", "w3", "a3", "b3"),
             helper.make_node("Relu", ["a3"], ["h3"]), conv("h3", "w4", "a4", "b4"),
             helper.make_node("Softmax", ["a4"], ["soft"], axis=1), helper.make_node("Mul", ["soft", "a4"], ["seen"]),
             conv("seen", "w5", "a5", "b5"), helper.make_node("Sigmoid", ["a5"], ["y"])]
    shapes = [(8, 3, 3, 3), (8, 8, 3, 3), (4, 1, 3, 3), (8, 8, 1, 1), (8, 8, 1, 1), (5, 8, 1, 1)]
    weights = [t for i, shape in enumerate(shapes) for t in weights_of(i, shape)]
    others = [numpy_helper.from_array(np.int64([4, 4]), "halves"), numpy_helper.from_array(np.float32([1, 1, 2, 2]), "factors")]
    return make_model(nodes, [*weights, *others], [value("x", 1, 3, 12, 12)], [value("y", 1, 5, 12, 12)], opset=opset)


def pictures(count=6, shape=(1, 3, 12, 12)):
    return [a.astype(np.float32) for a in np.random.default_rng(2).uniform(0, 1, (count, *shape))]


def measured(folder, model, arrays):
    """Statistics of the model, which is saved too."""
    onnx.save(model, folder / "in.onnx")
    os.makedirs(folder / "arrays", exist_ok=True)
    for i, array in enumerate(arrays):
        np.save(folder / "arrays" / f"{i}.npy", array)
    calibrate.main([str(folder / "in.onnx"), "--inputs", str(folder / "arrays"), "-o", str(folder / "stats")])
    return folder / "stats"


def fuse(folder, model, *args, arrays=None, status=0, keep=("--keep-activations", "0")):
    """(model, report), or the line on standard error."""
    stats = measured(folder, model, arrays or pictures())
    args = [*(args or ("--method", "calibrated")), *keep]
    done = run_int4q("rewrite", folder / "in.onnx", "-f", "-q", "-o", folder / "out.onnx", "--json", folder / "report.json",
                     "--calibration", stats, *args, *OPTIONS, status=status)
    if status:
        return done.stderr
    made = onnx.load(folder / "out.onnx")
    onnx.checker.check_model(made, full_check=True)
    return made, json.loads((folder / "report.json").read_text())


def optimized(folder, model):
    """{operator: how many} of the graph that ONNX Runtime runs."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(folder / "optimized.onnx"), 4
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    ops = [n.op_type for n in onnx.load(folder / "optimized.onnx").graph.node]
    return {op: ops.count(op) for op in ops}


def error_db(wanted, got):
    return 10 * np.log10(np.square(wanted).sum() / max(np.square(wanted - got).sum(), 1e-30))


def readers(model, name):
    return [n.op_type for n in model.graph.node if name in n.input]


def pairs(model):
    """{value: (scale, zero point)} of the QuantizeLinear nodes."""
    stored = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    return {n.input[0]: (stored[n.input[1]].item(), stored[n.input[2]].item()) for n in model.graph.node
            if n.op_type == "QuantizeLinear"}


# ---- what ONNX Runtime computes


@needs_cast
@pytest.mark.parametrize("args", [["--method", "calibrated"], ["--method", "squant"], ["--format", "uint4"], ["--format", "int8"],
                                  ["--method", "squant", "--activations", "int8"]], ids=" ".join)
def test_convs_are_fused(tmp_path, args):
    """Every Conv is a QLinearConv, what lies between them computes in 8 bits, and attention and tail in float."""
    model = detector()
    made, report = fuse(tmp_path, model, *args)
    ops = optimized(tmp_path, made)
    assert ops["QLinearConv"] == 6 and "Conv" not in ops and "Relu" not in ops
    assert ops["QLinearSigmoid"] == 2 and ops["QLinearMul"] == 2 and ops["QLinearLeakyRelu"] == 1
    assert ops["QLinearAdd"] == 1 and ops["QLinearConcat"] == 1 and ops["Softmax"] == 1 and ops["Sigmoid"] == 1
    assert ops["QuantizeLinear"] == 2, "of the image, and behind attention"
    assert len(report["activations"]) == len(pairs(made))
    test = pictures()[0]
    wanted, got = run(model, {"x": test})[0], run(made, {"x": test}, optimize=True)[0]
    assert error_db(wanted, got) > 15


@needs_cast
@pytest.mark.parametrize("args", [["--bits", "6.5"], ["--choices", "8", "--bits", "12"]], ids=" ".join)
def test_int8_is_fused_whatever_the_method(tmp_path, args):
    """Codes of 8 bits have no zero points then, and a mixture has no blocks."""
    made, report = fuse(tmp_path, detector(), "--method", "calibrated", *args)
    assert optimized(tmp_path, made)["QLinearConv"] == 6
    assert not any("--decode fused" in n for n in report["notes"])
    stored = {t.name: t.data_type for t in made.graph.initializer if t.name.endswith("_quantized")}
    assert TensorProto.INT8 in stored.values() and len(stored) == 6
    assert ("6.5" in args) == (TensorProto.INT4 in stored.values())


@pytest.mark.parametrize("args, saturates", [(["--method", "calibrated", "--bits", "6.5"], True), (["--format", "int8"], True),
                                             (["--method", "squant"], False)])
def test_hint(tmp_path, args, saturates):
    """It is that of what is fused, and tells of 8-bit weights on old CPUs."""
    stats = measured(tmp_path, detector(), pictures(2))
    text = run_int4q("rewrite", tmp_path / "in.onnx", "-o", tmp_path / "y.onnx", "--calibration", stats, *args, *OPTIONS).stdout
    assert "QLinearConv" in text and "disable_quant_qdq" not in text
    assert ("session.x64quantprecision=1" in text) == saturates


def test_statistics_that_int8_has_no_use_for(tmp_path):
    """By absmax; they are not said to be missing."""
    _, report = fuse(tmp_path, detector(), "--format", "int8")
    assert not any("not in the file" in n for n in report["notes"])


def test_already_quantized(tmp_path):
    """Nothing is left to do, which is no fault of the statistics."""
    fuse(tmp_path, detector())
    done = run_int4q("rewrite", tmp_path / "out.onnx", "-o", tmp_path / "y.onnx", "--calibration", tmp_path / "stats", *OPTIONS,
                     status=4)
    assert "already-quantized" in done.stderr


@needs_cast
def test_eight_bits_are_nearly_exact(tmp_path):
    made, _ = fuse(tmp_path, detector(), "--format", "int8")
    for test in pictures():
        assert error_db(run(detector(), {"x": test})[0], run(made, {"x": test})[0]) > 35


def test_same_bytes(tmp_path):
    """However many threads, whatever kernels."""
    fuse(tmp_path, detector())
    first = (tmp_path / "out.onnx").read_bytes()
    for threads in 1, 3:
        fuse(tmp_path, detector(), "--method", "calibrated", "-j", threads)
        assert (tmp_path / "out.onnx").read_bytes() == first
    assert INT4Q


# ---- what is written


def test_ranges(tmp_path):
    """Zero is exact everywhere; what moves values keeps their scale; Sigmoid has 0 to 1, a picture what it spans."""
    made, report = fuse(tmp_path, detector())
    found = pairs(made)
    assert set(found) == {"x", "a0", "h0_gate", "h0", "a1", "h1_gate", "h1", "p", "q", "a2", "h2", "cat", "small", "large", "sum",
                          "h3", "a4", "seen", "a5"}
    assert found["p"] == found["q"] == found["h1"] and found["small"] == found["large"] == found["cat"]
    assert found["h0_gate"] == found["h1_gate"] == (np.float32(1) / np.float32(255), 0)
    assert found["h3"][1] == 0, "what Relu gives begins at 0"
    low, high = min(0, *(a.min() for a in pictures())), max(a.max() for a in pictures())
    assert found["x"] == (np.float32((np.float64(high) - low) / 255), 0)
    told = {a["tensor"]: (np.float32(a["scale"]), a["zero_point"]) for a in report["activations"]}
    assert told == {k: (np.float32(s), z) for k, (s, z) in found.items()}
    for name in found:
        assert set(readers(made, name)) == {"QuantizeLinear"}, "all that read it read the pair"


def test_errors_count_behind_activations(tmp_path):
    """What goes into SiLU is cut where SiLU is next to nothing."""
    made, _ = fuse(tmp_path, detector(), arrays=[40 * a for a in pictures()])
    probe = detector()
    probe.graph.output.append(onnx.ValueInfoProto(name="a0"))
    low = min(run(probe, {"x": 40 * a})[1].min() for a in pictures())
    scale, zero = pairs(made)["a0"]
    assert low < -40 and -zero * scale > low / 2


def test_biases(tmp_path):
    """INT32 with the scale of what the Conv reads times that of its weight; those that were stored before have gone."""
    made, _ = fuse(tmp_path, detector(), "--method", "calibrated", "--no-bias-correction")
    stored = {t.name: numpy_helper.to_array(t) for t in made.graph.initializer if t.data_type != TensorProto.INT4}
    makers, originals = {n.output[0]: n for n in made.graph.node}, {t.name: t for t in detector().graph.initializer}
    ranges = pairs(made)
    for node in made.graph.node:
        if node.op_type != "Conv" or len(node.input) < 3:
            continue
        codes, scale = (stored[i] for i in makers[node.input[2]].input)
        name = node.name.replace("conv_w", "b")
        source = makers[makers[node.input[0]].input[0]].input[0]
        weight_scale = stored[makers[node.input[1]].input[1]]
        np.testing.assert_array_equal(scale, np.float32(ranges[source][0]) * weight_scale)
        bias = numpy_helper.to_array(originals[name]).astype(np.float64)
        assert codes.dtype == np.int32 and codes.tolist() == np.rint(bias / scale.astype(np.float64)).tolist()
        assert name not in stored


@needs_cast
def test_channels_that_are_next_to_nothing(tmp_path):
    """Weights of 1e-20 have a scale with which INT32 does not hold the bias."""
    model = detector()
    weight = next(t for t in model.graph.initializer if t.name == "w1")
    array = numpy_helper.to_array(weight).copy()
    array[3] *= np.float32(1e-20)
    weight.CopyFrom(numpy_helper.from_array(array, "w1"))
    made, _ = fuse(tmp_path, model)
    assert optimized(tmp_path, made)["QLinearConv"] == 6
    probe, test = onnx.ModelProto(), pictures()[0]
    probe.CopyFrom(made)
    for m in model, probe:
        m.graph.output.append(onnx.ValueInfoProto(name="a1"))
    wanted, got = run(model, {"x": test})[1][:, 3], run(probe, {"x": test})[1][:, 3]
    np.testing.assert_allclose(got, wanted, atol=2e-3)


def test_outputs_stay_float(tmp_path):
    """A Conv whose result is an output of the model computes in float, with a weight that is decoded at load."""
    model = detector()
    model.graph.output.append(value("a1", 1, 8, 12, 12))
    made, report = fuse(tmp_path, model)
    assert "a1" not in pairs(made) and any("1 Convs compute in float" in n for n in report["notes"])
    weight, = (n for n in made.graph.node if n.output[0] == "w1")
    assert weight.op_type == "Mul"
    assert [n.op_type for n in made.graph.node if n.output[0] in ("w0", "w2")] == ["DequantizeLinear"] * 2


def test_codes_are_those_of_the_plain_form(tmp_path):
    made, _ = fuse(tmp_path, detector())
    run_int4q("rewrite", tmp_path / "in.onnx", "-f", "-q", "-o", tmp_path / "plain.onnx", "--method", "calibrated", "--calibration",
              tmp_path / "stats")
    plain = {t.name: int4_codes(t) for t in onnx.load(tmp_path / "plain.onnx").graph.initializer if t.name.endswith("_quantized")}
    assert len(plain) == 6
    for stored in made.graph.initializer:
        if stored.name in plain:
            np.testing.assert_array_equal(int4_codes(stored), plain.pop(stored.name))
    assert not plain


def test_way_back(tmp_path):
    """inspect knows weights and activations; restore gives the float graph again, with the weights that the file stands for."""
    made, _ = fuse(tmp_path, detector())
    out = tmp_path / "out.onnx"
    run_int4q("inspect", out, "--require", "int4==6", "--require", "act8==19", "--require", "valid", "--require", "float==0")
    run_int4q("restore", out, "-f", "-o", tmp_path / "back.onnx", "--activations", "--weights")
    back = onnx.load(tmp_path / "back.onnx")
    onnx.checker.check_model(back, full_check=True)
    assert [n.op_type for n in back.graph.node] == [n.op_type for n in detector(21).graph.node]
    run_int4q("rewrite", tmp_path / "in.onnx", "-f", "-q", "-o", tmp_path / "plain.onnx", "--method", "calibrated", "--calibration",
              tmp_path / "stats")
    test = {"x": pictures()[0]}
    np.testing.assert_allclose(run(back, test)[0], run(onnx.load(tmp_path / "plain.onnx"), test)[0], atol=1e-3)
    assert made


# ---- what cannot be


@pytest.mark.parametrize("args, line", [
    (["--decode", "fused"], "--decode fused needs --activations uint8 or int8"),
    (["--decode", "fused", "--activations", "uint4", "--calibration", "stats"], "--decode fused needs --activations uint8 or int8"),
    ([*OPTIONS, "--calibration", "stats", "--block", "8"], "--decode fused cannot be combined with --block"),
    ([*OPTIONS, "--calibration", "stats", "--bits", "5", "--choices", "4,4:32"], "blocks cannot be combined with --decode fused"),
    ([*OPTIONS, "--calibration", "stats", "--activation-scales", "channel"], "cannot be combined with --activation-scales channel"),
    ([*OPTIONS, "--calibration", "stats", "--format", "packed-u8"], "--format packed-u8 cannot be combined with --decode fused"),
])
def test_usage(tmp_path, args, line):
    stats = measured(tmp_path, detector(), pictures(1))
    args = [str(stats) if a == "stats" else a for a in args]
    assert line in run_int4q("rewrite", tmp_path / "in.onnx", "-o", tmp_path / "y.onnx", *args, status=2).stderr


def test_statistics_of_inputs_alone(tmp_path):
    """As they were before values between Convs were measured: one line."""
    from safetensors.numpy import load_file, save_file
    stats = measured(tmp_path, detector(), pictures(2))
    with open(stats, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    kept = {k: v for k, v in load_file(stats).items() if not k.startswith(("a0|", "a1|", "a2|", "a3|", "a4|", "a5|"))}
    save_file(kept, str(stats), header["__metadata__"])
    done = run_int4q("rewrite", tmp_path / "in.onnx", "-o", tmp_path / "y.onnx", "--calibration", stats, *OPTIONS, status=3)
    assert "it tells of no value that a Conv gives" in done.stderr


# ---- what loses too much


def lopsided():
    """One channel of h0 reaches a thousand times as far as the others, which have no levels then."""
    model = detector()
    for stored in model.graph.initializer:
        if stored.name in ("w0", "b0"):
            array = numpy_helper.to_array(stored).copy()
            array[1] = np.abs(array[1]) * 3000
            stored.CopyFrom(numpy_helper.from_array(array, stored.name))
    return model


def in_float(made):
    """Weights that are decoded at load."""
    return {n.output[0] for n in made.graph.node if n.op_type == "Mul" and n.output[0].startswith("w")}


def test_tensors_that_lose_too_much(tmp_path):
    """They stay float, with the Conv that makes them and those that read them, unless the user says what stays."""
    made, report = fuse(tmp_path, lopsided(), keep=())
    assert {"w0", "w1"} <= in_float(made) and "w2" not in in_float(made) and not {"a0", "h0", "h0_gate"} & set(pairs(made)) and {"q", "a2"} <= set(pairs(made))
    assert any("Convs compute in float" in n for n in report["notes"])
    made, _ = fuse(tmp_path, lopsided())
    assert not in_float(made) and "h0" in pairs(made)


def test_tensors_that_the_user_keeps(tmp_path):
    """By a file; with what only moves values goes what it moves. What leads to none that computes is float as well."""
    (tmp_path / "keep.json").write_text('{"sum": 5, "q": 4, "h0": 1}')
    file = ("--keep-activations", str(tmp_path / "keep.json"))
    made, report = fuse(tmp_path, detector(), keep=(*file, "--keep-activations", "1"))
    assert in_float(made) == {"w3"} and not {"sum", "cat"} & set(pairs(made)) and "q" in pairs(made)
    made, report = fuse(tmp_path, detector(), keep=(*file, "--keep-activations", "2"))
    assert in_float(made) == {"w1", "w2", "w3"} and not {"h1", "q", "a1"} & set(pairs(made))
    assert not any("keep-activations" in n for n in report["notes"])

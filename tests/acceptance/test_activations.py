# SPDX-License-Identifier: Apache-2.0
"""Activations in low bits: ranges against plain numpy versions of their rules, what stands before which Convs, and what ONNX
Runtime makes of it."""
import json

import numpy as np
import onnx
import onnxruntime
import pytest
from helpers import decoded_weights, graphs, make_model, random_feeds, rewrite, run, run_int4q, tensor, value
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

BINS, LEVELS = 64, {"uint8": 8, "int8": 8, "uint6": 6, "uint5": 5, "uint4": 4, "int4": 4}
STORED = {True: TensorProto.INT8, False: TensorProto.UINT8}


def detector(opset=13):
    """Three Convs behind the first, which two of them share their input with, one of them depthwise; both outputs are read."""
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["a"], name="first", pads=[1] * 4),
             helper.make_node("Sigmoid", ["a"], ["s"]), helper.make_node("Mul", ["a", "s"], ["t"]),
             helper.make_node("Conv", ["t", "d"], ["c"], name="depthwise", group=8, pads=[1] * 4),
             helper.make_node("Conv", ["t", "p", "e"], ["f"], name="point"),
             helper.make_node("Conv", ["c", "q"], ["g"], name="last"), helper.make_node("Add", ["f", "g"], ["y"])]
    weights = [tensor("w", 8, 3, 3, 3), tensor("b", 8), tensor("d", 8, 1, 3, 3), tensor("p", 6, 8, 1, 1), tensor("e", 6),
               tensor("q", 6, 8, 1, 1)]
    return make_model(nodes, weights, [value("x", 1, 3, 12, 12)], [value("y", 1, 6, 12, 12), value("t", 1, 8, 12, 12)],
                      opset=opset)


def spread(rows):
    """(lo, hi, hist) of values [C, n], as scripts/calibrate.py counts them."""
    low, high = rows.min(1), rows.max(1)
    width = np.where(high > low, high.astype(np.float64) - low, 1)
    bins = np.minimum((rows.astype(np.float64) - low[:, None]) / width[:, None] * BINS, BINS - 1).astype(int)
    return low, high, np.stack([np.bincount(row, minlength=BINS) for row in bins]).astype(np.uint32)


def lopsided(name, channels=8, count=500):
    """Values as of SiLU, each channel with a reach of its own."""
    random = np.random.default_rng([*name.encode()])
    x = random.standard_normal((channels, count)) * np.geomspace(0.3, 9, channels)[:, None]
    return (x / (1 + np.exp(-x))).astype(np.float32)


def statistics(folder, spreads, moments=(), images=8):
    """A file with {value: (lo, hi, hist)}, and means of weights."""
    found = {f"{name}|{key}": np.asarray(part) for name, parts in spreads.items()
             for key, part in zip(("lo", "hi", "hist"), parts)}
    save_file({**found, **dict(moments)}, str(folder / "stats.safetensors"), {"images": str(images)})
    return folder / "stats.safetensors"


# ---- the rules, as docs/methods.md has them

def gathered(parts, factors=None):
    """(values, counts, width) of 2048 bins that those of all channels fall into with their middles."""
    low, high, counts = (np.asarray(part, np.float64) for part in parts)
    a = np.ones(len(low)) if factors is None else np.asarray(factors, np.float64)
    middles = (low[:, None] + (np.arange(counts.shape[1]) + 0.5) * (high - low)[:, None] / counts.shape[1]) / a[:, None]
    first, last = (low / a).min(), (high / a).max()
    place = np.zeros_like(middles) if last == first else (middles - first) / (last - first) * 2048
    joined = np.bincount(np.clip(place.astype(int), 0, 2047).ravel(), counts.ravel(), 2048)
    width = (last - first) / 2048
    kept = joined > 0
    return (first + (np.arange(2048) + 0.5) * width)[kept], joined[kept], width, min(first, 0), max(last, 0)


def decode(x, scale, zero, top):
    return np.clip(np.rint(x / scale), -zero, top - zero) * scale


def affine(low, high, top):
    scale = float(np.float32((high - low) / top)) or 1.0
    return scale, int(np.rint(min(-low / scale, top)))


def searched(x, n, low, high, top, power, bits):
    best = (np.inf, 0, 0)
    for i in range(100, 1, -1):
        scale = float(np.float32((high - low) / top * i / 100)) or 1.0
        steps = min(-low / scale, top)
        zeros = range(int(np.ceil(steps)) + 1) if bits <= 4 else \
            sorted({int(np.rint(min(-low * k / 10 / scale, top))) for k in range(11)})
        for zero in zeros:
            if high > 0 and (top - zero) * scale > 1.1 * high + scale:
                continue
            loss = (n * np.abs(decode(x, scale, zero, top) - x) ** power).sum()
            if loss < best[0] * (1 - 1e-12):
                best = (loss, scale, zero)
    return best[1:]


def unilateral(x, n, low, high, top):
    inside = x >= 0
    ranges = [affine(low, high * (i + 0.5) / 2048, top) for i in range(128, 2048)]
    losses = [(n * (decode(x, *r, top) - x) ** 2)[inside].sum() for r in ranges]
    return ranges[int(np.argmin(losses))]


def percentile(x, n, width, top):
    cut = 0.00005 * n.sum()
    first, last = np.argmax(np.cumsum(n) > cut), len(n) - 1 - np.argmax(np.cumsum(n[::-1]) > cut)
    return affine(min(x[first] - width / 2, 0), max(x[last] + width / 2, 0), top)


def range_of(parts, rule, bits, factors=None):
    """(scale, zero point) that a rule finds."""
    x, n, width, low, high = gathered(parts, factors)
    top = 2 ** bits - 1
    if rule in ("mse", "l2.4"):
        return searched(x, n, low, high, top, 2 if rule == "mse" else 2.4, bits)
    return {"minmax": lambda: affine(low, high, top), "percentile": lambda: percentile(x, n, width, top),
            "unilateral": lambda: unilateral(x, n, low, high, top)}[rule]()


# ---- what is written

def stored(model):
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


def pairs(model):
    """{value: (QuantizeLinear, Clip or None, DequantizeLinear)} of the activations."""
    readers = {name: node for node in model.graph.node for name in node.input}
    divided = {node.output[0]: node.input[0] for node in model.graph.node if "activation_divided" in node.output[0]}
    found = {}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            behind = readers[node.output[0]]
            clip = behind if behind.op_type == "Clip" else None
            found[divided.get(node.input[0], node.input[0])] = node, clip, readers[clip.output[0]] if clip else behind
    return found


def quantized(folder, *arguments, opset=13, values=("t", "c")):
    model = detector(opset)
    spreads = {name: spread(lopsided(name)) for name in values}
    path = statistics(folder, spreads)
    return model, spreads, *rewrite(model, folder, "--calibration", path, *arguments)


@pytest.mark.parametrize("rule", ["l2.4", "mse", "minmax", "percentile", "unilateral"])
@pytest.mark.parametrize("levels", ["uint8", "uint6", "uint4"])
def test_ranges_are_those_of_the_rules(tmp_path, rule, levels):
    _, spreads, made, report = quantized(tmp_path, "--activations", levels, "--activation-range", rule)
    tensors = stored(made)
    for name, (q, _, dq) in pairs(made).items():
        scale, zero = range_of(spreads[name], rule, LEVELS[levels])
        told = next(a for a in report["activations"] if a["tensor"] == name)
        assert told["bits"] == LEVELS[levels] and told["range"] == rule and told["zero_point"] == zero
        assert tensors[q.input[1]] == np.float32(scale) == np.float32(told["scale"])
        assert tensors[q.input[2]] == zero and list(q.input[1:]) == list(dq.input[1:])


@pytest.mark.parametrize("levels", LEVELS)
def test_each_tensor_is_quantized_once_before_its_convs(tmp_path, levels):
    model, _, made, report = quantized(tmp_path, "--activations", levels)
    onnx.checker.check_model(made, full_check=True)
    found, tensors = pairs(made), stored(made)
    bits, signed = LEVELS[levels], levels.startswith("int")
    assert set(found) == {"t", "c"}
    for q, clip, _dq in found.values():
        assert (clip is None) == (bits == 8)
        assert next(t for t in made.graph.initializer if t.name == q.input[2]).data_type == STORED[signed]
        assert not clip or [int(tensors[i]) for i in clip.input[1:]] == ([-8, 7] if signed else [0, 2 ** bits - 1])
    reads = {node.name: node.input[0] for node in made.graph.node if node.op_type == "Conv"}
    assert reads == {"first": "x", "depthwise": found["t"][2].output[0], "point": found["t"][2].output[0],
                     "last": found["c"][2].output[0]}
    assert [a["reason"] for a in report["activations"]] == ["image", None, None]
    assert report["options"]["activations"] == levels and report["options"]["activation_scales"] == "tensor"
    assert next(n for n in made.graph.node if n.op_type == "Mul").output[0] == "t" == made.graph.output[1].name
    assert all(t.shape == s.shape for t, s in zip(run(made, random_feeds(model)), run(model, random_feeds(model))))


def test_int_and_uint_stand_for_the_same_numbers(tmp_path):
    model, _, first, _ = quantized(tmp_path, "--activations", "uint4")
    _, _, second, _ = quantized(tmp_path, "--activations", "int4")
    for a, b in zip(run(first, random_feeds(model)), run(second, random_feeds(model))):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("levels", ["uint8", "uint4", "int8"])
def test_convs_read_rounded_values(tmp_path, levels):
    model, spreads, made, _ = quantized(tmp_path, "--activations", levels, "--include", "last")
    found = pairs(made)
    assert set(found) == {"c"}
    made.graph.output.extend([value("c", 1, 8, 12, 12), value(found["c"][2].output[0], 1, 8, 12, 12)])
    *_, plain, rounded = run(made, random_feeds(model))
    bits = LEVELS[levels]
    scale, zero = range_of(spreads["c"], "l2.4", bits)
    want = np.clip(np.rint(plain / np.float32(scale)), -zero, 2 ** bits - 1 - zero).astype(np.float32) * np.float32(scale)
    np.testing.assert_array_equal(rounded, want)


def test_old_statistics_are_told_of(tmp_path):
    path = statistics(tmp_path, {}, {"w|mu": np.zeros(27, np.float32)})
    onnx.save(detector(), tmp_path / "m.onnx")
    done = run_int4q("rewrite", tmp_path / "m.onnx", "-o", tmp_path / "o.onnx", "--calibration", path, "--activations", "uint8",
                     status=3)
    assert done.stderr.count("\n") == 1 and "no histograms" in done.stderr and str(path) in done.stderr


# ---- a scale a channel

def factors_of(parts, exponent):
    """What each channel is divided by: its own scale over their geometric mean, to some power."""
    low, high, counts = parts
    scales = []
    for lo, hi, n in zip(low, high, counts):
        middles = np.float64(lo) + (np.arange(len(n)) + 0.5) * (np.float64(hi) - np.float64(lo)) / len(n)
        x, many, least, most, best = middles[n > 0], n[n > 0].astype(np.float64), min(lo, 0.0), max(hi, 0.0), (np.inf, 0)
        for i in range(40, 0, -1):
            scale = float(np.float32((np.float64(most) - least) / 15 * i / 40))
            for zero in range(int(np.ceil(min(-least / scale, 15))) + 1):
                if most > 0 and (15 - zero) * scale > 1.1 * most + scale:
                    continue
                loss = (many * (decode(x, scale, zero, 15) - x) ** 2).sum()
                best = (loss, scale) if loss < best[0] * (1 - 1e-12) else best
        scales.append(best[1])
    ratio = np.clip(scales / np.exp(np.log(scales).mean()), 1 / 16, 16)
    return ratio ** exponent


def weights_of(model):
    """{weight: its floats, decoded}."""
    tensors, found = stored(model), {}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in tensors:
            codes, scale, zero = (tensors[name].astype(np.float32) for name in node.input)
            column = [-1] + [1] * (codes.ndim - 1)
            found[node.output[0]] = (codes - zero.reshape(column)) * scale.reshape(column)
    return found


@pytest.mark.parametrize("levels", ["uint4", "uint6", "uint8"])
def test_scales_of_channels_go_into_the_weights(tmp_path, levels):
    model, spreads, made, report = quantized(tmp_path, "--activations", levels, "--activation-scales", "channel", "--format", "int8",
                                             "--no-bias-correction")
    onnx.checker.check_model(made, full_check=True)
    tensors, floats, decoded = stored(made), stored(model), weights_of(made)
    readers = {"t": ["d", "p"], "c": ["q"]}
    for name, (q, _, dq) in pairs(made).items():
        factors, step = factors_of(spreads[name], 0.25 if levels == "uint8" else 0.5), tensors[dq.input[1]]
        if name == "t":
            ratios = tensors[q.input[1]] / step
            assert q.attribute[0].name == "axis" and q.attribute[0].i == 1
        else:  # ONNX Runtime would make an integer Conv of `depthwise` and a QuantizeLinear with a scale a channel
            ratios = 1 / tensors["c_activation_ratio"].reshape(-1)
            assert not q.attribute
        np.testing.assert_allclose(ratios, factors, rtol=1e-5)
        assert step.shape == () and not dq.attribute
        scale, zero = range_of(spreads[name], "l2.4", LEVELS[levels], ratios.astype(np.float32))
        assert abs(step / scale - 1) < 1e-5 and (tensors[q.input[2]] == zero).all() and tensors[dq.input[2]] == zero
        for weight in readers[name]:
            column = factors.reshape([-1, 1, 1, 1] if weight == "d" else [1, -1, 1, 1])
            wanted = floats[weight] * column
            steps = np.abs(wanted).reshape(len(wanted), -1).max(1).reshape(-1, 1, 1, 1) / 127
            assert (np.abs(decoded[weight] - wanted) <= 0.51 * steps).all()
    assert {a["granularity"] for a in report["activations"]} == {None, "per-channel"}
    default, plain = run(made, random_feeds(model), optimize=True), run(made, random_feeds(model))
    for a, b in zip(default, plain):
        np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(b).max())


@pytest.mark.parametrize("form", [[], ["--decode", "cast"], ["--format", "int8"], ["--format", "packed3"]], ids=" ".join)
def test_restored_weights_run_between_scales_a_channel(tmp_path, form):
    """A Conv with float weights is joined with the QuantizeLinear behind it, which must have one scale then."""
    model = detector()
    path = statistics(tmp_path, {name: spread(lopsided(name)) for name in "tc"})
    made, _ = rewrite(model, tmp_path, "--calibration", path, "--activations", "uint4", "--activation-scales", "channel", *form)
    run_int4q("restore", tmp_path / "out.onnx", "-o", tmp_path / "r.onnx")
    restored, feeds = onnx.load(tmp_path / "r.onnx"), random_feeds(model)
    onnx.checker.check_model(restored, full_check=True)
    values = {t.name: numpy_helper.to_array(t) for t in restored.graph.initializer}
    quantizers = [node for node in restored.graph.node if node.op_type == "QuantizeLinear"]
    assert sorted(values[node.input[1]].shape for node in quantizers) == [(), (8,)]  # what Mul makes keeps its own
    assert set(values) <= {name for node in restored.graph.node for name in node.input}
    wanted = run(made, feeds)
    for got, want in zip(run_simulated(restored, feeds), wanted, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-4 * np.abs(want).max())
    for got, want in zip(run(restored, feeds, optimize=True), wanted, strict=True):  # weights in 8 bits of its own
        np.testing.assert_allclose(got, want, atol=0.1 * np.abs(want).max())


def test_depthwise_convs_take_factors_wholly(tmp_path):
    model = detector()
    del model.graph.node[4]  # `point`, the other reader of t
    model.graph.node[-1].CopyFrom(helper.make_node("Identity", ["g"], ["y"]))
    path = statistics(tmp_path, {"t": spread(lopsided("t")), "c": spread(lopsided("c"))})
    made, _ = rewrite(model, tmp_path, "--calibration", path, "--activations", "uint4", "--activation-scales", "channel")
    q, _, dq = pairs(made)["t"]
    np.testing.assert_allclose(stored(made)[q.input[1]] / stored(made)[dq.input[1]], factors_of(spread(lopsided("t")), 1),
                               rtol=1e-5)


def test_a_weight_that_meets_two_tensors_has_no_factors(tmp_path):
    model = detector()
    model.graph.node[5].input[1] = "p"  # `last` shares its weight with `point`
    path = statistics(tmp_path, {"t": spread(lopsided("t")), "c": spread(lopsided("c"))})
    made, report = rewrite(model, tmp_path, "--calibration", path, "--activations", "uint4", "--activation-scales", "channel")
    assert [a["granularity"] for a in report["activations"]] == [None, "per-tensor", "per-tensor"]
    assert all(stored(made)[q.input[1]].shape == () for q, _, _ in pairs(made).values())


# ---- which keep 8 bits

def bits_of(report):
    return {a["tensor"]: a["bits"] for a in report["activations"] if a["bits"]}


def test_the_most_sensitive_tensors_keep_8_bits(tmp_path):
    _, spreads, made, report = quantized(tmp_path, "--activations", "uint4", "--keep-activations", "1")
    losses = {}
    for name, parts in spreads.items():
        low, high, n = (np.asarray(part, np.float64) for part in parts)
        x = low[:, None] + (np.arange(BINS) + 0.5) * (high - low)[:, None] / BINS
        mean = (n * x).sum(1, keepdims=True) / n.sum(1, keepdims=True)
        ratio = (n * (decode(x, *range_of(parts, "l2.4", 4), 15) - x) ** 2).sum(1) / (n * (x - mean) ** 2).sum(1)
        losses[name] = np.sqrt(n.sum() / 8) * np.minimum(ratio, 1).mean()
    worst = max(losses, key=losses.get)
    assert bits_of(report) == {name: 8 if name == worst else 4 for name in losses}
    scale, zero = range_of(spreads[worst], "l2.4", 8)
    q, clip, _ = pairs(made)[worst]
    assert stored(made)[q.input[1]] == np.float32(scale) and stored(made)[q.input[2]] == zero and clip is None


@pytest.mark.parametrize(("text", "more", "wide"), [
    ('{"layer_sensitivity": [{"layer": "c", "sensitivity": 2, "num_bits": 4}, {"layer": "t", "sensitivity": 1}], "k": 1}', [], "c"),
    ('{"c": 1, "t": 2}', [], "ct"), ('{"c": 1, "t": 2}', ["--keep-activations", "1"], "t"),
    ('{"excluded_onnx_nodes": ["c"]}', [], "c"), ('{"c": 1, "elsewhere": 5}', [], "c")])
def test_files_tell_which_tensors_keep_8_bits(tmp_path, text, more, wide):
    (tmp_path / "s.json").write_text(text)
    _, _, _, report = quantized(tmp_path, "--activations", "uint4", "--keep-activations", tmp_path / "s.json", *more)
    assert bits_of(report) == {name: 8 if name in wide else 4 for name in "tc"}
    assert any("elsewhere" in note for note in report["notes"]) == ("elsewhere" in text)


@pytest.mark.parametrize(("text", "more", "status", "told"), [
    ('{"x1": 1}', [], 3, "none of its 1 entries"), ("[", [], 3, "s.json"),
    ('{"excluded_onnx_nodes": ["c"]}', ["--keep-activations", "1"], 2, "without scores"),
    ('{"c": 1}', ["--keep-activations", "other.json"], 2, "one file")])
def test_what_files_cannot_tell(tmp_path, text, more, status, told):
    (tmp_path / "s.json").write_text(text)
    path = statistics(tmp_path, {name: spread(lopsided(name)) for name in "tc"})
    onnx.save(detector(), tmp_path / "m.onnx")
    done = run_int4q("rewrite", tmp_path / "m.onnx", "-o", tmp_path / "o.onnx", "--calibration", path, "--activations", "uint4",
                     "--keep-activations", tmp_path / "s.json", *more, status=status)
    assert done.stderr.count("\n") == 1 and told in done.stderr


# ---- all kinds of models

def save(folder, model, values="tc", **kwargs):
    """The model in a file, and statistics of its values."""
    onnx.save(model, folder / "m.onnx")
    return folder / "m.onnx", statistics(folder, {name: spread(lopsided(name)) for name in values}, **kwargs)


def reasons(report):
    return {a["tensor"]: a["reason"] for a in report["activations"]}


def rewritten(folder, model, *arguments, values="tc"):
    _, path = save(folder, model, values)
    return rewrite(model, folder, "--calibration", path, *arguments)


def test_float16(tmp_path):
    model = detector(17)
    for stored_tensor in model.graph.initializer:
        stored_tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(stored_tensor).astype(np.float16), stored_tensor.name))
    for v in [*model.graph.input, *model.graph.output]:
        v.type.tensor_type.elem_type = TensorProto.FLOAT16
    made, _ = rewritten(tmp_path, model, "--activations", "uint4", "--format", "int8")
    onnx.checker.check_model(made, full_check=True)
    assert made.opset_import[0].version == 19
    tensors = stored(made)
    for name, (q, _, dq) in pairs(made).items():
        x, n, _, low, high = gathered(spread(lopsided(name)))
        best = min(((n * np.abs(decode(x, s, z, 15) - x) ** 2.4).sum(), -i, z, s) for i in range(100, 1, -1)
                    for s in [float(np.float16(np.float32((high - low) / 15 * i / 100)))]
                    for z in range(int(np.ceil(min(-low / s, 15))) + 1) if (15 - z) * s <= 1.1 * high + s)
        assert tensors[q.input[1]].dtype == np.float16 and float(tensors[q.input[1]]) == best[3] and tensors[q.input[2]] == best[2]
        assert q.input[1] == dq.input[1]
    assert all(np.isfinite(array).all() for array in run(made, random_feeds(model)))


def test_bodies_and_functions_keep_floats(tmp_path):
    """A Conv in a body stays as it is, also where what it reads is quantized for others."""
    model = detector(17)
    inner = helper.make_graph([helper.make_node("Conv", ["t", "p", "e"], ["i"], name="inside"), helper.make_node("Relu", ["i"], ["r"]),
                               helper.make_node("Conv", ["r", "k"], ["o"], name="after")], "body", [],
                              [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)])
    other = helper.make_graph([helper.make_node("Identity", ["f"], ["o2"])], "other", [],
                              [helper.make_tensor_value_info("o2", TensorProto.FLOAT, None)])
    model.graph.initializer.extend([tensor("k", 6, 6, 1, 1), numpy_helper.from_array(np.array(True), "yes")])
    model.graph.node.insert(5, helper.make_node("If", ["yes"], ["u"], then_branch=inner, else_branch=other))
    model.graph.node.append(helper.make_node("Conv", ["u", "k"], ["y2"], name="behind"))
    model.graph.output.append(helper.make_tensor_value_info("y2", TensorProto.FLOAT, None))
    spreads = {"t": spread(lopsided("t")), "c": spread(lopsided("c")), "u": spread(lopsided("u", 6))}
    made, report = rewrite(model, tmp_path, "--calibration", statistics(tmp_path, spreads), "--activations", "uint8",
                           "--activation-scales", "channel")
    reads = {node.name: node.input[0] for graph in graphs(made.graph) for node in graph.node if node.op_type == "Conv"}
    assert reads["inside"] == "t" and reads["after"] == "r" and reads["point"].startswith("t_")
    assert reasons(report) == {"x": "image", "t": None, "c": None, "u": None, "r": "body"}
    granularity = {a["tensor"]: a["granularity"] for a in report["activations"]}
    assert granularity["t"] == "per-tensor"  # `inside` reads t in float, with the weight of `point`
    assert granularity["u"] == "per-tensor"  # `after` has the weight of `behind`
    run(made, random_feeds(model), optimize=True)


def test_what_comes_from_inputs_alone_is_an_image(tmp_path):
    """Several inputs, one of them scaled first; sizes that are not known."""
    model = detector()
    model.graph.node.insert(0, helper.make_node("Mul", ["z", "half"], ["x"]))
    model.graph.node.append(helper.make_node("Conv", ["v", "w"], ["y3"], name="second"))
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0.5), "half"))
    del model.graph.input[:]
    model.graph.input.extend([value("z", "n", 3, "h", "w"), value("v", "n", 3, "h", "w")])
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("y", "y3"))
    made, report = rewritten(tmp_path, model, "--activations", "uint8", values="tcxzv")
    assert reasons(report) == {"x": "image", "t": None, "c": None, "v": "image"}
    feeds = {name: np.random.default_rng(3).standard_normal((2, 3, 9, 7)).astype(np.float32) for name in "zv"}
    assert [a.shape for a in run(made, feeds)] == [(2, 6, 9, 7), (2, 8, 7, 5)]


def test_values_that_are_quantized_already(tmp_path):
    first, _ = rewritten(tmp_path, detector(), "--activations", "uint8", "--include", "point", values="t")
    read = next(node for node in first.graph.node if node.name == "point").input[0]
    made, report = rewritten(tmp_path, first, "--activations", "uint8", "--include", "depthwise", "--include", "last")
    assert reasons(report) == {"t": None, "c": None}
    assert next(node for node in made.graph.node if node.name == "point").input[0] == read
    for node in first.graph.node:
        node.input[:] = [read if name == "t" and node.name == "depthwise" else name for name in node.input]
    made, report = rewritten(tmp_path, first, "--activations", "uint8", "--include", "depthwise", "--include", "last")
    assert reasons(report) == {read: "already-quantized", "c": None}


@pytest.mark.parametrize("shape", [(6,), (6, 8), (6, 8, 1, 1)])
def test_imported_weights(tmp_path, shape):
    """Their Convs read rounded values, too; they cannot take factors. Shapes that no Conv has are looked at, not read."""
    model = detector()
    model.graph.initializer.extend([tensor("i", *shape), *(numpy_helper.from_array(np.float32(v), n) for v, n in (
        (0.25, "scale"), (0, "zero"), (4, "width")))])
    model.graph.node.insert(0, helper.make_node("Quant", ["i", "scale", "zero", "width"], ["iq"], domain="qonnx.custom_op.general",
                                                signed=1, narrow=0, rounding_mode="ROUND"))
    model.graph.node[6].input[1] = "iq"  # of `last`
    model.opset_import.append(helper.make_opsetid("qonnx.custom_op.general", 1))
    onnx.save(model, tmp_path / "m.onnx")
    path = statistics(tmp_path, {name: spread(lopsided(name)) for name in "tc"})
    done = run_int4q("rewrite", tmp_path / "m.onnx", "-o", tmp_path / "o.onnx", "--calibration", path, "--import", "weights", "--format",
                     "int4", "--activations", "uint4", "--activation-scales", "channel", "--json", tmp_path / "r.json")
    report = json.loads((tmp_path / "r.json").read_text())
    granularity = {a["tensor"]: a["granularity"] for a in report["activations"]}
    assert granularity["t"] == "per-channel" and not done.stderr.count("error")
    assert granularity.get("c") == ("per-tensor" if len(shape) == 4 else None)


def test_floats_read_floats(tmp_path):
    """What excluded and unmeasured Convs read, and values that are not in the file."""
    made, report = rewritten(tmp_path, detector(), "--activations", "uint8", "--exclude", "point", values="t")
    reads = {node.name: node.input[0] for node in made.graph.node if node.op_type == "Conv"}
    assert reads["point"] == "t" and reads["depthwise"] != "t" and reads["last"] == "c"
    assert reasons(report) == {"x": "image", "t": None, "c": "unmeasured"}


def run_simulated(model, feeds):
    """Optimized, but for what ONNX Runtime does to quantized nodes: it would go on to quantize weights that it has folded."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, feeds)


@pytest.mark.parametrize(("arguments", "opset", "needed"), [
    (["--format", "packed-u8"], 11, 13), (["--format", "int8"], 13, 13), (["--dq-domain", "com.microsoft"], 12, 13),
    ([], 13, 21), (["--decode", "cast"], 13, 21)])
def test_opsets(tmp_path, arguments, opset, needed):
    model = detector(opset)
    for levels in ("uint8", "uint4"):
        made, _ = rewritten(tmp_path, model, "--activations", levels, "--activation-scales", "channel", *arguments)
        assert made.opset_import[0].version == needed and len(pairs(made)) == 2
        run(made, random_feeds(model), optimize=True)
        for a, b in zip(run(made, random_feeds(model)), run_simulated(made, random_feeds(model))):
            np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(a).max())


@pytest.mark.parametrize("levels", ["uint8", "uint4"])
def test_convs_of_our_own_take_ranges(tmp_path, levels):
    model = detector()
    made, report = rewritten(tmp_path, model, "--activations", levels, "--decode", "nbits")
    nodes = {node.name: {a.name: a for a in node.attribute} for node in made.graph.node if node.op_type == "ConvNBits"}
    told = {a["tensor"]: a for a in report["activations"]}
    wide = levels == "uint8"
    assert len(pairs(made)) == (0 if wide else 2)
    for name, read in (("first", None), ("depthwise", None), ("point", "t"), ("last", "c")):
        fixed = (np.float32(told[read]["scale"]), told[read]["zero_point"]) if wide and read else (0, 0)
        assert (nodes[name]["input_scale"].f, nodes[name]["input_zero_point"].i) == fixed
    run(made, random_feeds(model))


# ---- statistics

def one(key, change):
    """A change of one part of t's histogram."""
    def apply(found):
        found[f"t|{key}"] = change(found[f"t|{key}"])
    return apply


def remove(key):
    return lambda found: found.pop(key)


BAD = {
    "not finite": (one("hi", lambda a: np.where(np.arange(8) == 3, np.nan, a).astype(np.float32)), "channel 3 reaches"),
    "infinite": (one("lo", lambda a: np.where(np.arange(8) == 1, -np.inf, a).astype(np.float32)), "channel 1 reaches"),
    "huge": (one("hi", lambda a: a * np.float32(1e36)), "reaches"),
    "reversed": (one("lo", lambda a: a + 1000), "reaches"),
    "counts nothing": (one("hist", lambda a: a * 0), "counts nothing"),
    "few channels": (one("hist", lambda a: a[:7]), "7 channels"),
    "no bins": (one("hist", lambda a: a[:, :0]), "not U32 of 2 dimensions"),
    "flat": (one("hist", lambda a: a.reshape(-1)), "not U32 of 2 dimensions"),
    "other type": (one("hist", lambda a: a.astype(np.int32)), "not U32"),
    "other ends": (one("lo", lambda a: a.astype(np.float64)), "not F32"),
    "no ends": (remove("t|lo"), "its ends"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("scales", ["tensor", "channel"])
def test_damaged_histograms_are_refused(tmp_path, kind, scales):
    change, told = BAD[kind]
    found = {f"{name}|{key}": part for name in "tc" for key, part in zip(("lo", "hi", "hist"), spread(lopsided(name)))}
    change(found)
    save_file({key: np.ascontiguousarray(part) for key, part in found.items()}, str(tmp_path / "s.safetensors"), {"images": "8"})
    onnx.save(detector(), tmp_path / "m.onnx")
    done = run_int4q("rewrite", tmp_path / "m.onnx", "-o", tmp_path / "o.onnx", "--calibration", tmp_path / "s.safetensors",
                     "--activations", "uint4", "--activation-scales", scales, status=3)
    assert done.stderr.count("\n") == 1 and told in done.stderr and "s.safetensors" in done.stderr
    assert not (tmp_path / "o.onnx").exists()


def test_histograms_of_another_model_are_refused(tmp_path):
    for spreads, told in (({"t": spread(lopsided("t", 5))}, "5 channels, its Convs read 8"),
                          ({"elsewhere": spread(lopsided("t"))}, "none of the 2 values")):
        onnx.save(detector(), tmp_path / "m.onnx")
        done = run_int4q("rewrite", tmp_path / "m.onnx", "-o", tmp_path / "o.onnx", "--calibration",
                         statistics(tmp_path, spreads), "--activations", "uint8", status=3)
        assert done.stderr.count("\n") == 1 and told in done.stderr


STRANGE = {
    "constants": np.repeat(np.float32([[0], [1], [-1], [0.5], [7], [0], [3], [2]]), 50, 1),
    "zeros": np.zeros((8, 50), np.float32),
    "one channel of zeros": np.concatenate([np.zeros((1, 500), np.float32), lopsided("t")[1:]]),
    "negative": -np.abs(lopsided("t")) - 1,
    "tiny": lopsided("t") * np.float32(1e-42),
    "large": lopsided("t") * np.float32(1e28),
    "far apart": np.concatenate([lopsided("t", 7), lopsided("t", 1) * np.float32(1e20)]),
}


@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("rule", ["l2.4", "mse", "minmax", "percentile", "unilateral"])
@pytest.mark.parametrize("scales", ["tensor", "channel"])
def test_ranges_of_strange_values(tmp_path, kind, rule, scales):
    model = detector()
    path = statistics(tmp_path, {"t": spread(STRANGE[kind]), "c": spread(lopsided("c"))})
    made, report = rewrite(model, tmp_path, "--calibration", path, "--activations", "uint4", "--activation-range", rule,
                           "--activation-scales", scales, "--keep-activations", "1")
    onnx.checker.check_model(made, full_check=True)
    tensors = stored(made)
    for q, _, dq in pairs(made).values():
        for scale in (tensors[q.input[1]], tensors[dq.input[1]]):
            assert (scale > 0).all() and np.isfinite(scale).all()
    told = next(a for a in report["activations"] if a["tensor"] == "t")
    if scales == "tensor" and told["bits"] == 4:
        scale, zero = range_of(spread(STRANGE[kind]), rule, 4)
        assert (np.float32(told["scale"]), told["zero_point"]) == (np.float32(scale), zero)
    run(made, random_feeds(model))


# ---- the same bytes, and their number

@pytest.mark.parametrize("arguments", [["uint4", "--activation-scales", "channel", "--keep-activations", "1"], ["int8"]])
def test_bytes_depend_on_nothing_else(tmp_path, monkeypatch, arguments):
    source, path = save(tmp_path, detector())
    found = set()
    for kernels, threads in (("scalar", 1), ("scalar", 2), (None, 1), (None, 2), (None, 2)):
        if kernels:
            monkeypatch.setenv("INT4Q_CPU", kernels)
        else:
            monkeypatch.delenv("INT4Q_CPU", raising=False)
        run_int4q("rewrite", source, "-f", "-q", "-o", tmp_path / "o.onnx", "--method", "squant", "--calibration", path, "-j",
                  threads, "--activations", *arguments)
        found.add((tmp_path / "o.onnx").read_bytes())
    assert len(found) == 1


@pytest.mark.parametrize("arguments", [["uint4", "--activation-scales", "channel"], ["uint8"], ["int4", "--keep-activations", "1"],
                                       ["uint8", "--decode", "nbits"]])
def test_a_dry_run_tells_the_size(tmp_path, arguments):
    source, path = save(tmp_path, detector())
    common = ["rewrite", source, "--calibration", path, "-f", "-q", "-o", tmp_path / "o.onnx", "--activations", *arguments]
    run_int4q(*common, "-n", "--json", tmp_path / "r.json")
    told = json.loads((tmp_path / "r.json").read_text())["output"]["bytes"]
    run_int4q(*common)
    assert (tmp_path / "o.onnx").stat().st_size == told
    done = run_int4q(*common, "--rank", "weights", "--keep-format", "int8", "--target-size", told + 60)
    assert not done.stderr and told <= (tmp_path / "o.onnx").stat().st_size <= told + 60


@pytest.mark.parametrize(("arguments", "told"), [
    (["--activations", "uint8"], "needs --calibration"), (["--activation-range", "mse"], "needs --activations"),
    (["--activation-scales", "channel"], "needs --activations"), (["--keep-activations", "3"], "needs --activations"),
    (["--activations", "uint4", "--calibration", "s", "--keep-activations", "-1"], "--keep-activations: '-1' is not a whole number"),
    (["--activations", "uint4", "--calibration", "s", "--keep-activations", "10%"], "--keep-activations: '10%' is not a whole number"),
    (["--activations", "uint4", "--calibration", "s", "--keep-activations", "1.5"], "--keep-activations: '1.5' is not a whole number")])
def test_usage(tmp_path, arguments, told):
    onnx.save(detector(), tmp_path / "m.onnx")
    assert told in run_int4q("rewrite", tmp_path / "m.onnx", *arguments, status=2).stderr


# ---- biases

def test_biases_take_up_what_rounding_adds_to_means(tmp_path):
    """Against expectations over the histograms: those of each Conv's output."""
    model = detector()
    random = np.random.default_rng(5)
    means = {f"{w}|mu": random.standard_normal(shape).astype(np.float32) for w, shape in
             (("w", 27), ("d", (8, 9)), ("p", 8), ("q", 8))}
    spreads = {name: spread(lopsided(name)) for name in "tc"}
    path = statistics(tmp_path, spreads, means)
    common = ["--method", "squant", "--calibration", path, "--activations", "uint4", "--activation-scales", "channel"]
    made, _ = rewrite(model, tmp_path, *common)
    tensors = stored(made)
    q, _, dq = pairs(made)["t"]
    factors, step, zero = tensors[q.input[1]] / tensors[dq.input[1]], float(tensors[dq.input[1]]), int(tensors[dq.input[2]])
    low, high, n = (np.asarray(part, np.float64) for part in spreads["t"])
    x = (low[:, None] + (np.arange(BINS) + 0.5) * (high - low)[:, None] / BINS) / factors[:, None]
    shift = (n * (decode(x, step, zero, 15) - x)).sum(1) / n.sum(1)
    weight = decoded_weights(made.graph)["p"].astype(np.float64)[:, :, 0, 0]
    wanted = stored(model)["e"] + (stored(model)["p"][:, :, 0, 0] * factors - weight) @ (means["p|mu"] / factors) - weight @ shift
    point = next(node for node in made.graph.node if node.name == "point")
    np.testing.assert_allclose(tensors[point.input[2]], wanted, rtol=1e-4, atol=1e-5)

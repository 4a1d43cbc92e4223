# SPDX-License-Identifier: Apache-2.0
"""Activations in low bits: ranges against plain numpy versions of their rules, what stands before which Convs, and what ONNX
Runtime makes of it."""
import numpy as np
import onnx
import pytest
from helpers import make_model, random_feeds, rewrite, run, run_int4q, tensor, value
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
    for q, clip, dq in found.values():
        assert (clip is None) == (bits == 8)
        assert next(t for t in made.graph.initializer if t.name == q.input[2]).data_type == STORED[signed]
        assert not clip or [int(tensors[i]) for i in clip.input[1:]] == ([-8, 7] if signed else [0, 2 ** bits - 1])
    reads = {node.name: node.input[0] for node in made.graph.node if node.op_type == "Conv"}
    assert reads == {"first": "x", "depthwise": found["t"][2].output[0], "point": found["t"][2].output[0],
                     "last": found["c"][2].output[0]}
    assert [a["reason"] for a in report["activations"]] == ["image", None, None]
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
        x, n, lo, hi, best = middles[n > 0], n[n > 0].astype(np.float64), min(lo, 0.0), max(hi, 0.0), (np.inf, 0)
        for i in range(40, 0, -1):
            scale = float(np.float32((np.float64(hi) - lo) / 15 * i / 40))
            for zero in range(int(np.ceil(min(-lo / scale, 15))) + 1):
                if hi > 0 and (15 - zero) * scale > 1.1 * hi + scale:
                    continue
                loss = (n * (decode(x, scale, zero, 15) - x) ** 2).sum()
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

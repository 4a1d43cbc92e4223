# SPDX-License-Identifier: Apache-2.0
"""--method squant corrects biases by means that it passes through the graph: against the formulas of
src/plan/means/propagate.h in numpy."""
import resource
import subprocess

import numpy as np
import onnx
import pytest
from helpers import INT4Q, assert_equal_outputs, decoded_weights, make_model, rewrite, skip_sanitized, tensor, value
from onnx import helper, numpy_helper


def silu(name, source):
    return [helper.make_node("Sigmoid", [source], [f"{name}_s"]), helper.make_node("Mul", [source, f"{name}_s"], [name])]


def conv(name, source, weight, **attributes):
    return helper.make_node("Conv", [source, weight, weight + "_b"], [name], name=name, **attributes)


def weights(**shapes):
    found = []
    for name, shape in shapes.items():
        found += [tensor(name, *shape), tensor(name + "_b", shape[0])]
    return found


def array(model, name):
    return numpy_helper.to_array(next(t for t in model.graph.initializer if t.name == name))


class Moments:
    """Mean and variance a channel, as the header defines how they pass."""

    def __init__(self, mean, variance, image=False):
        self.mean, self.variance, self.image = np.asarray(mean, float), np.asarray(variance, float), image

    def conv(self, weight, bias, groups=1, scaled=True):
        out, inputs, size = weight.shape[0], weight.shape[1], weight.shape[2:]
        flat = weight.reshape(out, inputs, -1).astype(float)
        places = np.stack(np.unravel_index(np.arange(flat.shape[2]), size), 1)
        near = 0.5 ** np.sqrt(((places[:, None] - places[None]) ** 2).sum(-1))
        index = np.arange(out)[:, None] // (out // groups) * inputs + np.arange(inputs)
        mean = bias + (flat.sum(2) * self.mean[index]).sum(1)
        raw = np.einsum("ocp,ocq,pq,oc->o", flat, flat, near, self.variance[index])
        if self.image:
            joint = (flat * np.sqrt(self.variance[index])[..., None]).sum(1)
            raw = 0.9 * np.einsum("op,oq,pq->o", joint, joint, near) + 0.1 * raw
        median = np.sort(raw)[out // 2]
        raw *= np.sqrt(1.5 * median * 0.7) / median if scaled else 1
        return Moments(mean, raw), self.mean[index].repeat(flat.shape[2], 1)

    def activate(self, function):
        z = np.linspace(-5, 5, 65)
        density = np.exp(-z * z / 2)
        y = function(self.mean[:, None] + np.sqrt(self.variance)[:, None] * z)
        mean = (y * density).sum(1) / density.sum()
        return Moments(mean, (y * y * density).sum(1) / density.sum() - mean ** 2)

    def silu(self):
        return self.activate(lambda x: x / (1 + np.exp(-x)))

    def centred(self):
        return Moments(0 * self.mean, self.variance)

    def times(self, other):
        mean = self.mean * other.mean
        return Moments(mean, (self.variance + self.mean ** 2) * (other.variance + other.mean ** 2) - mean ** 2)

    def pool(self):
        return Moments(self.mean + 1.2 * np.sqrt(self.variance), 0.6 * self.variance)

    @staticmethod
    def concat(*parts):
        return Moments(np.concatenate([p.mean for p in parts]), np.concatenate([p.variance for p in parts]))


def check(model, rewritten, name, means, corrected=True):
    weight, decoded = array(model, name), decoded_weights(rewritten.graph)[name]
    errors = (weight.astype(float) - decoded).reshape(len(weight), -1)
    wanted = array(model, name + "_b") + (errors * means.reshape(len(weight), -1)).sum(1) * corrected
    np.testing.assert_allclose(array(rewritten, name + "_b"), wanted, rtol=1e-5, atol=1e-5)
    assert not corrected or np.abs(wanted - array(model, name + "_b")).max() > 1e-3


def test_means_pass_through_a_net(tmp_path):
    nodes = [helper.make_node("Slice", ["x", "from", "to", "axes", "step"], ["half"]), conv("c0", "half", "w0", pads=[1] * 4),
             *silu("a0", "c0"), helper.make_node("Split", ["a0", "sizes"], ["s0", "s1"], axis=1), conv("c1", "s1", "w1", pads=[1] * 4),
             *silu("a1", "c1"), helper.make_node("Add", ["s1", "a1"], ["sum"]),
             helper.make_node("MaxPool", ["sum"], ["pool"], kernel_shape=[3, 3], pads=[1] * 4),
             helper.make_node("Concat", ["s0", "sum", "pool"], ["cat"], axis=1), conv("c2", "cat", "w2"), *silu("a2", "c2"),
             helper.make_node("Resize", ["a2", "", "scales"], ["big"], mode="nearest"), conv("c3", "big", "w3", group=6, pads=[1] * 4),
             helper.make_node("Softmax", ["c3"], ["r"]), conv("y", "r", "w4")]
    constants = [numpy_helper.from_array(np.array(v, np.int64), n) for n, v in
                 {"from": [0, 0], "to": [16, 16], "axes": [2, 3], "step": [2, 2], "sizes": [4, 6]}.items()]
    constants.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"))
    model = make_model(nodes, weights(w0=(10, 3, 3, 3), w1=(6, 6, 3, 3), w2=(6, 16, 1, 1), w3=(12, 1, 3, 3), w4=(5, 12, 1, 1)) + constants,
                       [value("x", 1, 3, 16, 16)], [value("y", 1, 5, 16, 16)], opset=21)
    rewritten, _ = rewrite(model, tmp_path, "--method", "squant")
    w, b = (lambda n: array(model, n)), (lambda n: array(model, n + "_b"))
    image = Moments([0.44] * 3, [0.075] * 3, image=True)
    found, means0 = image.conv(w("w0"), b("w0"))
    found = found.silu()
    first, second = Moments(found.mean[:4], found.variance[:4]), Moments(found.mean[4:], found.variance[4:])
    inner, means1 = second.conv(w("w1"), b("w1"))
    inner = inner.silu()
    added = Moments(second.mean + inner.mean, second.variance + inner.variance)
    found, means2 = Moments.concat(first, added, added.pool()).conv(w("w2"), b("w2"))
    _, means3 = found.silu().conv(w("w3"), b("w3"), groups=6)
    for name, means in (("w0", means0), ("w1", means1), ("w2", means2), ("w3", means3)):
        check(model, rewritten, name, means)
    check(model, rewritten, "w4", np.zeros((5, 12)), corrected=False)  # behind a Softmax nothing is known


ACTIVATIONS = {
    "Relu": ({}, lambda x: np.maximum(x, 0)),
    "LeakyRelu": ({"alpha": 0.2}, lambda x: np.where(x > 0, x, np.float32(0.2) * x)),
    "Elu": ({}, lambda x: np.where(x > 0, x, np.expm1(x))),
    "Sigmoid": ({}, lambda x: 1 / (1 + np.exp(-x))),
    "HardSigmoid": ({"alpha": 0.25}, lambda x: np.clip(0.25 * x + np.float32(0.5), 0, 1)),
    "HardSwish": ({}, lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "Tanh": ({}, np.tanh),
    "Clip": ({}, lambda x: np.clip(x, 0, 6)),
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(tmp_path, activation):
    """A net without SiLU: the variances stay as they come."""
    attributes, function = ACTIVATIONS[activation]
    limits = [numpy_helper.from_array(np.array(v, np.float32), n) for n, v in (("low", 0), ("high", 6))]
    nodes = [conv("c0", "x", "w0"), helper.make_node(activation, ["c0"] + ["low", "high"] * (activation == "Clip"), ["a0"], **attributes),
             conv("y", "a0", "w1")]
    model = make_model(nodes, weights(w0=(8, 3, 3, 3), w1=(4, 8, 1, 1)) + limits * (activation == "Clip"),
                       outputs=[value("y", 1, 4, 4, 4)], opset=21)
    rewritten, _ = rewrite(model, tmp_path, "--method", "squant")
    found, means0 = Moments([0.44] * 3, [0.075] * 3, image=True).conv(array(model, "w0"), array(model, "w0_b"), scaled=False)
    _, means1 = found.activate(function).conv(array(model, "w1"), array(model, "w1_b"), scaled=False)
    check(model, rewritten, "w0", means0)
    check(model, rewritten, "w1", means1)


@pytest.mark.parametrize("inferred", [False, True])
def test_means_pass_through_a_mobile_net(tmp_path, inferred):
    """Clip to 6 by attributes of old, a depthwise Conv without activation, channel shuffle, squeeze and excitation."""
    nodes = [conv("c0", "x", "w0"), helper.make_node("Relu", ["c0"], ["a0"]), conv("d0", "a0", "w1", group=8, pads=[1] * 4),
             conv("c1", "d0", "w2"), helper.make_node("Relu", ["c1"], ["a1"]),
             helper.make_node("Reshape", ["a1", "five"], ["r1"]), helper.make_node("Transpose", ["r1"], ["t1"], perm=[0, 2, 1, 3, 4]),
             helper.make_node("Reshape", ["t1", "four"], ["s1"]), conv("c2", "s1", "w3"), helper.make_node("Relu", ["c2"], ["a2"]),
             helper.make_node("GlobalAveragePool", ["a2"], ["g2"]), conv("c3", "g2", "w4"), helper.make_node("HardSigmoid", ["c3"], ["h3"]),
             helper.make_node("Mul", ["h3", "a2"], ["m3"]), conv("y", "m3", "w5")]
    constants = [numpy_helper.from_array(np.array(v, np.int64), n) for n, v in
                 {"five": [1, 2, 5, 4, 4], "four": [1, -1 if inferred else 10, 4, 4]}.items()]
    shapes = {"w0": (8, 3, 3, 3), "w1": (8, 1, 3, 3), "w2": (10, 8, 1, 1), "w3": (6, 10, 1, 1), "w4": (6, 6, 1, 1), "w5": (4, 6, 1, 1)}
    model = make_model(nodes, weights(**shapes) + constants, outputs=[value("y", 1, 4, 4, 4)], opset=21)
    rewritten, _ = rewrite(model, tmp_path, "--method", "squant")
    step, means = (lambda known, n, groups=1: known.conv(array(model, n), array(model, n + "_b"), groups, scaled=False)), {}
    relu = ACTIVATIONS["Relu"][1]
    found, means["w0"] = step(Moments([0.44] * 3, [0.075] * 3, image=True), "w0")
    found, means["w1"] = step(found.activate(relu), "w1", 8)
    found, zeros = step(found.centred(), "w2")
    assert not zeros.any()
    found = found.activate(relu)
    order = np.arange(10).reshape(2, 5).T.ravel()
    found, means["w3"] = step(Moments(found.mean[order], found.variance[order]), "w3")
    found = found.activate(relu)
    gate, means["w4"] = step(Moments(found.mean, 0 * found.variance), "w4")
    gate = gate.activate(lambda x: np.clip(np.float32(0.2) * x + 0.5, 0, 1))
    _, means["w5"] = step(gate.times(found), "w5")
    for name, mean in means.items():
        check(model, rewritten, name, mean)
    np.testing.assert_array_equal(array(rewritten, "w2_b"), array(model, "w2_b"))
    assert_equal_outputs(with_biases_of(model, rewritten), rewritten)


def with_biases_of(model, other):
    for name in [t.name for t in model.graph.initializer if t.name.endswith("_b")]:
        next(t for t in model.graph.initializer if t.name == name).CopyFrom(numpy_helper.from_array(array(other, name), name))
    return model


def test_known_again(tmp_path):
    """Behind what is not known: a normalization tells its own moments, a Conv that goes into a sum is centred."""
    nodes = [conv("c0", "x", "w0"), helper.make_node("Relu", ["c0"], ["a0"]), helper.make_node("Softmax", ["a0"], ["u0"]),
             conv("c1", "u0", "w1"), helper.make_node("Add", ["a0", "c1"], ["sum"]), conv("c2", "sum", "w2"),
             helper.make_node("Erf", ["c2"], ["u2"]), helper.make_node("BatchNormalization", ["u2", "n_s", "n_o", "n_m", "n_v"], ["n"]),
             conv("y", "n", "w3")]
    constants = [numpy_helper.from_array(np.linspace(0.1, 1.1, 6, dtype=np.float32) * (i + 1), f"n_{k}") for i, k in enumerate("somv")]
    model = make_model(nodes, weights(w0=(8, 3, 3, 3), w1=(8, 8, 1, 1), w2=(6, 8, 1, 1), w3=(4, 6, 1, 1)) + constants,
                       outputs=[value("y", 1, 4, 4, 4)], opset=21)
    rewritten, _ = rewrite(model, tmp_path, "--method", "squant")
    found, _ = Moments([0.44] * 3, [0.075] * 3, image=True).conv(array(model, "w0"), array(model, "w0_b"), scaled=False)
    found = found.activate(ACTIVATIONS["Relu"][1])
    check(model, rewritten, "w2", np.tile(found.mean, (6, 1)))
    check(model, rewritten, "w3", np.tile(array(model, "n_o"), (4, 1)))
    np.testing.assert_array_equal(array(rewritten, "w1_b"), array(model, "w1_b"))


def test_channels_that_grow_without_end(tmp_path):
    """Each Concat doubles them; what is known of values stays small, and the rewrite does not mind."""
    nodes = [helper.make_node("Concat", [f"v{i}"] * 2, [f"v{i + 1}"], axis=1) for i in range(60)]
    nodes += [conv("v0", "x", "w0"), conv("c1", "v0", "w1"), helper.make_node("Relu", ["v60"], ["y"])]
    model = make_model(nodes[60:62] + nodes[:60] + nodes[62:], weights(w0=(8, 3, 3, 3), w1=(4, 8, 1, 1)), opset=21)
    onnx.save(model, tmp_path / "in.onnx")
    skip_sanitized()
    limit = 300 << 20
    done = subprocess.run([INT4Q, "rewrite", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", "--method", "squant", "-j1"],
                          capture_output=True, text=True, check=False,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [["--method", "squant", "--no-bias-correction"], ["--asymmetric", "--rounding", "squant"]])
def test_on_request_only(tmp_path, arguments):
    nodes = [conv("c0", "x", "w0"), *silu("a0", "c0"), conv("y", "a0", "w1")]
    model = make_model(nodes, weights(w0=(8, 3, 3, 3), w1=(4, 8, 1, 1)), outputs=[value("y", 1, 4, 4, 4)], opset=21)
    rewritten, _ = rewrite(model, tmp_path, *arguments)
    np.testing.assert_array_equal(array(rewritten, "w1_b"), array(model, "w1_b"))
    assert_equal_outputs(model, rewritten)


@pytest.mark.parametrize("sizes", [[-4, 14], [2**62] * 3 + [2**62 + 10], [10, 0, 1], [4]])
def test_split_that_cannot_be(tmp_path, sizes):
    """Nothing is known behind it, and nothing else happens."""
    outputs = [f"s{i}" for i in range(len(sizes))]
    nodes = [conv("c0", "x", "w0"), *silu("a0", "c0"), helper.make_node("Split", ["a0", "sizes"], outputs, axis=1),
             conv("y", "s0", "w1")]
    constants = [numpy_helper.from_array(np.array(sizes, np.int64), "sizes")]
    model = make_model(nodes, weights(w0=(10, 3, 3, 3), w1=(4, 8, 1, 1)) + constants, opset=21)
    rewritten, _ = rewrite(model, tmp_path, "--method", "squant")
    np.testing.assert_array_equal(array(rewritten, "w1_b"), array(model, "w1_b"))


def test_means_that_are_not_finite(tmp_path):
    """A Conv with a NaN stays as it is, and so does the bias behind it."""
    nodes = [conv("c0", "x", "w0"), *silu("a0", "c0"), conv("y", "a0", "w1")]
    model = make_model(nodes, weights(w0=(8, 3, 3, 3), w1=(4, 8, 1, 1)), outputs=[value("y", 1, 4, 4, 4)], opset=21)
    broken = array(model, "w0").copy()
    broken[1, 1, 1, 1] = np.nan
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(broken, "w0"))
    rewritten, report = rewrite(model, tmp_path, "--method", "squant")
    assert report["convs"][0]["reason"] == "non-finite" and report["convs"][1]["storage"] == "int4"
    np.testing.assert_array_equal(array(rewritten, "w1_b"), array(model, "w1_b"))

# SPDX-License-Identifier: Apache-2.0
"""What docs/conv_nbits.md says that a ConvNBits computes, in numpy, and single nodes to compare it with."""
import dataclasses
from itertools import product

import nbits
import numpy as np
from helpers import make_model
from onnx import TensorProto, helper, numpy_helper

F = np.float32
RANGES = {TensorProto.INT4: (-8, 7), TensorProto.UINT4: (0, 15), TensorProto.INT8: (-128, 127)}


@dataclasses.dataclass
class Case:
    """A node and its input, all of it from the seed."""
    channels: int = 8
    outputs: int = 8
    group: int = 1
    kernel: tuple = (3, 3)
    size: tuple = (9, 11)
    strides: tuple = ()
    pads: tuple = ()
    dilations: tuple = ()
    images: int = 1
    kind: int = TensorProto.INT4  # UINT8: a stream of codes of `bits` bits
    bits: int = 0
    block: int = 0
    zero_points: bool = True
    bias: bool = True
    activation: int = nbits.NONE
    alpha: float = 0.0
    beta: float = 0.0
    level: int = 4
    input_scale: float = 0.0
    input_zero_point: int = 0
    seed: int = 0

    def __post_init__(self):
        ones = (1,) * len(self.kernel)
        self.strides, self.dilations = self.strides or ones, self.dilations or ones
        self.pads = self.pads or (0,) * 2 * len(self.kernel)
        random = np.random.default_rng(self.seed)
        low, high = RANGES.get(self.kind) or (0, 2 ** self.bits - 1)
        self.bits = self.bits or (8 if self.kind == TensorProto.INT8 else 4)
        self.shape = (self.outputs, self.channels // self.group, *self.kernel)
        row = int(np.prod(self.shape[1:]))
        parameters = (self.outputs, -(-row // self.block)) if self.block else (self.outputs,)
        self.codes = random.integers(low, high + 1, (self.outputs, row) if self.block else self.shape)
        self.zeros = random.integers(low, high + 1, parameters) if self.zero_points else None
        self.scales = (random.random(parameters) * 0.1 + 0.01).astype(F)
        self.biases = random.standard_normal(self.outputs).astype(F) if self.bias else None
        self.x = (random.standard_normal((self.images, self.channels, *self.size)) * 3).astype(F)

    @staticmethod
    def of(node, stored, x):
        """A node of a model, with its initializers (None where it has none) and its input."""
        found, (codes, scales, zeros, bias) = nbits.attributes(node), stored
        case = Case(channels=x.shape[1], outputs=found["weight_shape"][0], group=found["group"],
                    kernel=tuple(found["weight_shape"][2:]), size=x.shape[2:], strides=tuple(found["strides"]),
                    pads=tuple(found["pads"]), dilations=tuple(found["dilations"]), images=x.shape[0], kind=codes.data_type,
                    bits=found["bits"], block=found["block_size"], zero_points=zeros is not None, bias=bias is not None,
                    activation=found["activation"], alpha=found["alpha"], beta=found["beta"])
        case.x, case.codes, case.scales = x, integers(codes), numpy_helper.to_array(scales)
        if case.kind == TensorProto.UINT8:
            case.codes = taken_apart(case.codes, case.bits, int(np.prod(case.shape))).reshape(case.shape)
        case.zeros = None if zeros is None else integers(zeros)
        case.biases = None if bias is None else numpy_helper.to_array(bias)
        return case

    def stored(self):
        """The initializers."""
        codes = stream(self.codes, self.bits) if self.kind == TensorProto.UINT8 else self.codes
        found = [helper.make_tensor("w", self.kind, codes.shape, codes.ravel().tolist()), numpy_helper.from_array(self.scales, "s")]
        if self.zero_points:
            found.append(helper.make_tensor("z", self.kind, self.zeros.shape, self.zeros.ravel().tolist()))
        return found + ([numpy_helper.from_array(self.biases, "b")] if self.bias else [])

    def values(self):
        return {**nbits.NUMBERS, "weight_shape": self.shape, "strides": self.strides, "pads": self.pads,
                "dilations": self.dilations, "group": self.group, "bits": self.bits,
                "axis": int(self.block > 0), "block_size": self.block, "accuracy_level": self.level,
                "activation": self.activation, "alpha": self.alpha, "beta": self.beta, "input_scale": self.input_scale,
                "input_zero_point": self.input_zero_point}

    def body(self, codes=range(7)):
        """The function of a model that has this node only."""
        return nbits.function(21, codes, self.kind == TensorProto.UINT8)

    def model(self, body=True, dims=None, **changed):
        """One node from x to y, with other attributes where they are given; None takes one away."""
        values = {k: v for k, v in {**self.values(), **changed}.items() if v is not None}
        node = helper.make_node(nbits.OP, ["x", "w", "s", "z" if self.zero_points else "", "b" if self.bias else ""], ["y"],
                                name="the node", domain=nbits.DOMAIN, **values)
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, self.x.shape if dims is None else dims)
        return make_model([node], self.stored(), [x], opset=21, functions=[self.body()] if body else [], com_int4q=1)

    def dq_model(self):
        """The same as Conv and activation behind a DequantizeLinear."""
        tail = {nbits.NONE: [], nbits.SILU: ["Sigmoid"], nbits.RELU: ["Relu"], nbits.LEAKY_RELU: ["LeakyRelu"],
                nbits.HARD_SWISH: ["HardSwish"], nbits.SIGMOID: ["Sigmoid"], nbits.CLIP: ["Clip"]}[self.activation]
        blocked = {"block_size": self.block} if self.block else {}
        conv = helper.make_node("Conv", ["x", "weight", *(["b"] if self.bias else [])], ["c"], strides=self.strides,
                                pads=self.pads, dilations=self.dilations, group=self.group)
        stored = self.stored()
        if self.kind == TensorProto.UINT8:
            stored[0] = helper.make_tensor("w", self.kind, self.shape, self.codes.ravel().tolist())
        nodes = [helper.make_node("DequantizeLinear", ["w", "s", *(["z"] if self.zero_points else [])], ["d"],
                                  axis=int(self.block > 0), **blocked),
                 helper.make_node("Reshape", ["d", "shape"], ["weight"]), conv]
        more = [numpy_helper.from_array(np.array(self.shape, np.int64), "shape"),
                numpy_helper.from_array(F(self.alpha), "low"), numpy_helper.from_array(F(self.beta), "high")]
        for op in tail:
            nodes.append(helper.make_node(op, ["c", "low", "high"] if op == "Clip" else ["c"], ["a"],
                                          **({"alpha": self.alpha} if op == "LeakyRelu" else {})))
        nodes.append(helper.make_node("Mul", ["c", "a"], ["y"]) if self.activation == nbits.SILU else
                     helper.make_node("Identity", [nodes[-1].output[0]], ["y"]))
        return make_model(nodes, stored + more, [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.x.shape)],
                          opset=21)


def integers(tensor):
    """The codes of an initializer."""
    return numpy_helper.to_array(tensor).astype(np.int64)


def stream(codes, bits):
    """Codes of so many bits one behind the other, the lowest bit of each and of a byte first."""
    numbers = codes.ravel().astype(np.uint8)[:, None]
    return np.packbits(np.unpackbits(numbers, axis=1, bitorder="little")[:, :bits].ravel(), bitorder="little")


def taken_apart(data, bits, count):
    """The codes of a stream."""
    found = np.unpackbits(data.astype(np.uint8), bitorder="little")[:count * bits].reshape(count, bits)
    return np.packbits(found, axis=1, bitorder="little")[:, 0].astype(np.int64)


# ---- the formulas

def weights(case):
    """(code − zero point, scale of each output) as integers; with several blocks, those of the one scale."""
    zeros = case.zeros if case.zero_points else np.zeros_like(case.codes, shape=case.scales.shape)
    if case.scales.size == case.outputs:
        column = (-1,) + (1,) * (case.codes.ndim - 1)
        return (case.codes - zeros.reshape(column)).reshape(case.shape), case.scales.reshape(-1)
    block = np.arange(case.codes.shape[1]) // case.block
    decoded = (case.codes - zeros[:, block]).astype(F) * case.scales[:, block]
    scale = np.abs(decoded).max(1) / F(127)
    scale[scale == 0] = 1
    return np.rint(decoded / scale[:, None]).astype(np.int64).reshape(case.shape), scale


def grids(case):
    """(s, z), each [images, channels or 1, 1, ...], of level 4."""
    axes = tuple(range(2 if case.group == case.channels else 1, case.x.ndim))
    if case.input_scale:
        shape = (case.images,) + (1,) * (case.x.ndim - 1)
        return np.full(shape, case.input_scale, F), np.full(shape, case.input_zero_point, F)
    low, high = np.minimum(case.x.min(axes, keepdims=True), 0), np.maximum(case.x.max(axes, keepdims=True), 0)
    s = (high - low) / F(255)
    s[s == 0] = 1
    return s, np.minimum(np.rint(-low * (F(1) / s)), F(255))


def windows(x, case):
    """x [N, C, ...] as [N, C, outputs ..., kernel ...], zeros in the padding."""
    dims = len(case.kernel)
    x = np.pad(x, [(0, 0), (0, 0), *((case.pads[i], case.pads[dims + i]) for i in range(dims))])
    reach = [(k - 1) * d + 1 for k, d in zip(case.kernel, case.dilations)]
    view = np.lib.stride_tricks.sliding_window_view(x, reach, axis=tuple(range(2, 2 + dims)))
    step = (slice(None), slice(None), *(slice(None, None, s) for s in case.strides), *(slice(None, None, d) for d in case.dilations))
    return view[step]


def convolve(x, w, case):
    """[N, M, ...] in the type of the operands."""
    view, dims = windows(x, case), len(case.kernel)
    inputs, outputs = case.channels // case.group, case.outputs // case.group
    parts = []
    for g in range(case.group):
        part = view[:, g * inputs:(g + 1) * inputs]
        over = [1, *range(2 + dims, 2 + 2 * dims)]
        parts.append(np.tensordot(part, w[g * outputs:(g + 1) * outputs], (over, range(1, 2 + dims))))
    return np.moveaxis(np.concatenate(parts, -1), -1, 1)


def activate(y, case):
    """In double precision."""
    y = y.astype(np.float64)
    sigmoid = 1 / (1 + np.exp(-np.clip(y, -700, 700)))
    return [y, y * sigmoid, np.maximum(y, 0), np.where(y >= 0, y, F(case.alpha) * y), y * np.clip(y / 6 + 0.5, 0, 1), sigmoid,
            np.minimum(np.maximum(y, F(case.alpha)), F(case.beta))][case.activation]


def fused(a, b, c):
    """a · b + c, rounded once: the product is exact in more digits, and the sum is rounded to odd before it is to 32 bits."""
    product = a.astype(np.float64) * b.astype(np.float64)
    total = product + c
    rest = (product - (total - c)) + (c - (total - (total - c)))  # what the sum has lost
    bits = total.view(np.int64)
    odd = np.where((rest != 0) & (bits % 2 == 0), bits + np.where((rest > 0) == (total > 0), 1, -1), bits)
    return odd.view(np.float64).astype(F)


def level4(case):
    """y before the activation, bit for bit."""
    q, scale = weights(case)
    s, z = grids(case)
    u = np.rint(np.clip(case.x * (F(1) / s), -z, 255 - z))  # less z, which the padding is too
    acc = convolve(u.astype(np.float64), q.astype(np.float64), case)  # far from 2^53, so exact
    column = (1, -1) + (1,) * len(case.kernel)
    of_output = np.repeat(s, case.outputs // case.group, 1) if s.shape[1] > 1 else s  # where depthwise
    return fused(acc.astype(F), of_output * scale.reshape(column), case.biases.reshape(column) if case.bias else F(0))


def level0(case):
    """y before the activation, in double precision."""
    column = (-1,) + (1,) * (len(case.shape) - 1)
    zeros = case.zeros if case.zero_points else np.zeros_like(case.codes, shape=case.scales.shape)
    if case.block:
        block = np.arange(case.codes.shape[1]) // case.block
        w = ((case.codes - zeros[:, block]).astype(F) * case.scales[:, block]).reshape(case.shape)
    else:
        w = (case.codes - zeros.reshape(column)).astype(F) * case.scales.reshape(column)
    y = convolve(case.x.astype(np.float64), w.astype(np.float64), case)
    return y + case.biases.reshape((1, -1) + (1,) * len(case.kernel)) if case.bias else y


# ---- cases

def families():
    """{name: Case}"""
    square = {"dense": ((1, 1), (3, 3), (5, 5), (3, 1), (1, 4), (2, 2)), "wide": ((1, 1), (3, 3))}
    found = {}
    for (kernel, stride) in product(square["dense"], (1, 2)):
        pads = tuple(k // 2 for k in kernel) * 2
        name = f"{kernel[0]}x{kernel[1]} stride {stride}"
        found[name] = Case(kernel=kernel, strides=(stride, stride), pads=pads, channels=12, outputs=20, size=(13, 17))
    for kernel, stride, size in product((3, 5, 7), (1, 2), ((14, 19), (8, 8), (1, 1), (20, 3))):
        found[f"depthwise {kernel} stride {stride} on {size}"] = Case(
            kernel=(kernel, kernel), strides=(stride, stride), pads=(kernel // 2,) * 4, channels=10, outputs=10, group=10, size=size)
    found |= {
        "first layer": Case(channels=3, outputs=16, strides=(2, 2), pads=(1, 1, 1, 1), size=(32, 38)),
        "first layer 6x6": Case(channels=3, outputs=16, kernel=(6, 6), strides=(2, 2), pads=(2, 2, 2, 2), size=(32, 38)),
        "one channel": Case(channels=1, outputs=5, pads=(1, 1, 1, 1)),
        "many channels 1x1": Case(channels=130, outputs=70, kernel=(1, 1), size=(7, 9)),
        "many channels 3x3": Case(channels=67, outputs=33, pads=(1, 1, 1, 1), size=(10, 10)),
        "one pixel": Case(size=(1, 1), kernel=(1, 1)),
        "one pixel 3x3": Case(size=(1, 1), pads=(1, 1, 1, 1)),
        "a large map": Case(channels=16, outputs=8, size=(80, 83), pads=(1, 1, 1, 1)),
        "a long row": Case(channels=4, outputs=8, size=(1, 700), kernel=(1, 1)),
        "uneven padding": Case(pads=(0, 1, 2, 3)),
        "wide padding": Case(pads=(4, 5, 4, 5), size=(3, 2)),
        "padding larger than the input": Case(kernel=(1, 1), pads=(5, 5, 5, 5), size=(2, 2)),
        "dilation": Case(dilations=(2, 3), pads=(2, 3, 2, 3)),
        "dilation and stride": Case(dilations=(2, 1), strides=(1, 3), pads=(2, 1, 2, 1)),
        "stride 3": Case(strides=(3, 3), size=(16, 16)),
        "uneven stride": Case(strides=(1, 2), pads=(1, 1, 1, 1)),
        "1x1 stride 2": Case(kernel=(1, 1), strides=(2, 2)),
        "groups": Case(group=2, pads=(1, 1, 1, 1)),
        "groups of one output": Case(channels=8, outputs=4, group=4),
        "depthwise with two outputs a channel": Case(channels=6, outputs=12, group=6, pads=(1, 1, 1, 1)),
        "depthwise dilated": Case(channels=6, outputs=6, group=6, dilations=(2, 2), pads=(2, 2, 2, 2)),
        "depthwise uneven": Case(channels=6, outputs=6, group=6, kernel=(3, 5), strides=(2, 1), pads=(1, 2, 1, 2)),
        "three images": Case(images=3, pads=(1, 1, 1, 1)),
        "three images, depthwise": Case(images=3, channels=8, group=8, pads=(1, 1, 1, 1)),
        "one dimension": Case(kernel=(3,), size=(40,), pads=(1, 1)),
        "one dimension, stride 2": Case(kernel=(5,), size=(41,), strides=(2,), pads=(2, 1), dilations=(2,)),
        "one dimension, depthwise": Case(kernel=(3,), size=(40,), channels=8, group=8, pads=(1, 1)),
        "uint4": Case(kind=TensorProto.UINT4, pads=(1, 1, 1, 1)),
        "int8": Case(kind=TensorProto.INT8, pads=(1, 1, 1, 1), channels=40),
        "int8 1x1": Case(kind=TensorProto.INT8, kernel=(1, 1), channels=200, outputs=24),
        "int8 depthwise": Case(kind=TensorProto.INT8, channels=8, group=8, pads=(1, 1, 1, 1)),
        "no zero points": Case(zero_points=False, pads=(1, 1, 1, 1)),
        "no bias": Case(bias=False),
        "neither": Case(bias=False, zero_points=False),
        "blocks": Case(block=32, channels=24, pads=(1, 1, 1, 1)),
        "short last block": Case(block=5, pads=(1, 1, 1, 1)),
        "block of the whole row": Case(block=72),
        "block larger than the row": Case(block=100),
        "blocks, depthwise": Case(block=4, channels=8, group=8, pads=(1, 1, 1, 1)),
        "blocks, one dimension": Case(block=8, kernel=(3,), size=(40,)),
        "fixed scale": Case(input_scale=0.05, input_zero_point=120, pads=(1, 1, 1, 1)),
        "fixed scale that saturates": Case(input_scale=0.001, input_zero_point=3, pads=(1, 1, 1, 1)),
        "fixed scale, depthwise": Case(input_scale=0.03, input_zero_point=128, channels=8, group=8, pads=(1, 1, 1, 1)),
    }
    for bits in (2, 3, 4, 5, 6):
        given = {"kind": TensorProto.UINT8, "bits": bits, "pads": (1, 1, 1, 1)}
        found |= {f"{bits} bits": Case(channels=11, outputs=19, **given), f"{bits} bits, depthwise": Case(channels=9, outputs=9, group=9, **given),
                  f"{bits} bits, no zero points": Case(zero_points=False, **given)}
    return found


ACTIVATIONS = {"none": {}, "silu": {"activation": nbits.SILU}, "relu": {"activation": nbits.RELU},
               "leaky relu": {"activation": nbits.LEAKY_RELU, "alpha": 0.1}, "hard swish": {"activation": nbits.HARD_SWISH},
               "sigmoid": {"activation": nbits.SIGMOID}, "clip": {"activation": nbits.CLIP, "alpha": -0.5, "beta": 6.0}}


def random_case(seed):
    """Any shape that is not large."""
    random = np.random.default_rng(seed)
    def pick(*choices):
        return choices[random.integers(len(choices))]
    dims = pick(1, 2, 2, 2)
    group = pick(1, 1, 2, 3, "depthwise")
    channels = int(random.integers(1, 40)) if group == "depthwise" else int(random.integers(1, 20)) * group
    outputs = channels * pick(1, 1, 2) if group == "depthwise" else int(random.integers(1, 20)) * group
    kernel = tuple(int(random.integers(1, 6)) for _ in range(dims))
    dilations = tuple(pick(1, 1, 1, 2, 3) for _ in range(dims))
    size = tuple((k - 1) * d + int(random.integers(1, 24)) for k, d in zip(kernel, dilations))
    kind, block, zero_points, bias = pick(*RANGES), pick(0, 0, 0, 3, 16), pick(True, False), pick(True, False)
    bits = int(random.integers(0, 12))
    if 2 <= bits <= 6:
        kind, block = TensorProto.UINT8, 0
    return Case(channels=channels, outputs=outputs, group=channels if group == "depthwise" else group, kernel=kernel, size=size,
                strides=tuple(pick(1, 1, 2, 3) for _ in range(dims)), dilations=dilations,
                pads=tuple(int(random.integers(0, 4)) for _ in range(2 * dims)), images=pick(1, 1, 2),
                kind=kind, bits=bits if kind == TensorProto.UINT8 else 0, block=block, zero_points=zero_points, bias=bias, seed=seed)

# SPDX-License-Identifier: Apache-2.0
"""The operators and modules of YOLOv10, node by node, as ultralytics' exporter writes them."""
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from int4q.lab.base.types import Array

BINS, CLASSES, DETECTIONS, STRIDES = 16, 80, 300, (8, 16, 32)
Block = Callable[[str, str, str, int, bool], str]  # path, module, value, channels, shortcut -> value


class Builder:
    """A graph that grows node by node; values are known by name, with their shape."""

    def __init__(self, opset: int, seed: int) -> None:
        self.opset, self.random = opset, np.random.default_rng(seed)
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []
        self.shapes: dict[str, list[int]] = {}
        self.counts: dict[tuple[str, str], int] = {}
        self.splits: dict[tuple[int, ...], str] = {}

    def scoped(self, scope: str, op: str) -> str:
        """The exporter's node name: the path, with _1, _2, ... from the second of a kind on."""
        number = self.counts[scope, op] = self.counts.get((scope, op), -1) + 1
        return f"{scope}/{op}_{number}" if number else f"{scope}/{op}"

    def append(self, op: str, scope: str, inputs: Sequence[str], shapes: Sequence[list[int]],
                 **attributes: Any) -> list[str]:
        """Append a node; its outputs, whose names are returned, have the given shapes."""
        name = self.scoped(scope, op)
        outputs = [f"{name}_output_{i}" for i in range(len(shapes))]
        self.nodes.append(helper.make_node(op, inputs, outputs, name=name, **attributes))
        self.shapes.update(zip(outputs, shapes, strict=True))
        return outputs

    def node(self, op: str, scope: str, inputs: Sequence[str], shape: list[int], **attributes: Any) -> str:
        """Append a node with one output."""
        return self.append(op, scope, inputs, [shape], **attributes)[0]

    def constant(self, scope: str, array: Any) -> str:
        name = self.scoped(scope, "Constant")
        output = f"{name}_output_0"
        tensor = numpy_helper.from_array(np.asarray(array))
        self.nodes.append(helper.make_node("Constant", [], [output], name=name, value=tensor))
        self.shapes[output] = list(np.shape(array))
        return output

    def shape(self, value: str) -> list[int]:
        return self.shapes[value]

    def store(self, name: str, array: Array) -> str:
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
        self.shapes[name] = list(array.shape)
        return name

    # ---- operators whose form depends on the opset

    def split(self, scope: str, value: str, sizes: list[int], axis: int) -> list[str]:
        """Split: the sizes are an attribute before opset 13, and a shared constant from then on."""
        parts = [[*self.shape(value)] for _ in sizes]
        for part, size in zip(parts, sizes, strict=True):
            part[axis] = size
        if self.opset < 13:
            return self.append("Split", scope, [value], parts, axis=axis, split=sizes)
        key = tuple(sizes)
        if key not in self.splits:  # the exporter keeps one constant for equal sizes
            self.splits[key] = f"onnx::Split_{len(self.nodes)}"
            tensor = numpy_helper.from_array(np.array(sizes, np.int64))
            self.nodes.append(helper.make_node("Constant", [], [self.splits[key]],
                                               name=f"Constant_{len(self.nodes)}", value=tensor))
        return self.append("Split", scope, [value, self.splits[key]], parts, axis=axis)

    def unsqueeze(self, scope: str, value: str, axis: int) -> str:
        shape = [*self.shape(value)]
        shape.insert(axis, 1)
        if self.opset < 13:
            return self.node("Unsqueeze", scope, [value], shape, axes=[axis])
        axes = self.constant(scope, np.array([axis], np.int64))
        return self.node("Unsqueeze", scope, [value, axes], shape)

    def reduce_max(self, scope: str, value: str) -> str:
        shape = self.shape(value)[:-1]
        if self.opset < 18:
            return self.node("ReduceMax", scope, [value], shape, axes=[-1], keepdims=0)
        axes = self.constant(scope, np.array([-1], np.int64))
        return self.node("ReduceMax", scope, [value, axes], shape, keepdims=0)

    def softmax(self, scope: str, value: str, axis: int) -> str:
        """Softmax over one axis; before opset 13 it must be the last one, so it is moved there."""
        shape = self.shape(value)
        last = len(shape) - 1
        if self.opset >= 13 or axis in (-1, last):
            return self.node("Softmax", scope, [value], shape, axis=axis)
        order = [i for i in range(last + 1) if i not in (axis, last)]
        order = [*order[:axis], last, *order[axis:], axis]
        moved = self.transpose(scope, value, order)
        done = self.node("Softmax", scope, [moved], self.shape(moved), axis=last)
        return self.transpose(scope, done, list(np.argsort(order)))

    # ---- plain operators

    def reshape(self, scope: str, value: str, shape: Sequence[int], known: list[int] | None = None) -> str:
        return self.node("Reshape", scope, [value, self.constant(scope, np.array(shape, np.int64))],
                         known or list(shape))

    def transpose(self, scope: str, value: str, order: Sequence[int]) -> str:
        return self.node("Transpose", scope, [value], [self.shape(value)[i] for i in order],
                         perm=[int(i) for i in order])

    def concat(self, scope: str, values: Sequence[str], axis: int) -> str:
        shape = [*self.shape(values[0])]
        shape[axis] = sum(self.shape(v)[axis] for v in values)
        return self.node("Concat", scope, values, shape, axis=axis)

    def same(self, op: str, scope: str, *values: str) -> str:
        """An elementwise operator: its output has the shape of the larger input."""
        return self.node(op, scope, list(values), max((self.shape(v) for v in values), key=math.prod))

    def max_pool(self, scope: str, value: str, kernel: int) -> str:
        return self.node("MaxPool", scope, [value], self.shape(value), ceil_mode=0,
                         kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4, strides=[1, 1],
                         dilations=[1, 1])

    def upsample(self, scope: str, value: str) -> str:
        n, c, h, w = self.shape(value)
        scales = self.constant(scope, np.array([1, 1, 2, 2], np.float32))
        # Before opset 13 the region of interest is a mandatory input, empty unless it is used.
        roi = "" if self.opset >= 13 else self.constant(scope, np.array([], np.float32))
        return self.node("Resize", scope, [value, roi, scales], [n, c, 2 * h, 2 * w],
                         coordinate_transformation_mode="asymmetric", cubic_coeff_a=-0.75,
                         mode="nearest", nearest_mode="floor")

    # ---- modules; `path` is the node's, `module` the weight's: see scope()

    def conv2d(self, path: str, module: str, value: str, channels: int, kernel: int = 1, stride: int = 1,
               groups: int = 1, bias: bool = True) -> str:
        n, c, h, w = self.shape(value)
        fan_in = c // groups * kernel * kernel
        # Real channels differ in range: a gain each, on weights with the heavy tails of trained ones.
        gain = self.random.lognormal(0.0, 0.4, (channels, 1))
        weight = self.random.laplace(0.0, 1 / math.sqrt(2 * fan_in), (channels, fan_in)) * gain
        inputs = [value, self.store(f"{module}.weight", weight.reshape(channels, c // groups, kernel, kernel))]
        if bias:
            inputs.append(self.store(f"{module}.bias", self.random.normal(0.0, 0.3, channels)))
        out = [n, channels, (h - 1) // stride + 1, (w - 1) // stride + 1]
        return self.node("Conv", path, inputs, out, dilations=[1, 1], group=groups,
                         kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4, strides=[stride] * 2)

    def conv(self, path: str, module: str, value: str, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1,
             act: bool = True) -> str:
        """Conv with its BatchNorm folded in, then SiLU."""
        out = self.conv2d(f"{path}/conv", f"{module}.conv", value, channels, kernel, stride, groups)
        return self.same("Mul", f"{path}/act", out, self.same("Sigmoid", f"{path}/act", out)) if act else out

    def bottleneck(self, path: str, module: str, value: str, channels: int, shortcut: bool) -> str:
        inner = self.conv(f"{path}/cv1", f"{module}.cv1", value, channels, 3)
        outer = self.conv(f"{path}/cv2", f"{module}.cv2", inner, channels, 3)
        return self.same("Add", path, value, outer) if shortcut else outer

    def cib(self, path: str, module: str, value: str, channels: int, shortcut: bool, large_kernel: bool) -> str:
        """Compact inverted block: depthwise and 1x1 Convs in turn."""
        wide, x = 2 * channels, value
        middle = (wide, 7 if large_kernel else 3, wide)
        for i, (out, kernel, groups) in enumerate(((channels, 3, channels), (wide, 1, 1), middle,
                                                   (channels, 1, 1), (channels, 3, channels))):
            x = self.conv(f"{path}/cv1/cv1.{i}", f"{module}.cv1.{i}", x, out, kernel, 1, groups)
        return self.same("Add", path, value, x) if shortcut else x

    def c2f(self, path: str, module: str, value: str, channels: int, repeats: int, shortcut: bool, block: Block) -> str:
        half = channels // 2
        parts = self.split(path, self.conv(f"{path}/cv1", f"{module}.cv1", value, channels), [half, half], 1)
        for i in range(repeats):
            parts.append(block(f"{path}/m.{i}", f"{module}.m.{i}", parts[-1], half, shortcut))
        return self.conv(f"{path}/cv2", f"{module}.cv2", self.concat(path, parts, 1), channels)

    def scdown(self, path: str, module: str, value: str, channels: int) -> str:
        x = self.conv(f"{path}/cv1", f"{module}.cv1", value, channels)
        return self.conv(f"{path}/cv2", f"{module}.cv2", x, channels, 3, 2, channels, act=False)

    def sppf(self, path: str, module: str, value: str, channels: int) -> str:
        parts = [self.conv(f"{path}/cv1", f"{module}.cv1", value, self.shape(value)[1] // 2)]
        for scope in ("m", "m_1", "m_2"):
            parts.append(self.max_pool(f"{path}/{scope}", parts[-1], 5))
        return self.conv(f"{path}/cv2", f"{module}.cv2", self.concat(path, parts, 1), channels)

    def attention(self, path: str, module: str, value: str) -> str:
        n, c, h, w = self.shape(value)
        heads, head = max(c // 64, 1), c // max(c // 64, 1)
        key, area = head // 2, h * w
        qkv = self.conv(f"{path}/qkv", f"{module}.qkv", value, c + 2 * key * heads, act=False)
        qkv = self.reshape(path, qkv, [n, heads, 2 * key + head, area])
        q, k, v = self.split(path, qkv, [key, key, head], 2)
        q = self.same("Mul", path, q, self.constant(path, np.float32(key ** -0.5)))
        scores = self.node("MatMul", path, [self.transpose(path, q, [0, 1, 3, 2]), k], [n, heads, area, area])
        scores = self.transpose(path, self.softmax(path, scores, -1), [0, 1, 3, 2])
        mixed = self.node("MatMul", path, [v, scores], [n, heads, head, area])
        places = [self.constant(path, np.array([n, c, h, w], np.int64)) for _ in range(2)]
        mixed = self.node("Reshape", path, [mixed, places[0]], [n, c, h, w])
        v = self.node("Reshape", path, [v, places[1]], [n, c, h, w])
        mixed = self.same("Add", path, mixed, self.conv(f"{path}/pe", f"{module}.pe", v, c, 3, 1, c, act=False))
        return self.conv(f"{path}/proj", f"{module}.proj", mixed, c, act=False)

    def psa(self, path: str, module: str, value: str, channels: int) -> str:
        half = channels // 2
        a, b = self.split(path, self.conv(f"{path}/cv1", f"{module}.cv1", value, channels), [half, half], 1)
        b = self.same("Add", path, b, self.attention(f"{path}/attn", f"{module}.attn", b))
        ffn = self.conv(f"{path}/ffn/ffn.0", f"{module}.ffn.0", b, channels)
        ffn = self.conv(f"{path}/ffn/ffn.1", f"{module}.ffn.1", ffn, half, act=False)
        b = self.same("Add", path, b, ffn)
        return self.conv(f"{path}/cv2", f"{module}.cv2", self.concat(path, [a, b], 1), channels)

    # ---- v10Detect, its one-to-one branch only, as exported

    def boxes(self, path: str, module: str, level: int, value: str, channels: int) -> str:
        scope, weight = f"{path}/one2one_cv2.{level}", f"{module}.one2one_cv2.{level}"
        for i in range(2):
            value = self.conv(f"{scope}/one2one_cv2.{level}.{i}", f"{weight}.{i}", value, channels, 3)
        return self.conv2d(f"{scope}/one2one_cv2.{level}.2", f"{weight}.2", value, 4 * BINS)

    def classes(self, path: str, module: str, level: int, value: str, channels: int) -> str:
        scope, weight = f"{path}/one2one_cv3.{level}", f"{module}.one2one_cv3.{level}"
        for i in range(2):
            inner, c = f"{scope}/one2one_cv3.{level}.{i}", self.shape(value)[1]
            name = f"one2one_cv3.{level}.{i}"
            value = self.conv(f"{inner}/{name}.0", f"{weight}.{i}.0", value, c, 3, 1, c)
            value = self.conv(f"{inner}/{name}.1", f"{weight}.{i}.1", value, channels)
        return self.conv2d(f"{scope}/one2one_cv3.{level}.2", f"{weight}.2", value, CLASSES)

    def flat(self, path: str, levels: int, branch: Callable[[int], str], channels: int) -> str:
        """The maps that `branch` makes for each level, as one row of positions."""
        rows: list[str] = []
        shapes: list[str] = []
        for level in range(levels):
            value = branch(level)
            shapes = shapes or [self.constant(path, np.array([1, channels, -1], np.int64)) for _ in range(levels)]
            places = math.prod(self.shape(value)[2:])
            rows.append(self.node("Reshape", path, [value, shapes[level]], [1, channels, places]))
        return self.concat(path, rows, -1)

    def dfl(self, path: str, module: str, value: str) -> str:
        """Distribution focal loss: the mean of 16 bins, by a Conv with the weights 0 ... 15."""
        places = self.shape(value)[2]
        x = self.reshape(path, value, [1, 4, BINS, places])
        x = self.softmax(path, self.transpose(path, x, [0, 2, 1, 3]), 1)
        weight = self.store(f"{module}.conv.weight", np.arange(BINS, dtype=np.float32).reshape(1, BINS, 1, 1))
        x = self.node("Conv", f"{path}/conv", [x, weight], [1, 1, 4, places], dilations=[1, 1], group=1,
                      kernel_shape=[1, 1], pads=[0, 0, 0, 0], strides=[1, 1])
        return self.reshape(path, x, [1, 4, places])

    def halves(self, path: str, value: str) -> tuple[str, str]:
        """torch.chunk along axis 1, which the exporter computes from the shape."""
        def number(n: int) -> str:
            return self.constant(path, np.array([n], np.int64))
        places = self.shape(value)[2]
        shape = self.node("Shape", path, [value], [3])
        one = number(1)
        size = self.node("Gather", path, [shape, one], [1], axis=0)
        zero = number(0)
        size = self.same("Div", path, self.same("Add", path, size, number(1)), number(2))
        middle = self.same("Mul", path, size, number(1))
        first = self.node("Slice", path, [value, zero, middle, one], [1, 2, places])
        end = self.same("Mul", path, size, number(2))
        return first, self.node("Slice", path, [value, middle, end, one], [1, 2, places])

    def decode(self, path: str, module: str, boxes: str, scores: str, sizes: Sequence[int]) -> str:
        """Distances to the sides become corners in pixels; class logits become probabilities."""
        places = [np.stack(np.meshgrid(np.arange(s) + 0.5, np.arange(s) + 0.5), 0).reshape(2, -1) for s in sizes]
        strides = np.concatenate([np.full(s * s, stride, np.float32) for s, stride in zip(sizes, STRIDES, strict=True)])
        anchors = np.concatenate(places, 1)[None].astype(np.float32)
        left, right = self.halves(path, self.dfl(f"{path}/dfl", f"{module}.dfl", boxes))
        corner = self.same("Sub", path, self.constant(path, anchors), left)
        other = self.same("Add", path, self.constant(path, anchors), right)
        corners = self.concat(path, [corner, other], 1)
        corners = self.same("Mul", path, corners, self.constant(path, strides[None]))
        return self.concat(path, [corners, self.same("Sigmoid", path, scores)], 1)

    def expand(self, path: str, value: str, shape: Sequence[int], known: list[int]) -> str:
        """Tensor.expand with -1, as the exporter spells it."""
        wanted = self.constant(path, np.array(shape, np.int64))
        count = self.constant(path, np.array([3], np.int64))
        ones = self.node("ConstantOfShape", path, [count], [3],
                         value=helper.make_tensor("value", TensorProto.INT64, [1], [1]))
        minus = self.same("Mul", path, ones, self.constant(path, np.array(-1, np.int64)))
        keeps = self.same("Equal", path, wanted, minus)
        return self.node("Expand", path, [value, self.same("Where", path, keeps, ones, wanted)], known)

    def top_k(self, path: str, value: str, count: int) -> list[str]:
        k = self.constant(path, np.array([count], np.int64))
        return self.append("TopK", path, [value, k], [[1, count], [1, count]], axis=1, largest=1, sorted=1)

    def best(self, path: str, predictions: str) -> str:
        """The detections with the best scores, sorted, without suppression of overlaps."""
        predictions = self.transpose(path, predictions, [0, 2, 1])
        count = min(DETECTIONS, self.shape(predictions)[1])
        boxes, scores = self.split(path, predictions, [4, CLASSES], -1)
        _, index = self.top_k(path, self.reduce_max(path, scores), count)
        gather = self.expand(path, self.unsqueeze(path, index, 2), [-1, -1, CLASSES], [1, count, CLASSES])
        scores = self.node("GatherElements", path, [scores, gather], [1, count, CLASSES], axis=1)
        flat = self.node("Flatten", path, [scores], [1, count * CLASSES], axis=1)
        scores, order = self.top_k(path, flat, count)
        scores = self.unsqueeze(path, scores, 2)
        label = self.same("Mod", path, order, self.constant(path, np.array(CLASSES, np.int64)))
        self.nodes[-1].attribute.append(helper.make_attribute("fmod", 0))
        label = self.node("Cast", path, [self.unsqueeze(path, label, 2)], [1, count, 1], to=TensorProto.FLOAT)
        row = self.same("Div", path, order, self.constant(path, np.array(CLASSES, np.int64)))
        for _ in range(2):  # int64 to int64, twice, as exported
            row = self.node("Cast", path, [row], [1, count], to=TensorProto.INT64)
        index = self.node("GatherElements", path, [index, row], [1, count], axis=1)
        gather = self.expand(path, self.unsqueeze(path, index, 2), [-1, -1, 4], [1, count, 4])
        boxes = self.node("GatherElements", path, [boxes, gather], [1, count, 4], axis=1)
        return self.concat(path, [boxes, scores, label], -1)

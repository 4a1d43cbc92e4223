# SPDX-License-Identifier: Apache-2.0
"""Make a YOLOv10 ONNX model with the graph of a real export and weights from a seed.

    make_yolov10.py --size m --head e2e --opset 13 -o yolov10m.onnx

Needs the packages onnx and numpy only.  Names, shapes, operators and their order are those that
ultralytics' exporter (TorchScript based, without simplification) gives YOLOv10: node
/model.2/m.0/cv1/conv/Conv reads weight model.2.m.0.cv1.conv.weight, and so on.  The weights are not
trained: the model is for structure, size and speed, and finds nothing in a picture.

Beside the model goes a sensitivity file in the shape that `int4q rewrite --topk` reads.  Its scores
are made up as well, and it says so.

Heads: `e2e` ends in the 300 best boxes, output0 [1, 300, 6] = x1, y1, x2, y2, score, class;
`raw` ends in what the network computes, output0 [1, 144, 8400]: 4 x 16 bins a box side, 80 classes.

Sources: the YOLOv10 configurations and modules of THU-MIG (ultralytics/cfg/models/v10/*.yaml,
nn/modules/block.py, head.py), as ultralytics carries them on.
"""
import argparse
import json
import math
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# depth, width, largest number of channels (the `scales` of the yaml files)
SCALES = {"n": (0.33, 0.25, 1024), "s": (0.33, 0.50, 1024), "m": (0.67, 0.75, 768),
          "b": (0.67, 1.00, 512), "l": (1.00, 1.00, 512), "x": (1.00, 1.25, 512)}
# Rows of backbone and head: index, from, module, repeats, channels.  Which C2f rows are C2fCIB
# depends on the size; -1 is the row before.
ROWS = [(0, [-1], "Conv", 1, 64), (1, [-1], "Conv", 1, 128), (2, [-1], "C2f", 3, 128),
        (3, [-1], "Conv", 1, 256), (4, [-1], "C2f", 6, 256), (5, [-1], "SCDown", 1, 512),
        (6, [-1], "C2f", 6, 512), (7, [-1], "SCDown", 1, 1024), (8, [-1], "C2f", 3, 1024),
        (9, [-1], "SPPF", 1, 1024), (10, [-1], "PSA", 1, 1024), (11, [-1], "Upsample", 1, 0),
        (12, [-1, 6], "Concat", 1, 0), (13, [-1], "C2f", 3, 512), (14, [-1], "Upsample", 1, 0),
        (15, [-1, 4], "Concat", 1, 0), (16, [-1], "C2f", 3, 256), (17, [-1], "Conv", 1, 256),
        (18, [-1, 13], "Concat", 1, 0), (19, [-1], "C2f", 3, 512), (20, [-1], "SCDown", 1, 512),
        (21, [-1, 10], "Concat", 1, 0), (22, [-1], "C2f", 3, 1024)]
CIB_ROWS = {"n": {22}, "s": {8, 22}, "m": {8, 19, 22}, "b": {8, 13, 19, 22}, "l": {8, 13, 19, 22},
            "x": {6, 8, 13, 19, 22}}
LARGE_KERNEL_ROWS = {"n": {22}, "s": {8, 22}}  # `lk: True`: a 7x7 depthwise Conv (RepVGGDW)
NO_SHORTCUT = {13, 16}  # C2f rows of the neck add no input to the output of a bottleneck
BINS, CLASSES, DETECTIONS, STRIDES = 16, 80, 300, (8, 16, 32)
IR_VERSION = {11: 6, 12: 7, 13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10}
COCO = ("person bicycle car motorcycle airplane bus train truck boat traffic_light fire_hydrant "
        "stop_sign parking_meter bench bird cat dog horse sheep cow elephant bear zebra giraffe "
        "backpack umbrella handbag tie suitcase frisbee skis snowboard sports_ball kite "
        "baseball_bat baseball_glove skateboard surfboard tennis_racket bottle wine_glass cup fork "
        "knife spoon bowl banana apple sandwich orange broccoli carrot hot_dog pizza donut cake "
        "chair couch potted_plant bed dining_table toilet tv laptop mouse remote keyboard cell_phone "
        "microwave oven toaster sink refrigerator book clock vase scissors teddy_bear hair_drier "
        "toothbrush").split()


class Builder:
    """A graph that grows node by node; values are known by name, with their shape."""

    def __init__(self, opset, seed):
        self.opset, self.random = opset, np.random.default_rng(seed)
        self.nodes, self.weights, self.shapes, self.counts, self.splits = [], [], {}, {}, {}

    def scoped(self, scope, op):
        """The exporter's node name: the path, with _1, _2, ... from the second of a kind on."""
        number = self.counts[scope, op] = self.counts.get((scope, op), -1) + 1
        return f"{scope}/{op}_{number}" if number else f"{scope}/{op}"

    def node(self, op, scope, inputs, shapes, **attributes):
        """Append a node; its outputs have the given shapes. One name, or a list of several."""
        name = self.scoped(scope, op)
        outputs = [f"{name}_output_{i}" for i in range(len(shapes))]
        self.nodes.append(helper.make_node(op, inputs, outputs, name=name, **attributes))
        self.shapes.update(zip(outputs, shapes))
        return outputs[0] if len(outputs) == 1 else outputs

    def constant(self, scope, array):
        name = self.scoped(scope, "Constant")
        output = f"{name}_output_0"
        tensor = numpy_helper.from_array(np.asarray(array))
        self.nodes.append(helper.make_node("Constant", [], [output], name=name, value=tensor))
        self.shapes[output] = list(np.shape(array))
        return output

    def shape(self, value):
        return self.shapes[value]

    def store(self, name, array):
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
        self.shapes[name] = list(array.shape)
        return name

    # ---- operators whose form depends on the opset

    def split(self, scope, value, sizes, axis):
        """Split: the sizes are an attribute before opset 13, and a shared constant from then on."""
        parts = [[*self.shape(value)] for _ in sizes]
        for part, size in zip(parts, sizes):
            part[axis] = size
        if self.opset < 13:
            return self.node("Split", scope, [value], parts, axis=axis, split=sizes)
        key = tuple(sizes)
        if key not in self.splits:  # the exporter keeps one constant for equal sizes
            self.splits[key] = f"onnx::Split_{len(self.nodes)}"
            tensor = numpy_helper.from_array(np.array(sizes, np.int64))
            self.nodes.append(helper.make_node("Constant", [], [self.splits[key]],
                                               name=f"Constant_{len(self.nodes)}", value=tensor))
        return self.node("Split", scope, [value, self.splits[key]], parts, axis=axis)

    def unsqueeze(self, scope, value, axis):
        shape = [*self.shape(value)]
        shape.insert(axis, 1)
        if self.opset < 13:
            return self.node("Unsqueeze", scope, [value], [shape], axes=[axis])
        axes = self.constant(scope, np.array([axis], np.int64))
        return self.node("Unsqueeze", scope, [value, axes], [shape])

    def reduce_max(self, scope, value):
        shape = self.shape(value)[:-1]
        if self.opset < 18:
            return self.node("ReduceMax", scope, [value], [shape], axes=[-1], keepdims=0)
        axes = self.constant(scope, np.array([-1], np.int64))
        return self.node("ReduceMax", scope, [value, axes], [shape], keepdims=0)

    def softmax(self, scope, value, axis):
        """Softmax over one axis; before opset 13 it must be the last one, so it is moved there."""
        shape = self.shape(value)
        last = len(shape) - 1
        if self.opset >= 13 or axis in (-1, last):
            return self.node("Softmax", scope, [value], [shape], axis=axis)
        order = [i for i in range(last + 1) if i not in (axis, last)]
        order = [*order[:axis], last, *order[axis:], axis]
        moved = self.transpose(scope, value, order)
        done = self.node("Softmax", scope, [moved], [self.shape(moved)], axis=last)
        return self.transpose(scope, done, list(np.argsort(order)))

    # ---- plain operators

    def reshape(self, scope, value, shape, known=None):
        return self.node("Reshape", scope, [value, self.constant(scope, np.array(shape, np.int64))],
                         [known or list(shape)])

    def transpose(self, scope, value, order):
        return self.node("Transpose", scope, [value], [[self.shape(value)[i] for i in order]],
                         perm=[int(i) for i in order])

    def concat(self, scope, values, axis):
        shape = [*self.shape(values[0])]
        shape[axis] = sum(self.shape(v)[axis] for v in values)
        return self.node("Concat", scope, values, [shape], axis=axis)

    def same(self, op, scope, *values):
        """An elementwise operator: its output has the shape of the larger input."""
        return self.node(op, scope, list(values), [max((self.shape(v) for v in values), key=math.prod)])

    def max_pool(self, scope, value, kernel):
        return self.node("MaxPool", scope, [value], [self.shape(value)], ceil_mode=0,
                         kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4, strides=[1, 1],
                         dilations=[1, 1])

    def upsample(self, scope, value):
        n, c, h, w = self.shape(value)
        scales = self.constant(scope, np.array([1, 1, 2, 2], np.float32))
        # Before opset 13 the region of interest is a mandatory input, empty unless it is used.
        roi = "" if self.opset >= 13 else self.constant(scope, np.array([], np.float32))
        return self.node("Resize", scope, [value, roi, scales], [[n, c, 2 * h, 2 * w]],
                         coordinate_transformation_mode="asymmetric", cubic_coeff_a=-0.75,
                         mode="nearest", nearest_mode="floor")

    # ---- modules; `path` is the node's, `module` the weight's: see scope()

    def conv2d(self, path, module, value, channels, kernel=1, stride=1, groups=1, bias=True):
        n, c, h, w = self.shape(value)
        fan_in = c // groups * kernel * kernel
        # Real channels differ in range: a gain each, on weights with the heavy tails of trained ones.
        gain = self.random.lognormal(0.0, 0.4, (channels, 1))
        weight = self.random.laplace(0.0, 1 / math.sqrt(2 * fan_in), (channels, fan_in)) * gain
        inputs = [value, self.store(f"{module}.weight", weight.reshape(channels, c // groups, kernel, kernel))]
        if bias:
            inputs.append(self.store(f"{module}.bias", self.random.normal(0.0, 0.3, channels)))
        out = [n, channels, (h - 1) // stride + 1, (w - 1) // stride + 1]
        return self.node("Conv", path, inputs, [out], dilations=[1, 1], group=groups,
                         kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4, strides=[stride] * 2)

    def conv(self, path, module, value, channels, kernel=1, stride=1, groups=1, act=True):
        """Conv with its BatchNorm folded in, then SiLU."""
        out = self.conv2d(f"{path}/conv", f"{module}.conv", value, channels, kernel, stride, groups)
        return self.same("Mul", f"{path}/act", out, self.same("Sigmoid", f"{path}/act", out)) if act else out

    def bottleneck(self, path, module, value, channels, shortcut):
        inner = self.conv(f"{path}/cv1", f"{module}.cv1", value, channels, 3)
        outer = self.conv(f"{path}/cv2", f"{module}.cv2", inner, channels, 3)
        return self.same("Add", path, value, outer) if shortcut else outer

    def cib(self, path, module, value, channels, shortcut, large_kernel):
        """Compact inverted block: depthwise and 1x1 Convs in turn."""
        wide, x = 2 * channels, value
        middle = (wide, 7 if large_kernel else 3, wide)
        for i, (out, kernel, groups) in enumerate(((channels, 3, channels), (wide, 1, 1), middle,
                                                   (channels, 1, 1), (channels, 3, channels))):
            x = self.conv(f"{path}/cv1/cv1.{i}", f"{module}.cv1.{i}", x, out, kernel, 1, groups)
        return self.same("Add", path, value, x) if shortcut else x

    def c2f(self, path, module, value, channels, repeats, shortcut, block):
        half = channels // 2
        parts = self.split(path, self.conv(f"{path}/cv1", f"{module}.cv1", value, channels), [half, half], 1)
        for i in range(repeats):
            parts.append(block(f"{path}/m.{i}", f"{module}.m.{i}", parts[-1], half, shortcut))
        return self.conv(f"{path}/cv2", f"{module}.cv2", self.concat(path, parts, 1), channels)

    def scdown(self, path, module, value, channels):
        x = self.conv(f"{path}/cv1", f"{module}.cv1", value, channels)
        return self.conv(f"{path}/cv2", f"{module}.cv2", x, channels, 3, 2, channels, act=False)

    def sppf(self, path, module, value, channels):
        parts = [self.conv(f"{path}/cv1", f"{module}.cv1", value, self.shape(value)[1] // 2)]
        for scope in ("m", "m_1", "m_2"):
            parts.append(self.max_pool(f"{path}/{scope}", parts[-1], 5))
        return self.conv(f"{path}/cv2", f"{module}.cv2", self.concat(path, parts, 1), channels)

    def attention(self, path, module, value):
        n, c, h, w = self.shape(value)
        heads, head = max(c // 64, 1), c // max(c // 64, 1)
        key, area = head // 2, h * w
        qkv = self.conv(f"{path}/qkv", f"{module}.qkv", value, c + 2 * key * heads, act=False)
        qkv = self.reshape(path, qkv, [n, heads, 2 * key + head, area])
        q, k, v = self.split(path, qkv, [key, key, head], 2)
        q = self.same("Mul", path, q, self.constant(path, np.float32(key ** -0.5)))
        scores = self.node("MatMul", path, [self.transpose(path, q, [0, 1, 3, 2]), k], [[n, heads, area, area]])
        scores = self.transpose(path, self.softmax(path, scores, -1), [0, 1, 3, 2])
        mixed = self.node("MatMul", path, [v, scores], [[n, heads, head, area]])
        places = [self.constant(path, np.array([n, c, h, w], np.int64)) for _ in range(2)]
        mixed = self.node("Reshape", path, [mixed, places[0]], [[n, c, h, w]])
        v = self.node("Reshape", path, [v, places[1]], [[n, c, h, w]])
        mixed = self.same("Add", path, mixed, self.conv(f"{path}/pe", f"{module}.pe", v, c, 3, 1, c, act=False))
        return self.conv(f"{path}/proj", f"{module}.proj", mixed, c, act=False)

    def psa(self, path, module, value, channels):
        half = channels // 2
        a, b = self.split(path, self.conv(f"{path}/cv1", f"{module}.cv1", value, channels), [half, half], 1)
        b = self.same("Add", path, b, self.attention(f"{path}/attn", f"{module}.attn", b))
        ffn = self.conv(f"{path}/ffn/ffn.0", f"{module}.ffn.0", b, channels)
        ffn = self.conv(f"{path}/ffn/ffn.1", f"{module}.ffn.1", ffn, half, act=False)
        b = self.same("Add", path, b, ffn)
        return self.conv(f"{path}/cv2", f"{module}.cv2", self.concat(path, [a, b], 1), channels)

    # ---- v10Detect, its one-to-one branch only, as exported

    def boxes(self, path, module, level, value, channels):
        scope, weight = f"{path}/one2one_cv2.{level}", f"{module}.one2one_cv2.{level}"
        for i in range(2):
            value = self.conv(f"{scope}/one2one_cv2.{level}.{i}", f"{weight}.{i}", value, channels, 3)
        return self.conv2d(f"{scope}/one2one_cv2.{level}.2", f"{weight}.2", value, 4 * BINS)

    def classes(self, path, module, level, value, channels):
        scope, weight = f"{path}/one2one_cv3.{level}", f"{module}.one2one_cv3.{level}"
        for i in range(2):
            inner, c = f"{scope}/one2one_cv3.{level}.{i}", self.shape(value)[1]
            name = f"one2one_cv3.{level}.{i}"
            value = self.conv(f"{inner}/{name}.0", f"{weight}.{i}.0", value, c, 3, 1, c)
            value = self.conv(f"{inner}/{name}.1", f"{weight}.{i}.1", value, channels)
        return self.conv2d(f"{scope}/one2one_cv3.{level}.2", f"{weight}.2", value, CLASSES)

    def flat(self, path, levels, branch, channels):
        """The maps that `branch` makes for each level, as one row of positions."""
        rows, shapes = [], []
        for level in range(levels):
            value = branch(level)
            shapes = shapes or [self.constant(path, np.array([1, channels, -1], np.int64)) for _ in range(levels)]
            places = math.prod(self.shape(value)[2:])
            rows.append(self.node("Reshape", path, [value, shapes[level]], [[1, channels, places]]))
        return self.concat(path, rows, -1)

    def dfl(self, path, module, value):
        """Distribution focal loss: the mean of 16 bins, by a Conv with the weights 0 ... 15."""
        places = self.shape(value)[2]
        x = self.reshape(path, value, [1, 4, BINS, places])
        x = self.softmax(path, self.transpose(path, x, [0, 2, 1, 3]), 1)
        weight = self.store(f"{module}.conv.weight", np.arange(BINS, dtype=np.float32).reshape(1, BINS, 1, 1))
        x = self.node("Conv", f"{path}/conv", [x, weight], [[1, 1, 4, places]], dilations=[1, 1], group=1,
                      kernel_shape=[1, 1], pads=[0, 0, 0, 0], strides=[1, 1])
        return self.reshape(path, x, [1, 4, places])

    def halves(self, path, value):
        """torch.chunk along axis 1, which the exporter computes from the shape."""
        def number(n):
            return self.constant(path, np.array([n], np.int64))
        places = self.shape(value)[2]
        shape = self.node("Shape", path, [value], [[3]])
        one = number(1)
        size = self.node("Gather", path, [shape, one], [[1]], axis=0)
        zero = number(0)
        size = self.same("Div", path, self.same("Add", path, size, number(1)), number(2))
        middle = self.same("Mul", path, size, number(1))
        first = self.node("Slice", path, [value, zero, middle, one], [[1, 2, places]])
        end = self.same("Mul", path, size, number(2))
        return first, self.node("Slice", path, [value, middle, end, one], [[1, 2, places]])

    def decode(self, path, module, boxes, scores, sizes):
        """Distances to the sides become corners in pixels; class logits become probabilities."""
        anchors = [np.stack(np.meshgrid(np.arange(s) + 0.5, np.arange(s) + 0.5), 0).reshape(2, -1) for s in sizes]
        strides = np.concatenate([np.full(s * s, stride, np.float32) for s, stride in zip(sizes, STRIDES)])
        anchors = np.concatenate(anchors, 1)[None].astype(np.float32)
        left, right = self.halves(path, self.dfl(f"{path}/dfl", f"{module}.dfl", boxes))
        corner = self.same("Sub", path, self.constant(path, anchors), left)
        other = self.same("Add", path, self.constant(path, anchors), right)
        corners = self.concat(path, [corner, other], 1)
        corners = self.same("Mul", path, corners, self.constant(path, strides[None]))
        return self.concat(path, [corners, self.same("Sigmoid", path, scores)], 1)

    def expand(self, path, value, shape, known):
        """Tensor.expand with -1, as the exporter spells it."""
        shape = self.constant(path, np.array(shape, np.int64))
        count = self.constant(path, np.array([3], np.int64))
        ones = self.node("ConstantOfShape", path, [count], [[3]],
                         value=helper.make_tensor("value", TensorProto.INT64, [1], [1]))
        minus = self.same("Mul", path, ones, self.constant(path, np.array(-1, np.int64)))
        keeps = self.same("Equal", path, shape, minus)
        return self.node("Expand", path, [value, self.same("Where", path, keeps, ones, shape)], [known])

    def top_k(self, path, value, count):
        k = self.constant(path, np.array([count], np.int64))
        return self.node("TopK", path, [value, k], [[1, count], [1, count]], axis=1, largest=1, sorted=1)

    def best(self, path, predictions):
        """The detections with the best scores, sorted, without suppression of overlaps."""
        predictions = self.transpose(path, predictions, [0, 2, 1])
        count = min(DETECTIONS, self.shape(predictions)[1])
        boxes, scores = self.split(path, predictions, [4, CLASSES], -1)
        _, index = self.top_k(path, self.reduce_max(path, scores), count)
        gather = self.expand(path, self.unsqueeze(path, index, 2), [-1, -1, CLASSES], [1, count, CLASSES])
        scores = self.node("GatherElements", path, [scores, gather], [[1, count, CLASSES]], axis=1)
        flat = self.node("Flatten", path, [scores], [[1, count * CLASSES]], axis=1)
        scores, order = self.top_k(path, flat, count)
        scores = self.unsqueeze(path, scores, 2)
        label = self.same("Mod", path, order, self.constant(path, np.array(CLASSES, np.int64)))
        self.nodes[-1].attribute.append(helper.make_attribute("fmod", 0))
        label = self.node("Cast", path, [self.unsqueeze(path, label, 2)], [[1, count, 1]], to=TensorProto.FLOAT)
        row = self.same("Div", path, order, self.constant(path, np.array(CLASSES, np.int64)))
        for _ in range(2):  # int64 to int64, twice, as exported
            row = self.node("Cast", path, [row], [[1, count]], to=TensorProto.INT64)
        index = self.node("GatherElements", path, [index, row], [[1, count]], axis=1)
        gather = self.expand(path, self.unsqueeze(path, index, 2), [-1, -1, 4], [1, count, 4])
        boxes = self.node("GatherElements", path, [boxes, gather], [[1, count, 4]], axis=1)
        return self.concat(path, [boxes, scores, label], -1)


def scaled(channels, width, largest):
    """Channels of a row, rounded up to a multiple of 8."""
    return math.ceil(min(channels, largest) * width / 8) * 8


def backbone(b, size):
    """Rows 0 to 22; returns the values of all rows."""
    depth, width, largest = SCALES[size]
    values = []
    for index, sources, module, repeats, channels in ROWS:
        inputs = [values[s] if values else "images" for s in sources]
        path, name, out = f"/model.{index}", f"model.{index}", scaled(channels, width, largest)
        if module == "Conv":
            value = b.conv(path, name, inputs[0], out, 3, 2)
        elif module == "C2f":
            cib, large = index in CIB_ROWS[size], index in LARGE_KERNEL_ROWS.get(size, ())
            block = (lambda *a: b.cib(*a, large)) if cib else b.bottleneck
            shortcut = index not in NO_SHORTCUT and (index < 11 or cib)
            value = b.c2f(path, name, inputs[0], out, max(round(repeats * depth), 1), shortcut, block)
        elif module == "Concat":
            value = b.concat(path, inputs, 1)
        elif module == "Upsample":
            value = b.upsample(path, inputs[0])
        else:
            value = {"SCDown": b.scdown, "SPPF": b.sppf, "PSA": b.psa}[module](path, name, inputs[0], out)
        values.append(value)
    return values


def detect(b, features, head):
    """Row 23; returns the output value."""
    path, module = "/model.23", "model.23"
    width = [b.shape(f)[1] for f in features]
    box_width, class_width = max(16, width[0] // 4, 4 * BINS), max(width[0], min(CLASSES, 100))

    def boxes(level):
        return b.boxes(path, module, level, features[level], box_width)

    def scores(level):
        return b.classes(path, module, level, features[level], class_width)

    levels = len(features)
    if head == "raw":
        return b.flat(path, levels, lambda i: b.concat(path, [boxes(i), scores(i)], 1), 4 * BINS + CLASSES)
    box_row = b.flat(path, levels, boxes, 4 * BINS)
    score_row = b.flat(path, levels, scores, CLASSES)
    return b.best(path, b.decode(path, module, box_row, score_row, [b.shape(f)[2] for f in features]))


def registered(weight):
    """Sort key: initializers stand in the order in which the modules were registered, not that of use."""
    rank = {"cv2": 1, "m": 2, "attn": 2, "ffn": 3, "proj": 1, "pe": 2, "one2one_cv2": 1, "one2one_cv3": 2, "bias": 1}
    return [int(part) if part.isdigit() else rank.get(part, 0) for part in weight.name.split(".")]


def metadata(args):
    names = {i: name.replace("_", " ") for i, name in enumerate(COCO)}
    return {"description": f"YOLOv10{args.size} graph with synthetic weights (seed {args.seed})",
            "author": "int4q make_yolov10.py", "date": "2026-01-01T00:00:00", "version": "8.4.190",
            "license": "Apache-2.0", "docs": "https://docs.ultralytics.com", "stride": "32", "task": "detect",
            "head": "v10Detect", "batch": "1", "imgsz": str([args.imgsz, args.imgsz]), "names": str(names),
            "args": str({"batch": 1, "dynamic": False, "simplify": False, "opset": args.opset}),
            "channels": "3", "end2end": str(args.head == "e2e")}


def make_model(args):
    """The model as a ModelProto."""
    b = Builder(args.opset, args.seed)
    b.shapes["images"] = [1, 3, args.imgsz, args.imgsz]
    values = backbone(b, args.size)
    output = detect(b, [values[i] for i in (16, 19, 22)], args.head)
    shape = b.shape(output)
    b.nodes[-1].output[0] = "output0"
    graph = helper.make_graph(
        b.nodes, "main_graph", [helper.make_tensor_value_info("images", TensorProto.FLOAT, b.shape("images"))],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, shape)], sorted(b.weights, key=registered))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", args.opset)],
                              ir_version=IR_VERSION[args.opset], producer_name="pytorch",
                              producer_version="2.15.0")
    helper.set_model_props(model, metadata(args))
    return model


def make_sensitivity(model, args):
    """Made-up scores: early layers and the head count for more, as is seen on trained detectors."""
    random = np.random.default_rng(args.seed + 1)
    convs = [n for n in model.graph.node if n.op_type == "Conv" and "/dfl/" not in n.name]
    rows = []
    for i, node in enumerate(convs):
        layer = node.input[1].removesuffix(".weight")
        level = 6 * math.exp(-5 * i / len(convs)) + (1.5 if layer.startswith("model.23.") else 0)
        rows.append({"layer": layer, "num_bits": 4, "sensitivity": round(level * random.lognormal(0, 0.5), 6)})
    return {"scheme": {"name": "int4-absmax-per-channel", "synthetic": True, "direction": "higher is worse",
                       "metric": "made up from the position of the layer and a seed; nothing was measured"},
            "model": {"name": f"yolov10{args.size}", "path": os.path.basename(args.output)},
            "k": 10, "layer_sensitivity": rows}


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices=sorted(SCALES), default="m")
    parser.add_argument("--head", choices=["e2e", "raw"], default="e2e")
    parser.add_argument("--opset", type=int, choices=sorted(IR_VERSION), default=13)
    parser.add_argument("--imgsz", type=int, default=640, help="side of the image, a multiple of 32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", required=True, metavar="FILE")
    parser.add_argument("--sens", metavar="FILE", help="where the scores go (default: sens.json beside FILE)")
    args = parser.parse_args(argv)
    if args.imgsz < 32 or args.imgsz % 32:
        parser.error(f"--imgsz {args.imgsz} is not a multiple of 32")
    args.sens = args.sens or os.path.join(os.path.dirname(args.output), "sens.json")
    return args


def main(argv=None):
    args = parse(argv)
    model = make_model(args)
    try:
        onnx.save(model, args.output)
        with open(args.sens, "w", encoding="utf-8") as file:
            json.dump(make_sensitivity(model, args), file, indent=1)
            file.write("\n")
    except OSError as error:
        sys.exit(f"make_yolov10.py: {error.filename}: {error.strerror}")
    convs = [n for n in model.graph.node if n.op_type == "Conv"]
    shapes = {t.name: t.dims for t in model.graph.initializer}
    weights = sum(math.prod(shapes[n.input[1]]) for n in convs)
    print(f"{args.output}: {len(convs)} Convs, {weights} Conv weights, {os.path.getsize(args.output)} bytes; "
          f"scores (synthetic) in {args.sens}")

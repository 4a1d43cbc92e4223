# SPDX-License-Identifier: Apache-2.0
"""What the scripts know about object detectors: families, preprocessing, decoding, data sets.

A family says how pictures become the model's input and how its outputs become boxes.  It is recognized from
the shapes of the outputs and from the graph, or named by the user.  Arrays:

    picture      uint8 [h, w, 3], RGB
    input        float32 [1, 3, H, W], made as the family was trained
    boxes        float64 [n, 4]: x1, y1, x2, y2, in pixels of the model's input or (from `detect`) of the picture
    scores       float64 [n], 0..1; classes int64 [n], from 0
    probability  float64 [anchors, classes], what Detector.probabilities gives

Adding a family is adding a row to FAMILIES and a case to `recognize`.
"""
import os
import random
from dataclasses import dataclass
from typing import Callable, NamedTuple, Optional

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from PIL import Image

STRIDES = (8, 16, 32)  # of the three feature maps that all of these heads read
BINS = 16              # of a box side in the raw YOLOv8 and YOLOv10 heads
CANDIDATES = 5000      # that non-maximum suppression looks at


class Error(Exception):
    """One line for the user."""


# ---- ONNX

def load_model(path):
    """The model without the bytes of its external data, which `open_session` finds by the model's folder."""
    try:
        return onnx.load(path, load_external_data=False)
    except OSError as error:
        raise Error(f"{path}: {error.strerror}") from error
    except Exception as error:  # protobuf's own class of errors
        raise Error(f"{path}: not an ONNX model: {one_line(error)}") from error


def one_line(error):
    return " ".join(str(error).split())[:300]


def open_session(path, threads=1, model=None, fold=True):
    """An ONNX Runtime session on the CPU; `model`, if given, is a changed copy of the one at `path`.

    `fold` makes constants of decoded weights: the values are the same, and it runs as fast as the float model.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    if fold:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    source = path
    if model is not None:
        folder = os.path.dirname(os.path.abspath(path))
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
        source = model.SerializeToString()
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own classes of errors
        raise Error(f"{path}: ONNX Runtime: {one_line(error)}") from error


def inputs_of(graph):
    """The inputs that a run must be given: older models list their initializers too."""
    stored = {t.name for t in graph.initializer}
    return [i for i in graph.input if i.name not in stored]


def with_outputs(model, names):
    """A copy of the model that has these values as outputs, and no others."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return copy


def dims(value):
    """[int or None] of a graph input or output."""
    return [d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim]


def plain_sigmoids(graph):
    """Outputs of the Sigmoid nodes that give probabilities: not those of SiLU, x * Sigmoid(x)."""
    silu = {name for n in graph.node if n.op_type == "Mul" for name in n.input}
    return [n.output[0] for n in graph.node
            if n.op_type == "Sigmoid" and not (n.output[0] in silu and multiplied(graph, n))]


def taps_of(graph):
    """[boxes, probabilities] of all anchors inside a model that ends in detections; without boxes, or none, if unknown."""
    found = plain_sigmoids(graph)[-1:]
    beside = [n.input[0] for n in graph.node if n.op_type == "Concat" and len(n.input) == 2 and n.input[1] in found]
    return beside[:1] + found


def multiplied(graph, sigmoid):
    return any(n.op_type == "Mul" and {sigmoid.input[0], sigmoid.output[0]} == set(n.input) for n in graph.node)


# ---- Pictures

class Placement(NamedTuple):
    """Where a picture lies in the input: input = picture * scale + offset, for x and for y."""
    scale: tuple
    offset: tuple
    size: tuple  # (width, height) of the picture


def read_picture(path):
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise Error(f"{path}: {error.strerror or one_line(error)}") from error


def resize(picture, height, width):
    """Bilinear between pixel centres, without smoothing beforehand: what detectors are trained with."""
    rows, columns = source_positions(picture.shape[0], height), source_positions(picture.shape[1], width)
    (top, bottom, down), (left, right, along) = rows, columns
    wide = picture.astype(np.float32)
    lines = wide[top] + (wide[bottom] - wide[top]) * down[:, None, None]
    out = lines[:, left] + (lines[:, right] - lines[:, left]) * along[None, :, None]
    return np.rint(out).astype(np.uint8)


def source_positions(size, wanted):
    """For each new pixel of one axis: the two old ones around its centre, and the part of the second."""
    at = np.clip((np.arange(wanted) + 0.5) * size / wanted - 0.5, 0, size - 1)
    first = np.floor(at).astype(np.int64)
    return first, np.minimum(first + 1, size - 1), (at - first).astype(np.float32)


def letterbox(picture, size, family):
    """The picture resized to fit into (H, W) with its proportions kept, on a ground of one value; its Placement."""
    height, width = picture.shape[:2]
    ratio = min(size[0] / height, size[1] / width)
    new = [max(1, int(family.whole(side * ratio))) for side in (height, width)]
    top, left = (int(family.corner(free - side)) for free, side in zip(size, new))
    out = np.full((*size, 3), family.ground, np.uint8)
    out[top:top + new[0], left:left + new[1]] = picture if new == [height, width] else resize(picture, *new)
    scale = (new[1] / width, new[0] / height) if family.whole is not int else (ratio, ratio)
    return out, Placement(scale, (left, top), (width, height))


def prepare(picture, size, family):
    """(input float32 [1, 3, H, W], Placement)."""
    out, placement = letterbox(picture, size, family)
    if family.order == "bgr":
        out = out[:, :, ::-1]
    normal = (out.astype(np.float32) - np.float32(family.mean)) / np.float32(family.deviation)
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None], np.float32), placement


def to_picture(boxes, placement):
    """Boxes in pixels of the input -> boxes in pixels of the picture, cut at its border."""
    moved = (boxes - np.tile(placement.offset, 2)) / np.tile(placement.scale, 2)
    return np.clip(moved, 0, np.tile(placement.size, 2))


# ---- Outputs

def cells(size):
    """Number of places of each of the three feature maps."""
    return [(size[0] // s) * (size[1] // s) for s in STRIDES]


def grid(size, shift):
    """([anchors, 2] x and y of each place in units of its stride, [anchors, 1] strides)."""
    points, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[:size[0] // stride, :size[1] // stride]
        points.append(np.stack([x.ravel(), y.ravel()], 1) + shift)
        strides.append(np.full((x.size, 1), float(stride)))
    return np.concatenate(points), np.concatenate(strides)


def sigmoid(x):
    return 1 / (1 + np.exp(-np.clip(x, -700, 700)))


def expected_bin(logits):
    """[n, 4 * bins] -> [n, 4]: the mean of the distribution over the bins of each side."""
    sides = logits.reshape(len(logits), 4, -1)
    weights = np.exp(sides - sides.max(2, keepdims=True))
    return (weights * np.arange(sides.shape[2])).sum(2) / weights.sum(2)


def around(points, distances):
    """Points [n, 2] and distances [n, 4] to left, top, right, bottom -> boxes [n, 4]."""
    return np.concatenate([points - distances[:, :2], points + distances[:, 2:]], 1)


def centred(centre, sides):
    return np.concatenate([centre - sides / 2, centre + sides / 2], 1)


def decode_yolo(outputs, size, facts):
    """[1, 4 + classes, anchors] with boxes in pixels, or [1, 64 + classes, anchors] as the network computes it."""
    rows = outputs[0][0].T.astype(np.float64)
    if facts["raw"]:
        points, strides = grid(size, 0.5)
        boxes = around(points, expected_bin(rows[:, :4 * BINS])) * strides
        return boxes, sigmoid(rows[:, 4 * BINS:])
    boxes = rows[:, :4] if facts["corners"] else centred(rows[:, :2], rows[:, 2:4])
    return boxes, rows[:, 4:]


def decode_yolox(outputs, size, facts):
    """[1, anchors, 5 + classes]: centre, sides, object, classes; as pixels or as the network computes it."""
    rows = outputs[0][0].astype(np.float64)
    if facts["planes"]:  # reshaped without a transposition: each level is still [5 + classes, places]
        ends = np.cumsum(cells(size))
        rows = np.concatenate([level.reshape(rows.shape[1], -1).T for level in np.split(rows, ends[:-1])])
    centre, sides, rest = rows[:, :2], rows[:, 2:4], rows[:, 4:]
    if not facts["exp"]:
        points, strides = grid(size, 0)
        centre, sides = (centre + points) * strides, np.exp(sides) * strides
    if facts["raw"]:
        rest = sigmoid(rest)
    return centred(centre, sides), rest[:, :1] * rest[:, 1:]


def decode_nanodet(outputs, size, facts):
    """A pair of outputs for each level: classes [1, places, classes], bins [1, places, 4 * bins]."""
    found = [[o[0].astype(np.float64) for o in outputs if o.shape[1] == places] for places in cells(size)]
    classes, bins = (np.concatenate(level) for level in zip(*found))
    points, strides = grid(size, 0.5)
    return around(points, expected_bin(bins)) * strides, sigmoid(classes) if facts["raw"] else classes


def suppress(boxes, scores, limit, most):
    """Indices of the `most` boxes that stay, best first: none overlaps a better one by more than `limit` (IoU)."""
    area = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), 1)
    order, kept = np.argsort(-scores, kind="stable"), []
    while order.size and len(kept) < most:
        best, order = order[0], order[1:]
        kept.append(best)
        low, high = np.maximum(boxes[best, :2], boxes[order, :2]), np.minimum(boxes[best, 2:], boxes[order, 2:])
        shared = np.prod(np.maximum(high - low, 0), 1)
        order = order[shared <= limit * (area[best] + area[order] - shared)]
    return np.array(kept, np.int64)


def pick(boxes, probability, family):
    """Boxes of all anchors and [anchors, classes] -> the detections: (boxes, scores, classes), best first."""
    anchor, label = np.nonzero(probability > family.floor)
    scores = probability[anchor, label]
    order = np.argsort(-scores, kind="stable")[:CANDIDATES if family.overlap else family.most]
    anchor, label, scores = anchor[order], label[order], scores[order]
    if family.overlap and scores.size:
        apart = label[:, None] * (np.abs(boxes[anchor]).max() * 2 + 1)  # boxes of two classes never meet
        kept = suppress(boxes[anchor] + apart, scores, family.overlap, family.most)
        anchor, label, scores = anchor[kept], label[kept], scores[kept]
    return boxes[anchor], scores, label


# ---- Families

@dataclass(frozen=True)
class Family:
    """How a family of detectors was trained."""
    about: str
    decode: Optional[Callable]     # None: the model ends in detections [1, n, 6]
    order: str = "rgb"
    mean: tuple = (0, 0, 0)        # input = (pixel - mean) / deviation, in the order of the channels
    deviation: tuple = (255, 255, 255)
    ground: int = 114              # pixel value around the picture
    whole: Callable = round        # the side of the resized picture, from a fraction
    corner: Callable = lambda free: round(free / 2 - 0.1)  # free pixels -> those before the picture
    overlap: Optional[float] = None  # IoU above which the lesser of two boxes goes; None: the model needs none of that
    floor: float = 0.001           # scores below are no detections
    most: int = 300                # detections a picture


IMAGENET = {"mean": (123.675, 116.28, 103.53), "deviation": (58.395, 57.12, 57.375)}
IMAGENET_BGR = {key: value[::-1] for key, value in IMAGENET.items()}
FAMILIES = {
    "yolov10": Family("ends in detections [1, n, 6]: x1, y1, x2, y2, score, class", None),
    "yolov10-raw": Family("YOLOv10 cut before its choice of boxes: [1, 144 or 84, anchors]", decode_yolo),
    "yolov8": Family("YOLOv8 and successors, [1, 84 or 144, anchors]", decode_yolo, overlap=0.7),
    "yolox": Family("YOLOX, input BGR 0..255: [1, anchors, 85]", decode_yolox, order="bgr", deviation=(1, 1, 1),
                    whole=int, corner=lambda free: 0, overlap=0.65, most=100),
    "yolox-0.1": Family("YOLOX of release 0.1.0, input RGB with ImageNet's mean and deviation", decode_yolox,
                        whole=int, corner=lambda free: 0, overlap=0.65, most=100, **IMAGENET),
    "nanodet": Family("NanoDet, six outputs: [1, places, 80] and [1, places, 32] for each level", decode_nanodet,
                      order="bgr", ground=0, corner=lambda free: free // 2, overlap=0.6, floor=0.05, most=100,
                      **IMAGENET_BGR),
}


def recognize(path, model, shapes, size):
    """Name of the family, from the shapes [[int]] of the outputs and from the graph."""
    anchors = sum(cells(size))
    if len(shapes) == 1 and len(shapes[0]) == 3:
        _, rows, columns = shapes[0]
        if columns == 6 and (rows != anchors or any(n.op_type == "TopK" for n in model.graph.node)):
            return "yolov10"
        if columns == anchors and rows > 4:
            return "yolov10-raw" if named(model.graph, "one2one") else "yolov8"
        if rows == anchors and columns > 5:
            return "yolox-0.1" if stem_level(path, model) > 0.04 else "yolox"
    places = [shape[1] for shape in shapes if len(shape) == 3]
    if len(shapes) == 6 and sorted(places) == sorted(2 * cells(size)):
        return "nanodet"
    listed = ", ".join(map(str, shapes))
    raise Error(f"{path}: no family known with outputs {listed} for input {size[0]}x{size[1]}; name one with --family")


def named(graph, part):
    return any(part in n.name for n in graph.node) or any(part in t.name for t in graph.initializer)


def stem_level(path, model):
    """Mean |w| of the first Conv: 1/60 as large where the input is 0..255 as where it is normalized."""
    weight = next((n.input[1] for n in model.graph.node if n.op_type == "Conv"), None)
    if weight is None:
        return 0.0
    session = open_session(path, 1, with_outputs(model, [weight]))
    feeds = {i.name: np.zeros([d if isinstance(d, int) else 1 for d in i.shape], np.float32)
             for i in session.get_inputs()}
    return float(np.abs(session.run(None, feeds)[0].astype(np.float32)).mean())


def graph_facts(model, size):
    """What the decoding must know, and only the graph tells."""
    graph = model.graph
    makers = {name: n for n in graph.node for name in n.output}
    stored = {t.name: t for t in graph.initializer}
    return {"raw": not plain_sigmoids(graph),                     # scores are logits
            "exp": any(n.op_type == "Exp" for n in graph.node),   # YOLOX: sides in pixels
            "corners": box_corners(graph, makers),                # YOLO: x1 y1 x2 y2, not centre and sides
            "planes": any(is_planes(n, stored, makers, size) for n in graph.node if n.op_type == "Reshape")}


def box_corners(graph, makers):
    """True if boxes are made as Concat(anchor - d, anchor + d): corners; False for Concat(centre, side)."""
    for node in graph.node:
        if node.op_type == "Concat" and len(node.input) == 2:
            kinds = [makers[name].op_type if name in makers else "" for name in node.input]
            if kinds == ["Sub", "Add"]:
                return True
    return False


def is_planes(node, stored, makers, size):
    """True for a Reshape of [1, rows, h, w] straight to [h * w, rows, 1]."""
    source = makers.get(node.input[0])
    if len(node.input) < 2 or node.input[1] not in stored or source is None or source.op_type == "Transpose":
        return False
    shape = numpy_helper.to_array(stored[node.input[1]])
    return len(shape) == 3 and shape[0] in cells(size) and shape[2] == 1


def input_size(path, model, wanted):
    """(H, W): of the model, else what the user wants, else what its metadata say, else 640."""
    found = inputs_of(model.graph)
    if len(found) != 1 or len(dims(found[0])) != 4 or dims(found[0])[1] not in (3, None):
        raise Error(f"{path}: a detector has one input [n, 3, H, W]")
    said = {p.key: p.value for p in model.metadata_props}.get("imgsz", "").strip("[]()").split(",")
    said = [int(s) for s in said] if all(s.strip().isdigit() for s in said) else [640]
    default = [wanted] * 2 if wanted else [said[0], said[-1]]
    return tuple(d or other for d, other in zip(dims(found[0])[2:], default))


class Detector:
    """A model with its family; `probabilities=True` also taps the boxes and class probabilities of all anchors."""

    def __init__(self, path, family=None, size=None, threads=1, probabilities=False):
        self.path, model = path, load_model(path)
        self.size = input_size(path, model, size)
        self.outputs = [o.name for o in model.graph.output]
        self.kind = np.float16 if inputs_of(model.graph)[0].type.tensor_type.elem_type == 10 else np.float32
        self.name = family or recognize(path, model, self.shapes(model), self.size)
        self.family, self.facts = FAMILIES[self.name], graph_facts(model, self.size)
        self.taps = taps_of(model.graph) if probabilities and not self.family.decode else []
        changed = with_outputs(model, self.outputs + self.taps) if self.taps else None
        self.session = open_session(path, threads, changed)
        self.has_probabilities = bool(self.family.decode or self.taps)

    def __getstate__(self):
        """It travels to other processes without its session: `run` is not for them."""
        return {key: v for key, v in self.__dict__.items() if key not in ("session", "family")}

    def __setstate__(self, state):
        self.__dict__.update(state, family=FAMILIES[state["name"]])

    def shapes(self, model):
        found = [dims(o) for o in model.graph.output]
        if all(None not in shape for shape in found):
            return found
        session = open_session(self.path)
        zeros = np.zeros((1, 3, *self.size), self.kind)
        return [list(o.shape) for o in session.run(None, {session.get_inputs()[0].name: zeros})]

    def prepare(self, picture):
        return prepare(picture, self.size, self.family)

    def run(self, values):
        """Outputs of the model (and the tapped ones) for one input."""
        try:
            return self.session.run(None, {self.session.get_inputs()[0].name: values.astype(self.kind)})
        except Exception as error:  # ONNX Runtime's own classes of errors
            raise Error(f"{self.path}: ONNX Runtime: {one_line(error)}") from error

    def detections(self, outputs, placement):
        """(boxes in pixels of the picture, scores, classes)."""
        if self.family.decode:
            boxes, scores, classes = pick(*self.family.decode(outputs, self.size, self.facts), self.family)
        else:
            rows = outputs[0][0].astype(np.float64)
            rows = rows[rows[:, 4] > self.family.floor]
            boxes, scores, classes = rows[:, :4], rows[:, 4], np.rint(rows[:, 5]).astype(np.int64)
        return to_picture(boxes, placement), scores, classes

    def probabilities(self, outputs):
        """float64 [anchors, classes], or None where the model does not tell."""
        if self.family.decode:
            return self.family.decode(outputs, self.size, self.facts)[1]
        return outputs[-1][0].T.astype(np.float64) if self.taps else None

    def all_boxes(self, outputs):
        """float64 [anchors, 4] in pixels of the input, or None where the model does not tell."""
        if self.family.decode:
            return self.family.decode(outputs, self.size, self.facts)[0]
        return outputs[-2][0].T.astype(np.float64) if len(self.taps) == 2 else None

    def detect(self, picture):
        values, placement = self.prepare(picture)
        return self.detections(self.run(values), placement)


# ---- Data sets

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def sample_pictures(folder, number, seed):
    """Paths of so many pictures of a folder, or of all, chosen by the seed, sorted by name."""
    pictures = list_pictures(folder)
    return sorted(random.Random(seed).sample(pictures, min(number, len(pictures))))


def list_pictures(folder):
    """Paths of the pictures of a folder, sorted by name."""
    try:
        names = sorted(n for n in os.listdir(folder) if n.lower().endswith(PICTURES))
    except OSError as error:
        raise Error(f"{folder}: {error.strerror}") from error
    if not names:
        raise Error(f"{folder}: no pictures ({', '.join(PICTURES)})")
    return [os.path.join(folder, n) for n in names]


def add_family_options(parser):
    parser.add_argument("--family", choices=sorted(FAMILIES), help="default: recognized from the model")
    parser.add_argument("--size", type=int, metavar="N", help="side of the input where the model leaves it open")


def family_help():
    return "families:\n" + "\n".join(f"  {name:12} {family.about}" for name, family in FAMILIES.items())

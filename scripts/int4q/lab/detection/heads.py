# SPDX-License-Identifier: Apache-2.0
"""What the outputs of a detector mean: boxes and class probabilities of all anchors, and the choice among them."""
from collections.abc import Sequence

import numpy as np

from int4q.lab.base.types import Array, Size
from int4q.lab.detection.family import Detections, Facts, Family

STRIDES = (8, 16, 32)  # of the three feature maps that all of these heads read
BINS = 16              # of a box side in the raw YOLOv8 and YOLOv10 heads
CANDIDATES = 5000      # that non-maximum suppression looks at


def cells(size: Size) -> list[int]:
    """Number of places of each of the three feature maps."""
    return [(size[0] // s) * (size[1] // s) for s in STRIDES]


def grid(size: Size, shift: float) -> tuple[Array, Array]:
    """([anchors, 2] x and y of each place in units of its stride, [anchors, 1] strides)."""
    points, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[:size[0] // stride, :size[1] // stride]
        points.append(np.stack([x.ravel(), y.ravel()], 1) + shift)
        strides.append(np.full((x.size, 1), float(stride)))
    return np.concatenate(points), np.concatenate(strides)


def sigmoid(x: Array) -> Array:
    odds: Array = np.exp(-np.clip(x, -700, 700))
    return 1 / (1 + odds)


def expected_bin(logits: Array) -> Array:
    """[n, 4 * bins] -> [n, 4]: the mean of the distribution over the bins of each side."""
    sides = logits.reshape(len(logits), 4, -1)
    weights = np.exp(sides - sides.max(2, keepdims=True))
    means: Array = (weights * np.arange(sides.shape[2])).sum(2) / weights.sum(2)
    return means


def around(points: Array, distances: Array) -> Array:
    """Points [n, 2] and distances [n, 4] to left, top, right, bottom -> boxes [n, 4]."""
    return np.concatenate([points - distances[:, :2], points + distances[:, 2:]], 1)


def centred(centre: Array, sides: Array) -> Array:
    return np.concatenate([centre - sides / 2, centre + sides / 2], 1)


def decode_yolo(outputs: Sequence[Array], size: Size, facts: Facts) -> tuple[Array, Array]:
    """[1, 4 + classes, anchors] with boxes in pixels, or [1, 64 + classes, anchors] as the network computes it."""
    rows = outputs[0][0].T.astype(np.float64)
    if facts["raw"]:
        points, strides = grid(size, 0.5)
        boxes = around(points, expected_bin(rows[:, :4 * BINS])) * strides
        return boxes, sigmoid(rows[:, 4 * BINS:])
    boxes = rows[:, :4] if facts["corners"] else centred(rows[:, :2], rows[:, 2:4])
    return boxes, rows[:, 4:]


def decode_yolox(outputs: Sequence[Array], size: Size, facts: Facts) -> tuple[Array, Array]:
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


def decode_yolov5(outputs: Sequence[Array], _size: Size, _facts: Facts) -> tuple[Array, Array]:
    """[1, 3 * anchors, 5 + classes]: centre, sides, object, classes; as pixels and probabilities."""
    rows = outputs[0][0].astype(np.float64)
    return centred(rows[:, :2], rows[:, 2:4]), rows[:, 4:5] * rows[:, 5:]


def decode_nanodet(outputs: Sequence[Array], size: Size, facts: Facts) -> tuple[Array, Array]:
    """A pair of outputs for each level: classes [1, places, classes], bins [1, places, 4 * bins]."""
    found = [[o[0].astype(np.float64) for o in outputs if o.shape[1] == places] for places in cells(size)]
    classes, bins = (np.concatenate(level) for level in zip(*found, strict=True))
    points, strides = grid(size, 0.5)
    return around(points, expected_bin(bins)) * strides, sigmoid(classes) if facts["raw"] else classes


def suppress(boxes: Array, scores: Array, limit: float, most: int) -> Array:
    """Indices of the `most` boxes that stay, best first: none overlaps a better one by more than `limit` (IoU)."""
    area = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), 1)
    order: Array = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while order.size and len(kept) < most:
        best, order = order[0], order[1:]
        kept.append(best)
        low, high = np.maximum(boxes[best, :2], boxes[order, :2]), np.minimum(boxes[best, 2:], boxes[order, 2:])
        shared = np.prod(np.maximum(high - low, 0), 1)
        order = order[shared <= limit * (area[best] + area[order] - shared)]
    return np.array(kept, np.int64)


def pick(boxes: Array, probability: Array, family: Family) -> Detections:
    """Boxes of all anchors and [anchors, classes] -> the detections: (boxes, scores, classes), best first."""
    anchor, label = np.nonzero(probability > family.floor)
    scores = probability[anchor, label]
    order = np.argsort(-scores, kind="stable")[:CANDIDATES if family.overlap else family.most]
    anchor, label, scores = anchor[order], label[order], scores[order]
    if family.overlap and scores.size:
        apart = label[:, None] * (np.abs(boxes[anchor]).max() * 2 + 1)  # boxes of two classes never meet
        kept = suppress(boxes[anchor] + apart, scores, family.overlap, family.most)
        anchor, label, scores = anchor[kept], label[kept], scores[kept]
    return Detections(boxes[anchor], scores, label)

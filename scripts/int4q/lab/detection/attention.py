# SPDX-License-Identifier: Apache-2.0
"""Where in a picture a detector finds something: what happens at those positions matters most."""
from collections.abc import Callable

import numpy as np
from PIL import Image

from int4q.lab.base.types import Array, Size
from int4q.lab.detection.detectors import Detector

CELL = 8     # pixels of the model's input, a side
FLOOR = .02  # of the probability
Weigher = Callable[[tuple[int, ...]], Array]  # from the sides of an output to the weights of its positions


def attention(probabilities: Array, boxes: Array, size: Size) -> Array:
    """float32 [H / 8, W / 8], mean 1, of a model's input of `size` (H, W): how much of what is found lies in a cell.

    Each anchor spreads its probability p (the largest of its classes') over its box: p / sqrt(area) in each cell, so
    that an object counts by its side, not by its area.  Even where nothing is found.
    """
    best = probabilities.max(1)
    found, seen = np.zeros([side // CELL for side in size], np.float64), best > FLOOR
    low = np.clip(np.floor(boxes[seen, :2] / CELL), 0, found.shape[::-1]).astype(int)
    high = np.clip(np.ceil(boxes[seen, 2:] / CELL), 0, found.shape[::-1]).astype(int)
    for (left, top), (right, bottom), p in zip(low, high, best[seen], strict=True):
        if right > left and bottom > top:
            found[top:bottom, left:right] += p / np.sqrt((right - left) * (bottom - top))
    return (found / found.mean() if found.any() else np.ones_like(found)).astype(np.float32)


def position_weights(cells: Array, size: Size, places: tuple[int, ...], focus: float) -> Array:
    """float32 [positions], mean 1: what each position of an output of these sides counts, for `attention` cells.

    1 - focus + focus * cells.  All are the same where the output is no map of the picture.
    """
    even = np.ones(int(np.prod(places)), np.float32)
    if len(places) != 2 or abs(places[0] * size[1] - places[1] * size[0]) > max(size):
        return even
    resized = np.asarray(Image.fromarray(cells).resize(places[::-1], Image.Resampling.BOX), np.float32)
    mean = resized.mean(dtype=np.float64)
    return ((1 - focus) * even + focus * (resized.ravel() / mean if mean > 0 else even)).astype(np.float32)


def weigher(detector: Detector, values: Array, focus: float) -> Weigher | None:
    """A function from the sides of a Conv's output to the weights of its positions, for one input of the detector.

    None where the model does not tell what it finds, and all positions count the same.
    """
    outputs = detector.run(values)
    probabilities, boxes = detector.probabilities(outputs), detector.all_boxes(outputs)
    if probabilities is None or boxes is None:
        return None
    cells = attention(probabilities, boxes, detector.size)
    return lambda places: position_weights(cells, detector.size, places, focus)

# SPDX-License-Identifier: Apache-2.0
"""What a family of detectors is."""
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypedDict

from int4q.lab.base.types import Array, Size

Pixel = tuple[float, float, float]


class Facts(TypedDict):
    """What the decoding must know, and only the graph tells."""
    raw: bool      # scores are logits
    exp: bool      # YOLOX: sides in pixels
    corners: bool  # YOLO: x1 y1 x2 y2, not centre and sides
    planes: bool   # YOLOX: levels reshaped without a transposition


class Detections(NamedTuple):
    """What is found in one picture, best first."""
    boxes: Array    # float64 [n, 4]: x1, y1, x2, y2
    scores: Array   # float64 [n], 0..1
    classes: Array  # int64 [n], from 0


Decode = Callable[[Sequence[Array], Size, Facts], tuple[Array, Array]]  # outputs -> boxes, probabilities


def middle(free: int) -> int:
    return round(free / 2 - 0.1)


def first(_: int) -> int:
    return 0


@dataclass(frozen=True)
class Family:
    """How a family of detectors was trained."""
    about: str
    decode: Decode | None  # None: the model ends in detections [1, n, 6]
    order: str = "rgb"
    mean: Pixel = (0, 0, 0)  # input = (pixel - mean) / deviation, in the order of the channels
    deviation: Pixel = (255, 255, 255)
    ground: int = 114        # pixel value around the picture
    whole: Callable[[float], int] = round   # the side of the resized picture, from a fraction
    corner: Callable[[int], int] = middle   # free pixels -> those before the picture
    overlap: float | None = None  # IoU above which the lesser of two boxes goes; None: the model needs none of that
    floor: float = 0.001          # scores below are no detections
    most: int = 300               # detections a picture
    blind: bool = False           # what comes out is not known: good for inputs only

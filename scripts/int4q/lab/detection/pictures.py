# SPDX-License-Identifier: Apache-2.0
"""Pictures: read, chosen from a folder, and made into a detector's input and back."""
import os
import random
from typing import NamedTuple

import numpy as np
from PIL import Image

from int4q.lab.base.errors import Error, one_line, warn
from int4q.lab.base.types import Array, Size
from int4q.lab.detection.family import Family

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


class Placement(NamedTuple):
    """Where a picture lies in the input: input = picture * scale + offset, for x and for y."""
    scale: tuple[float, float]
    offset: tuple[int, int]
    size: tuple[int, int]  # (width, height) of the picture


def read_picture(path: str) -> Array:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise Error(f"{path}: {error.strerror or one_line(error)}") from error


def resize(picture: Array, height: int, width: int) -> Array:
    """Bilinear between pixel centres, without smoothing beforehand: what detectors are trained with."""
    rows, columns = source_positions(picture.shape[0], height), source_positions(picture.shape[1], width)
    (top, bottom, down), (left, right, along) = rows, columns
    wide = picture.astype(np.float32)
    lines = wide[top] + (wide[bottom] - wide[top]) * down[:, None, None]
    out = lines[:, left] + (lines[:, right] - lines[:, left]) * along[None, :, None]
    pixels: Array = np.rint(out).astype(np.uint8)
    return pixels


def source_positions(size: int, wanted: int) -> tuple[Array, Array, Array]:
    """For each new pixel of one axis: the two old ones around its centre, and the part of the second."""
    at = np.clip((np.arange(wanted) + 0.5) * size / wanted - 0.5, 0, size - 1)
    first = np.floor(at).astype(np.int64)
    return first, np.minimum(first + 1, size - 1), (at - first).astype(np.float32)


def letterbox(picture: Array, size: Size, family: Family) -> tuple[Array, Placement]:
    """The picture resized to fit into (H, W) with its proportions kept, on a ground of one value; its Placement."""
    height, width = picture.shape[:2]
    ratio = min(size[0] / height, size[1] / width)
    new = [max(1, int(family.whole(side * ratio))) for side in (height, width)]
    top, left = (int(family.corner(free - side)) for free, side in zip(size, new, strict=True))
    out = np.full((*size, 3), family.ground, np.uint8)
    out[top:top + new[0], left:left + new[1]] = picture if new == [height, width] else resize(picture, *new)
    scale = (new[1] / width, new[0] / height) if family.whole is not int else (ratio, ratio)
    return out, Placement(scale, (left, top), (width, height))


def prepare(picture: Array, size: Size, family: Family) -> tuple[Array, Placement]:
    """(input float32 [1, 3, H, W], Placement)."""
    out, placement = letterbox(picture, size, family)
    if family.order == "bgr":
        out = out[:, :, ::-1]
    mean, deviation = np.array(family.mean, np.float32), np.array(family.deviation, np.float32)
    normal = (out.astype(np.float32) - mean) / deviation
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None], np.float32), placement


def to_picture(boxes: Array, placement: Placement) -> Array:
    """Boxes in pixels of the input -> boxes in pixels of the picture, cut at its border."""
    moved = (boxes - np.tile(placement.offset, 2)) / np.tile(placement.scale, 2)
    inside: Array = np.clip(moved, 0, np.tile(placement.size, 2))
    return inside


def sample_pictures(folder: str, number: int, seed: int) -> list[str]:
    """Paths of so many pictures of a folder, or of all, chosen by the seed, sorted by name."""
    pictures = list_pictures(folder)
    if len(pictures) < number:
        warn(f"only {len(pictures)} pictures in {folder}")
    return sorted(random.Random(seed).sample(pictures, min(number, len(pictures))))


def list_pictures(folder: str) -> list[str]:
    """Paths of the pictures of a folder, sorted by name."""
    try:
        names = sorted(n for n in os.listdir(folder) if n.lower().endswith(PICTURES))
    except OSError as error:
        raise Error(f"{folder}: {error.strerror}") from error
    if not names:
        raise Error(f"{folder}: no pictures ({', '.join(PICTURES)})")
    return [os.path.join(folder, n) for n in names]

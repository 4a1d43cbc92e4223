# SPDX-License-Identifier: Apache-2.0
"""Pictures: read, chosen from a folder, and made into a detector's input and back."""
import itertools
import os
import random
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps

from int4q.lab.base.errors import Error, one_line, warn
from int4q.lab.base.types import Array, Size
from int4q.lab.detection.data_yaml import data_places, is_data_yaml
from int4q.lab.detection.family import Family

SIDEWAYS = (5, 6, 7, 8)  # Exif's orientations that swap rows and columns
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what Pillow says of files that are none


class Placement(NamedTuple):
    """Where a picture lies in the input: input = picture * scale + offset, for x and for y."""
    scale: tuple[float, float]
    offset: tuple[int, int]
    size: tuple[int, int]  # (width, height) of the picture


def read_picture(path: str) -> Array:
    """Turned as the camera says that it was held: so detectors are trained, and so labels are drawn."""
    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except UNREADABLE as error:
        raise Error(f"{path}: {getattr(error, 'strerror', None) or one_line(error)}") from error


def picture_size(path: str) -> tuple[int, int]:
    """(width, height) of what read_picture gives; zeros where that cannot be read."""
    try:
        with Image.open(path) as image:
            sideways = image.getexif().get(ExifTags.Base.Orientation, 1) in SIDEWAYS
            return image.size[::-1] if sideways else image.size
    except UNREADABLE:
        return 0, 0


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


# ---- where pictures are

def is_picture(path: str, strict: bool = False) -> bool:
    """Whether it can be read to its end; a warning, or with `strict` an error, if not. A JPEG need not be of full size."""
    try:
        with Image.open(path) as image:
            image.draft("RGB", (1, 1))
            image.load()
    except UNREADABLE as error:
        if strict:
            raise Error(f"{path}: {one_line(error)}") from error
        warn(f"{path}: left out: {one_line(error)}")
        return False
    return True


def sample_pictures(place: str, number: int, seed: int, strict: bool = False) -> list[str]:
    """Paths of so many pictures of a place, or of all, chosen by the seed, sorted by name; others for those not readable."""
    pictures = list_pictures(place)
    random_one = random.Random(seed)
    first = random_one.sample(pictures, min(number, len(pictures)))
    rest = sorted(set(pictures) - set(first))
    order = itertools.chain(first, random_one.sample(rest, len(rest)))
    chosen = sorted(itertools.islice((p for p in order if is_picture(p, strict)), number))
    if not chosen:
        raise Error(f"{place}: no pictures that can be read")
    if len(chosen) < number:
        warn(f"only {len(chosen)} pictures in {place}")
    return chosen


def list_pictures(place: str, split: str = "train") -> list[str]:
    """Paths of the pictures of a folder and those below it, sorted; or of a list of paths (.txt), a data.yaml, one file."""
    if os.path.isdir(place):
        pictures = pictures_below(place)
    elif not os.path.exists(place):
        raise Error(f"{place}: No such file or directory")
    elif is_data_yaml(place):
        pictures = [p for part in data_places(place, split) for p in list_pictures(part, split)]
    elif place.lower().endswith(".txt"):
        pictures = listed_pictures(place)
    elif place.lower().endswith(PICTURES):
        pictures = [place]
    else:
        raise Error(f"{place}: neither a folder of pictures, nor a list (.txt), nor a data.yaml")
    if not pictures:
        raise Error(f"{place}: no pictures ({', '.join(PICTURES)})")
    return list(dict.fromkeys(map(os.path.normpath, pictures)))


def pictures_below(folder: str) -> list[str]:
    """Those of a folder and of all folders in it, sorted; hidden files are none."""
    found = [os.path.join(part, n) for part, _, names in os.walk(folder) for n in names]
    return sorted(p for p in found if p.lower().endswith(PICTURES) and not os.path.basename(p).startswith("."))


def listed_pictures(path: str) -> list[str]:
    """The paths that stand in a file, one a line, from the folder of the file."""
    with open(path, encoding="utf-8-sig") as file:
        names = [line.strip() for line in file]
    return [os.path.normpath(os.path.join(os.path.dirname(path), n)) for n in names if n]

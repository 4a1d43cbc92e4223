# SPDX-License-Identifier: Apache-2.0
"""Labels as YOLOs are trained with, as COCO has them: a .txt file for each picture, a line for each object.

    class x y w h          the box's middle and sides, parts of the picture's width and height
    class x y x y x y ...  a polygon, of which the box counts
"""
import os
from collections.abc import Sequence

from int4q.lab.base.errors import Error, warn
from int4q.lab.base.types import Row
from int4q.lab.detection.data_yaml import class_list, has_keypoints
from int4q.lab.detection.pictures import list_pictures, picture_size

BOX, POLYGON = 4, 6    # numbers of a box; of the least polygon
BORDER = 0.01          # what lies further outside 0 to 1 is no part of a side
Box = tuple[float, float, float, float]  # x, y, width, height


def label_path(picture: str) -> str:
    """Beside the picture, with the last folder `images` of its path called `labels`."""
    folder, name = os.path.split(os.path.abspath(picture))
    parts = folder.split(os.sep)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return os.path.join(os.sep.join(parts), os.path.splitext(name)[0] + ".txt")


def box_of(numbers: Sequence[float], keypoints: bool) -> Box:
    """In parts of the picture."""
    if len(numbers) == BOX or keypoints:
        x, y, width, height = numbers[:BOX]
        return x - width / 2, y - height / 2, width, height
    across, down = numbers[::2], numbers[1::2]
    return min(across), min(down), max(across) - min(across), max(down) - min(down)


def read_line(line: str, classes: int, keypoints: bool) -> tuple[int, Box]:
    """(class, box) of one object; a ValueError tells what is wrong."""
    label, *numbers = map(float, line.split())
    if not 0 <= label < classes or label != int(label):
        raise ValueError(f"class {label:g}, but there are {classes} names, counted from 0")
    if len(numbers) != BOX and not keypoints and (len(numbers) < POLYGON or len(numbers) % 2):
        raise ValueError(f"{len(numbers)} numbers behind the class, neither a box of 4 nor a polygon")
    checked = numbers[:BOX] if keypoints else numbers
    wrong = [n for n in checked if not -BORDER <= n <= 1 + BORDER]
    if len(checked) < BOX or wrong:
        raise ValueError(f"{wrong[0]:g} is no part of a side, 0 to 1" if wrong else "no box")
    return int(label), box_of(numbers, keypoints)


def read_labels(path: str, classes: int, keypoints: bool) -> list[tuple[int, Box]]:
    """Each object once."""
    found: dict[tuple[int, Box], None] = {}
    for number, line in enumerate(read_lines(path), 1):
        try:
            if line.strip():
                found[read_line(line, classes, keypoints)] = None
        except ValueError as error:
            raise Error(f"{path}: line {number}: {error}") from error
    return list(found)


def read_lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.readlines()
    except UnicodeDecodeError as error:
        raise Error(f"{path}: no text") from error


def coco_dataset(data: str, place: str) -> Row:
    """COCO's object of the pictures of a place, from the labels beside them and the names in a data.yaml.

    A picture without labels has no objects; that none has any is an Error.
    """
    names, keypoints = class_list(data), has_keypoints(data)
    pictures = [os.path.abspath(p) for p in list_pictures(place, "val")]
    paths = [label_path(p) for p in pictures]
    there = [os.path.isfile(p) for p in paths]
    if not any(there):
        raise Error(f"{place}: none of its {len(there)} pictures has labels; looked for {paths[0]}")
    if not all(there):
        warn(f"{there.count(False)} of {len(there)} pictures have no labels: taken for pictures of nothing")
    annotations: list[Row] = []
    for number, (picture, path, labelled) in enumerate(zip(pictures, paths, there, strict=True), 1):
        objects = read_labels(path, len(names), keypoints) if labelled else []
        across, down = picture_size(picture) if objects else (0, 0)
        annotations += [{"image_id": number, "category_id": label,
                         "bbox": [x * across, y * down, width * across, height * down]}
                        for label, (x, y, width, height) in objects]
    return {"images": [{"id": i, "file_name": p} for i, p in enumerate(pictures, 1)], "annotations": annotations,
            "categories": [{"id": i, "name": name} for i, name in enumerate(names)]}

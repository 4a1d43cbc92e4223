# SPDX-License-Identifier: Apache-2.0
"""COCO annotations, and the mAP of pycocotools."""
import contextlib
import io
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from int4q.lab.base.errors import Error, one_line
from int4q.lab.base.types import Array, Row
from int4q.lab.detection.family import Detections

Image = tuple[int, str]  # (id, path)


def numbered(rows: list[Row]) -> dict[Any, int]:
    """{id: number} of images or categories: itself where all ids are numbers, else their places from 1."""
    ids = [row["id"] for row in rows]
    return {i: i if all(isinstance(i, int) for i in ids) else place for place, i in enumerate(ids, 1)}


def complete(data: Any) -> Any:
    """The annotations with what home-made files leave out, and with ids that pycocotools can count with.

    It wants numbers, and takes an annotation of id 0 for none at all.
    """
    images, categories = numbered(data["images"]), numbered(data["categories"])
    for rows, numbers in ((data["images"], images), (data["categories"], categories)):
        for row in rows:
            row["id"] = numbers[row["id"]]
    for place, row in enumerate(data["annotations"], 1):
        row.update(id=place, image_id=images.get(row["image_id"]), category_id=categories[row["category_id"]])
        row.setdefault("iscrowd", 0)
        row.setdefault("area", row["bbox"][2] * row["bbox"][3])
    return data


def read_annotations(path: str) -> COCO:
    """COCO's index of a file of instances."""
    coco = COCO()
    try:
        with open(path, encoding="utf-8") as file, contextlib.redirect_stdout(io.StringIO()):
            coco.dataset = complete(json.load(file))
            coco.createIndex()
    except OSError as error:
        raise Error(f"{path}: {error.strerror}") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Error(f"{path}: no COCO annotations: {type(error).__name__}: {one_line(error)}") from error
    return coco


def choose_images(coco: COCO, folder: str, limit: int | None) -> list[Image]:
    """[(id, path)] of the annotated images that the folder has, by id."""
    if not os.path.isdir(folder):
        raise Error(f"{folder}: no such directory")
    every = [(i, os.path.join(folder, coco.imgs[i]["file_name"])) for i in sorted(coco.imgs)]
    there = [pair for pair in every if os.path.exists(pair[1])]
    if not there:
        raise Error(f"{folder}: none of the {len(every)} annotated images is there")
    if len(there) < len(every):
        print(f"{len(there)} of {len(every)} annotated images are in {folder}", file=sys.stderr)
    return there[:limit]


def coco_rows(image: int, detections: Detections, categories: Sequence[int], path: str) -> Array:
    """Detections of one image as pycocotools wants them: image, x, y, width, height, score, category."""
    boxes, scores, classes = detections
    if classes.size and classes.max() >= len(categories):
        raise Error(f"{path}: class {classes.max()} found, but the annotations have {len(categories)} categories")
    sides = boxes[:, 2:] - boxes[:, :2]
    labels = np.array(categories)[classes] if classes.size else classes
    return np.column_stack([np.full(len(boxes), image), boxes[:, :2], sides, scores, labels]).astype(np.float64)


def match(coco: COCO, rows: Array, ids: Sequence[int]) -> COCOeval:
    """The COCOeval of one model: evaluated (detections matched to annotations), and accumulated."""
    with contextlib.redirect_stdout(io.StringIO()):
        found = coco.loadRes(rows) if len(rows) else empty_results(coco)
        evaluation = COCOeval(coco, found, "bbox")
        evaluation.params.imgIds = ids
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def empty_results(coco: COCO) -> COCO:
    found = COCO()
    found.dataset = {"images": coco.dataset["images"], "categories": coco.dataset["categories"], "annotations": []}
    found.createIndex()
    return found


def summary(precision: Array) -> tuple[float, float]:
    """precision [thresholds, ...], -1 where a category has no annotation -> (mAP50-95, mAP50) in percent."""
    def mean(part: Array) -> float:
        return 100 * float(part[part > -1].mean()) if (part > -1).any() else 0.0
    return mean(precision), mean(precision[:1])

# SPDX-License-Identifier: Apache-2.0
"""Annotations, as COCO has them or as YOLOs are trained with, and the mAP of pycocotools."""
import contextlib
import io
import itertools
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from int4q.lab.base.errors import Error, one_line
from int4q.lab.base.files import digest, read_json
from int4q.lab.base.types import Array, Row
from int4q.lab.detection.classes import NONE, Category
from int4q.lab.detection.data_yaml import is_data_yaml
from int4q.lab.detection.family import Detections
from int4q.lab.detection.pictures import is_picture, list_pictures, pictures_below
from int4q.lab.detection.yolo_labels import coco_dataset

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
        if row["category_id"] not in categories:
            raise ValueError(f"annotation {place} is of category {row['category_id']}, which is none of its "
                             f"{len(categories)} categories")
        row.update(id=place, image_id=images.get(row["image_id"]), category_id=categories[row["category_id"]])
        row.setdefault("iscrowd", 0)
        row.setdefault("area", row["bbox"][2] * row["bbox"][3])
    return data


def read_annotations(path: str, place: str) -> COCO:
    """COCO's index of a file of instances; or of the labels of the pictures of a place, for a data.yaml."""
    coco = COCO()
    try:
        coco.dataset = complete(coco_dataset(path, place) if is_data_yaml(path) else read_instances(path))
        with contextlib.redirect_stdout(io.StringIO()):
            coco.createIndex()
    except KeyError as error:
        raise Error(f"{path}: no COCO annotations: {error} is missing") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Error(f"{path}: no COCO annotations: {one_line(error)}") from error
    return coco


def read_instances(path: str) -> Any:
    if os.path.isdir(path):
        raise Error(f"{path}: a folder; of labels for YOLOs it is their data.yaml that is wanted")
    return read_json(path)


def dataset_sha256(coco: COCO) -> str:
    """Of all that the annotations say, before anything is matched with them."""
    return digest(coco.dataset)


def locate(place: str, names: Sequence[str]) -> dict[str, str]:
    """{name of a file: its path} of those that are at the place, or anywhere below it."""
    found = {name: os.path.join(place, name) for name in names if os.path.exists(os.path.join(place, name))}
    if len(found) == len(names):
        return found
    below: dict[str, list[str]] = {}
    for path in pictures_below(place) if os.path.isdir(place) else list_pictures(place, "val"):
        below.setdefault(os.path.basename(path), []).append(path)
    for name in (n for n in names if n not in found):
        paths = below.get(os.path.basename(name), [])
        same = [p for p in paths if p.endswith(os.sep + os.path.normpath(name))] or paths
        if len(same) == 1:
            found[name] = same[0]
    return found


def choose_images(coco: COCO, place: str, limit: int | None, strict: bool = False) -> list[Image]:
    """[(id, path)] of the annotated images that are at a place of pictures, by id; those that can be read."""
    if not os.path.exists(place):
        raise Error(f"{place}: no such directory")
    found = locate(place, [coco.imgs[i]["file_name"] for i in sorted(coco.imgs)])
    there = [(i, found[coco.imgs[i]["file_name"]]) for i in sorted(coco.imgs) if coco.imgs[i]["file_name"] in found]
    if not there:
        raise Error(f"{place}: none of the {len(coco.imgs)} annotated images is there")
    if len(there) < len(coco.imgs):
        print(f"{len(there)} of {len(coco.imgs)} annotated images are in {place}", file=sys.stderr)
    chosen = list(itertools.islice((pair for pair in there if is_picture(pair[1], strict)), limit))
    if not chosen:
        raise Error(f"{place}: none of the annotated images can be read")
    return chosen


def categories_of(coco: COCO) -> list[Category]:
    """By id."""
    return [Category(i, str(coco.cats[i].get("name", ""))) for i in sorted(coco.getCatIds())]


def coco_rows(image: int, detections: Detections, ids: Array, path: str) -> Array:
    """Detections of one image as pycocotools wants them: image, x, y, width, height, score, category.

    `ids` has the category of each class, see classes.py.
    """
    boxes, scores, classes = detections
    if classes.size and classes.max() >= len(ids):
        raise Error(f"{path}: class {classes.max()} found, but the annotations have {len(ids)} categories")
    sides = boxes[:, 2:] - boxes[:, :2]
    labels = ids[classes] if classes.size else classes
    rows = np.column_stack([np.full(len(boxes), image), boxes[:, :2], sides, scores, labels]).astype(np.float64)
    counted: Array = rows[labels != NONE]
    return counted


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


def by_category(evaluation: COCOeval) -> dict[str, float]:
    """{name of a category: mAP50-95 in percent} of those that are annotated in the images."""
    precision, cats = evaluation.eval["precision"], evaluation.cocoGt.cats
    found = {cats[c].get("name") or str(c): precision[:, :, k] for k, c in enumerate(evaluation.params.catIds)}
    return {name: round(summary(part)[0], 4) for name, part in found.items() if (part > -1).any()}


def summary(precision: Array) -> tuple[float, float]:
    """precision [thresholds, ...], -1 where a category has no annotation -> (mAP50-95, mAP50) in percent."""
    def mean(part: Array) -> float:
        return 100 * float(part[part > -1].mean()) if (part > -1).any() else 0.0
    return mean(precision), mean(precision[:1])

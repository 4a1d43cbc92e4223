# SPDX-License-Identifier: Apache-2.0
"""Detectors side by side on the same pictures, and the rows of figures that come of it."""
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pycocotools.cocoeval import COCOeval

from int4q.lab.base.progress import progress
from int4q.lab.base.types import Array, Row, Size
from int4q.lab.detection.bootstrap import interval
from int4q.lab.detection.classes import Category
from int4q.lab.detection.coco import Image, by_category, coco_rows, summary
from int4q.lab.detection.detectors import Detector
from int4q.lab.detection.mnn import MnnDetector
from int4q.lab.detection.pictures import Placement, read_picture
from int4q.lab.detection.similarity import Heads, compare, similarity

COLUMNS = ("model", "family", "bytes", "images", "mAP", "mAP_low", "mAP_high", "mAP50", "mAP50_low", "mAP50_high",
           "difference", "difference_low", "difference_high", "kl", "iou")


class Model(NamedTuple):
    """Whose figures are in a row."""
    path: str
    family: str


def open_detectors(paths: Sequence[str], family: str | None, size: int | None, threads: int) -> list[Detector]:
    """Those of different models, in their order; the first is the reference of models of MNN."""
    found: list[Detector] = []
    for path in dict.fromkeys(paths):
        found.append(MnnDetector(path, found[0], threads) if found and path.endswith(".mnn") else
                     Detector(path, family, size, threads, probabilities=True))
    return found


def run_detectors(detectors: Sequence[Detector], images: Sequence[Image],
                  categories: Sequence[Category]) -> tuple[list[Array], Array]:
    """([rows] of each detector, its comparison with the first, [detectors, images, 3] as `compare` has it)."""
    rows: list[list[Array]] = [[] for _ in detectors]
    ids: list[Array] = []
    compared = np.full((len(detectors), len(images), 3), np.nan)
    for column, (image, path) in enumerate(progress(images, "image")):
        picture = read_picture(path)
        wanted: Heads = None, None
        prepared: dict[tuple[str, Size], tuple[Array, Placement]] = {}
        for line, detector in enumerate(detectors):
            key = detector.name, detector.size
            if key not in prepared:
                prepared[key] = detector.prepare(picture)
            values, placement = prepared[key]
            outputs = detector.run(values)
            got = detector.probabilities(outputs), detector.all_boxes(outputs)
            if line == len(ids):
                ids.append(detector.category_ids(outputs, categories))
            rows[line].append(coco_rows(image, detector.detections(outputs, placement), ids[line], detector.path))
            wanted = got if line == 0 else wanted
            compared[line, column] = compare(wanted, got)
    return [np.concatenate(r) for r in rows], compared


def report_rows(models: Sequence[Model], evaluations: Sequence[COCOeval], resamples: Array,
                compared: Array | Sequence[Array]) -> list[Row]:
    """One row of COLUMNS a model, and its mAP by class; the first is the reference."""
    points, rows = [summary(e.eval["precision"]) for e in evaluations], []
    for i, (model, point) in enumerate(zip(models, points, strict=True)):
        values = [model.path, model.family, os.path.getsize(model.path), len(evaluations[i].params.imgIds)]
        for part in range(2):
            values += [round(point[part], 4), *interval(point[part], resamples[:, i, part])]
        change = point[0] - points[0][0]
        changes = resamples[:, i, 0] - resamples[:, 0, 0]
        values += [round(change, 4), *interval(change, changes, -100)] if i else [None] * 3
        values += similarity(compared[i]) if i else [None] * 2
        rows.append({**dict(zip(COLUMNS, values, strict=True)), "classes": by_category(evaluations[i])})
    return rows

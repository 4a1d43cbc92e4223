# SPDX-License-Identifier: Apache-2.0
"""How like a detector's answers are to those of its reference: in class probabilities and boxes of all anchors, before the
choice of boxes, and in detections that match.  Decibels of a sorted table of detections say nothing: one that changes its
place changes all rows behind it.
"""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from int4q.lab.base.errors import Error
from int4q.lab.base.types import Array, Row
from int4q.lab.detection.detectors import Detector
from int4q.lab.detection.family import Detections
from int4q.lab.detection.pictures import read_picture
from int4q.lab.detection.similarity import Heads, compare, overlap, similarity

SURE = 0.25   # scores of detections that count
MEETS = 0.5   # IoU of two boxes of one object
NOISE = 1     # pictures of noise, where there are no others


class Matched(NamedTuple):
    wanted: int   # detections of the reference
    matched: int  # of them, those that the other model has too
    new: int      # detections of the other model that the reference has not


def match_detections(wanted: Detections, got: Detections) -> Matched:
    """Each detection of the reference, best first, takes the one of its class that overlaps most, by MEETS at least."""
    first, second = (np.flatnonzero(d.scores >= SURE) for d in (wanted, got))
    free, matched = list(second), 0
    for i in first:
        rivals = [j for j in free if got.classes[j] == wanted.classes[i]]
        overlaps = overlap(np.repeat(wanted.boxes[i:i + 1], len(rivals), 0), got.boxes[rivals])
        if len(rivals) and overlaps.max() >= MEETS:
            free.remove(rivals[int(overlaps.argmax())])
            matched += 1
    return Matched(len(first), matched, len(free))


class Answers:
    """What the reference says to some pictures, or to noise; others are compared with it."""

    def __init__(self, path: str, pictures: Sequence[str], size: int | None, threads: int, seed: int) -> None:
        self.detector = Detector(path, None, size, threads, probabilities=True)
        self.pictures, self.size, self.threads, self.seed = pictures, size, threads, seed
        self.said = [self.answer(self.detector, n) for n in range(len(pictures) or NOISE)]

    def picture(self, number: int) -> Array:
        if self.pictures:
            return read_picture(self.pictures[number])
        noise: Array = np.random.default_rng(self.seed + number).integers(0, 256, (*self.detector.size, 3), np.uint8)
        return noise

    def answer(self, detector: Detector, number: int) -> tuple[Heads, Detections]:
        values, placement = detector.prepare(self.picture(number))
        outputs = detector.run(values)
        return ((detector.probabilities(outputs), detector.all_boxes(outputs)), detector.detections(outputs, placement))

    def likeness(self, path: str) -> Row:
        """Figures of another model; keys: docs/experiments.md."""
        detector = Detector(path, self.detector.name, self.size, self.threads, probabilities=True)
        other = [self.answer(detector, n) for n in range(len(self.said))]
        kl, iou = similarity(np.array([compare(w[0], g[0]) for w, g in zip(self.said, other, strict=True)]))
        matched = [match_detections(w[1], g[1]) for w, g in zip(self.said, other, strict=True)]
        totals = Matched(*(sum(column) for column in zip(*matched, strict=True)))
        return {"pictures": len(self.pictures), "kl": kl, "iou": iou, **totals._asdict()}


def answers_of(path: str, pictures: Sequence[str], size: int | None, threads: int, seed: int) -> Answers | None:
    """None where the model is no detector that is known; with pictures that is an error."""
    try:
        return Answers(path, pictures, size, threads, seed)
    except Error:
        if pictures:
            raise
        return None


def told(row: Row) -> str:
    """The figures in words."""
    heads = [f"{name} {row[key]:.3g}" for name, key in (("KL", "kl"), ("IoU", "iou")) if row[key] is not None]
    found = f"{row['matched']} of {row['wanted']} detections matched, {row['new']} new"
    return ", ".join(heads + [found] * bool(row["pictures"] or not heads)) + ("" if row["pictures"] else " (on noise)")

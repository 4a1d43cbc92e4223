# SPDX-License-Identifier: Apache-2.0
"""Intervals of mAP from images drawn with replacement."""
from collections.abc import Sequence

import numpy as np
from pycocotools.cocoeval import COCOeval

from int4q.lab.base.progress import progress
from int4q.lab.base.types import Array

Category = tuple[Array, Array, Array, Array]  # what category_matches finds of one
RECALLS, THRESHOLDS = np.linspace(0, 1, 101), 10  # of COCO's average precision; of IoU
TOGETHER = 1 << 22  # numbers of one array of the bootstrap


def category_matches(evaluation: COCOeval) -> list[Category]:
    """For each category: (hits [T, n], misses [T, n], image index [n]) by falling score, annotations [images]."""
    images, found = len(evaluation.params.imgIds), []
    for start in range(0, len(evaluation.evalImgs), images):
        cell = [(i, e) for i, e in enumerate(evaluation.evalImgs[start:start + images]) if e is not None]
        wanted = np.zeros(images)
        for i, e in cell:
            wanted[i] = np.sum(np.asarray(e["gtIgnore"]) == 0)
        if not wanted.any():
            continue
        order = np.argsort(-np.concatenate([e["dtScores"] for _, e in cell]), kind="mergesort")
        matched = np.concatenate([e["dtMatches"] for _, e in cell], 1)[:, order] != 0
        ignored = np.concatenate([e["dtIgnore"] for _, e in cell], 1)[:, order].astype(bool)
        index = np.concatenate([np.full(len(e["dtScores"]), i) for i, e in cell])[order].astype(np.int64)
        found.append((matched & ~ignored, ~matched & ~ignored, index, wanted))
    return found


def weighted_precision(category: Category, weights: Array) -> Array:
    """Average precision [R, T] of one category if image i were there weights[r, i] times; NaN without annotations.

    Precision matters where recall grows, at the hits; there the envelope counts for each of the recalls just reached.
    """
    hits, misses, index, wanted = category
    total, times = weights @ wanted, weights[:, index]
    found = np.full((len(weights), len(hits)), np.nan)
    there = total > 0
    for column, (hit, miss) in enumerate(zip(hits, misses, strict=True)):
        places = np.flatnonzero(hit)
        right = np.cumsum(times[:, places], 1)[there]
        wrong = np.cumsum(times * miss, 1)[there][:, places]
        precision = right / np.maximum(right + wrong, np.spacing(1))
        envelope = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
        reached = np.searchsorted(RECALLS, right / total[there, None], side="right")
        found[there, column] = (envelope * np.diff(reached, axis=1, prepend=0)).sum(1) / len(RECALLS)
    return found


def weighted_summary(categories: Sequence[Category], weights: Array) -> Array:
    """[R, 2]: mAP50-95 and mAP50 in percent of the images taken weights[r, i] times."""
    table = np.array([weighted_precision(c, weights) for c in categories]).reshape(-1, len(weights), THRESHOLDS)
    count = np.maximum(np.sum(~np.isnan(table[:, :, 0]), 0), 1)
    means = 100 * np.nansum(table, 0) / count[:, None]
    return np.stack([means.mean(1), means[:, 0]], 1)


def bootstrap(evaluations: Sequence[COCOeval], rounds: int, seed: int) -> Array:
    """[rounds, models, 2]: mAP50-95 and mAP50 over images drawn with replacement, the same for all models."""
    images = len(evaluations[0].params.imgIds)
    random, found = np.random.default_rng(seed), np.zeros((rounds, len(evaluations), 2))
    drawn = [np.bincount(random.integers(images, size=images), minlength=images) for _ in range(rounds)]
    for column, evaluation in enumerate(progress(evaluations, "model", desc="resample", leave=False)):
        categories = category_matches(evaluation)
        together = max(1, TOGETHER // max([1, *(len(c[2]) for c in categories)]))
        for start in range(0, rounds, together):
            weights = np.array(drawn[start:start + together], np.float64)
            found[start:start + together, column] = weighted_summary(categories, weights)
    return found


def interval(point: float, values: Array, lowest: float = 0) -> list[float | None]:
    """The middle 95 % of the resamples, moved so that their mean is the point; [None, None] without any.

    Moved, because with few images a category the mAP of a resample is some percent too high on average.
    """
    if not len(values):
        return [None, None]
    ends = np.percentile(values - values.mean() + point, [2.5, 97.5])
    return [round(float(v), 4) for v in np.clip(ends, lowest, 100)]

# SPDX-License-Identifier: Apache-2.0
"""How near the outputs of one detector are to those of another."""
import numpy as np

from int4q.lab.base.types import Array

Heads = tuple[Array | None, Array | None]  # (probabilities, boxes) of all anchors
TINY, SEEN = 2.0 ** -24, 0.1


def divergence(wanted: Array, got: Array) -> float:
    """Sum of the Kullback-Leibler divergences of Bernoulli distributions with these probabilities."""
    p, q = (np.clip(a, TINY, 1 - TINY) for a in (wanted, got))
    return float((p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).sum())


def overlap(wanted: Array, got: Array) -> Array:
    """IoU [n] of boxes [n, 4] with the boxes of the same rows."""
    low, high = np.maximum(wanted[:, :2], got[:, :2]), np.minimum(wanted[:, 2:], got[:, 2:])
    area = [np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), 1) for boxes in (wanted, got)]
    shared = np.prod(np.maximum(high - low, 0), 1)
    overlaps: Array = shared / np.maximum(area[0] + area[1] - shared, TINY)
    return overlaps


def compare(wanted: Heads, got: Heads) -> Array:
    """(KL, weighted sum of IoUs, sum of their weights) of two (probabilities, boxes), NaN where one is not known."""
    found = np.full(3, np.nan)
    if wanted[0] is None or got[0] is None or wanted[0].shape != got[0].shape:
        return found
    found[0] = divergence(wanted[0], got[0])
    if wanted[1] is not None and got[1] is not None:
        best = wanted[0].max(1)
        seen = best > SEEN
        found[1:] = best[seen] @ overlap(wanted[1][seen], got[1][seen]), best[seen].sum()
    return found


def similarity(compared: Array) -> tuple[float | None, float | None]:
    """(KL, IoU) over all images from [images, 3]; None for what is not known."""
    if np.isnan(compared[:, 0]).any():
        return None, None
    total, weight = compared[:, 1:].sum(0)
    return round(float(compared[:, 0].mean()), 4), round(float(total / weight), 4) if weight > 0 else None

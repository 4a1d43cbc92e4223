# SPDX-License-Identifier: Apache-2.0
"""The candidates that no other one beats."""
from collections.abc import Sequence


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points (bytes, mAP) that no other one beats in both, by rising bytes."""
    order, best, front = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])), -1.0, []
    for i in order:
        if points[i][1] > best:
            best = points[i][1]
            front.append(i)
    return front

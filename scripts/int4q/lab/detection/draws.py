# SPDX-License-Identifier: Apache-2.0
"""Means over models that differ in nothing but what they were calibrated with: NAME-draw0.onnx, NAME-draw1.onnx, ..."""
import os
import re
import statistics
from collections.abc import Sequence

from int4q.lab.base.types import Row

DRAW = re.compile(r"(.+)-draw\d+")


def groups(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """{NAME: rows}, where there are draws."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        match = DRAW.fullmatch(os.path.splitext(os.path.basename(row["model"]))[0])
        if match:
            found.setdefault(match[1], []).append(row)
    return found


def mean(part: Sequence[Row], key: str) -> float | None:
    values = [row[key] for row in part]
    return None if None in values else statistics.fmean(values)


def mean_rows(rows: Sequence[Row]) -> list[Row]:
    """One row a NAME: number of draws, means, the standard deviation of mAP, and mAP as a part of the reference's, which
    is the first of the rows."""
    wanted = rows[0]["mAP"]
    found = []
    for name, part in groups(rows).items():
        points = [row["mAP"] for row in part]
        found.append({"name": name, "draws": len(part), "mAP": statistics.fmean(points),
                      "deviation": statistics.stdev(points) if len(points) > 1 else None,
                      "ratio": statistics.fmean(points) / wanted if wanted else None,
                      "kl": mean(part, "kl"), "iou": mean(part, "iou")})
    return found

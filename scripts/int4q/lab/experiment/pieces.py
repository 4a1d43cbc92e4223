# SPDX-License-Identifier: Apache-2.0
"""Evaluations in pieces, of some models on some pictures; what is done is kept."""
import os
import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from int4q.lab.base.files import digest, whole_file
from int4q.lab.base.progress import progress_bar
from int4q.lab.base.types import Array, Row
from int4q.lab.base.workers import finished, workers
from int4q.lab.detection.classes import Category
from int4q.lab.detection.coco import Image
from int4q.lab.detection.detectors import Detector
from int4q.lab.detection.evaluation import run_detectors

TOGETHER = 8  # models of one piece: all of them are compared with one run of the float model
PIECE_VERSION = 3  # of what a piece holds


class Piece(NamedTuple):
    """What one model finds in some pictures."""
    rows: Array      # as coco.match takes them
    compared: Array  # with the float model, as similarity.compare has it
    seconds: float   # median of a picture
    family: str


class TimedDetector(Detector):
    """Keeps the seconds of each run."""

    def run(self, values: Array) -> list[Array]:
        begin = time.perf_counter()
        outputs = super().run(values)
        self.seconds = [*getattr(self, "seconds", []), time.perf_counter() - begin]
        return outputs


def evaluate_piece(paths: Sequence[str], images: Sequence[Image], categories: Sequence[Category], family: str | None,
                   size: int | None) -> list[Piece]:
    """For each model, the first of which the others are compared with: (rows, comparison, seconds, family)."""
    detectors = [TimedDetector(path, family, size, 1, probabilities=True) for path in paths]
    rows, compared = run_detectors(detectors, images, categories)
    return [Piece(r, c, statistics.median(d.seconds), d.name) for r, c, d in zip(rows, compared, detectors, strict=True)]


def load_piece(path: str) -> Piece:
    with np.load(path) as data:
        return Piece(data["rows"], data["compared"], float(data["seconds"]), str(data["family"]))


def save_piece(path: str, piece: Piece) -> None:
    with whole_file(path) as file:
        np.savez_compressed(file, **piece._asdict())


class Pieces:
    """The results of models on pictures, a file for each model and chunk of pictures.

    Rows have `model`, a path, `sha256`, and `ops_library` where a library computes in it; the first is the float model,
    with which all others are compared.
    """

    def __init__(self, folder: str, rows: Sequence[Row], annotations_sha256: str, family: str | None,
                 size: int | None) -> None:
        self.folder, self.rows, self.annotations_sha256 = folder, rows, annotations_sha256
        self.family, self.size = family, size

    def file(self, row: Row, images: Sequence[Image]) -> str:
        """Where the result of one model on some images is kept."""
        models = [(r["sha256"], r["ops_library"]) if r.get("ops_library") else r["sha256"] for r in (row, self.rows[0])]
        key = digest(PIECE_VERSION, *models, [file for _, file in images], self.family, self.size,
                     self.annotations_sha256)
        return os.path.join(self.folder, f"{key[:20]}.npz")

    def load(self, row: Row, images: Sequence[Image]) -> Piece:
        return load_piece(self.file(row, images))

    def missing(self, chunks: Sequence[Sequence[Image]]) -> list[tuple[list[Row], Sequence[Image]]]:
        """[(rows of the models, images)] that no file has the result of; without the float model in front."""
        found: list[tuple[list[Row], Sequence[Image]]] = []
        for chunk in chunks:
            lacking = [row for row in self.rows if not os.path.exists(self.file(row, chunk))]
            rest = [row for row in lacking if row is not self.rows[0]]
            groups = [rest[i:i + TOGETHER] for i in range(0, len(rest), TOGETHER)] or ([[]] if lacking else [])
            found += [(group, chunk) for group in groups]
        return found

    def run(self, chunks: Sequence[Sequence[Image]], categories: Sequence[Category], scheduler: str | None,
            count: int) -> None:
        """Makes what is missing, on the workers that `workers` gives."""
        todo = self.missing(chunks)
        total = len(todo)
        if not total:
            return
        with workers(scheduler, count) as client, progress_bar(total, "piece", desc="evaluate") as bar:
            running = {client.submit(evaluate_piece, [row["model"] for row in (self.rows[0], *group)], chunk, categories,
                                     self.family, self.size, pure=False): (group, chunk) for group, chunk in todo}
            for future, results in finished(list(running)):
                group, chunk = running[future]
                for row, result in zip([self.rows[0], *group], results, strict=True):
                    save_piece(self.file(row, chunk), result)
                bar.update()

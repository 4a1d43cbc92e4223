# SPDX-License-Identifier: Apache-2.0
"""What each candidate of a sweep loses, as tasks that any worker may run."""
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import onnx
from pycocotools.coco import COCO

from int4q.lab.base.errors import Error
from int4q.lab.base.files import Journal
from int4q.lab.base.progress import progress_bar
from int4q.lab.base.types import Array, Feeds, Row
from int4q.lab.base.workers import finished, given
from int4q.lab.detection.coco import coco_rows, match, summary
from int4q.lab.detection.detectors import Detector
from int4q.lab.detection.pictures import Placement
from int4q.lab.detection.similarity import Heads, divergence
from int4q.lab.experiment.candidates import Candidate, Group
from int4q.lab.models.graph import Changes, Graph


class Truth(NamedTuple):
    """What mAP needs of the pictures."""
    coco: COCO
    ids: list[int]
    placements: list[Placement]
    categories: Array  # the id of each class


class Reference(NamedTuple):
    """What the float model finds."""
    heads: list[Heads]
    precision: float | None  # mAP50-95, where there are annotations


def parsed(data: bytes, outputs: Sequence[str]) -> Graph:
    return Graph(onnx.load_from_string(data), outputs)


def advance(data: bytes, outputs: Sequence[str], first: int, last: int, states: list[Feeds]) -> list[Feeds]:
    """The states at the cut `last`, from those at `first`."""
    graph = parsed(data, outputs)
    return graph.run(first, last, states, graph.live(last))


def finish(data: bytes, outputs: Sequence[str], first: int, states: list[Feeds],
           changes: Changes | None = None) -> list[list[Array]]:
    """For each state the list of outputs of the (changed) model."""
    graph = parsed(data, outputs)
    return [[found[name] for name in outputs] for found in graph.run(first, len(graph.nodes), states, outputs, 1, changes)]


def judge(detector: Detector, values: list[list[Array]]) -> list[Heads]:
    """What is compared, for each image."""
    return [(detector.probabilities(v), detector.all_boxes(v)) for v in values]


def box_error(got: Array, wanted: Array, probabilities: Array) -> float:
    weight = probabilities.max(1)
    return float((weight * ((got - wanted) ** 2).mean(1)).sum() / weight.sum()) if weight.sum() else 0.0


def mean_precision(detector: Detector, values: list[list[Array]], truth: Truth) -> float:
    coco, ids, placements, categories = truth
    rows = [coco_rows(i, detector.detections(v, p), categories, "model")
            for i, v, p in zip(ids, values, placements, strict=True)]
    return summary(match(coco, np.concatenate(rows), ids).eval["precision"])[0]


def mean_error(values: Sequence[float]) -> tuple[float | None, float | None]:
    """(mean, its standard error) over the images; None for what is not known."""
    if not values:
        return None, None
    error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return float(np.mean(values)), error


def distances(wanted: Sequence[Heads], got: Sequence[Heads]) -> Row:
    """Means over the images, and their standard errors; None for the boxes where they are not known."""
    kl, boxes = [], []
    for (probabilities, places), (other, others) in zip(wanted, got, strict=True):
        if probabilities is None or other is None:
            raise Error("no class probabilities to compare")
        kl.append(divergence(probabilities, other))
        if places is not None and others is not None:
            boxes.append(box_error(others, places, probabilities))
    kl_mean, kl_error = mean_error(kl)
    box_mean, box_deviation = mean_error(boxes)
    return {"kl": kl_mean, "kl_error": kl_error, "box_mse": box_mean, "box_mse_error": box_deviation}


def measure(data: bytes, detector: Detector, outputs: Sequence[str], first: int, states: list[Feeds],
            reference: Reference, truth: Truth | None, candidate: Candidate) -> Row:
    """The row of one candidate."""
    begin = time.perf_counter()
    try:
        values = finish(data, outputs, first, states, candidate.changes)
    except Error as error:
        raise Error(f"{candidate.layer}: {error}") from error
    row: Row = {"layer": candidate.layer, **distances(reference.heads, judge(detector, values))}
    if truth and reference.precision is not None:
        row["map_drop"] = reference.precision - mean_precision(detector, values, truth)
    return {**row, "seconds": round(time.perf_counter() - begin, 3)}


def refer(data: bytes, detector: Detector, outputs: Sequence[str], first: int, states: list[Feeds],
          truth: Truth | None) -> Reference:
    """What the float model finds."""
    values = finish(data, outputs, first, states)
    return Reference(judge(detector, values), mean_precision(detector, values, truth) if truth else None)


def run_tasks(client: Any, detector: Detector, model: onnx.ModelProto, groups: Sequence[Group], inputs: Sequence[Array],
              truth: Truth | None, journal: Journal) -> None:
    """Submit everything that has no result yet, and store results as they come."""
    outputs = detector.outputs + detector.taps
    feeds = [{detector.session.get_inputs()[0].name: values} for values in inputs]
    data, shared, known, *states = (client.submit(given, v, pure=False)
                                    for v in (model.SerializeToString(), detector, truth, feeds))
    cuts = [cut for cut, _ in groups]
    for first, last in pairwise([0, *cuts]):
        states.append(client.submit(advance, data, outputs, first, last, states[-1], pure=False))
    reference = client.submit(refer, data, shared, outputs, cuts[-1], states[-1], known, pure=False, priority=1)
    done = {row["layer"] for row in journal.rows}
    futures = [client.submit(measure, data, shared, outputs, cut, state, reference, known, candidate, pure=False,
                             priority=-number)
               for number, ((cut, part), state) in enumerate(zip(groups, states[1:], strict=True))
               for candidate in part if candidate.layer not in done]
    del states  # so that each goes when its last candidate is done
    total = sum(len(part) for _, part in groups)
    with progress_bar(total, "Conv", initial=total - len(futures)) as bar:
        for future, row in finished(futures):
            journal.add(row)
            future.release()
            bar.update()

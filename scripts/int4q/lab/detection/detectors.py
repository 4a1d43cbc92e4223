# SPDX-License-Identifier: Apache-2.0
"""The families that are known, and a model with its family.

A family says how pictures become the model's input and how its outputs become boxes.  It is recognized from
the shapes of the outputs and from the graph, or named by the user.  Arrays:

    picture      uint8 [h, w, 3], RGB
    input        float32 [1, 3, H, W], made as the family was trained
    boxes        float64 [n, 4]: x1, y1, x2, y2, in pixels of the model's input or (from `detect`) of the picture
    scores       float64 [n], 0..1; classes int64 [n], from 0
    probability  float64 [anchors, classes], what Detector.probabilities gives

Adding a family is adding a row to FAMILIES and a case to `recognize`.
"""
import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx

from int4q.lab.base.types import Array
from int4q.lab.detection.family import Detections, Family, first
from int4q.lab.detection.heads import decode_nanodet, decode_yolo, decode_yolox, pick
from int4q.lab.detection.pictures import Placement, prepare, to_picture
from int4q.lab.detection.recognition import graph_facts, input_size, recognize, taps_of
from int4q.lab.models.expanded import expanded
from int4q.lab.models.session import dims, inputs_of, load_model, open_session, run_session, with_outputs

MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of ImageNet
FAMILIES = {
    "yolov10": Family("ends in detections [1, n, 6]: x1, y1, x2, y2, score, class", None),
    "yolov10-raw": Family("YOLOv10 cut before its choice of boxes: [1, 144 or 84, anchors]", decode_yolo),
    "yolov8": Family("YOLOv8 and successors, [1, 84 or 144, anchors]", decode_yolo, overlap=0.7),
    "yolox": Family("YOLOX, input BGR 0..255: [1, anchors, 85]", decode_yolox, order="bgr", deviation=(1, 1, 1),
                    whole=int, corner=first, overlap=0.65, most=100),
    "yolox-0.1": Family("YOLOX of release 0.1.0, input RGB with ImageNet's mean and deviation", decode_yolox,
                        mean=MEAN, deviation=DEVIATION, whole=int, corner=first, overlap=0.65, most=100),
    "nanodet": Family("NanoDet, six outputs: [1, places, 80] and [1, places, 32] for each level", decode_nanodet,
                      order="bgr", ground=0, corner=lambda free: free // 2, overlap=0.6, floor=0.05, most=100,
                      mean=MEAN[::-1], deviation=DEVIATION[::-1]),
}


class Detector:
    """A model with its family; `probabilities=True` also taps the boxes and class probabilities of all anchors."""

    def __init__(self, path: str, family: str | None = None, size: int | None = None, threads: int = 1,
                 probabilities: bool = False) -> None:
        self.path, model = path, load_model(path)
        plain = expanded(model)
        self.size = input_size(path, model, size)
        self.outputs = [o.name for o in model.graph.output]
        self.kind = np.float16 if inputs_of(model.graph)[0].type.tensor_type.elem_type == 10 else np.float32
        self.name = family or recognize(path, plain, self.shapes(model), self.size)
        self.family, self.facts = FAMILIES[self.name], graph_facts(plain, self.size)
        self.taps = taps_of(plain.graph) if probabilities and not self.family.decode else []
        changed = with_outputs(model, self.outputs + self.taps) if self.taps else None
        self.session = open_session(path, threads, changed)
        self.has_probabilities = bool(self.family.decode or self.taps)

    def __getstate__(self) -> dict[str, Any]:
        """It travels to other processes without its session: `run` is not for them."""
        return {key: v for key, v in self.__dict__.items() if key not in ("session", "family")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, family=FAMILIES[state["name"]])

    def shapes(self, model: onnx.ModelProto) -> list[list[int]]:
        found = [[d for d in dims(o) if d is not None] for o in model.graph.output]
        if [len(shape) for shape in found] == [len(dims(o)) for o in model.graph.output]:
            return found
        session = open_session(self.path)
        zeros = np.zeros((1, 3, *self.size), self.kind)
        return [list(o.shape) for o in session.run(None, {session.get_inputs()[0].name: zeros})]

    def prepare(self, picture: Array) -> tuple[Array, Placement]:
        return prepare(picture, self.size, self.family)

    def run(self, values: Array) -> list[Array]:
        """Outputs of the model (and the tapped ones) for one input."""
        feeds = {self.session.get_inputs()[0].name: values.astype(self.kind)}
        return run_session(self.path, self.session, feeds)

    def detections(self, outputs: Sequence[Array], placement: Placement) -> Detections:
        """(boxes in pixels of the picture, scores, classes)."""
        if self.family.decode:
            boxes, scores, classes = pick(*self.family.decode(outputs, self.size, self.facts), self.family)
        else:
            rows = outputs[0][0].astype(np.float64)
            rows = rows[rows[:, 4] > self.family.floor]
            boxes, scores, classes = rows[:, :4], rows[:, 4], np.rint(rows[:, 5]).astype(np.int64)
        return Detections(to_picture(boxes, placement), scores, classes)

    def probabilities(self, outputs: Sequence[Array]) -> Array | None:
        """float64 [anchors, classes], or None where the model does not tell."""
        if self.family.decode:
            return self.family.decode(outputs, self.size, self.facts)[1]
        return outputs[-1][0].T.astype(np.float64) if self.taps else None

    def all_boxes(self, outputs: Sequence[Array]) -> Array | None:
        """float64 [anchors, 4] in pixels of the input, or None where the model does not tell."""
        if self.family.decode:
            return self.family.decode(outputs, self.size, self.facts)[0]
        return outputs[-2][0].T.astype(np.float64) if len(self.taps) == 2 else None

    def detect(self, picture: Array) -> Detections:
        values, placement = self.prepare(picture)
        return self.detections(self.run(values), placement)


def add_family_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--family", choices=sorted(FAMILIES), help="default: recognized from the model")
    parser.add_argument("--size", type=int, metavar="N", help="side of the input where the model leaves it open")


def family_help() -> str:
    return "families:\n" + "\n".join(f"  {name:12} {family.about}" for name, family in FAMILIES.items())

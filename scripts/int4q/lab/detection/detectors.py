# SPDX-License-Identifier: Apache-2.0
"""A model with its family.

A family says how pictures become the model's input and how its outputs become boxes.  It is recognized from
the shapes of the outputs and from the graph, or named by the user.  Arrays:

    picture      uint8 [h, w, 3], RGB
    input        float32 [1, 3, H, W], made as the family was trained
    boxes        float64 [n, 4]: x1, y1, x2, y2, in pixels of the model's input or (from `detect`) of the picture
    scores       float64 [n], 0..1; classes int64 [n], from 0
    probability  float64 [anchors, classes], what Detector.probabilities gives
"""
import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx

from int4q.lab.base.errors import Error, one_line, warn
from int4q.lab.base.types import Array
from int4q.lab.detection.classes import Category, match_classes
from int4q.lab.detection.families import FAMILIES, find_family, known_family
from int4q.lab.detection.family import Detections
from int4q.lab.detection.heads import pick
from int4q.lab.detection.metadata import class_names, task_of
from int4q.lab.detection.pictures import Placement, prepare, to_picture
from int4q.lab.detection.recognition import graph_facts, input_size, recognize, taps_of
from int4q.lab.models.expanded import expanded
from int4q.lab.models.session import dims, inputs_of, load_model, open_session, run_session, with_outputs


class Detector:
    """A model with its family; `probabilities=True` also taps the boxes and class probabilities of all anchors."""

    def __init__(self, path: str, family: str | None = None, size: int | None = None, threads: int = 1,
                 probabilities: bool = False, any_head: bool = False) -> None:
        self.path, model = path, load_model(path)
        plain = expanded(model)
        self.size = input_size(path, model, size)
        self.outputs = [o.name for o in model.graph.output]
        self.kind = np.float16 if inputs_of(model.graph)[0].type.tensor_type.elem_type == 10 else np.float32
        self.class_names = class_names(model)
        self.name = family or self.recognized(model, plain, any_head)
        self.family, self.facts = find_family(self.name), graph_facts(plain, self.size)
        self.taps = taps_of(plain.graph) if probabilities and not (self.family.decode or self.family.blind) else []
        changed = with_outputs(model, self.outputs + self.taps) if self.taps else None
        self.session = open_session(path, threads, changed)
        self.has_probabilities = bool(self.family.decode or self.taps)

    def __getstate__(self) -> dict[str, Any]:
        """It travels to other processes without its session: `run` is not for them."""
        return {key: v for key, v in self.__dict__.items() if key not in ("session", "family")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, family=find_family(state["name"]))

    def recognized(self, model: onnx.ModelProto, plain: onnx.ModelProto, any_head: bool) -> str:
        """The family's name; `any_head`: where none is known, the one that only makes inputs."""
        try:
            task = task_of(model)
            if task not in (None, "detect"):
                raise Error(f"{self.path}: made for the task '{task}', as its metadata say: of these only pictures are "
                            "known, --family letterbox, to calibrate with")
            return recognize(self.path, plain, self.shapes(model), self.size, FAMILIES)
        except Error as error:
            if not any_head:
                raise
            warn(f"{error}; pictures are letterboxed, RGB 0..1")
            return "letterbox"

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

    def decoded(self, outputs: Sequence[Array]) -> tuple[Array, Array]:
        """Boxes and probabilities of all anchors, of a family that has them."""
        assert self.family.decode
        try:
            return self.family.decode(outputs, self.size, self.facts)
        except (ValueError, IndexError) as error:
            shapes = ", ".join(str(list(o.shape)) for o in outputs)
            raise Error(f"{self.path}: its outputs {shapes} are not those of the family {self.name}: "
                        f"{one_line(error)}") from error

    def check_family(self, picture: Array) -> None:
        """An Error where what the model gives for a picture is nothing that the family could give."""
        if not self.family.blind:
            self.detect(picture)

    def table(self, outputs: Sequence[Array]) -> Array:
        """The rows [n, 6] of a family that ends in detections."""
        if outputs[0].ndim != 3 or outputs[0].shape[2] < 6:
            raise Error(f"{self.path}: its output {list(outputs[0].shape)} is not that of the family {self.name}: [1, n, 6]")
        rows: Array = outputs[0][0].astype(np.float64)
        return rows

    def detections(self, outputs: Sequence[Array], placement: Placement) -> Detections:
        """(boxes in pixels of the picture, scores, classes)."""
        if self.family.blind:
            raise Error(f"{self.path}: the family {self.name} does not say what its outputs mean")
        if self.family.decode:
            boxes, scores, classes = pick(*self.decoded(outputs), self.family)
        else:
            rows = self.table(outputs)
            rows = rows[rows[:, 4] > self.family.floor]
            boxes, scores, classes = rows[:, :4], rows[:, 4], np.rint(rows[:, 5]).astype(np.int64)
        return Detections(to_picture(boxes, placement), scores, classes)

    def probabilities(self, outputs: Sequence[Array]) -> Array | None:
        """float64 [anchors, classes], or None where the model does not tell."""
        if self.family.decode:
            return self.decoded(outputs)[1]
        return outputs[-1][0].T.astype(np.float64) if self.taps else None

    def all_boxes(self, outputs: Sequence[Array]) -> Array | None:
        """float64 [anchors, 4] in pixels of the input, or None where the model does not tell."""
        if self.family.decode:
            return self.decoded(outputs)[0]
        return outputs[-2][0].T.astype(np.float64) if len(self.taps) == 2 else None

    def category_ids(self, outputs: Sequence[Array], categories: Sequence[Category]) -> Array:
        """The category of each class, see classes.py."""
        found = self.probabilities(outputs)
        return match_classes(self.path, self.class_names, None if found is None else found.shape[1], categories)

    def detect(self, picture: Array) -> Detections:
        values, placement = self.prepare(picture)
        return self.detections(self.run(values), placement)


def add_family_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--family", type=known_family, metavar="NAME",
                        help="one of those below, or yours as FILE.py:NAME (recognized from the model)")
    parser.add_argument("--size", type=int, metavar="N", help="side of the input where the model leaves it open")


    parser.add_argument("--strict", action="store_true", help="a picture that cannot be read is an error, not left out")


def family_help() -> str:
    return "families:\n" + "\n".join(f"  {name:12} {family.about}" for name, family in FAMILIES.items())

# SPDX-License-Identifier: Apache-2.0
"""What the graph of a detector tells: its family, its input, how to read its outputs."""
from collections.abc import Iterable, Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from int4q.lab.base.errors import Error, warn_once
from int4q.lab.base.types import Size
from int4q.lab.detection.family import Facts
from int4q.lab.detection.heads import cells
from int4q.lab.detection.metadata import input_side
from int4q.lab.models.graph import without_pairs
from int4q.lab.models.session import dims, inputs_of, open_session, with_outputs

SIDE = 640   # of a picture where neither the model nor the user says
ANCHORS = 3  # at each place, of YOLOv5 and YOLOv7


def recognize(path: str, model: onnx.ModelProto, shapes: Sequence[Sequence[int]], size: Size,
              families: Iterable[str] = ()) -> str:
    """Name of the family, from the shapes [[int]] of the outputs and from the graph."""
    anchors = sum(cells(size))
    if len(shapes) == 1 and len(shapes[0]) == 3:
        _, rows, columns = shapes[0]
        if columns == 6 and (rows != anchors or any(n.op_type == "TopK" for n in model.graph.node)):
            return "yolov10"
        if columns == anchors and rows > 4:
            return "yolov10-raw" if named(model.graph, "one2one") else "yolov8"
        if rows == ANCHORS * anchors and columns > 5:
            return "yolov5"
        if rows == anchors and columns > 5:
            return "yolox-0.1" if stem_level(path, model) > 0.04 else "yolox"
    places = [shape[1] for shape in shapes if len(shape) == 3]
    if len(shapes) == 6 and sorted(places) == sorted(2 * cells(size)):
        return "nanodet"
    listed = ", ".join(map(str, shapes))
    raise Error(f"{path}: no family known with outputs {listed} for input {size[0]}x{size[1]}; --family takes "
                f"{', '.join(families)}, or one of yours as FILE.py:NAME")


def named(graph: onnx.GraphProto, part: str) -> bool:
    return any(part in n.name for n in graph.node) or any(part in t.name for t in graph.initializer)


def stem_level(path: str, model: onnx.ModelProto) -> float:
    """Mean |w| of the first Conv: 1/60 as large where the input is 0..255 as where it is normalized."""
    weight = next((n.input[1] for n in model.graph.node if n.op_type == "Conv"), None)
    if weight is None:
        return 0.0
    session = open_session(path, 1, with_outputs(model, [weight]))
    feeds = {i.name: np.zeros([d if isinstance(d, int) else 1 for d in i.shape], np.float32)
             for i in session.get_inputs()}
    return float(np.abs(session.run(None, feeds)[0].astype(np.float32)).mean())


def plain_sigmoids(graph: onnx.GraphProto) -> list[str]:
    """Outputs of the Sigmoid nodes that give probabilities: not those of SiLU, x * Sigmoid(x)."""
    silu = {name for n in graph.node if n.op_type == "Mul" for name in n.input}
    return [n.output[0] for n in graph.node
            if n.op_type == "Sigmoid" and not (n.output[0] in silu and multiplied(graph, n))]


def multiplied(graph: onnx.GraphProto, sigmoid: onnx.NodeProto) -> bool:
    return any(n.op_type == "Mul" and {sigmoid.input[0], sigmoid.output[0]} == set(n.input) for n in graph.node)


def taps_of(graph: onnx.GraphProto) -> list[str]:
    """[boxes, probabilities] of all anchors inside a model that ends in detections; without boxes, or none, if unknown."""
    graph = without_pairs(graph)
    found = plain_sigmoids(graph)[-1:]
    beside = [n.input[0] for n in graph.node if n.op_type == "Concat" and len(n.input) == 2 and n.input[1] in found]
    return beside[:1] + found


def graph_facts(model: onnx.ModelProto, size: Size) -> Facts:
    """What the decoding must know, and only the graph tells."""
    graph = without_pairs(model.graph)
    makers = {name: n for n in graph.node for name in n.output}
    stored = {t.name: t for t in graph.initializer}
    return {"raw": not plain_sigmoids(graph),                     # scores are logits
            "exp": any(n.op_type == "Exp" for n in graph.node),   # YOLOX: sides in pixels
            "corners": box_corners(graph, makers),                # YOLO: x1 y1 x2 y2, not centre and sides
            "planes": any(is_planes(n, stored, makers, size) for n in graph.node if n.op_type == "Reshape")}


def box_corners(graph: onnx.GraphProto, makers: dict[str, onnx.NodeProto]) -> bool:
    """True if boxes are made as Concat(anchor - d, anchor + d): corners; False for Concat(centre, side)."""
    for node in graph.node:
        if node.op_type == "Concat" and len(node.input) == 2:
            kinds = [makers[name].op_type if name in makers else "" for name in node.input]
            if kinds == ["Sub", "Add"]:
                return True
    return False


def is_planes(node: onnx.NodeProto, stored: dict[str, onnx.TensorProto], makers: dict[str, onnx.NodeProto],
              size: Size) -> bool:
    """True for a Reshape of [1, rows, h, w] straight to [h * w, rows, 1]."""
    source = makers.get(node.input[0])
    if len(node.input) < 2 or node.input[1] not in stored or source is None or source.op_type == "Transpose":
        return False
    shape = numpy_helper.to_array(stored[node.input[1]])
    return len(shape) == 3 and shape[0] in cells(size) and shape[2] == 1


def input_size(path: str, model: onnx.ModelProto, wanted: int | None) -> Size:
    """(H, W): of the model, else what the user wants, else what its metadata say, else 640."""
    found = inputs_of(model.graph)
    if len(found) != 1 or len(dims(found[0])) != 4 or dims(found[0])[1] not in (3, None):
        raise Error(f"{path}: a detector has one input [n, 3, H, W]")
    said = input_side(model) or [SIDE]
    default = [wanted] * 2 if wanted else [said[0], said[-1]]
    height, width = (d or other for d, other in zip(dims(found[0])[2:], default, strict=True))
    if wanted and wanted not in (height, width):
        warn_once(f"{path}: --size {wanted} changes nothing, the input is {height}x{width}")
    return height, width

# SPDX-License-Identifier: Apache-2.0
"""Export a YOLO model of ultralytics to ONNX, in the forms that int4q's other scripts know.

    pip install 'int4q[export]'
    int4q-lab export-yolo yolov10n.pt -o yolov10n.onnx

Heads:
    e2e   as the model ends by itself: YOLOv10 in detections [1, 300, 6], YOLOv8 and others in [1, 4 + classes, anchors]
    raw   cut before boxes are decoded: [1, 4 * 16 + classes, anchors], for runtimes that decode on their own

Needs torch and ultralytics, which are large and installed apart.  A name such as yolov10n.pt that is no file is
downloaded by ultralytics.
"""
import argparse
import os
import shutil
import tempfile
from collections.abc import Sequence
from typing import Any

import onnx

from int4q.installation import how_to_get
from int4q.lab.base.errors import Error, one_line, user_errors
from int4q.lab.base.files import make_folder
from int4q.lab.base.options import command_parser
from int4q.lab.detection.heads import BINS
from int4q.lab.detection.recognition import plain_sigmoids
from int4q.lab.models.session import dims, load_model

HEADS = ("e2e", "raw")


def load_yolo(weights: str) -> Any:
    try:
        from ultralytics import YOLO
    except ImportError as error:
        raise Error(f"ultralytics is not installed: {how_to_get('export')} ({one_line(error)})") from error
    try:
        return YOLO(weights)
    except Exception as error:  # of ultralytics and torch
        raise Error(f"{weights}: {one_line(error)}") from error


def export(args: argparse.Namespace, folder: str) -> str:
    """Path of the model that ultralytics wrote, in this folder; it writes beside the weights, of which it gets a copy."""
    weights = args.weights
    if os.path.isfile(weights):
        weights = shutil.copy(weights, folder)
    yolo = load_yolo(weights)
    try:  # nms=False: with the head that needs none, where the model has one; by default YOLOv10 loses it
        written = yolo.export(format="onnx", imgsz=args.size, opset=args.opset, simplify=args.simplify,
                              dynamic=args.dynamic, nms=False, device="cpu")
        return str(shutil.move(written, os.path.join(folder, "exported.onnx")))
    except Exception as error:  # of ultralytics and torch
        raise Error(f"{args.weights}: export: {one_line(error)}") from error


def raw_values(graph: onnx.GraphProto) -> list[str] | None:
    """Names of the values [1, 64, anchors], bins of the box sides, and [1, classes, anchors], logits; None if unknown."""
    shapes = {v.name: dims(v) for v in graph.value_info}
    makers = {name: n for n in graph.node for name in n.output}
    logits = [makers[name].input[0] for name in plain_sigmoids(graph)[-1:]]
    for softmax in [n for n in reversed(graph.node) if n.op_type == "Softmax"]:
        node = makers.get(softmax.input[0])
        while node is not None and node.op_type == "Transpose":
            node = makers.get(node.input[0])
        if node is not None and node.op_type == "Reshape" and shapes.get(node.input[0], [])[1:2] == [4 * BINS] and logits:
            return [node.input[0], *logits]
    return None


def cut_raw(path: str, target: str) -> None:
    """The model up to these values, by onnx's own extractor, and a Concat of them."""
    model = onnx.shape_inference.infer_shapes(load_model(path))
    names = raw_values(model.graph)
    if names is None:
        raise Error(f"{path}: where boxes are decoded cannot be found; is it a YOLOv8 or YOLOv10 head?")
    part = onnx.utils.Extractor(model).extract_model([i.name for i in model.graph.input], names)
    part.graph.node.append(onnx.helper.make_node("Concat", names, ["output0"], "raw", axis=1))
    shapes = [[d or 0 for d in dims(o)] for o in part.graph.output]  # known, see raw_values
    del part.graph.output[:]
    part.graph.output.append(onnx.helper.make_tensor_value_info(
        "output0", onnx.TensorProto.FLOAT, [shapes[0][0], shapes[0][1] + shapes[1][1], shapes[0][2]]))
    onnx.save(part, target)


def run(args: argparse.Namespace) -> None:
    make_folder(os.path.dirname(os.path.abspath(args.output)))
    with tempfile.TemporaryDirectory() as folder:
        path = export(args, folder)
        target = path
        if args.head == "raw":
            target = os.path.join(folder, "raw.onnx")
            cut_raw(path, target)
        onnx.checker.check_model(target, full_check=True)
        shutil.move(target, args.output)
    outputs = ", ".join(f"{o.name} {dims(o)}" for o in load_model(args.output).graph.output)
    print(f"{args.output}: {os.path.getsize(args.output)} bytes, {outputs}")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_parser(__doc__)
    parser.add_argument("weights", metavar="WEIGHTS", help=".pt of ultralytics, or the name of one that it knows")
    parser.add_argument("--head", choices=HEADS, default="e2e", help="(e2e)")
    parser.add_argument("--opset", type=int, default=13, metavar="N", help="(13)")
    parser.add_argument("--size", type=int, default=640, metavar="N", help="side of the input (640)")
    parser.add_argument("--simplify", action="store_true", help="run onnxslim over it")
    parser.add_argument("--dynamic", action="store_true", help="leave batch and sides open")
    parser.add_argument("-o", "--output", required=True, metavar="FILE")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    with user_errors("export_yolo.py"):
        run(args)

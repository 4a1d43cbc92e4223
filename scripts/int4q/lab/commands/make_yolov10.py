# SPDX-License-Identifier: Apache-2.0
"""Make a YOLOv10 ONNX model with the graph of a real export and weights from a seed.

    int4q-lab make-yolov10 --size m --head e2e --opset 13 -o yolov10m.onnx

Needs the packages onnx and numpy only.  Names, shapes, operators and their order are those that
ultralytics' exporter (TorchScript based, without simplification) gives YOLOv10: node
/model.2/m.0/cv1/conv/Conv reads weight model.2.m.0.cv1.conv.weight, and so on.  The weights are not
trained: the model is for structure, size and speed, and finds nothing in a picture.

Beside the model goes a sensitivity file in the shape that `int4q rewrite --topk` reads.  Its scores
are made up as well, and it says so.

Heads: `e2e` ends in the 300 best boxes, output0 [1, 300, 6] = x1, y1, x2, y2, score, class;
`raw` ends in what the network computes, output0 [1, 144, 8400]: 4 x 16 bins a box side, 80 classes.

Sources: the YOLOv10 configurations and modules of THU-MIG (ultralytics/cfg/models/v10/*.yaml,
nn/modules/block.py, head.py), as ultralytics carries them on.
"""
import argparse
import math
import os
from collections.abc import Sequence

import onnx

from int4q.lab.base.errors import user_errors
from int4q.lab.base.files import write_json
from int4q.lab.models.yolov10 import IR_VERSION, SCALES, Yolov10, make_model, make_sensitivity


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--size", choices=sorted(SCALES), default="m")
    parser.add_argument("--head", choices=["e2e", "raw"], default="e2e")
    parser.add_argument("--opset", type=int, choices=sorted(IR_VERSION), default=13)
    parser.add_argument("--imgsz", type=int, default=640, help="side of the image, a multiple of 32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", required=True, metavar="FILE")
    parser.add_argument("--sens", metavar="FILE", help="where the scores go (default: sens.json beside FILE)")
    args = parser.parse_args(argv)
    if args.imgsz < 32 or args.imgsz % 32:
        parser.error(f"--imgsz {args.imgsz} is not a multiple of 32")
    args.sens = args.sens or os.path.join(os.path.dirname(args.output), "sens.json")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    how = Yolov10(args.size, args.head, args.opset, args.imgsz, args.seed)
    model = make_model(how)
    with user_errors("make_yolov10.py"):
        onnx.save(model, args.output)
        write_json(args.sens, make_sensitivity(model, how, args.output))
    convs = [n for n in model.graph.node if n.op_type == "Conv"]
    shapes = {t.name: t.dims for t in model.graph.initializer}
    weights = sum(math.prod(shapes[n.input[1]]) for n in convs)
    print(f"{args.output}: {len(convs)} Convs, {weights} Conv weights, {os.path.getsize(args.output)} bytes; "
          f"scores (synthetic) in {args.sens}")

# SPDX-License-Identifier: Apache-2.0
"""A YOLOv10 with the graph of a real export and weights from a seed.

Names, shapes, operators and their order are those that ultralytics' exporter (TorchScript based, without
simplification) gives YOLOv10: node /model.2/m.0/cv1/conv/Conv reads weight model.2.m.0.cv1.conv.weight, and so on.

Sources: the YOLOv10 configurations and modules of THU-MIG (ultralytics/cfg/models/v10/*.yaml,
nn/modules/block.py, head.py), as ultralytics carries them on.
"""
import math
import os
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper

from int4q.lab.base.types import Row
from int4q.lab.models.yolov10_builder import BINS, CLASSES, Builder

# depth, width, largest number of channels (the `scales` of the yaml files)
SCALES = {"n": (0.33, 0.25, 1024), "s": (0.33, 0.50, 1024), "m": (0.67, 0.75, 768),
          "b": (0.67, 1.00, 512), "l": (1.00, 1.00, 512), "x": (1.00, 1.25, 512)}
# Rows of backbone and head: index, from, module, repeats, channels.  Which C2f rows are C2fCIB
# depends on the size; -1 is the row before.
ROWS = [(0, [-1], "Conv", 1, 64), (1, [-1], "Conv", 1, 128), (2, [-1], "C2f", 3, 128),
        (3, [-1], "Conv", 1, 256), (4, [-1], "C2f", 6, 256), (5, [-1], "SCDown", 1, 512),
        (6, [-1], "C2f", 6, 512), (7, [-1], "SCDown", 1, 1024), (8, [-1], "C2f", 3, 1024),
        (9, [-1], "SPPF", 1, 1024), (10, [-1], "PSA", 1, 1024), (11, [-1], "Upsample", 1, 0),
        (12, [-1, 6], "Concat", 1, 0), (13, [-1], "C2f", 3, 512), (14, [-1], "Upsample", 1, 0),
        (15, [-1, 4], "Concat", 1, 0), (16, [-1], "C2f", 3, 256), (17, [-1], "Conv", 1, 256),
        (18, [-1, 13], "Concat", 1, 0), (19, [-1], "C2f", 3, 512), (20, [-1], "SCDown", 1, 512),
        (21, [-1, 10], "Concat", 1, 0), (22, [-1], "C2f", 3, 1024)]
CIB_ROWS = {"n": {22}, "s": {8, 22}, "m": {8, 19, 22}, "b": {8, 13, 19, 22}, "l": {8, 13, 19, 22},
            "x": {6, 8, 13, 19, 22}}
LARGE_KERNEL_ROWS = {"n": {22}, "s": {8, 22}}  # `lk: True`: a 7x7 depthwise Conv (RepVGGDW)
NO_SHORTCUT = {13, 16}  # C2f rows of the neck add no input to the output of a bottleneck
IR_VERSION = {11: 6, 12: 7, 13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10}
COCO = ("person bicycle car motorcycle airplane bus train truck boat traffic_light fire_hydrant "
        "stop_sign parking_meter bench bird cat dog horse sheep cow elephant bear zebra giraffe "
        "backpack umbrella handbag tie suitcase frisbee skis snowboard sports_ball kite "
        "baseball_bat baseball_glove skateboard surfboard tennis_racket bottle wine_glass cup fork "
        "knife spoon bowl banana apple sandwich orange broccoli carrot hot_dog pizza donut cake "
        "chair couch potted_plant bed dining_table toilet tv laptop mouse remote keyboard cell_phone "
        "microwave oven toaster sink refrigerator book clock vase scissors teddy_bear hair_drier "
        "toothbrush").split()


class Yolov10(NamedTuple):
    """Which one."""
    size: str = "m"   # of SCALES
    head: str = "e2e"  # or raw
    opset: int = 13
    side: int = 640   # of the picture
    seed: int = 0     # of the weights


def scaled(channels: int, width: float, largest: int) -> int:
    """Channels of a row, rounded up to a multiple of 8."""
    return math.ceil(min(channels, largest) * width / 8) * 8


def backbone(b: Builder, size: str) -> list[str]:
    """Rows 0 to 22; returns the values of all rows."""
    depth, width, largest = SCALES[size]
    values: list[str] = []
    for index, sources, module, repeats, channels in ROWS:
        inputs = [values[s] if values else "images" for s in sources]
        path, name, out = f"/model.{index}", f"model.{index}", scaled(channels, width, largest)
        if module == "Conv":
            value = b.conv(path, name, inputs[0], out, 3, 2)
        elif module == "C2f":
            cib, large = index in CIB_ROWS[size], index in LARGE_KERNEL_ROWS.get(size, ())
            block = partial(b.cib, large_kernel=large) if cib else b.bottleneck
            shortcut = index not in NO_SHORTCUT and (index < 11 or cib)
            value = b.c2f(path, name, inputs[0], out, max(round(repeats * depth), 1), shortcut, block)
        elif module == "Concat":
            value = b.concat(path, inputs, 1)
        elif module == "Upsample":
            value = b.upsample(path, inputs[0])
        else:
            value = {"SCDown": b.scdown, "SPPF": b.sppf, "PSA": b.psa}[module](path, name, inputs[0], out)
        values.append(value)
    return values


def detect(b: Builder, features: Sequence[str], head: str) -> str:
    """Row 23; returns the output value."""
    path, module = "/model.23", "model.23"
    width = [b.shape(f)[1] for f in features]
    box_width, class_width = max(16, width[0] // 4, 4 * BINS), max(width[0], min(CLASSES, 100))

    def boxes(level: int) -> str:
        return b.boxes(path, module, level, features[level], box_width)

    def scores(level: int) -> str:
        return b.classes(path, module, level, features[level], class_width)

    levels = len(features)
    if head == "raw":
        return b.flat(path, levels, lambda i: b.concat(path, [boxes(i), scores(i)], 1), 4 * BINS + CLASSES)
    box_row = b.flat(path, levels, boxes, 4 * BINS)
    score_row = b.flat(path, levels, scores, CLASSES)
    return b.best(path, b.decode(path, module, box_row, score_row, [b.shape(f)[2] for f in features]))


def registered(weight: TensorProto) -> list[int]:
    """Sort key: initializers stand in the order in which the modules were registered, not that of use."""
    rank = {"cv2": 1, "m": 2, "attn": 2, "ffn": 3, "proj": 1, "pe": 2, "one2one_cv2": 1, "one2one_cv3": 2, "bias": 1}
    return [int(part) if part.isdigit() else rank.get(part, 0) for part in weight.name.split(".")]


def metadata(how: Yolov10) -> dict[str, str]:
    names = {i: name.replace("_", " ") for i, name in enumerate(COCO)}
    return {"description": f"YOLOv10{how.size} graph with synthetic weights (seed {how.seed})",
            "author": "int4q make_yolov10.py", "date": "2026-01-01T00:00:00", "version": "8.4.190",
            "license": "Apache-2.0", "docs": "https://docs.ultralytics.com", "stride": "32", "task": "detect",
            "head": "v10Detect", "batch": "1", "imgsz": str([how.side, how.side]), "names": str(names),
            "args": str({"batch": 1, "dynamic": False, "simplify": False, "opset": how.opset}),
            "channels": "3", "end2end": str(how.head == "e2e")}


def make_model(how: Yolov10) -> onnx.ModelProto:
    """The model as a ModelProto."""
    b = Builder(how.opset, how.seed)
    b.shapes["images"] = [1, 3, how.side, how.side]
    values = backbone(b, how.size)
    output = detect(b, [values[i] for i in (16, 19, 22)], how.head)
    shape = b.shape(output)
    b.nodes[-1].output[0] = "output0"
    graph = helper.make_graph(
        b.nodes, "main_graph", [helper.make_tensor_value_info("images", TensorProto.FLOAT, b.shape("images"))],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, shape)], sorted(b.weights, key=registered))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", how.opset)],
                              ir_version=IR_VERSION[how.opset], producer_name="pytorch",
                              producer_version="2.15.0")
    helper.set_model_props(model, metadata(how))
    return model


def make_sensitivity(model: onnx.ModelProto, how: Yolov10, path: str) -> Row:
    """Made-up scores: early layers and the head count for more, as is seen on trained detectors."""
    random = np.random.default_rng(how.seed + 1)
    convs = [n for n in model.graph.node if n.op_type == "Conv" and "/dfl/" not in n.name]
    rows = []
    for i, node in enumerate(convs):
        layer = node.input[1].removesuffix(".weight")
        level = 6 * math.exp(-5 * i / len(convs)) + (1.5 if layer.startswith("model.23.") else 0)
        rows.append({"layer": layer, "num_bits": 4, "sensitivity": round(level * random.lognormal(0, 0.5), 6)})
    return {"scheme": {"name": "int4-absmax-per-channel", "synthetic": True, "direction": "higher is worse",
                       "metric": "made up from the position of the layer and a seed; nothing was measured"},
            "model": {"name": f"yolov10{how.size}", "path": os.path.basename(path)},
            "k": 10, "layer_sensitivity": rows}

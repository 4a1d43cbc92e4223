# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime's static W8A8 of any model, to measure its speed: ranges are those of noise, so its results mean nothing."""
import os
import tempfile

import numpy as np
import onnx
import onnxruntime

from int4q.lab.base.types import Feeds
from int4q.lab.models.session import copy_model, dims, inputs_of, load_model

ATTENTION = ("MatMul", "Softmax")  # faster in float, and more exact


def float_nodes(graph: onnx.GraphProto) -> list[str]:
    """Names of attention, and of the tail: nodes behind which no Conv comes, as boxes and scores do not survive 8 bits."""
    towards_conv: set[str] = set()
    left = []
    for node in reversed(graph.node):
        if node.op_type == "Conv" or towards_conv.intersection(node.output):
            towards_conv.update(node.input)
            if node.op_type not in ATTENTION:
                continue
        left.append(node.name)
    return left


class Noise:
    """What the quantizer reads ranges from: some inputs of noise."""

    def __init__(self, model: onnx.ModelProto, count: int = 2) -> None:
        self.left, self.random = count, np.random.default_rng(0)
        self.shapes = {i.name: [d or 1 for d in dims(i)] for i in inputs_of(model.graph)}

    def get_next(self) -> Feeds | None:
        self.left -= 1
        return {n: self.random.random(s).astype(np.float32) for n, s in self.shapes.items()} if self.left >= 0 else None


def make_static8(source: str, target: str) -> None:
    """Quantizes all that ONNX Runtime can, but attention and tail; nodes need names."""
    from onnxruntime import quantization  # takes a second
    onnxruntime.set_default_logger_severity(3)
    with tempfile.TemporaryDirectory() as folder:
        copy, ready = copy_model(source, folder), os.path.join(folder, "ready.onnx")
        quantization.shape_inference.quant_pre_process(copy, ready, skip_symbolic_shape=True)
        model = load_model(ready)
        quantization.quantize_static(
            ready, target, Noise(model), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
            nodes_to_exclude=float_nodes(model.graph), activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8, calibrate_method=quantization.CalibrationMethod.MinMax)

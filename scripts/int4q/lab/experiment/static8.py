# SPDX-License-Identifier: Apache-2.0
"""Ranges of noise for any model, and ONNX Runtime's static W8A8 with them: to measure speed, as results mean nothing."""
import os
import tempfile
from functools import partial

import numpy as np
import onnx
import onnxruntime

from int4q.lab.base.files import file_sha256
from int4q.lab.base.types import Feeds
from int4q.lab.calibration import between
from int4q.lab.calibration.convs import find_convs
from int4q.lab.calibration.moments import save
from int4q.lab.calibration.taps import Taps
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


def noise(model: onnx.ModelProto, seed: int) -> Feeds:
    random = np.random.default_rng(seed)
    return {i.name: random.random([d or 1 for d in dims(i)]).astype(np.float32) for i in inputs_of(model.graph)}


class Noise:
    """What the quantizer reads ranges from: some inputs of noise."""

    def __init__(self, model: onnx.ModelProto, count: int = 2) -> None:
        self.model, self.left = model, count

    def get_next(self) -> Feeds | None:
        self.left -= 1
        return noise(self.model, self.left) if self.left >= 0 else None


def measure_noise(source: str, target: str) -> str:
    """Writes statistics with the histograms of two inputs of noise; returns their path."""
    model = load_model(source)
    feeds = [partial(noise, model, seed) for seed in range(2)]
    convs = find_convs(source, model)
    spread = between.measure(source, model, convs, Taps(source, model, convs, feeds[0]()), feeds)
    save(target, {}, spread, len(feeds), file_sha256(source), {})
    return target


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

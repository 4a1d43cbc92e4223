# SPDX-License-Identifier: Apache-2.0
"""A chain of Convs of a given size and number of nodes, for measuring speed."""
import math
import os
from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, external_data_helper, helper


def shape_of(weights: float) -> list[int]:
    """A shape [c, c, k, k] of about so many weights."""
    kernel = 3 if weights >= 9 * 16 else 1
    return [max(1, round(math.sqrt(weights / kernel**2)))] * 2 + [kernel] * 2


def make_weights(count: int, shape: list[int], output: str, external: bool) -> Iterator[TensorProto]:
    """The initializers, no two of them equal; external payloads are written on the way."""
    values = np.random.default_rng(0).standard_normal(math.prod(shape), np.float32)
    with open(output + ".data" if external else os.devnull, "wb") as file:
        for i in range(count):
            data = (values * np.float32(1 + i / count)).tobytes()
            tensor = TensorProto(name=f"w{i}", data_type=TensorProto.FLOAT, dims=shape, raw_data=data)
            if external:
                external_data_helper.set_external_data(tensor, os.path.basename(file.name), file.tell(), len(data))
                tensor.ClearField("raw_data")
                file.write(data)
            yield tensor


def make_model(size_bytes: int, nodes: int, output: str, external: bool) -> onnx.ModelProto:
    convs = nodes // 2
    shape = shape_of(size_bytes / 4 / convs)
    values = ["x", *(f"v{i}" for i in range(1, 2 * convs)), "y"]
    chain = []
    for i in range(convs):
        before, between, after = values[2 * i:2 * i + 3]
        chain.append(helper.make_node("Conv", [before, f"w{i}"], [between], name=f"conv{i}", pads=[shape[2] // 2] * 4))
        chain.append(helper.make_node("Relu", [between], [after], name=f"relu{i}"))
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, shape[0], 8, 8]) for n in "xy"]
    graph = helper.make_graph(chain, "sized", ends[:1], ends[1:], list(make_weights(convs, shape, output, external)))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

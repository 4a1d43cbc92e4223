# SPDX-License-Identifier: Apache-2.0
"""The Convs of a graph whose weights are constant."""
import os
import zlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import onnx

from int4q.lab.base.errors import Error
from int4q.lab.calibration.patches import Conv
from int4q.lab.models.graph import constants, weight_name
from int4q.lab.models.session import open_session, with_outputs

FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
Readers = tuple[Conv, list[str]]  # a Conv and the names of the weights that see its patches


class ConvNode(NamedTuple):
    """A node with a constant weight."""
    place: int  # in the order of the graph
    node: onnx.NodeProto
    weight: str
    conv: Conv


def weight_shapes(path: str, model: onnx.ModelProto, names: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """{name: shape}: stored for initializers, by running the model for constants that nodes make."""
    found = {t.name: tuple(t.dims) for t in model.graph.initializer}
    computed = [n for n in names if n not in found]
    if computed:
        session = open_session(path, 1, with_outputs(model, computed))
        feeds = {i.name: np.zeros([d if isinstance(d, int) else 1 for d in i.shape], FLOATS.get(i.type, np.float32))
                 for i in session.get_inputs()}
        found.update(zip(computed, (a.shape for a in session.run(None, feeds)), strict=True))
    return found


def weight_sums(path: str, model: onnx.ModelProto, convs: Iterable[Readers]) -> dict[str, str]:
    """{name: CRC-32 of the numbers as stored, in hexadecimal} of the weights that are stored as such, also in Constants."""
    names = {name for _, names in convs for name in names}
    folder = os.path.dirname(os.path.abspath(path))
    stored = {t.name: t for t in model.graph.initializer}
    stored.update((node.output[0], a.t) for node in model.graph.node if node.op_type == "Constant"
                  for a in node.attribute if a.name == "value")
    return {name: f"{zlib.crc32(np.ascontiguousarray(onnx.numpy_helper.to_array(t, folder)).tobytes()):08x}"
            for name, t in stored.items() if name in names}


def make_conv(node: onnx.NodeProto, shape: tuple[int, ...]) -> Conv:
    """The Conv of a node whose weight has this shape [O, I/g, kernel ...]."""
    values = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    axes = len(shape) - 2
    pads = tuple(values.get("pads", [0] * (2 * axes)))
    auto = values.get("auto_pad", b"NOTSET").decode()
    return Conv(node.input[0], shape[2:], tuple(values.get("strides", [1] * axes)),
                tuple(values.get("dilations", [1] * axes)),
                tuple(zip(pads[:axes], pads[axes:], strict=True)) if auto == "NOTSET" else (), auto, values.get("group", 1))


def conv_nodes(path: str, model: onnx.ModelProto) -> list[ConvNode]:
    """[(position, node, name of its weight, Conv)] in the order of the graph."""
    makers = {name: n for n in model.graph.node for name in n.output}
    known = constants(model.graph)
    places = [at for at, n in enumerate(model.graph.node) if n.op_type == "Conv" and not n.domain and n.input[1] in known]
    nodes = [model.graph.node[at] for at in places]
    names = [weight_name(n.input[1], makers) for n in nodes]
    shapes = weight_shapes(path, model, dict.fromkeys(names))
    if not nodes:
        raise Error(f"{path}: no Conv with a constant weight in the main graph")
    return [ConvNode(at, node, name, make_conv(node, shapes[name]))
            for at, node, name in zip(places, nodes, names, strict=True)]


def find_convs(path: str, model: onnx.ModelProto) -> list[Readers]:
    """[(Conv, [names of the weights that see its patches, one entry for each node])] in the order of the graph."""
    found: dict[Conv, list[str]] = {}
    for _, _, name, conv in conv_nodes(path, model):
        found.setdefault(conv, []).append(name)
    return list(found.items())

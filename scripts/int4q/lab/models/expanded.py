# SPDX-License-Identifier: Apache-2.0
"""Models with ConvNBits as they would be in standard operators, for who reads graphs (docs/conv_nbits.md)."""
import numpy as np
import onnx
from onnx import helper, numpy_helper

from int4q.lab.base.types import Row
from int4q.lab.models.operators import DOMAIN, is_asked_for

SILU, CLIP = 1, 6
PLAIN = {0: "Identity", 2: "Relu", 3: "LeakyRelu", 4: "HardSwish", 5: "Sigmoid"}


def expanded(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with Conv and activation for each ConvNBits; the model itself where there is none."""
    if not is_asked_for(model):
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    nodes = [made for node in copy.graph.node for made in expand(node, copy.graph)]
    del copy.graph.node[:], copy.functions[:]
    copy.graph.node.extend(nodes)
    return copy


def expand(node: onnx.NodeProto, graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """One node; constants that it needs go into the graph."""
    if node.domain != DOMAIN:
        return [onnx.NodeProto.FromString(node.SerializeToString())]
    said: Row = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    x, codes, scales, *rest = node.input
    zeros, bias = [*rest, "", ""][:2]
    decoded, weight, shape, sums = (f"{node.output[0]}_{part}" for part in ("decoded", "weight", "shape", "sums"))
    blocks = {"block_size": said["block_size"]} if said["block_size"] else {}
    conv = {key: said[key] for key in ("strides", "pads", "dilations", "group")}
    graph.initializer.append(numpy_helper.from_array(np.array(said["weight_shape"], np.int64), shape))
    stored = [codes, scales, *filter(None, [zeros])]
    return [helper.make_node("DequantizeLinear", stored, [decoded], axis=said["axis"], **blocks),
            helper.make_node("Reshape", [decoded, shape], [weight]),
            helper.make_node("Conv", [x, weight, *filter(None, [bias])], [sums], name=node.name, **conv),
            *activation(said, sums, node.output[0], graph)]


def activation(said: Row, sums: str, output: str, graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    code = said["activation"]
    if code == SILU:
        gate = f"{output}_gate"
        return [helper.make_node("Sigmoid", [sums], [gate]), helper.make_node("Mul", [sums, gate], [output])]
    if code == CLIP:
        bounds = [f"{output}_{end}" for end in ("low", "high")]
        graph.initializer.extend(numpy_helper.from_array(np.array(said[key], np.float32), name)
                                 for key, name in zip(("alpha", "beta"), bounds, strict=True))
        return [helper.make_node("Clip", [sums, *bounds], [output])]
    more = {"alpha": said["alpha"]} if PLAIN[code] == "LeakyRelu" else {}
    return [helper.make_node(PLAIN[code], [sums], [output], **more)]

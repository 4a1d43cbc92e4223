# SPDX-License-Identifier: Apache-2.0
"""QONNX without qonnx: Quant as ONNX Runtime can run it, and what FINN asks of a weight's Quant.

The arithmetic is that of qonnx 1.0.0, custom_op/general/intquant.py, in binary32 and in its order.
"""
import numpy as np
import onnx
from helpers import make_model, run, tensor, value
from onnx import TensorProto, helper, numpy_helper

DOMAIN = "qonnx.custom_op.general"


def constants(model):
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


def attributes(node):
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def quants(model):
    """The Quant nodes, by the value that they make."""
    return {n.output[0]: n for n in model.graph.node if n.op_type == "Quant"}


def bounds(bits, signed, narrow):
    """The least and the largest code."""
    low, high = (-2 ** (bits - 1), 2 ** (bits - 1) - 1) if signed else (0, 2 ** bits - 1)
    return (low + narrow, high) if signed else (low, high - narrow)


def codes(node, known):
    """The integers that a Quant of a constant makes, its scale as it is stored, and (bits, signed, narrow)."""
    x, scale, zero, bits = (known[n] for n in node.input)
    told = attributes(node)
    low, high = bounds(int(bits), told["signed"], told["narrow"])
    return np.rint(np.clip(x / scale + zero, low, high)), scale, (int(bits), told["signed"], told["narrow"])


def grid(model, name):
    """(codes, scales, bits) of the weight of that name: what was stored before, if nothing went wrong."""
    made, scale, (bits, _, _) = codes(quants(model)[name], constants(model))
    return made.astype(np.int64), scale.reshape(-1), bits


def in_plain_operators(model):
    """The model with Div, Add, Max, Min, Round, Sub and Mul for each Quant, and without the domain."""
    plain, known, nodes = onnx.ModelProto(), constants(model), []
    plain.CopyFrom(model)
    for node in model.graph.node:
        if node.op_type != "Quant":
            nodes.append(node)
            continue
        x, scale, zero, bits = node.input
        told, out = attributes(node), node.output[0]
        assert node.domain == DOMAIN and told["rounding_mode"] == b"ROUND"
        ends = bounds(int(known[bits]), told["signed"], told["narrow"])
        plain.graph.initializer.extend(numpy_helper.from_array(np.float32(v), f"{out}.{n}") for v, n in zip(ends, ("low", "high")))
        value = x
        for op, other in (("Div", scale), ("Add", zero), ("Max", f"{out}.low"), ("Min", f"{out}.high"), ("Round", None),
                          ("Sub", zero), ("Mul", scale)):
            inputs, value = [value, *([other] if other else [])], out if op == "Mul" else f"{out}.{op}"
            nodes.append(helper.make_node(op, inputs, [value]))
    del plain.graph.node[:]
    plain.graph.node.extend(nodes)
    kept = [o for o in plain.opset_import if o.domain != DOMAIN]
    del plain.opset_import[:]
    plain.opset_import.extend(kept)
    return plain


def assert_as_finn_wants(model):
    """The conditions of FINN's FoldQuantWeights and ConvertQONNXtoFINN, and that nothing hints at another grid."""
    known = constants(model)
    shapes = {name: array.shape for name, array in known.items()}
    assert not model.graph.quantization_annotation
    assert [o.version for o in model.opset_import if o.domain == DOMAIN] == ([1] if quants(model) else [])
    for name, node in quants(model).items():
        readers = [n for n in model.graph.node if name in n.input]
        assert (node.domain, len(node.input), len(node.output)) == (DOMAIN, 4, 1)
        assert set(attributes(node)) == {"signed", "narrow", "rounding_mode"}
        assert shapes[node.input[2]] == shapes[node.input[3]] == () and known[node.input[2]] == 0
        assert all(known[n].dtype == np.float32 for n in node.input[1:])
        if node.input[0] not in known:
            continue
        assert len(readers) == 1, f"{len(readers)} nodes read {name}"
        made, scale, (bits, _, narrow) = codes(node, known)
        wide = [(axis, n) for axis, n in enumerate(scale.shape) if n != 1]
        assert scale.shape == () or (scale.ndim == known[node.input[0]].ndim and len(wide) <= 1)
        assert np.array_equal(made.astype(np.float32) * scale, known[node.input[0]]), f"{name} is not on its grid"
        assert narrow == (made.min() > -2 ** (bits - 1))


def half_model():
    """A Conv of FLOAT16."""
    return make_model([helper.make_node("Conv", ["x", "w"], ["y"], name="one")], [tensor("w", 4, 3, 3, 3, kind=np.float16)],
                      inputs=[value("x", 1, 3, 6, 6, kind=TensorProto.FLOAT16)],
                      outputs=[value("y", 1, 4, 4, 4, kind=TensorProto.FLOAT16)])


def assert_decoded_alike(one, other, feeds):
    """Two models that were made of `half_model` have the same weight: without the Conv, before which ONNX Runtime drops Casts."""
    decoded = []
    for made in (one, other):
        made.graph.output[0].CopyFrom(helper.make_tensor_value_info("w", TensorProto.FLOAT16, [4, 3, 3, 3]))
        made.graph.node.pop()
        decoded += run(made, feeds)
    assert decoded[0].dtype == np.float16 and decoded[0].tobytes() == decoded[1].tobytes()

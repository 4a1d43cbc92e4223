# SPDX-License-Identifier: Apache-2.0
"""The form of docs/conv_nbits.md in Python: the function body of com.int4q::ConvNBits, and a model in the form `dq`
turned into one that uses it.  The tests' own, to compare with."""
import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

DOMAIN, OP = "com.int4q", "ConvNBits"
INPUTS = ("X", "W", "scales", "zero_points", "B")
NONE, SILU, RELU, LEAKY_RELU, HARD_SWISH, SIGMOID, CLIP = range(7)
LISTS = ("weight_shape", "strides", "dilations", "pads")
NUMBERS = {"group": 1, "bits": 4, "axis": 0, "block_size": 0, "accuracy_level": 0, "activation": NONE, "alpha": 0.0,
           "beta": 0.0, "input_scale": 0.0, "input_zero_point": 0}


# ---- the function

def refer(node, kind, *names, **renamed):
    """The node with attributes that are those of the function; returns it."""
    for name, source in [*((n, n) for n in names), *renamed.items()]:
        node.attribute.append(AttributeProto(name=name, ref_attr_name=source, type=kind))
    return node


def constant(output, kind, name, value):
    """A Constant; of a string it is the attribute of the function that is called so."""
    node = helper.make_node("Constant", [], [output])
    if isinstance(value, str):
        return refer(node, kind, **{name: value})
    node.attribute.append(helper.make_attribute(name, value))
    return node


def activations():
    """[(code, nodes from C to the last one's output)]"""
    def node(op, inputs, output):
        return helper.make_node(op, inputs, [output])
    return [
        (NONE, [node("Identity", ["C"], "none")]),
        (SILU, [node("Sigmoid", ["C"], "gate"), node("Mul", ["C", "gate"], "silu")]),
        (RELU, [node("Relu", ["C"], "relu")]),
        (LEAKY_RELU, [refer(node("LeakyRelu", ["C"], "leaky"), AttributeProto.FLOAT, "alpha")]),
        (HARD_SWISH, [node("HardSwish", ["C"], "swish")]),
        (SIGMOID, [node("Sigmoid", ["C"], "sigmoid")]),
        (CLIP, [constant("low", AttributeProto.FLOAT, "value_float", "alpha"),
                constant("high", AttributeProto.FLOAT, "value_float", "beta"),
                node("Clip", ["C", "low", "high"], "clip")]),
    ]


def branch(nodes):
    output = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    return helper.make_graph(nodes, "activation", [], [output])


def choice(rows):
    """The nodes of the first of these activations that is asked for; of the last if none is."""
    (code, nodes), *others = rows
    if not others:
        return nodes
    number, equal = f"code_{code}", f"is_{code}"
    return [constant(number, AttributeProto.INT, "value_int", code),
            helper.make_node("Equal", ["activation", number], [equal]),
            helper.make_node("If", [equal], [f"Y_{code}"], then_branch=branch(nodes), else_branch=branch(choice(others)))]


def taken_apart():
    """Nodes from W to `typed`, its codes as a matrix: of a stream of bytes, or as they are."""
    def node(op, inputs, output, **given):
        return helper.make_node(op, inputs.split(), [output], **given)
    return [
        *(constant(name, AttributeProto.INT, "value_int", number)
          for name, number in (("zero", 0), ("one", 1), ("two", 2), ("eight", 8), ("byte", 256))),
        constant("bits", AttributeProto.INT, "value_int", "bits"),
        # where code i begins, in elements and in bits of one
        node("ReduceProd", "shape", "count", keepdims=0), node("Range", "zero count one", "index"), node("Mul", "index bits", "bit"),
        node("Cast", "W", "wide", to=TensorProto.INT64), node("Shape", "wide", "dims"), node("Size", "dims", "rank"), node("Equal", "rank one", "is_stream"),
        node("Where", "is_stream eight bits", "unit"), node("Div", "bit unit", "at"), node("Mod", "bit unit", "shift"),
        # that element and the next
        node("Flatten", "wide", "units", axis=0),
        node("Size", "units", "length"), node("Sub", "length one", "last"), node("Add", "at one", "after"),
        node("Min", "after last", "next"), node("Gather", "units at", "first", axis=1), node("Gather", "units next", "second", axis=1),
        # the bits between
        node("Mul", "second byte", "carry"), node("Add", "first carry", "pair"), node("Pow", "two shift", "divisor"),
        node("Div", "pair divisor", "moved"), node("Pow", "two bits", "modulus"), node("Mod", "moved modulus", "field"),
        node("Where", "is_stream field first", "codes"), node("Reshape", "codes shape", "shaped"),
        node("Flatten", "shaped", "matrix"), node("CastLike", "matrix W", "typed")]


def function(opset, codes=range(7), streams=False):
    """What ConvNBits is for who does not know it; with these activations, the others take time to load."""
    shape = constant("shape", AttributeProto.INTS, "value_ints", "weight_shape")
    decode = refer(helper.make_node("DequantizeLinear", ["typed" if streams else "W", "scales", "zero_points"], ["decoded"]),
                   AttributeProto.INT, "axis", "block_size")
    nodes = [
        *([shape, *taken_apart(), decode] if streams else [decode, shape]),
        helper.make_node("Reshape", ["decoded", "shape"], ["weight"]),
        refer(refer(helper.make_node("Conv", ["X", "weight", "B"], ["C"]), AttributeProto.INTS, "strides", "pads", "dilations"),
              AttributeProto.INT, "group"),
        constant("activation", AttributeProto.INT, "value_int", "activation"),
        *choice([row for row in activations() if row[0] in codes])]
    nodes[-1].output[0] = "Y"
    return helper.make_function(DOMAIN, OP, list(INPUTS), ["Y"], nodes, [helper.make_opsetid("", opset)], list(LISTS),
                                [helper.make_attribute(name, value) for name, value in NUMBERS.items()])


# ---- a model

class Graph:
    """Who makes and who reads each value of one graph."""

    def __init__(self, graph):
        self.graph = graph
        self.maker = {name: node for node in graph.node for name in node.output}
        self.readers = {}
        for node in graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.stored = {t.name: t for t in graph.initializer}
        self.outputs = {o.name for o in graph.output}

    def only_readers(self, name):
        """The nodes that read a value; none where the graph gives it away."""
        return [] if name in self.outputs else self.readers.get(name, [])

    def number(self, name):
        """A scalar constant; None if it is none."""
        return float(numpy_helper.to_array(self.stored[name])) if name in self.stored else None


def attributes(node):
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def gated(graph, name, readers):
    """(code, last node, nodes) of y * sigmoid(y) and of y * hard_sigmoid(y)."""
    if len(readers) != 2 or sorted(r.op_type for r in readers) not in (["Mul", "Sigmoid"], ["HardSigmoid", "Mul"]):
        return None
    gate, product = sorted(readers, key=lambda r: r.op_type == "Mul")
    usual = {"alpha": np.float32(1 / 6), "beta": np.float32(0.5)}
    if graph.only_readers(gate.output[0]) != [product] or sorted(product.input) != sorted([name, gate.output[0]]):
        return None
    if gate.op_type == "HardSigmoid":
        found = attributes(gate)
        if np.float32(found.get("alpha", 0.2)) != usual["alpha"] or np.float32(found.get("beta", 0.5)) != usual["beta"]:
            return None
    return (SILU if gate.op_type == "Sigmoid" else HARD_SWISH), {}, [gate, product]


def clip_bounds(graph, node):
    """(least, most) of a Clip; None where they are computed."""
    limit = float(np.finfo(np.float32).max)
    given = [*node.input[1:], "", ""][:2]
    bounds = [graph.number(name) if name else None for name in given]
    if any(name and bound is None for name, bound in zip(given, bounds)):
        return None
    return tuple(default if bound is None else bound for bound, default in zip(bounds, (-limit, limit)))


def following(graph, name):
    """(code, attributes, nodes) of the activation behind a value."""
    none = (NONE, {}, [])
    readers = graph.only_readers(name)
    if len(readers) != 1:
        return gated(graph, name, readers) or none
    node = readers[0]
    simple = {"Relu": RELU, "HardSwish": HARD_SWISH, "Sigmoid": SIGMOID}
    if node.op_type in simple:
        return simple[node.op_type], {}, [node]
    if node.op_type == "LeakyRelu":
        return LEAKY_RELU, {"alpha": attributes(node).get("alpha", 0.01)}, [node]
    if node.op_type == "Clip" and node.input[0] == name and clip_bounds(graph, node):
        return CLIP, dict(zip(("alpha", "beta"), clip_bounds(graph, node))), [node]
    return none


def decoded(graph, conv):
    """(DequantizeLinear, shape of the weight, nodes that decode) of a Conv whose weight is in the form `dq`."""
    node, shape, nodes = graph.maker.get(conv.input[1]), None, []
    if node is not None and node.op_type == "Reshape" and node.input[1] in graph.stored:
        shape, nodes = numpy_helper.to_array(graph.stored[node.input[1]]).tolist(), [node]
        node = graph.maker.get(node.input[0])
    if node is None or node.op_type != "DequantizeLinear" or any(name not in graph.stored for name in node.input):
        return None
    shape = shape or list(graph.stored[node.input[0]].dims)
    plain = graph.stored[node.input[1]].data_type == TensorProto.FLOAT
    return (node, shape, [node, *nodes]) if plain and len(shape) in (3, 4) else None


def conv_nbits(graph, conv, level):
    """(the node, those that go because of it, those that decode); None where the Conv stays as it is."""
    found, given = decoded(graph, conv), attributes(conv)
    if not found or given.get("auto_pad", b"NOTSET") != b"NOTSET":
        return None
    quantized, shape, decoding = found
    dimensions, decode = len(shape) - 2, attributes(quantized)
    code, extra, fused = following(graph, conv.output[0])
    values = {**NUMBERS, **extra, "weight_shape": shape, "strides": given.get("strides", [1] * dimensions),
              "pads": given.get("pads", [0] * 2 * dimensions), "dilations": given.get("dilations", [1] * dimensions),
              "group": given.get("group", 1), "activation": code, "accuracy_level": level,
              "bits": 8 if graph.stored[quantized.input[0]].data_type == TensorProto.INT8 else 4,
              "axis": decode.get("axis", 1), "block_size": decode.get("block_size", 0)}
    inputs = [conv.input[0], *quantized.input]
    inputs += [""] * (4 - len(inputs)) + [conv.input[2] if len(conv.input) > 2 else ""]
    made = helper.make_node(OP, inputs, [(fused or [conv])[-1].output[0]], name=conv.name, domain=DOMAIN)
    made.attribute.extend(helper.make_attribute(key, values[key]) for key in (*LISTS, *NUMBERS))
    return made, fused, decoding


def convert_graph(graph, level):
    """How many Convs became ConvNBits."""
    known, nodes, gone = Graph(graph), [], []
    made = {id(n): f for n in graph.node if n.op_type == "Conv" and n.domain == "" for f in [conv_nbits(known, n, level)] if f}
    for _, fused, _ in made.values():
        gone += fused
    for node in graph.node:
        if id(node) in made:
            nodes.append(made[id(node)][0])
        elif all(node is not other for other in gone):
            nodes.append(node)
    read = {name for node in nodes for name in node.input} | known.outputs
    decoding = [node for _, _, chain in made.values() for node in reversed(chain)]
    for node in decoding:
        if not any(name in read for name in node.output):
            nodes = [other for other in nodes if other is not node]
            read = {name for other in nodes for name in other.input} | known.outputs
    left = {name for node in nodes for name in (*node.input, *node.output)}
    rest = [[t for t in field if t.name in left] for field in (graph.initializer, graph.value_info)]
    copies = [type(n).FromString(n.SerializeToString()) for n in nodes]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(copies)
    graph.initializer.extend(rest[0])
    graph.value_info.extend(rest[1])
    return len(made)


def convert(model, level=4):
    """A model in the form `dq` with every Conv that can be a ConvNBits as one, and with the function; how many."""
    converted = onnx.ModelProto.FromString(model.SerializeToString())
    count = convert_graph(converted.graph, level)
    opset = next(o.version for o in converted.opset_import if o.domain == "")
    converted.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    codes = {attributes(n)["activation"] for n in converted.graph.node if n.domain == DOMAIN}
    converted.functions.append(function(opset, codes))
    return converted, count

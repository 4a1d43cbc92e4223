# SPDX-License-Identifier: Apache-2.0
"""One activation at a time in few bits, before the Convs that int4q puts it there for; weights stay float."""
import numpy as np
import onnx
from onnx import helper

from int4q.lab.base.errors import Error
from int4q.lab.base.types import Array, Row
from int4q.lab.experiment.candidates import Candidate, Quantized
from int4q.lab.models.graph import Changes, stored

OPSET = 11  # has Round
STEPS = (("Div", "scale"), ("Round", None), ("Max", "low"), ("Min", "high"), ("Mul", "scale"))


def scales_of(graph: onnx.GraphProto) -> dict[str, Array]:
    """{value: its scale, or those of its channels} of what a QuantizeLinear reads, or a Mul by a constant before it."""
    constants, makers = stored(graph), {name: n for n in graph.node for name in n.output}
    found = {}
    for node in graph.node:
        if node.op_type != "QuantizeLinear" or node.input[1] not in constants:
            continue
        name, scale = node.input[0], constants[node.input[1]]
        maker = makers.get(name)
        if maker and maker.op_type == "Mul" and maker.input[1] in constants:
            name, scale = maker.input[0], scale / constants[maker.input[1]].ravel()
        found[name] = scale
    return found


def readers_of(graph: onnx.GraphProto, other: onnx.GraphProto) -> dict[str, list[int]]:
    """{value: positions of the nodes whose first input it is, and in the other graph is not any more}."""
    now = {n.output[0]: n.input[0] for n in other.node if n.output and n.input}
    found: dict[str, list[int]] = {}
    for at, node in enumerate(graph.node):
        if node.op_type == "Conv" and now.get(node.output[0]) not in (None, node.input[0]):
            found.setdefault(node.input[0], []).append(at)
    return found


def constants_of(row: Row, scale: Array, rank: int) -> dict[str, Array]:
    """{key of STEPS: array} that broadcasts to an activation of this rank."""
    column = scale.reshape(-1, *[1] * (rank - 2)) if scale.ndim else scale
    low = -row["zero_point"]
    ends = np.array([low, low + 2 ** row["bits"] - 1], scale.dtype)
    return {"scale": column, "low": ends[0], "high": ends[1]}


def changes_of(row: Row, constants: dict[str, Array], readers: list[onnx.NodeProto]) -> Changes:
    """What the codes stand for, (clamp(round(x / s) + z, 0, top) - z) s, in arithmetic that old opsets have, too."""
    name, before = row["tensor"], {}
    for reader in readers:
        last, nodes, output = name, [], reader.output[0]
        for operator, key in STEPS:
            inputs = [last, f"{name}|{key}"] if key else [last]
            last = f"{output}|{operator}"
            nodes.append(helper.make_node(operator, inputs, [last]))
        before[output] = nodes
    return Changes({f"{name}|{key}": array for key, array in constants.items()}, before=before)


def find_inputs(model: onnx.ModelProto, made: Quantized) -> list[Candidate]:
    """The activations that int4q quantized, in the order of the graph."""
    nodes, readers = model.graph.node, readers_of(model.graph, made.model.graph)
    scales, weights = scales_of(made.model.graph), {t.name: t for t in made.decoded.graph.initializer}
    rows = [row for row in made.report.get("activations", []) if row["bits"] and row["tensor"] in readers]
    if not rows:
        raise Error("no activation is quantized before a Conv of the main graph")
    if max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")) < OPSET:
        raise Error(f"activations can be rounded from opset {OPSET} on; upgrade the model")
    found = []
    for row in rows:
        places = readers[row["tensor"]]
        rank = len(weights[nodes[places[0]].input[1]].dims)
        constants = constants_of(row, scales[row["tensor"]], rank)
        changes = changes_of(row, constants, [nodes[at] for at in places])
        found.append(Candidate(row["tensor"], places[0], changes, row["bits"], {"channels": row["channels"]}))
    return sorted(found, key=lambda c: c.at)

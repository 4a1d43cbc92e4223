# SPDX-License-Identifier: Apache-2.0
"""Runs a part of a model: what comes before a Conv need not be computed again for each change of it.

A model is its nodes in their order.  A cut at position p divides it into nodes [0, p) and [p, end).  What passes the cut
is *live* there: computed before it (or an input of the model), used behind it or an output of the model.  Nodes that
compute from constants alone belong to every part that needs them.
"""
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import onnx
from onnx import numpy_helper

from int4q.lab.base.types import Array, Feeds
from int4q.lab.models.session import inputs_of, open_session


class Changes(NamedTuple):
    """What a part of a graph is to be changed in."""
    stored: Mapping[str, Array] = {}  # values of constants
    biases: Mapping[str, str] = {}    # {first output of a node: its new third input}
    before: Mapping[str, Sequence[onnx.NodeProto]] = {}  # {first output of a node: nodes that its first input passes}


def constants(graph: onnx.GraphProto) -> set[str]:
    """Names of the values that no input of the model decides."""
    known = {t.name for t in graph.initializer} | {t.values.name for t in graph.sparse_initializer}
    for node in graph.node:
        bodies = any(a.HasField("g") or a.graphs for a in node.attribute)
        if not bodies and not node.op_type.startswith("Random") and all(not i or i in known for i in node.input):
            known.update(node.output)
    return known


def stored(graph: onnx.GraphProto, names: Collection[str] | None = None) -> dict[str, Array]:
    """{name: array} of the initializers and the Constant nodes, or of those with these names."""
    found = {t.name: t for t in graph.initializer}
    found.update((n.output[0], n.attribute[0].t) for n in graph.node if n.op_type == "Constant" and n.attribute)
    return {name: numpy_helper.to_array(t) for name, t in found.items()
            if t.data_type and (names is None or name in names)}


def without_pairs(graph: onnx.GraphProto) -> onnx.GraphProto:
    """The nodes as they would be if nothing were quantized on the way: who reads what a DequantizeLinear makes of a
    QuantizeLinear reads what that reads."""
    makers, plain = {name: n for n in graph.node for name in n.output}, onnx.GraphProto()
    plain.CopyFrom(graph)
    sources: dict[str, str] = {}
    for node in graph.node:
        maker = makers.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        while maker is not None and maker.op_type in ("Clip", "Max", "Min"):
            maker = makers.get(maker.input[0])
        if maker is not None and maker.op_type == "QuantizeLinear":
            sources[node.output[0]] = sources.get(maker.input[0], maker.input[0])
    for node in plain.node:
        node.input[:] = [sources.get(name, name) for name in node.input]
    return plain


def weight_name(name: str, makers: dict[str, onnx.NodeProto]) -> str:
    """The value behind Identity nodes."""
    while name in makers and makers[name].op_type == "Identity" and not makers[name].domain:
        name = makers[name].input[0]
    return name


def used_by(node: onnx.NodeProto) -> list[str]:
    """Names that a node reads, those in its bodies included."""
    names = [n for n in node.input if n]
    for attribute in node.attribute:
        for body in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
            inner = {t.name for t in body.initializer} | {i.name for i in body.input}
            for node_inside in body.node:
                names += [n for n in used_by(node_inside) if n not in inner]
                inner.update(node_inside.output)
            names += [o.name for o in body.output if o.name not in inner]
    return names


class Graph:
    """The order of a model's nodes, and what is live where. `outputs`: values that are wanted in the end."""

    def __init__(self, model: onnx.ModelProto, outputs: Iterable[str]) -> None:
        self.model, self.nodes, self.outputs = model, list(model.graph.node), list(outputs)
        self.fixed = constants(model.graph)
        self.inputs = [i.name for i in inputs_of(model.graph)]
        self.made = dict.fromkeys(self.inputs, -1)  # position of the node that computes it
        self.last = dict.fromkeys(self.outputs, len(self.nodes))
        for at, node in enumerate(self.nodes):
            for name in used_by(node):
                self.last[name] = max(at, self.last.get(name, -1))
            if not self.is_fixed(node):
                self.made.update(dict.fromkeys(node.output, at))

    def is_fixed(self, node: onnx.NodeProto) -> bool:
        return bool(node.output) and node.output[0] in self.fixed

    def live(self, cut: int) -> list[str]:
        """Names, in the order in which they are computed."""
        return [name for name, at in self.made.items() if at < cut <= self.last.get(name, -1)]

    def best_cut(self, low: int, high: int) -> int:
        """The last position in low .. high where the fewest values are live."""
        return min(range(high, low - 1, -1), key=lambda cut: len(self.live(cut)))

    def part(self, first: int, last: int, values: Feeds, outputs: Sequence[str],
             changes: Changes | None = None) -> onnx.ModelProto:
        """A model of nodes [first, last) that computes `outputs` from `values` {name: array}."""
        changes = changes or Changes()
        chosen, wanted = [], set(outputs)
        for at in range(len(self.nodes) - 1, -1, -1):
            node = self.nodes[at]
            if not wanted.intersection(node.output) or any(name in changes.stored for name in node.output):
                continue
            if not (first <= at < last or self.is_fixed(node)):
                continue
            for new in reversed(self.changed(node, changes)):
                chosen.append(new)
                wanted.update(used_by(new))
        copy = onnx.ModelProto(ir_version=self.model.ir_version, opset_import=self.model.opset_import,
                               functions=self.model.functions)
        copy.graph.name = "part"
        copy.graph.node.extend(reversed(chosen))
        copy.graph.initializer.extend(t for t in self.model.graph.initializer
                                      if t.name in wanted and t.name not in changes.stored)
        copy.graph.sparse_initializer.extend(t for t in self.model.graph.sparse_initializer if t.values.name in wanted)
        copy.graph.initializer.extend(numpy_helper.from_array(a, name) for name, a in changes.stored.items())
        copy.graph.input.extend(onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for name, a in values.items() if name in wanted)
        copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
        return copy

    def changed(self, node: onnx.NodeProto, changes: Changes) -> list[onnx.NodeProto]:
        """What stands for a node."""
        output = node.output[0] if node.output else ""
        before = list(changes.before.get(output, []))
        if output not in changes.biases and not before:
            return [node]
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        if output in changes.biases:
            del copy.input[2:]
            copy.input.append(changes.biases[output])
        if before:
            copy.input[0] = before[-1].output[0]
        return [*before, copy]

    def run(self, first: int, last: int, states: Sequence[Feeds], outputs: Sequence[str], threads: int = 1,
            changes: Changes | None = None) -> list[Feeds]:
        """[{output: array}] for each state {name: array} that is live at `first`; what is live already is passed on."""
        todo = [name for name in outputs if name not in states[0]]
        passed = [name for name in outputs if name in states[0]]
        if not todo:
            return [{name: state[name] for name in passed} for state in states]
        session = open_session("model", threads, self.part(first, last, states[0], todo, changes))
        fed = [i.name for i in session.get_inputs()]
        return [dict(zip(todo, session.run(todo, {name: state[name] for name in fed}), strict=True),
                     **{name: state[name] for name in passed}) for state in states]

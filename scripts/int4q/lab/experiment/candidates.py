# SPDX-License-Identifier: Apache-2.0
"""One Conv at a time in 4 bits: what changes in the graph, and what such candidates share."""
import json
import os
import tempfile
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnx

from int4q.lab.base.errors import Error
from int4q.lab.base.files import file_sha256
from int4q.lab.base.tool import call_int4q
from int4q.lab.base.types import Row
from int4q.lab.models.graph import Changes, Graph, stored


class Candidate(NamedTuple):
    """One weight in 4 bits."""
    layer: str     # its node's name, else the weight's
    at: int        # position of the first node that reads it
    changes: Changes
    weights: int
    saved: int     # bytes

Group = tuple[int, list[Candidate]]  # a cut, and the candidates behind it


def restored_model(path: str, tool: str, options: Sequence[str]) -> tuple[Row, onnx.ModelProto, str]:
    """(int4q's report, the model with every weight as it decodes to, a digest of the quantized one)."""
    with tempfile.TemporaryDirectory() as folder:
        small, wide = os.path.join(folder, "small.onnx"), os.path.join(folder, "wide.onnx")
        report = json.loads(call_int4q(tool, "rewrite", path, "-o", small, "--json", "-", *options))
        call_int4q(tool, "restore", small, "-o", wide, "-q")
        return report, onnx.load(wide), file_sha256(small)


def weight_rows(report: Row) -> dict[str, list[Row]]:
    """{weight: [rows of the report]} of what int4q quantized."""
    found: dict[str, list[Row]] = {}
    for row in report["convs"]:
        if row["reason"] is None:
            found.setdefault(row["weight"], []).append(row)
    return found


def find_candidates(model: onnx.ModelProto, report: Row, decoded: onnx.ModelProto) -> list[Candidate]:
    """[Candidate] in the order of the graph. A bias that int4q corrects belongs to its weight."""
    makers = {name: n for n in model.graph.node for name in n.output}
    positions = {n.output[0]: at for at, n in enumerate(model.graph.node) if n.output}
    after = {n.output[0]: n for n in decoded.graph.node if n.output}
    rows = weight_rows(report)
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input[1:2]:
            while name in makers and makers[name].op_type == "Identity":
                name = makers[name].input[0]
            if name in rows and node.op_type in {r["op"] for r in rows[name]}:
                readers.setdefault(name, []).append(node)
    biases = {n for nodes in readers.values() for node in nodes for n in after[node.output[0]].input[2:3]}
    old, new = stored(model.graph, biases), stored(decoded.graph, biases | set(readers))
    found = []
    for weight, nodes in readers.items():
        values, inputs = {weight: new[weight]}, {}
        for node in nodes:
            bias = list(after[node.output[0]].input[2:3])
            if bias and bias[0] in new and not (bias[0] in old and np.array_equal(old[bias[0]], new[bias[0]])):
                values[bias[0]], inputs[node.output[0]] = new[bias[0]], [*node.input[:2], *bias]
        first = rows[weight][0]
        found.append(Candidate(first["node"] or weight, min(positions[n.output[0]] for n in nodes),
                               Changes(values, inputs), first["weights"],
                               first["bytes_before"] - first["bytes_after"]))
    if not found:
        raise Error("no Conv of the main graph is quantized")
    return sorted(found, key=lambda c: c.at)


def cut_groups(graph: Graph, candidates: list[Candidate], size: int) -> list[Group]:
    """[(cut, [candidates])]: so many candidates share what is computed before the cut, which lies where little is live."""
    groups: list[Group] = []
    low = 0
    for start in range(0, len(candidates), size):
        part = candidates[start:start + size]
        groups.append((graph.best_cut(low, part[0].at), part))
        low = part[-1].at + 1
    return groups

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
from int4q.lab.base.types import Feeds, Row
from int4q.lab.models.graph import Changes, Graph, stored, weight_name


class Candidate(NamedTuple):
    """One weight, or one activation, in few bits."""
    layer: str     # its node's name, else the weight's; the name of an activation
    at: int        # position of the first node that reads it
    changes: Changes
    bits: float
    about: Row     # more to tell

Group = tuple[int, list[Candidate]]  # a cut, and the candidates behind it


class Quantized(NamedTuple):
    """What int4q makes of a model."""
    report: Row
    model: onnx.ModelProto
    decoded: onnx.ModelProto  # with every weight as it decodes to
    digest: str


def quantized(path: str, tool: str, options: Sequence[str]) -> Quantized:
    with tempfile.TemporaryDirectory() as folder:
        small, wide = os.path.join(folder, "small.onnx"), os.path.join(folder, "wide.onnx")
        report = json.loads(call_int4q(tool, "rewrite", path, "-o", small, "--json", "-", *options))
        call_int4q(tool, "restore", small, "-o", wide, "-q")
        return Quantized(report, onnx.load(small), onnx.load(wide), file_sha256(small))


def weight_rows(report: Row) -> dict[str, list[Row]]:
    """{weight: [rows of the report]} of what int4q quantized."""
    found: dict[str, list[Row]] = {}
    for row in report["convs"]:
        if row["reason"] is None:
            found.setdefault(row["weight"], []).append(row)
    return found


def readers_of(graph: onnx.GraphProto, rows: dict[str, list[Row]]) -> dict[str, list[onnx.NodeProto]]:
    """{weight: nodes that read it} of the weights in these rows of int4q's report."""
    makers = {name: n for n in graph.node for name in n.output}
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        name = weight_name(node.input[1], makers) if len(node.input) > 1 else ""
        if node.op_type in {row["op"] for row in rows.get(name, [])}:
            found.setdefault(name, []).append(node)
    return found


def changes_of(weight: str, biases: dict[str, str], old: Feeds, new: Feeds) -> Changes:
    """With these weights, and with the biases {first output of a node: name} that int4q corrected."""
    values, corrected = {weight: new[weight]}, {}
    for output, name in biases.items():
        if name in new and not (name in old and np.array_equal(old[name], new[name])):
            values[name], corrected[output] = new[name], name
    return Changes(values, corrected)


def noise_of(row: Row) -> dict[str, float]:
    """What the scores of a sweep are divided by for --bits: the noise to signal of the outputs, else that of the weights."""
    known = [row[key] for key in ("output_sqnr_db", "sqnr_db") if row[key] is not None]
    return {"noise": 10 ** (-known[0] / 10)} if known else {}


def find_candidates(model: onnx.ModelProto, made: Quantized) -> list[Candidate]:
    """The weights, in the order of the graph. A bias that int4q corrects belongs to its weight."""
    rows, decoded = weight_rows(made.report), made.decoded
    bits = 8. if made.report["options"]["format"] == "int8" else 4.
    readers = readers_of(model.graph, rows)
    positions = {n.output[0]: at for at, n in enumerate(model.graph.node) if n.output}
    biases = {n.output[0]: n.input[2] for n in decoded.graph.node if n.output and len(n.input) > 2}
    outputs = {weight: [n.output[0] for n in nodes] for weight, nodes in readers.items()}
    wanted = {biases[o] for names in outputs.values() for o in names if o in biases}
    old, new = stored(model.graph, wanted), stored(decoded.graph, wanted | set(readers))
    found = []
    for weight, names in outputs.items():
        changes = changes_of(weight, {o: biases[o] for o in names if o in biases}, old, new)
        first = rows[weight][0]
        about = {"weights": first["weights"], "bytes_saved": first["bytes_before"] - first["bytes_after"], **noise_of(first)}
        found.append(Candidate(first["node"] or weight, min(positions[o] for o in names), changes, bits, about))
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

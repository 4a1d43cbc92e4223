# SPDX-License-Identifier: Apache-2.0
"""How the weights of a Conv are spread, and the grid that a model rounds them to."""
import os
import tempfile

import numpy as np
import onnx

from int4q.lab.base.errors import Error
from int4q.lab.base.tool import call_int4q
from int4q.lab.base.types import Array, Feeds, Row
from int4q.lab.models.graph import stored
from int4q.lab.pages.plots import short

BINS = 151
LINES = 32      # of more values than that none is drawn
PARTS = 8       # of the smallest value that its channel has, the step is at least one of so many
EXACT = 2e-3    # steps by which decoded values may miss the grid, from their roundings


def conv_weights(graph: onnx.GraphProto) -> Feeds:
    """{name of a Conv: its weights}, of those that are stored, in the order of the graph."""
    read = {n.name: n.input[1] for n in graph.node if n.op_type == "Conv" and len(n.input) > 1}
    values = stored(graph, set(read.values()))
    return {name: values[weight] for name, weight in read.items() if weight in values}


def decoded_weights(tool: str, path: str) -> Feeds:
    """The same of what codes stand for in a model of int4q; nothing where it cannot be restored."""
    with tempfile.TemporaryDirectory() as folder:
        wide = os.path.join(folder, "wide.onnx")
        try:
            call_int4q(tool, "restore", path, "-o", wide, "-q")
        except Error:
            return {}
        return conv_weights(onnx.load(wide).graph)


def grid_step(values: Array) -> float | None:
    """The step of which all values of a channel are multiples; None where they are on no grid of 8 bits or less."""
    sizes = np.unique(np.abs(values[values != 0].astype(np.float64)))
    if not len(sizes):
        return 1.0
    for part in range(1, PARTS + 1):
        codes = sizes / (sizes[0] / part)
        if codes[-1] < 256 and np.abs(codes - np.rint(codes)).max() < EXACT:
            return float(sizes[0] / part)
    return None


def rows_of(weights: Array) -> Array:
    return weights.reshape(len(weights), -1).astype(np.float32)


def own_grid(weights: Array, decoded: Array | None) -> tuple[Array, int, int] | None:
    """(weights in steps of their channel, the lowest code, the highest); None where they are on no grid of a channel."""
    if decoded is None or decoded.shape != weights.shape:
        return None
    steps = [grid_step(row) for row in rows_of(decoded)]
    known = np.array([s for s in steps if s is not None])[:, None]
    if len(known) < len(steps):
        return None
    codes = np.rint(rows_of(decoded) / known)
    return rows_of(weights) / known, int(codes.min()), int(codes.max())


def absmax_grid(weights: Array) -> tuple[Array, int, int]:
    flat = rows_of(weights)
    step = np.abs(flat).max(1, keepdims=True) / 7
    step[step == 0] = 1
    return flat / step, -7, 7


def histogram(title: str, weights: Array, decoded: Array | None = None) -> Row:
    """An outline of how often each weight occurs, 100 high, downwards, in steps of its channel, and the lines of the grid:
    that of the decoded weights; without those, or where they are on none, that of absmax in 4 bits."""
    own = own_grid(weights, decoded)
    values, low, high = own or absmax_grid(weights)
    left, right = min(low, float(values.min())) - .55, max(high, float(values.max())) + .55
    counts, edges = np.histogram(values, bins=BINS, range=(left, right))
    points = [f"V{100 - 98 * count / max(counts.max(), 1):.1f}H{edge:.2f}"
              for count, edge in zip(counts, edges[1:], strict=True)]
    lines = list(range(low, high + 1)) if high - low < LINES else []
    return {"title": short(title, 60), "path": f"M{edges[0]:.2f} 100{''.join(points)}V100Z", "left": round(left, 2),
            "width": round(right - left, 2), "lines": lines, "own": own is not None}

# SPDX-License-Identifier: Apache-2.0
"""The values between Convs that no Conv reads: outputs of Convs before their activation, of sums and products.

Where whole stretches of a graph compute in 8 bits (`int4q rewrite --decode fused`) these need ranges too. What only moves
values (MaxPool, Split, Resize ...) has those of what it moves.
"""
from collections.abc import Sequence

import onnx

from int4q.lab.base.types import Feeds
from int4q.lab.calibration import histograms
from int4q.lab.calibration.convs import Readers
from int4q.lab.calibration.feeds import Feed
from int4q.lab.calibration.patches import Conv
from int4q.lab.calibration.taps import Taps
from int4q.lab.models.graph import constants, used_by

MADE_BY = {"Conv", "Add", "Sub", "Mul", "Div", "Relu", "LeakyRelu", "PRelu", "Elu", "Clip", "HardSwish", "HardSigmoid",
           "Mish", "Gelu", "Tanh", "Softplus", "AveragePool", "GlobalAveragePool", "BatchNormalization", "Concat"}


def values_between(graph: onnx.GraphProto) -> list[str]:
    """Names of values of the main graph, in its order, with a Conv before them and a Conv behind them."""
    convs = [n for n in graph.node if n.op_type == "Conv"]
    read = {n.input[0] for n in convs}
    before = {n for c in convs for n in c.output}
    for node in graph.node:
        if before.intersection(node.input):
            before.update(node.output)
    behind: set[str] = set()
    for node in reversed(graph.node):
        if node.op_type == "Conv" or behind.intersection(node.output):
            behind.update(used_by(node))
    known = constants(graph)
    return [name for node in graph.node if node.op_type in MADE_BY and not node.domain for name in node.output[:1]
            if name in before and (name in behind or node.op_type == "Conv") and name not in read | known]


def lookers(names: list[str]) -> list[Readers]:
    """What Taps takes for values that are looked at, but that no Conv reads."""
    return [(Conv(name, (), (), (), (), "NOTSET", 1), []) for name in names]


def measure(path: str, model: onnx.ModelProto, convs: Sequence[Readers], taps: Taps, feeds: Sequence[Feed],
            threads: int = 1) -> Feeds:
    """{key: array} of the histograms of what these Convs read, and of the values between."""
    found = histograms.measure(convs, taps, feeds)
    others = lookers(values_between(model.graph))
    if others:
        found.update(histograms.measure(others, Taps(path, model, others, feeds[0](), threads), feeds, are_whole=True))
    return found

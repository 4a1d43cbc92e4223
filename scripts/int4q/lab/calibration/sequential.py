# SPDX-License-Identifier: Apache-2.0
"""Calibration of one Conv after the other, each behind those that are quantized already.

With x what a Conv sees in the float model and y what it sees behind quantized ones, what it should give is W x and what
it can give is V y.  The V that comes nearest is W C_xy / C_yy.  From few images that is known roughly, so that the
target goes half of the way there, and C_yy is drawn half towards independent channels, as docs/methods.md has it:

    V = W + g W (C_xy - C_yy) / A,  A = (1 - l) C_yy + l blockdiag_c(v_c B) + d I,  g = l = 1/2
    shift = W E[x] - V E[y]         for the bias

Two copies of all live values of all images are held: about 100 MB an image for a detector of 640 x 640.
"""
import os
import tempfile
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from int4q.lab.base.errors import Error
from int4q.lab.base.progress import progress
from int4q.lab.base.tool import call_int4q
from int4q.lab.base.types import Array, Feeds
from int4q.lab.calibration.convs import ConvNode
from int4q.lab.calibration.feeds import Feed, Look
from int4q.lab.calibration.moments import Moments, write_safetensors
from int4q.lab.calibration.patches import Conv, counted, patch_blocks, weighed_blocks, windows
from int4q.lab.detection.attention import Weigher
from int4q.lab.models.graph import Changes, Graph, stored

GAIN, SHRINKAGE, DAMPING = .5, .5, 1e-4
NOTHING_TO_QUANTIZE = 4  # exit status of int4q
Decoded = tuple[Array, Array | None]  # weight and bias of one Conv, as they will be decoded


def neighbours(kernel: tuple[int, ...]) -> Array:
    """B [k, k]: the correlation of the elements of a kernel halves with each step of distance."""
    places = np.stack(np.unravel_index(np.arange(np.prod(kernel)), kernel), 1)
    distances: Array = np.sqrt(np.square(places[:, None] - places[None]).sum(-1))
    return .5 ** distances


def shrunk(covariance: Array, kernel: tuple[int, ...]) -> Array:
    """A [K, K]."""
    variance = np.diag(covariance).reshape(-1, int(np.prod(kernel))).mean(1)
    prior = np.kron(np.diag((variance + variance.mean()) / 2), neighbours(kernel))
    damping = DAMPING * np.diag(covariance).mean() + 1e-12
    found: Array = (1 - SHRINKAGE) * covariance + SHRINKAGE * prior + damping * np.eye(len(covariance))
    return found


class Pair(Moments):
    """Moments of what a Conv sees, and of how it varies with what it sees in the float model.

    `weight` [O, I/g, kernel ...], float; `origin` [G, K] and `cross` [G, K, K] are sums as those of Moments.
    """

    def __init__(self, conv: Conv, weight: Array | None) -> None:
        super().__init__()
        self.conv, self.weight = conv, weight
        self.origin: Array = np.zeros(())
        self.cross: Array = np.zeros(())

    def add_pair(self, values: Array, wanted: Array, weigh: Weigher | None) -> None:
        """Add an input [N, C, sides ...] beside the one of the float model."""
        for image, original in zip(values, wanted, strict=True):
            originals = patch_blocks(self.conv, windows(self.conv, original))
            for (block, weights), before in zip(weighed_blocks(self.conv, image, weigh), originals, strict=True):
                self.add_block(block, weights)
                wide = counted(before, weights)
                self.origin = self.origin + wide.sum(2, dtype=np.float64)
                products = np.stack([a @ b.T for a, b in zip(wide, block, strict=True)])
                self.cross = self.cross + products.astype(np.float64)

    def aim(self, weight: Array, second: Array) -> tuple[Array, Array]:
        """(target [O, K], shift [O]) for this weight, with second moments that are there."""
        rows = weight.astype(np.float64).reshape(self.conv.groups, len(weight) // self.conv.groups, -1)
        targets, shifts = [], []
        means = (sums / self.total for sums in (self.first, self.origin, second, self.cross))
        for row, mean, origin, square, cross in zip(rows, *means, strict=True):
            covariance = square - np.outer(mean, mean)
            change = row @ (cross - np.outer(origin, mean) - covariance)
            targets.append(row + GAIN * np.linalg.solve(shrunk(covariance, self.conv.kernel), change.T).T)
            shifts.append(row @ origin - targets[-1] @ mean)
        return np.concatenate(targets), np.concatenate(shifts)

    def tensors(self, name: str) -> Feeds:
        found = super().tensors(name)
        if self.weight is not None and self.second is not None:
            target, shift = (a.astype(np.float32) for a in self.aim(self.weight, self.second))
            if not (np.isfinite(target).all() and np.isfinite(shift).all()):
                raise Error(f"{name}: a target that is not finite")
            found.update({f"{name}|target": target, f"{name}|shift": shift})
        return found


class Quantizer:
    """int4q, for one Conv at a time: what it makes of the Conv alone is what it makes of it in the model."""

    def __init__(self, model: onnx.ModelProto, folder: str, tool: str, options: Sequence[str]) -> None:
        self.model, self.folder = model, folder
        self.tool, self.options = tool, options
        self.constants = stored(model.graph)

    def alone(self, node: onnx.NodeProto, name: str) -> onnx.ModelProto:
        """A model of one Conv, its weight under its own name."""
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[0], copy.input[1] = "x", name
        kind = onnx.helper.np_dtype_to_tensor_dtype(self.constants[name].dtype)
        values = [onnx.helper.make_tensor_value_info(v, kind, None) for v in ("x", copy.output[0])]
        tensors = [numpy_helper.from_array(self.constants[i], i) for i in copy.input[1:] if i in self.constants]
        found = onnx.ModelProto(ir_version=self.model.ir_version, opset_import=self.model.opset_import)
        found.graph.CopyFrom(onnx.helper.make_graph([copy], "conv", values[:1], values[1:], tensors))
        return found

    def decoded(self, node: onnx.NodeProto, name: str, moments: Moments, images: int) -> Decoded | None:
        """(weight, bias) as they will be decoded; None if int4q leaves this Conv as it is."""
        paths = [os.path.join(self.folder, part) for part in ("conv.onnx", "statistics", "quantized.onnx", "float.onnx")]
        source, statistics, quantized, back = paths
        onnx.save(self.alone(node, name), source)
        write_safetensors(statistics, moments.tensors(name), {"images": str(images)})
        call_int4q(self.tool, "rewrite", source, "-q", "-f", "-o", quantized, "--method", "calibrated", "--calibration",
                   statistics, "--allow-unmatched", *self.options, statuses=(0, NOTHING_TO_QUANTIZE))
        if not os.path.exists(quantized):
            return None
        call_int4q(self.tool, "restore", quantized, "-q", "-f", "-o", back)
        os.unlink(quantized)
        found = onnx.load(back)
        values = stored(found.graph)
        inputs = found.graph.node[0].input
        return values[inputs[1]], values.get(inputs[2]) if len(inputs) > 2 else None


def change(node: onnx.NodeProto, decoded: Decoded | None) -> Changes:
    """What a part of the graph with this Conv is to be changed in, as graph.Graph has it."""
    if decoded is None:
        return Changes()
    weight, bias = decoded
    if bias is None:
        return Changes({node.input[1]: weight})
    name = f"{node.output[0]}|bias"
    return Changes({node.input[1]: weight, name: bias}, {node.output[0]: name})


def measure(path: str, nodes: Sequence[ConvNode], feeds: Sequence[Feed], look: Look | None, threads: int, tool: str,
            options: Sequence[str]) -> tuple[dict[str, Moments], int]:
    """({weight: Pair}, number of images) for convs.conv_nodes, over inputs as measurement.measure takes them.

    A weight of several Convs is measured at the first of them.
    """
    model = onnx.load(path)
    graph, given = Graph(model, []), [make() for make in feeds]
    weighs = [look(g) if look else None for g in given]
    before, after, at, changes = given, given, 0, Changes()
    images = sum(len(next(iter(g.values()))) for g in given)
    found: dict[str, Pair] = {}
    decoded: dict[str, Decoded | None] = {}
    with tempfile.TemporaryDirectory() as folder:
        quantizer = Quantizer(model, folder, tool, options)
        for place, node, name, conv in progress(nodes, "Conv"):
            live = graph.live(place)
            before = graph.run(at, place, before, live, threads)
            after = graph.run(at, place, after, live, threads, changes)
            at = place
            if name not in found:
                found[name] = Pair(conv, quantizer.constants.get(name))
                for old, new, weigh in zip(before, after, weighs, strict=True):
                    found[name].add_pair(new[node.input[0]], old[node.input[0]], weigh)
                known = name in quantizer.constants
                decoded[name] = quantizer.decoded(node, name, found[name], images) if known else None
            changes = change(node, decoded[name])
    return dict(found), images

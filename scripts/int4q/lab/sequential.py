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
import shlex
import tempfile

import numpy as np
import onnx
from int4q.lab.detectors import Error
from int4q.lab.run import call_int4q, find_int4q
from onnx import numpy_helper
from int4q.lab.graph import Graph, stored
from int4q.lab.patches import Moments, counted, patch_blocks, weighed_blocks, windows, write_safetensors
from tqdm import tqdm

GAIN, SHRINKAGE, DAMPING = .5, .5, 1e-4
NOTHING_TO_QUANTIZE = 4  # exit status of int4q


def neighbours(kernel):
    """B [k, k]: the correlation of the elements of a kernel halves with each step of distance."""
    places = np.stack(np.unravel_index(np.arange(np.prod(kernel)), kernel), 1)
    return .5 ** np.sqrt(np.square(places[:, None] - places[None]).sum(-1))


def shrunk(covariance, kernel):
    """A [K, K]."""
    variance = np.diag(covariance).reshape(-1, int(np.prod(kernel))).mean(1)
    prior = np.kron(np.diag((variance + variance.mean()) / 2), neighbours(kernel))
    damping = DAMPING * np.diag(covariance).mean() + 1e-12
    return (1 - SHRINKAGE) * covariance + SHRINKAGE * prior + damping * np.eye(len(covariance))


class Pair(Moments):
    """Moments of what a Conv sees, and of how it varies with what it sees in the float model.

    `weight` [O, I/g, kernel ...], float; `origin` [G, K] and `cross` [G, K, K] are sums as those of Moments.
    """

    def __init__(self, conv, weight):
        super().__init__()
        self.conv, self.weight, self.origin, self.cross = conv, weight, 0.0, 0.0

    def add_pair(self, values, wanted, weigh):
        """Add an input [N, C, sides ...] beside the one of the float model."""
        for image, original in zip(values, wanted):
            originals = patch_blocks(self.conv, windows(self.conv, original))
            for (block, weights), before in zip(weighed_blocks(self.conv, image, weigh), originals):
                self.add_block(block, weights)
                before = counted(before, weights)
                self.origin = self.origin + before.sum(2, dtype=np.float64)
                self.cross = self.cross + np.stack([a @ b.T for a, b in zip(before, block)]).astype(np.float64)

    def aim(self):
        """(target [O, K], shift [O])."""
        rows = self.weight.astype(np.float64).reshape(self.conv.groups, len(self.weight) // self.conv.groups, -1)
        targets, shifts = [], []
        for row, mean, origin, second, cross in zip(rows, self.first / self.total, self.origin / self.total,
                                                    self.second / self.total, self.cross / self.total):
            covariance = second - np.outer(mean, mean)
            change = row @ (cross - np.outer(origin, mean) - covariance)
            targets.append(row + GAIN * np.linalg.solve(shrunk(covariance, self.conv.kernel), change.T).T)
            shifts.append(row @ origin - targets[-1] @ mean)
        return np.concatenate(targets), np.concatenate(shifts)

    def tensors(self, name):
        found = super().tensors(name)
        if self.weight is not None:
            target, shift = (a.astype(np.float32) for a in self.aim())
            if not (np.isfinite(target).all() and np.isfinite(shift).all()):
                raise Error(f"{name}: a target that is not finite")
            found.update({f"{name}|target": target, f"{name}|shift": shift})
        return found


class Quantizer:
    """int4q, for one Conv at a time: what it makes of the Conv alone is what it makes of it in the model."""

    def __init__(self, model, folder, args):
        self.model, self.folder = model, folder
        self.tool, self.options = find_int4q(args.int4q), shlex.split(args.rewrite)
        self.constants = stored(model)

    def alone(self, node, name):
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

    def decoded(self, node, name, moments, images):
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
        values = stored(found)
        inputs = found.graph.node[0].input
        return values[inputs[1]], values.get(inputs[2]) if len(inputs) > 2 else None


def change(node, decoded):
    """What a part of the graph with this Conv is to be changed in, as graph.Graph has it."""
    found = {"stored": {}, "inputs": {}}
    if decoded is None:
        return found
    weight, bias = decoded
    found["stored"][node.input[1]] = weight
    if bias is not None:
        name = f"{node.output[0]}|bias"
        found["stored"][name] = bias
        found["inputs"][node.output[0]] = [node.input[0], node.input[1], name]
    return found


def measure(nodes, feeds, look, args):
    """({weight: Pair}, number of images) for calibrate.conv_nodes, over inputs as calibrate.measure takes them.

    A weight of several Convs is measured at the first of them.
    """
    model = onnx.load(args.model)
    graph, given = Graph(model, []), [make() for make in feeds]
    weighs = [look(g) if look else None for g in given]
    before, after, at, changes = given, given, 0, None
    images, found, decoded = sum(len(next(iter(g.values()))) for g in given), {}, {}
    with tempfile.TemporaryDirectory() as folder:
        quantizer = Quantizer(model, folder, args)
        for place, node, name, conv in tqdm(nodes, unit="Conv", disable=None):
            live = graph.live(place)
            before = graph.run(at, place, before, live, args.threads)
            after = graph.run(at, place, after, live, args.threads, changes)
            at = place
            if name not in found:
                found[name] = Pair(conv, quantizer.constants.get(name))
                for old, new, weigh in zip(before, after, weighs):
                    found[name].add_pair(new[node.input[0]], old[node.input[0]], weigh)
                known = name in quantizer.constants
                decoded[name] = quantizer.decoded(node, name, found[name], images) if known else None
            changes = change(node, decoded[name])
    return found, images

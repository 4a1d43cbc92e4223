# SPDX-License-Identifier: Apache-2.0
"""Patches: what one row of a Conv's weight is multiplied with at one position of the output; their moments; the file."""
import contextlib
import json
import math
import os
from typing import NamedTuple

import numpy as np
from int4q.lab.detectors import Error

PATCH_BYTES = 32 << 20   # of patches that are laid out at a time


class Conv(NamedTuple):
    """What decides the patches, apart from the input's values. The tuples have one entry a spatial axis."""
    source: str       # name of the input value
    kernel: tuple
    strides: tuple
    dilations: tuple
    pads: tuple       # (before, after); empty when auto_pad decides
    auto_pad: str
    groups: int


def padding(conv, shape):
    """[(before, after)] for each spatial axis of an input with these sides."""
    if conv.auto_pad == "NOTSET":
        return list(conv.pads)
    if conv.auto_pad == "VALID":
        return [(0, 0)] * len(shape)
    found = []
    for side, kernel, stride, dilation in zip(shape, conv.kernel, conv.strides, conv.dilations):
        total = max((-(-side // stride) - 1) * stride + (kernel - 1) * dilation + 1 - side, 0)
        half = total // 2
        found.append((half, total - half) if conv.auto_pad == "SAME_UPPER" else (total - half, half))
    return found


def windows(conv, image):
    """A view [C, output positions ..., kernel ...] of one image [C, sides ...], padded."""
    axes = len(conv.kernel)
    pads = padding(conv, image.shape[1:])
    if any(map(any, pads)):
        image = np.pad(image, [(0, 0), *pads])
    reach = [(k - 1) * d + 1 for k, d in zip(conv.kernel, conv.dilations)]
    view = np.lib.stride_tricks.sliding_window_view(image, reach, tuple(range(1, axes + 1)))
    return view[(slice(None), *(slice(None, None, s) for s in conv.strides),
                 *(slice(None, None, d) for d in conv.dilations))]


def patch_blocks(conv, view):
    """Matrices [groups, K, positions] that together are all patches of a view, float32, of bounded size."""
    axes, channels = len(conv.kernel), view.shape[0]
    order = (0, *range(1 + axes, 1 + 2 * axes), *range(1, 1 + axes))
    line = 4 * channels * math.prod(conv.kernel) * math.prod(view.shape[2:1 + axes])
    step = max(1, PATCH_BYTES // max(1, line))
    for start in range(0, view.shape[1], step):
        part = view[:, start:start + step].transpose(order)
        rows = channels // conv.groups * math.prod(conv.kernel)
        yield np.ascontiguousarray(part, np.float32).reshape(conv.groups, rows, -1)


def weighed_blocks(conv, image, weigh=None):
    """(patch_blocks of one image, the weights of their positions), one after the other.

    `weigh` gives float32 weights, one a position, for the sides of the output; without it the weights are None.
    """
    view, done = windows(conv, image), 0
    weights = weigh(view.shape[1:1 + len(conv.kernel)]) if weigh else None
    for block in patch_blocks(conv, view):
        yield block, None if weights is None else weights[done:done + block.shape[2]]
        done += block.shape[2]


def counted(block, weights):
    return block if weights is None else block * weights


class Moments:
    """Sums over patches in float64, each counted by its weight: first [G, K], second [G, K, K] or None."""

    def __init__(self):
        self.positions, self.total, self.first, self.second = 0, 0.0, 0.0, None

    def add(self, conv, values, mean_only=False, weigh=None):
        """Add the patches of the input [N, C, sides ...] of a Conv; `weigh` as for weighed_blocks."""
        for image in values:
            for block, weights in weighed_blocks(conv, image, weigh):
                self.add_block(block, weights, mean_only)

    def add_block(self, block, weights, mean_only=False):
        """Patches [G, K, positions]. One group after the other: a matrix times its own transpose costs half as much."""
        self.positions += block.shape[2]
        self.total += block.shape[2] if weights is None else weights.sum(dtype=np.float64)
        self.first = self.first + counted(block, weights).sum(2, dtype=np.float64)
        if mean_only:
            return
        if self.second is None:
            self.second = np.zeros((*block.shape[:2], block.shape[1]))
        for total, rows in zip(self.second, block if weights is None else block * np.sqrt(weights)):
            total += rows @ rows.T

    def join(self, other):
        self.positions, self.total, self.first = (self.positions + other.positions, self.total + other.total,
                                                  self.first + other.first)
        if other.second is not None:
            self.second = other.second if self.second is None else self.second + other.second

    def tensors(self, name):
        """{key: float32 array}; the axis of groups goes where there is one group."""
        if not self.positions:
            raise Error(f"{name}: no patches: an input or an output of its Conv is empty")
        found = {f"{name}|mu": self.first / self.total}
        if self.second is not None:
            found[f"{name}|H"] = self.second / self.total
        with np.errstate(over="ignore"):
            found = {key: (a[0] if len(a) == 1 else a).astype(np.float32) for key, a in found.items()}
        if not all(np.isfinite(a).all() for a in found.values()):
            raise Error(f"{name}: moments that are not finite, or too large for float32")
        return found


# ---- The file

def write_safetensors(path, tensors, metadata):
    """Write the file under another name and move it into place. Tensors lie in the order of their names.

    The safetensors package would do, but the order of its metadata changes from run to run.
    """
    header, end = {"__metadata__": metadata}, 0
    for key in sorted(tensors):
        size = tensors[key].nbytes
        header[key] = {"dtype": "F32", "shape": list(tensors[key].shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "xb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for key in sorted(tensors):
                file.write(np.ascontiguousarray(tensors[key], "<f4").tobytes())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise

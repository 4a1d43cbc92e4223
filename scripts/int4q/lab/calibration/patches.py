# SPDX-License-Identifier: Apache-2.0
"""Patches: what one row of a Conv's weight is multiplied with at one position of the output."""
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from int4q.lab.base.types import Array
from int4q.lab.detection.attention import Weigher

PATCH_BYTES = 32 << 20   # of patches that are laid out at a time


class Conv(NamedTuple):
    """What decides the patches, apart from the input's values. The tuples have one entry a spatial axis."""
    source: str       # name of the input value
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]  # (before, after); empty when auto_pad decides
    auto_pad: str
    groups: int


def padding(conv: Conv, shape: Sequence[int]) -> list[tuple[int, int]]:
    """[(before, after)] for each spatial axis of an input with these sides."""
    if conv.auto_pad == "NOTSET":
        return list(conv.pads)
    if conv.auto_pad == "VALID":
        return [(0, 0)] * len(shape)
    found = []
    for side, kernel, stride, dilation in zip(shape, conv.kernel, conv.strides, conv.dilations, strict=True):
        total = max((-(-side // stride) - 1) * stride + (kernel - 1) * dilation + 1 - side, 0)
        half = total // 2
        found.append((half, total - half) if conv.auto_pad == "SAME_UPPER" else (total - half, half))
    return found


def windows(conv: Conv, image: Array) -> Array:
    """A view [C, output positions ..., kernel ...] of one image [C, sides ...], padded."""
    axes = len(conv.kernel)
    pads = padding(conv, image.shape[1:])
    if any(map(any, pads)):
        image = np.pad(image, [(0, 0), *pads])
    reach = [(k - 1) * d + 1 for k, d in zip(conv.kernel, conv.dilations, strict=True)]
    view = np.lib.stride_tricks.sliding_window_view(image, reach, tuple(range(1, axes + 1)))
    return view[(slice(None), *(slice(None, None, s) for s in conv.strides),
                 *(slice(None, None, d) for d in conv.dilations))]


def patch_blocks(conv: Conv, view: Array) -> Iterator[Array]:
    """Matrices [groups, K, positions] that together are all patches of a view, float32, of bounded size."""
    axes, channels = len(conv.kernel), view.shape[0]
    order = (0, *range(1 + axes, 1 + 2 * axes), *range(1, 1 + axes))
    line = 4 * channels * math.prod(conv.kernel) * math.prod(view.shape[2:1 + axes])
    step = max(1, PATCH_BYTES // max(1, line))
    for start in range(0, view.shape[1], step):
        part = view[:, start:start + step].transpose(order)
        rows = channels // conv.groups * math.prod(conv.kernel)
        yield np.ascontiguousarray(part, np.float32).reshape(conv.groups, rows, -1)


def weighed_blocks(conv: Conv, image: Array, weigh: Weigher | None = None) -> Iterator[tuple[Array, Array | None]]:
    """(patch_blocks of one image, the weights of their positions), one after the other.

    `weigh` gives float32 weights, one a position, for the sides of the output; without it the weights are None.
    """
    view, done = windows(conv, image), 0
    weights = weigh(view.shape[1:1 + len(conv.kernel)]) if weigh else None
    for block in patch_blocks(conv, view):
        yield block, None if weights is None else weights[done:done + block.shape[2]]
        done += block.shape[2]


def counted(block: Array, weights: Array | None) -> Array:
    return block if weights is None else block * weights

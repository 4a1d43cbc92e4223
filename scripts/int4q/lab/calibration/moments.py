# SPDX-License-Identifier: Apache-2.0
"""Moments of patches, and the safetensors file that holds them."""
import json
from collections.abc import Mapping

import numpy as np

from int4q.lab.base.errors import Error
from int4q.lab.base.files import whole_file
from int4q.lab.base.types import Array, Feeds
from int4q.lab.calibration.patches import Conv, counted, weighed_blocks
from int4q.lab.detection.attention import Weigher

VERSION = "1"  # of the format
MOST_HEADER = 100 << 20  # bytes, as the format has it
TYPES = {"float32": ("F32", "<f4"), "uint32": ("U32", "<u4")}  # what tensors may be: for the header, for their bytes


class Moments:
    """Sums over patches in float64, each counted by its weight: first [G, K], second [G, K, K] or None."""

    def __init__(self) -> None:
        self.positions, self.total = 0, 0.0
        self.first: Array = np.zeros(())
        self.second: Array | None = None

    def add(self, conv: Conv, values: Array, mean_only: bool = False, weigh: Weigher | None = None) -> None:
        """Add the patches of the input [N, C, sides ...] of a Conv; `weigh` as for weighed_blocks."""
        for image in values:
            for block, weights in weighed_blocks(conv, image, weigh):
                self.add_block(block, weights, mean_only)

    def add_block(self, block: Array, weights: Array | None, mean_only: bool = False) -> None:
        """Patches [G, K, positions]. One group after the other: a matrix times its own transpose costs half as much."""
        self.positions += block.shape[2]
        self.total += block.shape[2] if weights is None else weights.sum(dtype=np.float64)
        self.first = self.first + counted(block, weights).sum(2, dtype=np.float64)
        if mean_only:
            return
        if self.second is None:
            self.second = np.zeros((*block.shape[:2], block.shape[1]))
        for group, rows in enumerate(block if weights is None else block * np.sqrt(weights)):
            self.second[group] += rows @ rows.T

    def join(self, other: "Moments") -> None:
        self.positions, self.total, self.first = (self.positions + other.positions, self.total + other.total,
                                                  self.first + other.first)
        if other.second is not None:
            self.second = other.second if self.second is None else self.second + other.second

    def tensors(self, name: str) -> Feeds:
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


def write_safetensors(path: str, tensors: Feeds, metadata: Mapping[str, str]) -> None:
    """Tensors of TYPES lie in the order of their names.

    The safetensors package would do, but the order of its metadata changes from run to run.
    """
    header: dict[str, object] = {"__metadata__": metadata}
    end = 0
    for key in sorted(tensors):
        array, start = tensors[key], end
        end += array.nbytes
        header[key] = {"dtype": TYPES[array.dtype.name][0], "shape": list(array.shape), "data_offsets": [start, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with whole_file(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for key in sorted(tensors):
            file.write(np.ascontiguousarray(tensors[key], TYPES[tensors[key].dtype.name][1]).tobytes())


def read_metadata(path: str) -> dict[str, str]:
    """Of a safetensors file; empty where there is none."""
    try:
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(size, MOST_HEADER)))
        return dict(header["__metadata__"].items())
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def save(path: str, found: dict[str, Moments], spread: Feeds, images: int, digest: str, more: Mapping[str, str]) -> int:
    """Write {weight: Moments}, which is emptied to save memory, and other tensors; returns the number of all."""
    positions = json.dumps({name: found[name].positions for name in sorted(found)}, ensure_ascii=False)
    tensors = dict(spread)
    for name in list(found):
        tensors.update(found.pop(name).tensors(name))
    write_safetensors(path, tensors, {"images": str(images), "positions": positions, "model_sha256": digest,
                                      "int4q_statistics": VERSION, **more})
    return len(tensors)

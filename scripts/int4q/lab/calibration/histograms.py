# SPDX-License-Identifier: Apache-2.0
"""How the values are spread that Convs read: a histogram for each channel of each of their inputs.

The ends of a channel are its least and its greatest value over all images, so that no bin is wasted. They are known
only when all images have been seen, so the model runs on each of them twice.
"""
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from int4q.lab.base.errors import Error
from int4q.lab.base.progress import progress
from int4q.lab.base.types import Array, Feeds
from int4q.lab.calibration.convs import Readers
from int4q.lab.calibration.feeds import Feed
from int4q.lab.calibration.taps import Taps

BINS, WHOLE_BINS = 256, 2048  # of a channel, of a tensor
MOST = 2 ** 32 - 1  # that a bin may count


class Histogram:
    """Counts [C, bins] in equal parts of `low` [C] to `high` [C] of each channel; both ends belong to them."""

    def __init__(self, name: str, is_whole: bool = False) -> None:
        """`is_whole`: of all channels together, C = 1."""
        self.name, self.is_whole = name, is_whole
        self.bins = WHOLE_BINS if is_whole else BINS
        self.low: Array = np.array(np.inf, np.float32)
        self.high: Array = np.array(-np.inf, np.float32)
        self.counts: Array = np.zeros((), np.int64)

    def rows(self, values: Array) -> Array:
        """[C, all else] of an input [N, C, sides ...], float32."""
        if not values.size:
            raise Error(f"{self.name}: a value between Convs, but it is empty")
        if self.is_whole:
            return np.asarray(values, np.float32).reshape(1, -1)
        return np.moveaxis(np.asarray(values, np.float32), 1, 0).reshape(values.shape[1], -1)

    def widen(self, values: Array) -> None:
        rows = self.rows(values)
        self.low, self.high = np.minimum(self.low, rows.min(1)), np.maximum(self.high, rows.max(1))
        if not (np.isfinite(self.low).all() and np.isfinite(self.high).all()):
            raise Error(f"{self.name}: values that are not finite, or too large for float32")

    def count(self, values: Array) -> None:
        """Where low and high are the same, all lie in the first bin."""
        low, high = self.low.astype(np.float64)[:, None], self.high.astype(np.float64)[:, None]
        bins = ((self.rows(values) - low) / np.where(high > low, high - low, 1) * self.bins).astype(np.int64)
        np.minimum(bins, self.bins - 1, out=bins)
        bins += self.bins * np.arange(len(low))[:, None]
        self.counts = self.counts + np.bincount(bins.ravel(), minlength=self.bins * len(low)).reshape(-1, self.bins)

    def tensors(self) -> Feeds:
        if self.counts.max() > MOST:
            raise Error(f"{self.name}: more than {MOST} values in a bin; take fewer images")
        return {f"{self.name}|lo": self.low, f"{self.name}|hi": self.high,
                f"{self.name}|hist": self.counts.astype(np.uint32)}


def each_once(runs: Iterable[tuple[list[Readers], Feeds]]) -> Iterator[tuple[str, Array]]:
    """(name, values) of what Convs read in these runs, some of it in several."""
    done: set[str] = set()
    for part, values in runs:
        fresh = {conv.source for conv, _ in part} - done
        done |= fresh
        yield from ((name, values[name]) for name in sorted(fresh))


def measure(convs: Sequence[Readers], taps: Taps, feeds: Sequence[Feed], are_whole: bool = False) -> Feeds:
    """{key: array} for each value that a Conv reads, over all feeds as measurement.measure takes them."""
    found = {conv.source: Histogram(conv.source, are_whole) for conv, _ in convs}
    steps: tuple[Callable[[Histogram, Array], None], ...] = Histogram.widen, Histogram.count
    for step in steps:
        for make in progress(feeds, "image"):
            for name, values in each_once(taps.runs(make())):
                step(found[name], values)
    return {key: array for histogram in found.values() for key, array in histogram.tensors().items()}

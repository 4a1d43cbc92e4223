# SPDX-License-Identifier: Apache-2.0
"""The inputs of the Convs of a model, for all that it is fed with, in runs that do not hand out too much at once."""
import math
from collections.abc import Iterator, Sequence

import onnx
import onnxruntime

from int4q.lab.base.types import Feeds
from int4q.lab.calibration.convs import Readers
from int4q.lab.models.session import inputs_of, open_session, run_session, with_outputs

PASS_BYTES = 256 << 20   # of Conv inputs that one run hands out
UNKNOWN_BYTES = 32 << 20  # what a value of unknown shape counts for


def value_bytes(session: onnxruntime.InferenceSession) -> dict[str, int]:
    """{output: bytes}, a guess where the shape is not known."""
    return {o.name: 4 * math.prod(o.shape) if o.shape and all(isinstance(d, int) for d in o.shape) else UNKNOWN_BYTES
            for o in session.get_outputs()}


def split_passes(convs: Sequence[Readers], sizes: dict[str, int]) -> list[list[Readers]]:
    """Lists of Convs whose inputs together stay below PASS_BYTES, in the order of the graph."""
    passes: list[list[Readers]] = [[]]
    taken: set[str] = set()
    total = 0
    for entry in convs:
        source = entry[0].source
        size = 0 if source in taken else sizes[source]
        if passes[-1] and total + size > PASS_BYTES:
            passes.append([])
            taken, total, size = set(), 0, sizes[source]
        passes[-1].append(entry)
        taken.add(source)
        total += size
    return passes


def open_pass(path: str, model: onnx.ModelProto, convs: Sequence[Readers],
              threads: int) -> tuple[onnxruntime.InferenceSession | None, list[str]]:
    """(session that gives the inputs of these Convs, their names); no session if the model's inputs are all."""
    given = {i.name for i in inputs_of(model.graph)}
    taps = [n for n in dict.fromkeys(conv.source for conv, _ in convs) if n not in given]
    return (open_session(path, threads, with_outputs(model, taps)) if taps else None), taps


def source_sizes(path: str, model: onnx.ModelProto, convs: Sequence[Readers], given: Feeds) -> dict[str, int]:
    """{input of a Conv: bytes} when the model is given these inputs."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    for value in inputs_of(probe.graph):
        for d, size in zip(value.type.tensor_type.shape.dim, given[value.name].shape, strict=False):
            d.dim_value = size
    session, _ = open_pass(path, probe, convs, 1)
    return {**dict.fromkeys(given, 0), **(value_bytes(session) if session else {})}


def run_pass(path: str, session: onnxruntime.InferenceSession | None, taps: Sequence[str], given: Feeds) -> Feeds:
    """The values that the session taps, for one input; none without a session."""
    if session is None:
        return {}
    wanted = {i.name for i in session.get_inputs()}
    fed = {name: array for name, array in given.items() if name in wanted}
    return dict(zip(taps, run_session(path, session, fed), strict=True))


class Taps:
    """The sessions that give what these Convs read."""

    def __init__(self, path: str, model: onnx.ModelProto, convs: Sequence[Readers], given: Feeds,
                 threads: int = 1) -> None:
        """`given`: inputs of the model, for the sizes of its values."""
        self.path = path
        parts = split_passes(convs, source_sizes(path, model, convs, given))
        self.passes = [(part, *open_pass(path, model, part, threads)) for part in parts]

    def runs(self, given: Feeds) -> Iterator[tuple[list[Readers], Feeds]]:
        """(Convs, {value: array} that has what they read), until all Convs have had their turn."""
        for part, session, taps in self.passes:
            yield part, {**given, **run_pass(self.path, session, taps, given)}

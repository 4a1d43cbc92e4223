# SPDX-License-Identifier: Apache-2.0
"""The moments of all Convs of a model, over all that it is fed with."""
import math
from collections.abc import Sequence

import onnx
import onnxruntime

from int4q.lab.base.progress import progress
from int4q.lab.base.types import Feeds
from int4q.lab.calibration.convs import Readers, find_convs
from int4q.lab.calibration.feeds import Feed, Look
from int4q.lab.calibration.moments import Moments
from int4q.lab.calibration.patches import Conv
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


def measure(path: str, model: onnx.ModelProto, feeds: Sequence[Feed], look: Look | None = None, threads: int = 1,
            mean_only: bool = False) -> tuple[dict[str, Moments], int]:
    """{weight: Moments} over all feeds, a list of functions that return {input: array}; and the number of images.

    `look` gives the function that weighs positions (attention.weigher) for an input.
    """
    convs, images = find_convs(path, model), 0
    sizes = source_sizes(path, model, convs, feeds[0]())
    passes = [(part, *open_pass(path, model, part, threads)) for part in split_passes(convs, sizes)]
    seen = {conv: Moments() for conv, _ in convs}
    for make in progress(feeds, "image"):
        given = make()
        weigh = look(given) if look else None
        images += len(next(iter(given.values())))
        for part, session, taps in passes:
            values = {**given, **run_pass(path, session, taps, given)}
            for conv, _ in part:
                seen[conv].add(conv, values[conv.source], mean_only, weigh)
    return join_weights(convs, seen), images


def run_pass(path: str, session: onnxruntime.InferenceSession | None, taps: Sequence[str], given: Feeds) -> Feeds:
    """The values that the session taps, for one input; none without a session."""
    if session is None:
        return {}
    wanted = {i.name for i in session.get_inputs()}
    fed = {name: array for name, array in given.items() if name in wanted}
    return dict(zip(taps, run_session(path, session, fed), strict=True))


def join_weights(convs: Sequence[Readers], seen: dict[Conv, Moments]) -> dict[str, Moments]:
    """{weight: Moments}: those of all the nodes that use it."""
    found: dict[str, Moments] = {}
    for conv, names in convs:
        for name in names:
            found.setdefault(name, Moments()).join(seen[conv])
    return found

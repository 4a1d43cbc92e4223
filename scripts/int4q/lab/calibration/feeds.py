# SPDX-License-Identifier: Apache-2.0
"""What a model is fed with: prepared pictures, or arrays from files."""
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np
import onnx

from int4q.lab.base.errors import Error, one_line, warn
from int4q.lab.base.types import Feeds
from int4q.lab.detection.attention import Weigher, weigher
from int4q.lab.detection.detectors import Detector
from int4q.lab.detection.pictures import read_picture
from int4q.lab.models.session import dims, inputs_of

Feed = Callable[[], Feeds]
Look = Callable[[Feeds], Weigher | None]  # how positions count, for one input


def picture_feeds(detector: Detector, pictures: Sequence[str]) -> list[Feed]:
    """Functions that give the model's input for each picture; an Error for a family whose outputs are others."""
    detector.check_family(read_picture(pictures[0]))
    name = detector.session.get_inputs()[0].name

    def feed(picture: str) -> Feeds:
        return {name: detector.prepare(read_picture(picture))[0].astype(detector.kind)}
    return [partial(feed, picture) for picture in pictures]


def picture_focus(path: str, family: str | None, size: int | None, threads: int, focus: float) -> Look | None:
    """What counts in a picture; None where all positions do."""
    detector = Detector(path, family, size, threads, probabilities=True, any_head=True)
    if not detector.has_probabilities:
        warn(f"{path} does not tell what it finds where; all positions count the same")
        return None
    return lambda given: weigher(detector, next(iter(given.values())), focus)


def array_files(places: Iterable[str]) -> Iterator[str]:
    """The .npy and .npz files among these files and folders, those of a folder sorted by name."""
    for place in places:
        if not os.path.isdir(place):
            yield place
            continue
        names = sorted(n for n in os.listdir(place) if n.endswith((".npy", ".npz")))
        if not names:
            raise Error(f"{place}: no .npy or .npz files")
        yield from (os.path.join(place, n) for n in names)


def read_arrays(file: str, inputs: Sequence[onnx.ValueInfoProto]) -> Feeds:
    """{input: array} of a .npz, or of a .npy when the model has one input; of the types that the model wants."""
    try:
        loaded = np.load(file, allow_pickle=False)
        arrays = {inputs[0].name: loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except (OSError, ValueError) as error:
        raise Error(f"{file}: {one_line(error)}") from error
    missing = [i.name for i in inputs if i.name not in arrays]
    if missing:
        raise Error(f"{file}: no array for the input {missing[0]}")
    found = {}
    for i in inputs:
        kind = onnx.helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type)
        array, shape = arrays[i.name], dims(i)
        if array.ndim != len(shape) or any(d not in (None, 0, n) for d, n in zip(shape, array.shape, strict=True)):
            raise Error(f"{file}: shape {list(array.shape)}, but the input {i.name} has {shape}")
        found[i.name] = array.astype(kind)
    return found


def array_feeds(model: onnx.ModelProto, files: Iterable[str]) -> list[Feed]:
    inputs = inputs_of(model.graph)
    return [partial(read_arrays, file, inputs) for file in files]

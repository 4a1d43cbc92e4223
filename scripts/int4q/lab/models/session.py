# SPDX-License-Identifier: Apache-2.0
"""ONNX models and their sessions in ONNX Runtime."""
import os
import shutil
from collections.abc import Iterable, Sequence

import onnx
import onnxruntime

from int4q.lab.base.errors import Error, one_line
from int4q.lab.base.tool import what_it_is
from int4q.lab.base.types import Array, Feeds
from int4q.lab.models.operators import register


def load_model(path: str) -> onnx.ModelProto:
    """The model without the bytes of its external data, which `open_session` finds by the model's folder."""
    try:
        return onnx.load(path, load_external_data=False)
    except OSError as error:
        raise Error(f"{path}: {error.strerror}") from error
    except Exception as error:  # protobuf's own class of errors
        raise Error(f"{path}: not an ONNX model: {what_it_is(path) or one_line(error)}") from error


def load_whole(path: str) -> onnx.ModelProto:
    load_model(path)  # for its errors
    try:
        return onnx.load(path)
    except Exception as error:  # of external data
        raise Error(f"{path}: {one_line(error)}") from error


def copy_model(path: str, folder: str) -> str:
    """Path of a copy in the folder, external data included: for tools of others, which may write to what they read."""
    for location in external_files(load_model(path).graph):
        if os.path.isabs(location) or os.pardir in location.split("/"):
            raise Error(f"{path}: external data outside of its folder: {location}")
        target = os.path.join(folder, location)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(os.path.join(os.path.dirname(path), location), target)
    return str(shutil.copyfile(path, os.path.join(folder, os.path.basename(path))))


def external_files(graph: onnx.GraphProto) -> set[str]:
    """Where the tensors of a graph and its bodies say that their data are."""
    tensors, bodies = list(graph.initializer), []
    for attribute in (a for node in graph.node for a in node.attribute):
        tensors += [attribute.t, *attribute.tensors]
        bodies += [attribute.g, *attribute.graphs]
    found = {e.value for t in tensors if t.data_location == onnx.TensorProto.EXTERNAL
             for e in t.external_data if e.key == "location"}
    return found.union(*map(external_files, bodies))


def files_of(path: str, model: onnx.ModelProto) -> list[str]:
    """The file of the model, and those of its external data that are there."""
    folder = os.path.dirname(path)
    beside = [os.path.join(folder, location) for location in sorted(external_files(model.graph))]
    return [path, *filter(os.path.isfile, beside)]


def open_session(path: str, threads: int = 1, model: onnx.ModelProto | None = None,
                 fold: bool = True) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on the CPU; `model`, if given, is a changed copy of the one at `path`.

    `fold` makes constants of decoded weights: the values are the same, and it runs as fast as the float model.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    register(options)
    if fold:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    source = path
    if model is not None:
        folder = os.path.dirname(os.path.abspath(path))
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
        source = model.SerializeToString()
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own classes of errors
        raise Error(f"{path}: ONNX Runtime: {one_line(error)}") from error


def run_session(path: str, session: onnxruntime.InferenceSession, feeds: Feeds,
                outputs: Sequence[str] | None = None) -> list[Array]:
    """Values of these outputs, or of all; `path` is named in errors."""
    try:
        return list(session.run(outputs, feeds))
    except Exception as error:  # ONNX Runtime's own classes of errors
        raise Error(f"{path}: ONNX Runtime: {one_line(error)}") from error


def inputs_of(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """The inputs that a run must be given: older models list their initializers too."""
    stored = {t.name for t in graph.initializer}
    return [i for i in graph.input if i.name not in stored]


def with_outputs(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """A copy of the model that has these values as outputs, and no others."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return copy


def dims(value: onnx.ValueInfoProto) -> list[int | None]:
    """[int or None] of a graph input or output."""
    return [d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim]

# SPDX-License-Identifier: Apache-2.0
"""What the acceptance tests share: small models, the tool, ONNX Runtime.

The tool is the program that the environment variable INT4Q names.
"""
import json
import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INT4Q = os.environ.get("INT4Q", os.path.join(ROOT, "build", "release", "int4q"))
IR_OF_OPSET = {7: 3, 8: 3, 9: 4, 10: 5, 11: 6, 12: 7, 13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10,
               22: 10, 23: 11, 24: 12, 25: 13}


def run_int4q(*args, status=0):
    """Run the tool; it must end with this status and without a crash. Returns the finished process."""
    done = subprocess.run([INT4Q, *map(str, args)], capture_output=True, text=True, check=False)
    assert done.returncode == status, f"status {done.returncode}: {done.stderr}"
    return done


def rewrite(model, folder, *args):
    """Save, rewrite and load a model; returns it with the JSON report."""
    source, target, report = (os.path.join(folder, name) for name in ("in.onnx", "out.onnx", "report.json"))
    onnx.save(model, source)
    run_int4q("rewrite", source, "-f", "-q", "-o", target, "--json", report, *args)
    with open(report, encoding="utf-8") as file:
        return onnx.load(target), json.load(file)


def value(name, *shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, list(shape))


def tensor(name, *shape, kind=np.float32, seed=0):
    """Random values from a seed and the name."""
    random = np.random.default_rng([seed, *name.encode()])
    return numpy_helper.from_array(random.standard_normal(shape).astype(kind), name)


def make_model(nodes, initializers=(), inputs=None, outputs=None, opset=17, ir=None, functions=(), **imports):
    """A model; by default from x [1, 3, 6, 6] to y of any shape."""
    graph = helper.make_graph(nodes, "graph", inputs or [value("x", 1, 3, 6, 6)],
                              outputs or [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], list(initializers))
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d.replace("_", "."), v) for d, v in imports.items())]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir or IR_OF_OPSET[opset], functions=list(functions))


def run(model, feeds, optimize=False):
    options = onnxruntime.SessionOptions()
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimize else level.ORT_DISABLE_ALL
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def with_output_shapes(model):
    """The checker wants outputs with a shape; they are what the model gives."""
    for output, array in zip(model.graph.output, run(model, random_feeds(model))):
        output.CopyFrom(value(output.name, *array.shape, kind=helper.np_dtype_to_tensor_dtype(array.dtype)))
    return model


def random_feeds(model, seed=0):
    random = np.random.default_rng(seed)
    names = {t.name for t in model.graph.initializer}
    return {i.name: random.standard_normal([d.dim_value or 1 for d in i.type.tensor_type.shape.dim]).astype(
        helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type)) for i in model.graph.input if i.name not in names}


def graphs(graph):
    """The graph and every graph below it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield from graphs(inner)


def int4_codes(stored):
    """The codes of an INT4 or UINT4 tensor as int32 of its shape."""
    assert stored.data_type in (TensorProto.INT4, TensorProto.UINT4)
    raw, count = np.frombuffer(stored.raw_data, np.uint8), int(np.prod(stored.dims))
    assert len(raw) == (count + 1) // 2
    nibbles = np.stack([raw & 15, raw >> 4], 1).reshape(-1)[:count].astype(np.int32)
    signed = np.where(nibbles > 7, nibbles - 16, nibbles) if stored.data_type == TensorProto.INT4 else nibbles
    return signed.reshape(stored.dims)


def decoded_weights(graph):
    """{name: float(q - z) * s} of every weight that a DequantizeLinear in this graph decodes, by numpy alone."""
    stored, found = {t.name: t for t in graph.initializer}, {}
    for node in graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in stored:
            continue
        codes, scale = stored[node.input[0]], numpy_helper.to_array(stored[node.input[1]])
        column = [-1] + [1] * (len(codes.dims) - 1)
        steps = int4_codes(codes) - int4_codes(stored[node.input[2]]).reshape(column)
        wide = steps.astype(np.float32) * scale.astype(np.float32).reshape(column)
        found[node.output[0]] = wide.astype(scale.dtype)
    return found


def decoded_values(graph):
    """{value: float(q - z) * s} of every DequantizeLinear of stored integers in this graph, whatever their type."""
    arrays, found = {t.name: numpy_helper.to_array(t) for t in graph.initializer}, {}
    for node in graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in arrays:
            continue
        codes, scale, zero = (arrays[name].astype(np.float32) for name in node.input)
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        column = [-1 if i == axis else 1 for i in range(codes.ndim)] if scale.ndim else []
        found[node.output[0]] = (codes - zero.reshape(column)) * scale.reshape(column)
    return found


def with_decoded_weights(original, rewritten):
    """The original with its weights replaced by what the rewritten model decodes to: the reference of every output."""
    reference = onnx.ModelProto()
    reference.CopyFrom(original)
    for graph, other in zip(graphs(reference.graph), graphs(rewritten.graph)):
        decoded = decoded_weights(other)
        for stored in graph.initializer:
            if stored.name in decoded:
                stored.CopyFrom(numpy_helper.from_array(decoded[stored.name], stored.name))
        for node in graph.node:
            if node.op_type == "Constant" and node.output[0] in decoded:
                node.attribute[0].t.CopyFrom(numpy_helper.from_array(decoded[node.output[0]]))
    return reference


def assert_equal_outputs(original, rewritten, tolerance=0.0, feeds=None):
    """Valid, and the same outputs as the original with decoded weights; bit for bit without optimizations."""
    onnx.checker.check_model(rewritten, full_check=True)
    feeds = feeds or random_feeds(original)
    wanted = run(with_decoded_weights(original, rewritten), feeds)
    for want, got in zip(wanted, run(rewritten, feeds)):
        assert want.shape == got.shape and want.dtype == got.dtype
        if tolerance:
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * np.abs(want).max(initial=0))
        else:
            assert got.tobytes() == want.tobytes()
    run(rewritten, feeds, optimize=True)


def skip_sanitized():
    """For what a build with AddressSanitizer cannot do: little memory, another library in front of it."""
    with open(INT4Q, "rb") as program:
        if b"__asan_init" in program.read():
            pytest.skip("a build with AddressSanitizer")


def shared_data(*parts):
    """A file of the optional data: below $INT4Q_SHARED, or shared/ beside the repository; skips the test without it."""
    base = os.environ.get("INT4Q_SHARED", os.path.join(os.path.dirname(ROOT), "shared"))
    path = os.path.join(base, "data", *parts)
    if not os.path.exists(path):
        pytest.skip(f"{path} is not there (INT4Q_SHARED names the folder)")
    return path


def yolo_scene(folder):
    """A folder with n.onnx, a YOLOv10n of 64 x 64, the pictures images/0.png to 2.png, and truth.json, their annotations."""
    subprocess.run([sys.executable, os.path.join(ROOT, "scripts", "make_yolov10.py"), "--size", "n", "--imgsz", "64", "-o",
                    folder / "n.onnx"], check=True, stdout=subprocess.DEVNULL)
    random = np.random.default_rng(0)
    (folder / "images").mkdir()
    for i in range(3):
        Image.fromarray(random.integers(0, 256, (48, 64, 3), np.uint8)).save(folder / "images" / f"{i}.png")
    truth = {"images": [{"id": i + 1, "file_name": f"{i}.png", "width": 64, "height": 48} for i in range(3)],
             "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [5, 5, 30, 30], "area": 900, "iscrowd": 0}],
             "categories": [{"id": i, "name": str(i)} for i in range(80)]}
    (folder / "truth.json").write_text(json.dumps(truth))
    return folder

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the seeds of the fuzz targets that are not text again: make_corpus.py INT4Q [DIRECTORY].

INT4Q is the tool: some seeds are what it makes of others.  Needs the packages of scripts/requirements.txt."""
import json
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "acceptance"))

import test_opset  # noqa: E402
from helpers import make_model, tensor, value  # noqa: E402

SHAPE = (3, 2, 2, 2)


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, name=attributes.pop("name", op.lower()), **attributes)


def conv(*initializers, weight="w", nodes=(), **rest):
    return make_model([*nodes, node("Conv", ["x", weight], ["y"])], initializers, **rest)


def with_options(model, version=0, json=None, include=None, exclude=None):
    """See rewrite.c: where a model tells how it is to be rewritten."""
    model.model_version = version
    for field, text in (("doc_string", json), ("producer_version", include), ("domain", exclude)):
        if text:
            setattr(model, field, text)
    return model


def detector():
    """Two named Convs, for patterns and rankings."""
    nodes = [node("Conv", ["x", "model.0.conv.weight"], ["a"], name="/model.0/conv/Conv"),
             node("Conv", ["a", "model.1.m.0.weight"], ["y"], name="/model.1/m/m.0/Conv")]
    return make_model(nodes, [tensor("model.0.conv.weight", *SHAPE), tensor("model.1.m.0.weight", 2, 3, 1, 1)])


# ---- where a weight can come from

def typed(kind, field=None):
    """A weight of some type, in raw_data or in the field that holds the elements one by one."""
    made = helper.make_tensor("w", kind, SHAPE, np.linspace(-2, 2, 24))
    if not field:
        made = numpy_helper.from_array(numpy_helper.to_array(made), "w")
    return conv(made)


def misfit(dims=SHAPE, **fields):
    """A weight with something that cannot be."""
    made = conv(tensor("w", *SHAPE))
    made.graph.initializer[0].MergeFrom(TensorProto(**fields))
    made.graph.initializer[0].dims[:] = dims
    return made


def reshaped():
    """The shape in int64_data."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [4], SHAPE)
    nodes = [node("DequantizeLinear", ["q", "s"], ["d"], axis=0), node("Reshape", ["d", "shape"], ["w"])]
    return conv(codes(TensorProto.INT8, 3, 8), tensor("s", 3), shape, nodes=nodes, opset=21)


def external(location, offset=None, length=None):
    made = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=SHAPE, data_location=TensorProto.EXTERNAL)
    for key, text in (("location", location), ("offset", offset), ("length", length)):
        if text is not None:
            made.external_data.add(key=key, value=str(text))
    return conv(made)


def sparse():
    made = conv()
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(
        tensor("w", 2), helper.make_tensor("i", TensorProto.INT64, [2], [1, 5]), SHAPE))
    return made


def body(weight_inside):
    """A Conv in both branches of an If."""
    weight = tensor("w", *SHAPE)
    inner = [weight] if weight_inside else []
    branches = [helper.make_graph([node("Conv", ["x", "w"], [f"y{i}"], name=f"c{i}")], f"b{i}", [], [value(f"y{i}")], inner)
                for i in range(2)]
    return make_model([node("If", ["yes"], ["y"], then_branch=branches[0], else_branch=branches[1])],
                      [helper.make_tensor("yes", TensorProto.BOOL, [], [True]), *([] if inner else [weight])])


def loop():
    """A body with formal inputs; its weight is defined outside."""
    inner = helper.make_graph([node("Identity", ["go"], ["go2"]), node("Conv", ["s", "w"], ["t"])], "b",
                              [value("i", kind=TensorProto.INT64), value("go", kind=TensorProto.BOOL), value("s")],
                              [value("go2", kind=TensorProto.BOOL), value("t")])
    return make_model([node("Loop", ["", "yes", "x"], ["y"], body=inner)],
                      [helper.make_tensor("yes", TensorProto.BOOL, [], [True]), tensor("w", *SHAPE)])


def function():
    inner = helper.make_function("local", "F", ["a", "w"], ["b"], [node("Conv", ["a", "w"], ["b"])],
                                 [helper.make_opsetid("", 17)])
    return make_model([node("F", ["x", "w"], ["y"], domain="local")], [tensor("w", *SHAPE)], functions=[inner], local=1)


def listed(ir):
    made = conv(tensor("w", *SHAPE), ir=ir)
    made.graph.input.append(value("w", *SHAPE))
    return made


def integer(op, inputs):
    codes = helper.make_tensor("w", TensorProto.INT8, SHAPE, [1] * 24)
    return make_model([node(op, inputs, ["y"])], [codes, tensor("s"), helper.make_tensor("z", TensorProto.INT8, [], [0])])


def dequantized(codes, scale, zero=None, block=None, nodes=()):
    extra = {"block_size": block} if block else {}
    inputs = ["q", "s"] + (["z"] if zero else [])
    return conv(codes, scale, *([zero] if zero else []),
                nodes=[node("DequantizeLinear", inputs, ["w"], axis=0, **extra), *nodes], opset=21)


def codes(kind, *shape):
    return helper.make_tensor("q", kind, shape, [i % 7 for i in range(int(np.prod(shape)))])


def zero(kind, *shape):
    return helper.make_tensor("z", kind, shape, [1] * int(np.prod(shape)))


STRUCTURES = {
    "constant": conv(nodes=[node("Constant", [], ["w"], value=tensor("", *SHAPE))]),
    "identities": conv(tensor("v", *SHAPE), nodes=[node("Identity", ["v"], ["u"], name="i"), node("Identity", ["u"], ["w"])]),
    "shared": make_model([node("Conv", ["x", "w"], ["a"], name="c1"), node("Conv", ["a", "w"], ["y"], name="c2")],
                         [tensor("w", *SHAPE)]),
    "shared-other": make_model([node("Conv", ["x", "w"], ["a"]), node("Add", ["a", "w"], ["y"])], [tensor("w", *SHAPE)]),
    "computed": conv(tensor("v", *SHAPE), nodes=[node("Neg", ["v"], ["w"])]),
    "weight-output": conv(tensor("w", *SHAPE), outputs=[value("y"), value("w", *SHAPE)]),
    "no-weight": make_model([node("Conv", ["x"], ["y"])]),
    "undefined": conv(),
    "sparse": sparse(), "body-inside": body(True), "body-outside": body(False), "loop": loop(), "function": function(),
    "listed-3": listed(3), "listed-8": listed(8),
    "float16": typed(TensorProto.FLOAT16), "float16-field": typed(TensorProto.FLOAT16, True),
    "float-field": typed(TensorProto.FLOAT, True), "double": typed(TensorProto.DOUBLE),
    "double-field": typed(TensorProto.DOUBLE, True), "int64-field": reshaped(), "negative": misfit(dims=[2, -3, 2, 2]),
    "overflow": misfit(dims=[2 ** 62, 2 ** 62, 1, 1]), "segment": misfit(segment=TensorProto.Segment(end=8)), "two-fields": misfit(int32_data=[1]),
    "bfloat16": typed(TensorProto.BFLOAT16, True), "odd": conv(tensor("w", 3, 1, 3, 1)),
    "vector": conv(tensor("w", 4)), "scalar": conv(tensor("w")), "empty-weight": conv(tensor("w", 0, 2, 1)),
    "external": external("w.bin", 16, 96), "external-rest": external("sub/w.bin"), "external-link": external("link"),
    "external-hard": external("again", 4096), "external-up": external("../out/x"), "external-fifo": external("fifo"),
    "external-empty": external("empty", 0, 0), "external-far": external("w.bin", 10 ** 18, 96),
    "external-number": external("w.bin", "ten"), "external-none": external(None), "external-root": external("/dev/null"),
    "integer-conv": integer("ConvInteger", ["x", "w"]),
    "qlinear-conv": integer("QLinearConv", ["x", "s", "z", "w", "s", "z", "s", "z"]),
    "transpose": with_options(make_model([node("ConvTranspose", ["x", "w"], ["y"])], [tensor("w", *SHAPE)]), 0x1f << 7),
    "gemm": with_options(make_model([node("Gemm", ["x", "w"], ["y"], transB=1)], [tensor("w", 4, 6)]), 0x1f << 7),
    "matmul": with_options(make_model([node("MatMul", ["x", "w"], ["y"])], [tensor("w", 4, 6)]), 0x1f << 7),
    "keep-int8": with_options(detector(), 4, '{"/model.0/conv/Conv": 2, "model.1.m.0": 1}'),
    "excluded-names": with_options(detector(), 0, '{"excluded_layers": ["model.0.conv"]}'),
    "excluded": with_options(detector(), 0, None, "*", "model.0.*"),
    "ranked": with_options(detector(), 1 << 18 | 1 << 20 | 1 << 23,
                           '[{"layer": "model.0.conv", "sqnr": 2}, {"layer": "model.1.m.0", "sqnr": 1.5}]'),
    "dq-int8": dequantized(codes(TensorProto.INT8, *SHAPE), tensor("s", 3)),
    "dq-uint8": dequantized(codes(TensorProto.UINT8, *SHAPE), tensor("s"), zero(TensorProto.UINT8)),
    "dq-zeros": dequantized(codes(TensorProto.INT8, *SHAPE), tensor("s", 3), zero(TensorProto.INT8, 3)),
    "dq-blocks": dequantized(codes(TensorProto.INT4, 4, 2, 2, 2), tensor("s", 2, 2, 2, 2), block=2),
    "dq-misfit": dequantized(codes(TensorProto.INT8, *SHAPE), tensor("s", 2)),
}

# ---- weights and activations that stand for integers already

QONNX = "qonnx.custom_op.general"


def scalars(**numbers):
    return [numpy_helper.from_array(number, name) for name, number in numbers.items()]


def quant(op="Quant", domain=QONNX, scale=(3, 1, 1, 1), bits=4, behind=(), weight="w", **attributes):
    """A weight that a Quant makes."""
    inputs = ["v", "s", "zero", "bits"] if op != "BipolarQuant" else ["v", "s"]
    attributes = {} if op == "BipolarQuant" else {"signed": 1, "narrow": 1, "rounding_mode": "ROUND", **attributes}
    return conv(tensor("v", *SHAPE), numpy_helper.from_array(np.full(scale, 0.3, np.float32), "s"),
                *scalars(zero=np.float32(0), one=np.float32(1), bits=np.float32(bits)), weight=weight,
                nodes=[node(op, inputs, ["w"], domain=domain, **attributes), *behind])


def qcdq(*steps, kind=np.int8):
    """A weight that goes through these, and an activation that does; biases of 32 bits."""
    nodes = {"QuantizeLinear": (["s", "z"], {"axis": 0}), "Clip": (["low", "high"], {})}
    made, chain = "v", []
    for step in steps:
        inputs, extra = nodes[step]
        chain.append(node(step, [made, *inputs], [f"w.{step}"], name=f"w.{step}", **extra))
        made = f"w.{step}"
    stored = tensor("v", *SHAPE) if "QuantizeLinear" in steps else numpy_helper.from_array((np.arange(24) % 15 - 7).astype(kind).reshape(SHAPE), "v")
    ends = scalars(low=kind(-7), high=kind(7), zx=np.uint8(0), top=np.uint8(15), sx=np.float32(0.2))
    chain += [node("DequantizeLinear", [made, "s", "z"], ["w"], axis=0), node("DequantizeLinear", ["b", "s"], ["bias"], axis=0, name="bias"),
              node("QuantizeLinear", ["x", "sx", "zx"], ["xq"], name="xq"), node("Clip", ["xq", "zx", "top"], ["xc"], name="xc"),
              node("DequantizeLinear", ["xc", "sx", "zx"], ["xd"], name="xd"), node("Conv", ["xd", "w", "bias"], ["y"])]
    return make_model(chain, [stored, numpy_helper.from_array(np.linspace(0.1, 0.3, 3).astype(np.float32), "s"),
                              numpy_helper.from_array(np.zeros(3, kind), "z"), numpy_helper.from_array(np.arange(3, dtype=np.int32), "b"), *ends])


def finn():
    made = conv(numpy_helper.from_array((np.arange(24) % 15 - 7).astype(np.float32).reshape(SHAPE), "w"))
    annotation = made.graph.quantization_annotation.add(tensor_name="w")
    annotation.quant_parameter_tensor_names.add(key="finn_datatype", value="INT4")
    return made


def stepped():
    """Activations that only single steps can follow."""
    return [node("Quant", ["x", "s", "one", "bits"], ["xq"], domain=QONNX, signed=0, narrow=0, rounding_mode="HALF_UP", name="xq"),
            node("MultiThreshold", ["xq", "v2"], ["m"], domain=QONNX, out_scale=2.0, out_bias=-1.0, out_dtype="BIPOLAR", name="m"),
            node("Trunc", ["m", "one", "zero", "bits", "one"], ["xt"], domain=QONNX, name="xt"),
            node("BipolarQuant", ["xt", "s"], ["xb"], domain=QONNX, name="xb")]


def with_thresholds(model):
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((1, 2), np.float32), "v2"))
    return model


EXCHANGE = {
    "quant": quant(), "quant-tensor": quant(scale=(), bits=3, narrow=0, rounding_mode="FLOOR"), "quant-unsigned": quant(signed=0, bits=8),
    "quant-bipolar": quant("BipolarQuant", "onnx.brevitas", scale=(1,)), "quant-old": quant("IntQuant", "finn.custom_op.general", bits=6),
    "quant-transpose": quant(behind=[node("Transpose", ["w"], ["t"], perm=[0, 1, 3, 2])], weight="t"), "quant-9": quant(bits=9),
    "quant-all": with_options(quant(behind=[node("Quant", ["x", "one", "zero", "bits"], ["xq"], domain=QONNX, signed=0, narrow=0,
                                                 rounding_mode="ROUND", name="xq"), node("Neg", ["xq"], ["n"])]), 1),
    "quant-steps": with_options(with_thresholds(quant(behind=stepped())), 1),
    "qcdq": qcdq("Clip"), "qcdq-float": qcdq("QuantizeLinear", "Clip"), "qdq-float": qcdq("QuantizeLinear"), "finn": finn(),
}

# ---- what means pass through; the bits ask for --method squant

SQUANT = 2 << 18 | 1 << 20 | 1 << 21


def mobile_net():
    """Of every kind of operator, but those of SiLU, one."""
    nodes = [node("Conv", ["x", "w0"], ["c0"]), node("BatchNormalization", ["c0", "v4", "v4", "v4", "v4"], ["n0"]),
             node("Relu", ["n0"], ["a0"]), node("Conv", ["a0", "w1", "v4"], ["d1"], group=4), node("Conv", ["d1", "w2"], ["c2"]),
             node("LeakyRelu", ["c2"], ["a2"], alpha=0.2), node("Reshape", ["a2", "five"], ["r"]),
             node("Transpose", ["r"], ["t"], perm=[0, 2, 1, 3, 4]), node("Reshape", ["t", "four"], ["s"]),
             node("Clip", ["s", "low", "high"], ["a3"]), node("Split", ["a3", "halves"], ["h0", "h1"], axis=1),
             node("Conv", ["h1", "w3"], ["c3"]), node("Add", ["h0", "c3"], ["sum"]), node("Concat", ["sum", "h1"], ["k"], axis=1),
             node("MaxPool", ["k"], ["m"], kernel_shape=[1, 1]), node("GlobalAveragePool", ["m"], ["g"]),
             node("HardSigmoid", ["g"], ["gate"]), node("Mul", ["m", "gate"], ["e"]), node("Conv", ["e", "w2"], ["y"])]
    numbers = [numpy_helper.from_array(np.array(v, np.int64), n) for n, v in
               {"five": [1, 2, 2, 6, 6], "four": [1, -1, 6, 6], "halves": [2, 2]}.items()]
    numbers += [numpy_helper.from_array(np.array(v, np.float32), n) for n, v in {"low": 0, "high": 6}.items()]
    return make_model(nodes, [tensor("w0", 4, 3, 1, 1), tensor("w1", 4, 1, 1, 1), tensor("w2", 4, 4, 1, 1),
                              tensor("w3", 2, 2, 1, 1), tensor("v4", 4), *numbers], opset=18)


def silu_net():
    nodes = [node("Slice", ["x", "from", "to", "axes"], ["p"]), node("Conv", ["p", "w0"], ["c0"]), node("Sigmoid", ["c0"], ["g"]),
             node("Mul", ["c0", "g"], ["a0"]), node("Resize", ["a0", "", "scales"], ["big"]), node("Conv", ["big", "w1"], ["y"])]
    numbers = [numpy_helper.from_array(np.array(v, np.int64), n) for n, v in {"from": [0], "to": [4], "axes": [2]}.items()]
    numbers.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"))
    return make_model(nodes, [tensor("w0", 4, 3, 1, 1), tensor("w1", 2, 4, 1, 1), *numbers], opset=18)


STRUCTURES["means-mobile"] = with_options(mobile_net(), SQUANT)
STRUCTURES["means-silu"] = with_options(silu_net(), SQUANT)

# ---- scales by search: the least squared error, and in blocks of 3 with zero points the norm 2.4

STRUCTURES["option-mse"] = with_options(conv(tensor("w", 3, 5, 1, 1)), 1 << 22 | 1 << 23)
STRUCTURES["option-l24"] = with_options(conv(tensor("w", 3, 5, 1, 1)), 1 << 22 | 1 << 24 | 2 << 4)

# ---- what the tool makes: bits of model_version as rewrite.c takes them, and the options that give the same

FORMS = {
    "int4": (0, []), "uint4": (1, ["--format", "uint4"]), "int8": (2, ["--format", "int8"]),
    "packed": (3, ["--format", "packed-u8"]), "cast": (8, ["--decode", "cast"]),
    "cast-uint4": (9, ["--format", "uint4", "--decode", "cast"]),
    "cast-block": (8 | 1 << 4, ["--block", "2", "--decode", "cast"]), "block": (2 << 4, ["--block", "3"]),
    "microsoft": (1 << 6, ["--dq-domain", "com.microsoft"]),
}


def rewritten(tool, model, options):
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "in.onnx"), os.path.join(folder, "out.onnx")
        onnx.save(model, source)
        subprocess.run([tool, "rewrite", source, "-q", "-o", target, *options], check=True)
        return onnx.load(target)


def models(tool):
    yield from STRUCTURES.items()
    yield from EXCHANGE.items()
    for name, (version, options) in FORMS.items():
        for kind in (np.float32, np.float16):
            model = conv(tensor("w", 3, 5, 1, 1, kind=kind))
            suffix = "-half" if kind == np.float16 else ""
            yield f"made-{name}{suffix}", rewritten(tool, model, options)
            if not suffix:
                yield f"option-{name}", with_options(model, version)
    for name, (nodes, first, _, _) in test_opset.CASES.items():
        small = [helper.make_node("Conv", ["x", "w"], ["c"], name="conv")]
        yield f"opset-{first}-{name.replace(' ', '-')}", make_model([*small, *nodes], [tensor("w", 2, 3, 1, 1)], opset=first)
    groups = [helper.make_node("GroupNormalization", ["c", "s", "b"], ["y"], name="it", num_groups=2)]
    yield "opset-18-GroupNormalization", make_model(
        [helper.make_node("Conv", ["x", "w"], ["c"], name="conv"), *groups],
        [tensor("w", 2, 3, 1, 1), tensor("s", 2), tensor("b", 2)], opset=18)


# ---- kernels: offset, qmax, zero, unused, scale, then the elements

def kernels():
    random = np.random.default_rng(0)
    odd = np.array([0, -0.0, 1e-45, 0.5, 1.5, -2.5, 1e30, np.nan, np.inf, -np.inf], np.float32)
    yield "empty", b""
    yield "odd", struct.pack("<BBbBf", 1, 6, 0, 0, 1) + odd.tobytes()
    yield "normal", struct.pack("<BBbBf", 3, 6, 8, 0, 0.3) + random.standard_normal(37).astype(np.float32).tobytes()
    yield "bytes", struct.pack("<BBbBf", 0, 126, -3, 0, 1e-40) + random.bytes(259)


# ---- calibration statistics of the weights that statistics.c asks for

def safetensors(tensors, header=None):
    entries, data = {"__metadata__": {"images": "2"}}, b""
    for name, array in tensors.items():
        kind = "U32" if name.endswith("|hist") else "F32"
        raw = np.asarray(array, "<u4" if kind == "U32" else "<f4").tobytes()
        entries[name] = {"dtype": kind, "shape": list(np.shape(array)), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps({**entries, **(header or {})}).encode()
    return struct.pack("<Q", len(text)) + text + data


def statistics():
    two = {"w|mu": [1, 2], "w|H": [[2, 1], [1, 5]]}
    yield "plain", safetensors(two)
    yield "means-only", safetensors({"w|mu": [1, 2]})
    yield "groups", safetensors({"w|mu": np.ones((2, 9)), "w|H": np.ones((2, 9, 9)) + np.eye(9)})
    yield "not-finite", safetensors({"w|mu": [1, np.nan], "w|H": [[np.inf, 1], [1, 5]]})
    spread = {"t|hi": [2, 5, 0], "t|hist": [[0, 3, 9, 2], [1, 0, 0, 1], [7, 0, 0, 0]], "t|lo": [-0.25, 0, 0]}
    yield "spread", safetensors(spread)
    yield "spread-constant", safetensors({"t|hi": [1], "t|hist": [[4, 0]], "t|lo": [1]})
    yield "spread-empty", safetensors({**spread, "t|hist": np.zeros((3, 4))})
    yield "spread-far", safetensors({"t|hi": [1e-30, 1e30], "t|hist": [[1, 1], [1, 1]], "t|lo": [-1e-30, -1e30]})
    yield "spread-not-finite", safetensors({**spread, "t|lo": [0, np.nan, 0]})
    yield "spread-not-fitting", safetensors({**spread, "t|lo": [0, 0]})
    yield "spread-reversed", safetensors({**spread, "t|lo": [0, 6, 0]})
    yield "no-images", safetensors(two, {"__metadata__": {}})
    yield "far", safetensors(two, {"w|H": {"dtype": "F32", "shape": [2, 2], "data_offsets": [2**62, 2**62 + 16]}})
    yield "long-header", struct.pack("<Q", 2**63) + b"{}"
    yield "huge-shape", safetensors(two, {"w|mu": {"dtype": "F32", "shape": [2**62, 2], "data_offsets": [0, 8]}})


def main():
    tool, target = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else os.path.join(HERE, "corpus")
    seeds = {"onnx": ((name, model.SerializeToString()) for name, model in models(tool)), "kernels": kernels(),
             "statistics": statistics()}
    for directory, files in seeds.items():
        os.makedirs(os.path.join(target, directory), exist_ok=True)
        for name, content in files:
            with open(os.path.join(target, directory, name), "wb") as file:
                file.write(content)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Models as other tools leave them: weights that stand for integers already, by the definitions of their operators."""
import numpy as np
import onnx
from helpers import decoded_values, make_model, random_feeds, rewrite, run
from onnx import helper, numpy_helper

QONNX = "qonnx.custom_op.general"
ROUNDINGS = {
    "ROUND": np.rint, "HALF_EVEN": np.rint, "CEIL": np.ceil, "FLOOR": np.floor,
    "UP": lambda y: np.sign(y) * np.ceil(np.abs(y)), "DOWN": np.trunc,
    "HALF_UP": lambda y: np.sign(y) * np.floor(np.abs(y) + np.float32(0.5)),
    "HALF_DOWN": lambda y: np.sign(y) * np.ceil(np.abs(y) - np.float32(0.5)),
}


def quant(x, scale, zero, bits, signed=1, narrow=0, mode="ROUND"):
    """The definition of Quant, in binary32."""
    y = (x / scale + zero).astype(np.float32)
    if bits == 1 and signed:
        q = np.where(y >= 0, np.float32(1), np.float32(-1))
    else:
        low = -2 ** (bits - 1) + narrow if signed else 0
        high = 2 ** (bits - 1) - 1 if signed else 2 ** bits - 1 - narrow
        q = ROUNDINGS[mode](np.clip(y, np.float32(low), np.float32(high)))
    return ((q - zero) * scale).astype(np.float32)


def stored(name, array, kind=np.float32):
    return numpy_helper.from_array(np.asarray(array, kind), name)


def conv(weight, output="y", name="conv", source="x", **attributes):
    return helper.make_node("Conv", [source, weight], [output], name=name, **attributes)


def quant_node(name, op="Quant", domain=QONNX, inputs=("w", "s", "z", "b"), output="q", **attributes):
    attributes = {} if op == "BipolarQuant" else {"signed": 1, "narrow": 1, "rounding_mode": "ROUND", **attributes}
    return helper.make_node(op, list(inputs), [output], name=name, domain=domain, **attributes)


def quant_model(weight, scale, zero=0.0, bits=4, extra=(), nodes=None, **attributes):
    """x -> Conv behind one Quant of this weight."""
    tensors = [stored("w", weight), stored("s", scale), stored("z", zero), stored("b", bits), *extra]
    return make_model(nodes or [quant_node("quant", **attributes), conv("q")], tensors)


def assert_imported(original, tmp_path, weights, *args, formats=None):
    """Every weight {value: floats} comes back from the integers, and ONNX Runtime computes the same from both."""
    result, report = rewrite(original, tmp_path, "--import", "weights", *args)
    decoded = decoded_values(result.graph)
    for name, wanted in weights.items():
        np.testing.assert_array_equal(decoded[name], wanted)
    if formats:
        assert [c["storage"] for c in report["convs"]] == formats
    assert not any(n.domain for n in result.graph.node)
    feeds = random_feeds(original)
    plain = onnx.ModelProto()
    plain.CopyFrom(result)
    for node in plain.graph.node:
        if node.op_type == "DequantizeLinear" and node.output[0] in weights:
            name = node.output[0]
            node.CopyFrom(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(weights[name], name)))
    for want, got in zip(run(plain, feeds), run(result, feeds)):
        np.testing.assert_array_equal(got, want)
    return result, report


def hard_weights(rng, shape, scale, bits):
    """Ties, values far outside, both zeros, and any others."""
    steps = rng.integers(-2 ** bits, 2 ** bits, shape) / 2 + rng.choice([0, 0, 0.3], shape)
    steps.reshape(-1)[:6] = [-0.0, 0.0, -80, 300, 0.5, -0.5]
    return (steps.astype(np.float32) * scale).astype(np.float32)


def qcdq(codes, scale, zero, clip=None, floats=None, axis=0, kind=np.int8):
    """(QuantizeLinear,) (Clip,) DequantizeLinear in front of a Conv; with floats they are quantized first."""
    tensors = [stored("s", scale), stored("z", zero, kind)]
    nodes, at = [], "w"
    if floats is None:
        tensors += [stored("w", codes, kind)]
    else:
        tensors += [stored("w", floats)]
        nodes += [helper.make_node("QuantizeLinear", ["w", "s", "z"], ["c"], axis=axis)]
        at = "c"
    if clip:
        tensors += [stored(f"bound{i}", bound, kind) for i, bound in enumerate(clip) if bound is not None]
        bounds = [f"bound{i}" if bound is not None else "" for i, bound in enumerate(clip)]
        nodes += [helper.make_node("Clip", [at, *bounds], ["k"])]
        at = "k"
    nodes += [helper.make_node("DequantizeLinear", [at, "s", "z"], ["q"], axis=axis), conv("q")]
    return make_model(nodes, tensors)


def finn_model(weight, datatype, **attributes):
    model = make_model([conv("w", **attributes)], [stored("w", weight)])
    annotation = model.graph.quantization_annotation.add(tensor_name="w")
    annotation.quant_parameter_tensor_names.add(key="finn_datatype", value=datatype)
    return model

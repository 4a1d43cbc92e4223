# SPDX-License-Identifier: Apache-2.0
"""docs/qat.md is a way that can be walked: its commands, in their order, on files as Brevitas writes them."""
import re
import shlex

import numpy as np
import onnx
import pytest
from helpers import ROOT, make_model, random_feeds, run, run_int4q, tensor, value
from onnx import helper, numpy_helper
from qonnx_reference import assert_as_finn_wants, bounds, constants, grid, in_plain_operators, quants
from test_activations import spread, statistics

LAYERS = [("first", 8, 3, 8, 3), ("second", 4, 8, 16, 3), ("third", 4, 16, 16, 1), ("last", 8, 16, 6, 1)]  # bits, channels, kernel
SHAPES = {"inputs": [value("x", 1, 3, 8, 8)], "outputs": [value("y", 1, 6, 8, 8)], "opset": 13}


def layers():
    """(name, bits, input, output, kernel size, weight, scales): weights are on no grid yet."""
    read = "x"
    for name, bits, i, o, size in LAYERS:
        weight = numpy_helper.to_array(tensor(f"{name}.weight", o, i, size, size))
        made = "y" if name == "last" else f"{name}.made"
        yield name, bits, read, made, size, weight, np.abs(weight).max((1, 2, 3)) / (2 ** (bits - 1) - 1)
        read = f"{name}.read"


def behind(name, made):
    """BatchNormalization and ReLU: what training has behind each Conv but the last."""
    channels = next(o for layer, _, _, o, _ in LAYERS if layer == name)
    parts = [tensor(f"{name}.{p}", channels) for p in ("gain", "shift", "mean")]
    variance = numpy_helper.from_array(np.ones(channels, np.float32), f"{name}.variance")
    nodes = [helper.make_node("BatchNormalization", [made, *(p.name for p in parts), variance.name], [f"{name}.normal"]),
             helper.make_node("Relu", [f"{name}.normal"], [f"{name}.rectified"])]
    return nodes, [*parts, variance]


def detector(quantize_weight, quantize_activation):
    """A net of the shape of LPYOLO; the two make (nodes, initializers) that give the value named last."""
    nodes, stored = [], []
    for name, bits, read, made, size, weight, scale in layers():
        conv = helper.make_node("Conv", [read, f"{name}.ready"], [made], name=name, pads=[size // 2] * 4)
        parts = [quantize_weight(name, bits, weight, scale.astype(np.float32), f"{name}.ready"), ([conv], [])]
        if made != "y":
            parts += [behind(name, made), quantize_activation(name, f"{name}.rectified", f"{name}.read")]
        for more_nodes, more_stored in parts:
            nodes += more_nodes
            stored += more_stored
    return make_model(nodes, stored, **SHAPES)


def qcdq():
    """As `export_onnx_qcdq` writes it."""
    def weight(name, bits, floats, scale, ready):
        low, high = bounds(bits, 1, 1)
        codes = np.clip(np.rint(floats / scale.reshape(-1, 1, 1, 1)), low, high).astype(np.int8)
        parts = {"codes": codes, "low": np.int8(low), "high": np.int8(high), "scale": scale, "zero": np.zeros(len(scale), np.int8)}
        return [helper.make_node("Clip", [f"{name}.{p}" for p in ("codes", "low", "high")], [f"{name}.clipped"]),
                helper.make_node("DequantizeLinear", [f"{name}.clipped", f"{name}.scale", f"{name}.zero"], [ready], axis=0)], \
            [numpy_helper.from_array(part, f"{name}.{key}") for key, part in parts.items()]

    def activation(name, source, read):
        parts = {"s": np.float32(0.25), "z": np.uint8(0), "top": np.uint8(15)}
        s, z, top = (f"{name}.{p}" for p in parts)
        return [helper.make_node("QuantizeLinear", [source, s, z], [f"{name}.q"]),
                helper.make_node("Clip", [f"{name}.q", z, top], [f"{name}.qc"]), # the zero point is the lower end
                helper.make_node("DequantizeLinear", [f"{name}.qc", s, z], [read])], \
            [numpy_helper.from_array(part, f"{name}.{key}") for key, part in parts.items()]
    return detector(weight, activation)


def qonnx():
    """As `export_qonnx` of Brevitas 0.12 and later writes it: raw floats, one zero point for all."""
    def quant(source, scale, ready, bits, signed):
        parts = [numpy_helper.from_array(np.float32(bits), f"{ready}.bits"), numpy_helper.from_array(scale, f"{ready}.scale")]
        node = helper.make_node("Quant", [source, f"{ready}.scale", "zero", f"{ready}.bits"], [ready], domain="qonnx.custom_op.general",
                                signed=signed, narrow=signed, rounding_mode="ROUND")
        return [node], parts

    def weight(name, bits, floats, scale, ready):
        nodes, parts = quant(f"{name}.weight", scale.reshape(-1, 1, 1, 1), ready, bits, 1)
        return nodes, [*parts, numpy_helper.from_array(floats, f"{name}.weight")]

    def activation(name, source, read):
        return quant(source, np.float32(0.25), read, 4, 0)
    model = detector(weight, activation)
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0), "zero"))
    model.opset_import.append(helper.make_opsetid("qonnx.custom_op.general", 2))
    return model


def plain():
    """Before training for low bits."""
    def weight(name, _, floats, __, ready):
        return [], [numpy_helper.from_array(floats, ready)]

    def activation(_, source, read):
        return [helper.make_node("Identity", [source], [read])], []
    return detector(weight, activation)


def page():
    with open(f"{ROOT}/docs/qat.md", encoding="utf-8") as file:
        return file.read()


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """The folder in which every command of the page has run."""
    folder = tmp_path_factory.mktemp("qat")
    for name, model in (("qat", qcdq()), ("qat_qonnx", qonnx()), ("float", plain())):
        onnx.save(model, folder / f"{name}.onnx")
    random = np.random.default_rng(0)
    statistics(folder, {f"{name}.read": spread(np.abs(random.standard_normal((channels, 500))).astype(np.float32))
                        for name, _, _, channels, _ in LAYERS[:-1]})
    commands = [line for block in re.findall(r"^```\n(int4q .*?)^```", page(), re.MULTILINE | re.DOTALL) for line in block.splitlines()]
    assert len(commands) >= 10
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in commands:
            run_int4q(*shlex.split(command)[1:])
        snippet, = re.findall(r"^```python\n(import numpy.*?)^```", page(), re.MULTILINE | re.DOTALL)
        exec(compile(snippet, "docs/qat.md", "exec"), {})
    return folder


def outputs(model):
    return run(model, random_feeds(plain()))[0]


def test_integers_are_those_of_training(walked):
    imported, trained = onnx.load(walked / "int4.onnx"), qcdq()
    assert outputs(imported).tobytes() == outputs(trained).tobytes()
    assert outputs(onnx.load(walked / "nbits.onnx")).tobytes() == outputs(trained).tobytes()
    codes = sorted(t.data_type for t in imported.graph.initializer if len(t.dims) == 4)
    assert codes == sorted([onnx.TensorProto.INT4] * 2 + [onnx.TensorProto.INT8] * 2)


def test_both_dialects_have_the_same_integers(walked):
    one, other = (onnx.load(walked / name) for name in ("int4.onnx", "int4_qonnx.onnx"))
    stored = [sorted(t.raw_data for t in m.graph.initializer if len(t.dims) == 4) for m in (one, other)]
    assert stored[0] == stored[1]
    assert outputs(other).tobytes() == outputs(one).tobytes()


@pytest.mark.parametrize("file", ["finn.onnx", "finn_direct.onnx"])
def test_way_back(walked, file):
    finn, trained = onnx.load(walked / file), qonnx()
    assert_as_finn_wants(finn)
    assert outputs(in_plain_operators(finn)).tobytes() == outputs(in_plain_operators(trained)).tobytes()
    for name, bits, *_ in LAYERS:
        for one, two in zip(grid(finn, f"{name}.ready"), grid(trained, f"{name}.ready"), strict=True):
            assert np.array_equal(one, two)
        assert grid(finn, f"{name}.ready")[2] == bits


def test_from_a_float_model(walked):
    weights, both = (onnx.load(walked / name) for name in ("finn_weights.onnx", "finn_w4a4.onnx"))
    for model in (weights, both):
        assert_as_finn_wants(model)
        assert {grid(model, f"{name}.ready")[2] for name, *_ in LAYERS} == {4}
    widths = [constants(both)[node.input[3]] for node in quants(both).values() if node.input[0] not in constants(both)]
    assert widths == [4] * 3
    assert outputs(in_plain_operators(both)).tobytes() == outputs(onnx.load(walked / "w4a4.onnx")).tobytes()

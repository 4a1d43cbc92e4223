# SPDX-License-Identifier: Apache-2.0
"""int4q restore: bit-equal weights, the rest of the graph as it was before the rewrite."""
import numpy as np
import onnx
import pytest
from helpers import make_model, random_feeds, rewrite, run, run_int4q, tensor, value
from onnx import TensorProto, helper, numpy_helper

FORMS = [[], ["--format", "uint4"], ["--format", "int8"], ["--format", "packed-u8"], ["--format", "packed3"], ["--format", "packed5", "--asymmetric"], ["--decode", "cast"],
         ["--format", "uint4", "--decode", "cast"], ["--block", "9"], ["--block", "8"], ["--block", "9", "--decode", "cast"],
         ["--dq-domain", "com.microsoft"]]


def small():
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"], name="one", pads=[1] * 4), helper.make_node("Relu", ["a"], ["b"]),
             helper.make_node("Conv", ["b", "w"], ["c"], name="two", pads=[1] * 4),
             helper.make_node("Conv", ["c", "v"], ["y"], name="three")]
    return make_model(nodes, [tensor("spare", 2), tensor("w", 3, 3, 3, 3), tensor("idle", 1), tensor("v", 5, 3, 1, 1)], opset=21,
                      outputs=[value("y", 1, 5, 6, 6)])


@pytest.mark.parametrize("args", FORMS, ids=" ".join)
def test_round_trip(tmp_path, args):
    original = small()
    rewritten, _ = rewrite(original, tmp_path, *args)
    run_int4q("restore", tmp_path / "out.onnx", "-o", tmp_path / "back.onnx")
    restored = onnx.load(tmp_path / "back.onnx")
    onnx.checker.check_model(restored, full_check=True)
    assert list(restored.graph.node) == list(original.graph.node)
    assert [(t.name, list(t.dims)) for t in restored.graph.initializer] == [(t.name, list(t.dims)) for t in original.graph.initializer]
    assert restored.opset_import == original.opset_import
    probe = onnx.ModelProto()
    probe.CopyFrom(rewritten)
    probe.graph.output.extend(onnx.ValueInfoProto(name=n) for n in "wv")
    feeds = random_feeds(original)
    wanted, *decoded = run(probe, feeds)
    weights = {t.name: numpy_helper.to_array(t) for t in restored.graph.initializer}
    for name, array in zip("wv", decoded):
        assert weights[name].tobytes() == array.tobytes()
    assert run(restored, feeds)[0].tobytes() == wanted.tobytes()


@pytest.mark.parametrize("args", [*FORMS, ["--block", "5", "--decode", "cast"]], ids=" ".join)
def test_weights_of_rank_3(tmp_path, args):
    """Their blocks and scales look much like each other; 5 is a block with the shape of the weight."""
    original = make_model([helper.make_node("Conv", ["x", "w"], ["y"], name="one")], [tensor("w", 4, 9, 5)],
                          inputs=[value("x", 1, 9, 8)], outputs=[value("y", 1, 4, 4)], opset=21)
    rewritten, _ = rewrite(original, tmp_path, *args)
    run_int4q("inspect", tmp_path / "out.onnx", "--require", "valid", "--require", "float==0")
    run_int4q("restore", tmp_path / "out.onnx", "-o", tmp_path / "back.onnx")
    rewritten.graph.output.append(onnx.ValueInfoProto(name="w"))
    decoded = run(rewritten, random_feeds(original))[1]
    assert onnx.load(tmp_path / "back.onnx").graph.initializer[0].raw_data == decoded.tobytes()


def foreign(*nodes, op="Conv", shape=(3, 3, 3, 3), scale=(3, 1, 1, 1), zero=None):
    """Codes q, scale s and zero point z, decoded to w by other nodes than ours."""
    codes = helper.make_tensor("q", TensorProto.INT8, shape, np.arange(-40, 41)[:np.prod(shape)])
    constants = [codes] + [helper.make_tensor(n, TensorProto.FLOAT, dims, np.linspace(0.1, 1, np.prod(dims, dtype=int)))
                           for n, dims in (("s", scale), ("z", zero)) if dims is not None]
    x = [3, shape[0]] if op == "MatMul" else [1, 3, 6, 6]
    return make_model([*nodes, helper.make_node(op, ["x", "w"], ["y"], name="it")], constants, inputs=[value("x", *x)], opset=21)


def dequantize(output="w", **attributes):
    return helper.make_node("DequantizeLinear", ["q", "s"], [output], **attributes)


def steps(*names):
    """Cast and some of the others, one behind the other."""
    values = ["q", *(f"v{i}" for i in range(len(names))), "w"]
    rest = {"Cast": {"to": TensorProto.FLOAT}, "Transpose": {"perm": [1, 0, 2, 3]}}
    return [helper.make_node(n, [a, *{"Mul": "s", "Sub": "z"}.get(n, "")], [b], **rest.get(n, {}))
            for n, a, b in zip(["Cast", *names], values, values[1:])]


# name: (model, the value that becomes floats; None: none does)
FOREIGN = {
    "transposed matrix": (foreign(dequantize("v", axis=0), helper.make_node("Transpose", ["v"], ["w"]), op="MatMul", shape=(4, 4),
                                  scale=(4,)), "v"),
    "transposed before the scale": (foreign(*steps("Transpose", "Mul")), None),
    "reshaped by a shape that is computed": (foreign(dequantize("v", axis=0), helper.make_node("Shape", ["v"], ["r"]),
                                                     helper.make_node("Reshape", ["v", "r"], ["w"]), scale=(3,)), "v"),
    "scale along the last axis": (foreign(*steps("Mul"), scale=(3,)), "w"),
    "scale along the second axis": (foreign(*steps("Mul"), scale=(3, 1, 1)), "w"),
    "one scale": (foreign(*steps("Mul"), scale=(1, 1, 1, 1)), "w"),
    "one zero point": (foreign(*steps("Sub", "Mul"), zero=()), "w"),
    "zero points": (foreign(*steps("Sub", "Mul"), zero=(3, 1, 1, 1)), "w"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_decoders_of_others(tmp_path, name):
    """Restored bit for bit, nodes that only move elements staying what they are; or left alone."""
    original, restored = FOREIGN[name]
    onnx.save(original, tmp_path / "in.onnx")
    run_int4q("inspect", tmp_path / "in.onnx", "--require", "valid")
    run_int4q("restore", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", status=0 if restored else 4)
    if restored:
        original.graph.output.append(onnx.ValueInfoProto(name=restored))
        weight = onnx.load(tmp_path / "out.onnx").graph.initializer[0]
        assert weight.name == restored and weight.raw_data == run(original, random_feeds(original))[1].tobytes()


# arithmetic on integers that is valid, and not what a quantizer writes: (scale, zero point)
ARITHMETIC = {"a mask of weights": ((3, 3, 3, 3), None), "zero points along another axis": ((3, 1, 1, 1), (3,)),
              "zero points beside one scale": ((), (3, 1, 1, 1)), "scales along two axes": ((3, 3, 1, 1), None),
              "a scale of more dimensions": ((1, 1, 1, 1, 1), None)}


@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic_that_is_no_form(tmp_path, name):
    """Not malformed: such a weight is computed, and stays."""
    scale, zero = ARITHMETIC[name]
    onnx.save(foreign(*steps(*(["Sub", "Mul"] if zero else ["Mul"])), scale=scale, zero=zero), tmp_path / "in.onnx")
    run_int4q("inspect", tmp_path / "in.onnx", "--require", "valid", "--require", "other==1")
    assert "(weight-computed)" in run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--table", status=4).stdout
    run_int4q("restore", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", status=4)


def test_arithmetic_that_nobody_can_do(tmp_path):
    onnx.save(foreign(*steps("Mul"), scale=(4, 1, 1, 1)), tmp_path / "in.onnx")
    run_int4q("inspect", tmp_path / "in.onnx", status=3)
    assert "scale 's' does not fit" in run_int4q("restore", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", status=3).stderr


def test_again_gives_the_same_codes(tmp_path):
    """Decoded weights are on the grid already: quantizing them once more changes nothing."""
    rewrite(small(), tmp_path)
    run_int4q("restore", tmp_path / "out.onnx", "-o", tmp_path / "back.onnx")
    run_int4q("rewrite", tmp_path / "back.onnx", "-o", tmp_path / "again.onnx", "-q")
    first, second = onnx.load(tmp_path / "out.onnx"), onnx.load(tmp_path / "again.onnx")
    codes = [[t.raw_data for t in m.graph.initializer if t.name.endswith("_quantized")] for m in (first, second)]
    assert codes[0] == codes[1]


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 0.0, -1.0])
@pytest.mark.parametrize("args", FORMS, ids=" ".join)
def test_scale_that_is_no_scale(tmp_path, args, number):
    """Refused as inspect does. Arithmetic knows no scales: with numbers it is as good as any other."""
    model, _ = rewrite(small(), tmp_path, *args)
    scale = next(t for t in model.graph.initializer if t.name == "v_scale")
    scale.raw_data = np.float32([number]).tobytes() + scale.raw_data[4:]
    onnx.save(model, tmp_path / "bad.onnx")
    dequantizes = any(n.op_type == "DequantizeLinear" for n in model.graph.node)
    status = 3 if dequantizes or not np.isfinite(number) else 0
    done = run_int4q("restore", tmp_path / "bad.onnx", "-o", tmp_path / "back.onnx", status=status)
    told = "scale 'v_scale': 1 of 5 values are not finite" if "--block" not in args else "scale 'v_scale': 1 of"
    assert (told in done.stderr) == bool(status) and (tmp_path / "back.onnx").exists() != bool(status)
    run_int4q("inspect", tmp_path / "bad.onnx", "--require", "valid", status=status)


def test_zero_point_that_is_no_number(tmp_path):
    original = foreign(*steps("Sub", "Mul"), zero=())
    next(t for t in original.graph.initializer if t.name == "z").float_data[0] = np.nan
    onnx.save(original, tmp_path / "in.onnx")
    done = run_int4q("restore", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", status=3)
    assert "zero point 'z': 1 of 1 values are not finite" in done.stderr and not (tmp_path / "out.onnx").exists()
    run_int4q("inspect", tmp_path / "in.onnx", status=3)

# SPDX-License-Identifier: Apache-2.0
"""Activations that are quantized in a model: what inspect says of them, and restore --activations, which takes them out."""
import json

import numpy as np
import onnx
import pytest
import test_activations as activations
from helpers import assert_equal_outputs, make_model, random_feeds, run, run_int4q, tensor, value
from onnx import TensorProto, helper, numpy_helper


def constant(name, data, kind=TensorProto.FLOAT):
    array = np.asarray(data)
    return helper.make_tensor(name, kind, array.shape, array.ravel().tolist())


def linear(op, source, output, side="", axis=None, domain=None):
    return helper.make_node(op, [source, f"s{side}", f"z{side}"], [output], name=op + output, domain=domain,
                            **({} if axis is None else {"axis": axis}))


def chain(*between, kind=TensorProto.UINT8, scale=0.05, zero=2, decoded_scale=None, decoded_zero=None, axis=None, domain=None,
          opset=21, source="x", more=(), outputs=None, window=True):
    """x, or a tensor that `more` makes of it, through a pair with nodes between, into a Conv."""
    nodes = [linear("QuantizeLinear", source, "q", axis=axis, domain=domain)]
    last = "q"
    for i, (op, *ends) in enumerate(between):
        nodes.append(helper.make_node(op, [last, *ends], [f"c{i}"]))
        last = f"c{i}"
    nodes += [linear("DequantizeLinear", last, "d", "2", axis, domain),
              helper.make_node("Conv", ["d", "w"], ["y"], name="conv", **({"kernel_shape": [3, 3]} if window else {}))]
    other = zero if decoded_zero is None else decoded_zero
    constants = [constant("s", scale), constant("z", zero, kind), constant("z2", other, kind), tensor("w", 4, 3, 3, 3),
                 constant("s2", scale if decoded_scale is None else decoded_scale), constant("lo", 4, kind), constant("hi", 67, kind)]
    imports = {"com_microsoft": 1} if domain else {}
    return make_model([*more, *nodes], constants, outputs=outputs or [value("y", 1, 4, 4, 4)], opset=opset, **imports)


def inspect(folder, model, *args, status=0):
    onnx.save(model, folder / "in.onnx")
    run_int4q("inspect", folder / "in.onnx", "--json", folder / "report.json", *args, status=status)
    return json.loads((folder / "report.json").read_text())["activations"]


def restore(folder, model, *args, status=0):
    onnx.save(model, folder / "in.onnx")
    done = run_int4q("restore", folder / "in.onnx", "-f", "-o", folder / "out.onnx", "--activations", *args, status=status)
    if status:
        return done.stderr
    restored = onnx.load(folder / "out.onnx")
    onnx.checker.check_model(restored, full_check=True)
    return restored


CHANNELS = {"scale": [0.1, 0.02, 0.05], "zero": [2, 2, 2], "axis": 1}
KINDS = {
    "uint8": (chain(), 8, 0, 255),
    "com.microsoft": (chain(domain="com.microsoft", opset=13), 8, 0, 255),
    "int8": (chain(kind=TensorProto.INT8, zero=-3), 8, -128, 127),
    "uint4": (chain(kind=TensorProto.UINT4), 4, 0, 15),
    "int4": (chain(kind=TensorProto.INT4), 4, -8, 7),
    "Clip": (chain(("Clip", "lo", "hi")), 6, 4, 67),
    "Clip from below": (chain(("Clip", "lo")), 8, 4, 255),
    "Max and Min": (chain(("Max", "lo"), ("Min", "hi")), 6, 4, 67),
    "channels": (chain(**CHANNELS), 8, 0, 255),
    "last axis": (chain(**{**CHANNELS, "axis": -3}), 8, 0, 255),
}


@pytest.mark.parametrize("name", KINDS)
def test_kinds(tmp_path, name):
    model, bits, low, high = KINDS[name]
    found, = inspect(tmp_path, model, "--require", f"act{bits}==1", "--require", "act>0", "--require", "valid")
    stored = {t.name: numpy_helper.to_array(t).astype(float) for t in model.graph.initializer}
    assert (found["tensor"], found["bits"], found["low"], found["high"]) == ("x", bits, low, high)
    assert found["codes"] == TensorProto.DataType.Name({t.name: t for t in model.graph.initializer}["z"].data_type).lower()
    assert found["channels"] == (3 if stored["s"].size > 1 else None)
    np.testing.assert_allclose(found["scale"], stored["s"])
    np.testing.assert_array_equal(found["zero_point"], stored["z"])
    assert found["decoded_scale"] is None and found["range"] is None
    run_int4q("inspect", tmp_path / "in.onnx", "--require", f"act{bits}==2", status=4)


@pytest.mark.parametrize("name", KINDS)
def test_restore(tmp_path, name):
    """Only the Conv is left, and it reads x: the very outputs of the model before."""
    model = KINDS[name][0]
    restored = restore(tmp_path, model)
    assert [n.op_type for n in restored.graph.node] == ["Conv"] and restored.graph.node[0].input[0] == "x"
    # what was not the pair's stays
    assert {t.name for t in restored.graph.initializer} == {"w", *({"lo", "hi"} - {i for n in model.graph.node for i in n.input})}
    assert [o.domain for o in restored.opset_import] == [""]
    feeds = random_feeds(model)
    clean = make_model([helper.make_node("Conv", ["x", "w"], ["y"])], [tensor("w", 4, 3, 3, 3)])
    assert run(restored, feeds)[0].tobytes() == run(clean, feeds)[0].tobytes()
    assert inspect(tmp_path, restored) == []
    assert "nothing to restore: no activation" in restore(tmp_path, restored, status=4)


@pytest.mark.parametrize("window", [True, False])
def test_scales_that_differ(tmp_path, window):
    """The ratio, which is folded into weights, stays as a Mul: but for the rounding nothing changes."""
    ratio = np.float32([2, 0.4, 1])
    model = chain(**{**CHANNELS, "scale": [0.0001, 0.0002, 0.0004], "zero": [30000] * 3, "kind": TensorProto.INT16},
                  decoded_scale=np.float32([0.0001, 0.0002, 0.0004]) * ratio, window=window)
    found, = inspect(tmp_path, model)
    np.testing.assert_allclose(found["decoded_scale"], np.float32([0.0001, 0.0002, 0.0004]) * ratio, rtol=1e-6)
    restored = restore(tmp_path, model)
    assert [n.op_type for n in restored.graph.node] == ["Mul", "Conv"]
    feeds = {"x": np.random.default_rng(0).uniform(-0.5, 0.2, (1, 3, 6, 6)).astype(np.float32)}
    np.testing.assert_allclose(run(restored, feeds)[0], run(model, feeds)[0], atol=0.02)
    feeds["x"] *= 0.1
    scaled = {"x": feeds["x"] * ratio.reshape(-1, 1, 1)}
    clean = make_model([helper.make_node("Conv", ["x", "w"], ["y"])], [tensor("w", 4, 3, 3, 3)])
    np.testing.assert_allclose(run(restored, feeds)[0], run(clean, scaled)[0], rtol=1e-5, atol=1e-6)


def test_zero_points_that_differ(tmp_path):
    """That is arithmetic, not rounding: it stays, and restore says so."""
    model = chain(decoded_zero=3)
    onnx.save(model, tmp_path / "in.onnx")
    done = restore(tmp_path, model, status=4)
    assert "nothing to restore" in done
    assert inspect(tmp_path, model, "--require", "act8==1")[0]["zero_point"] == 2


def test_what_others_read_stays(tmp_path):
    """The result is an output, another output are the codes."""
    model = chain(outputs=[value("y", 1, 4, 4, 4), value("d", 1, 3, 6, 6), value("q", 1, 3, 6, 6, kind=TensorProto.UINT8)])
    restored = restore(tmp_path, model)
    assert sorted(n.op_type for n in restored.graph.node) == ["Conv", "Identity", "QuantizeLinear"]
    feeds = random_feeds(model)
    _, result, codes = run(restored, feeds)
    assert result.tobytes() == feeds["x"].tobytes()
    assert codes.tobytes() == run(model, feeds)[2].tobytes()


def test_pairs_behind_each_other(tmp_path):
    first = [linear("QuantizeLinear", "x", "q0"), linear("DequantizeLinear", "q0", "d0"), linear("DequantizeLinear", "q0", "e0"),
             helper.make_node("Add", ["d0", "e0"], ["sum"]),
             linear("QuantizeLinear", "d0", "q1"), linear("DequantizeLinear", "q1", "d1"), helper.make_node("Add", ["sum", "d1"], ["t"])]
    restored = restore(tmp_path, chain(source="t", more=first))
    assert [n.op_type for n in restored.graph.node] == ["Add", "Add", "Conv"]
    assert [list(n.input) for n in restored.graph.node] == [["x", "x"], ["sum", "x"], ["t", "w"]]


def test_bodies(tmp_path):
    """A body quantizes what the graph around it computes."""
    def body(name):
        nodes = [linear("QuantizeLinear", "a", f"q{name}"), linear("DequantizeLinear", f"q{name}", f"d{name}"),
                 helper.make_node("Conv", [f"d{name}", "w"], [f"y{name}"])]
        return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(f"y{name}", TensorProto.FLOAT, None)])
    model = make_model([helper.make_node("Relu", ["x"], ["a"]),
                        helper.make_node("If", ["yes"], ["y"], then_branch=body("t"), else_branch=body("e"))],
                       [constant("s", 0.1), constant("z", 7, TensorProto.UINT8), tensor("w", 4, 3, 1, 1),
                        numpy_helper.from_array(np.array(True), "yes")], outputs=[value("y", 1, 4, 6, 6)])
    assert len(inspect(tmp_path, model)) == 2
    restored = restore(tmp_path, model)
    assert [n.op_type for a in restored.graph.node[1].attribute for n in a.g.node] == ["Conv", "Conv"]
    assert {t.name for t in restored.graph.initializer} == {"w", "yes"}
    run(restored, random_feeds(restored))


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_scales_that_are_none(tmp_path, scale):
    model = chain(scale=scale)
    onnx.save(model, tmp_path / "in.onnx")
    for command in ["inspect", tmp_path / "in.onnx"], ["restore", "--activations", tmp_path / "in.onnx", "-o", tmp_path / "y"]:
        assert "a scale of it is not a positive number" in run_int4q(*command, status=3).stderr


def test_no_activations(tmp_path):
    """Scales that are computed, weights, and arithmetic between the two are none."""
    dynamic = make_model([helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
                          linear("DequantizeLinear", "q", "d"), helper.make_node("Conv", ["d", "w"], ["y"])], [tensor("w", 4, 3, 3, 3)])
    weight = make_model([linear("QuantizeLinear", "w", "q"), linear("DequantizeLinear", "q", "d"),
                         helper.make_node("Conv", ["x", "d"], ["y"])],
                        [tensor("w", 4, 3, 3, 3), constant("s", 0.1), constant("z", 0, TensorProto.INT8)])
    for model in dynamic, weight, chain(("Transpose",)), chain(("Clip", "lo", "hi"), ("Max", "lo"), ("Min", "hi")):
        assert inspect(tmp_path, model) == []


@pytest.mark.parametrize("weights", [False, True])
def test_weights(tmp_path, weights):
    """They stay as they are, unless they are asked for."""
    model = chain()
    onnx.save(model, tmp_path / "in.onnx")
    run_int4q("rewrite", tmp_path / "in.onnx", "-q", "-f", "-o", tmp_path / "w4.onnx")
    quantized = onnx.load(tmp_path / "w4.onnx")
    restored = restore(tmp_path, quantized, *(["--weights"] if weights else []))
    assert [n.op_type for n in restored.graph.node] == (["Conv"] if weights else ["DequantizeLinear", "Conv"])
    clean = make_model([helper.make_node("Conv", ["x", "w"], ["y"])], [tensor("w", 4, 3, 3, 3)], outputs=[value("y", 1, 4, 4, 4)], opset=21)
    if not weights:
        assert_equal_outputs(clean, restored)
    run_int4q("restore", tmp_path / "w4.onnx", "-f", "-o", tmp_path / "back.onnx")
    assert [n.op_type for n in onnx.load(tmp_path / "back.onnx").graph.node] == ["QuantizeLinear", "DequantizeLinear", "Conv"]


@pytest.mark.parametrize("arguments", [[], ["--block", "4"], ["--decode", "cast"], ["--format", "packed-u8"], ["--format", "packed3"],
                                       ["--format", "int8"], ["--decode", "nbits"], ["--dq-domain", "com.microsoft"]], ids=" ".join)
def test_ranks_come_from_weights(tmp_path, arguments):
    """Models need not tell the shapes between their nodes, and Convs need not have their kernels': weights do, however stored."""
    model = activations.detector()
    del model.graph.output[1]
    stats = activations.statistics(tmp_path, {n: activations.spread(activations.lopsided(n)) for n in "tc"})
    onnx.save(model, tmp_path / "float.onnx")
    run_int4q("rewrite", tmp_path / "float.onnx", "-qfo", tmp_path / "made.onnx", "--calibration", stats, "--activations", "uint8",
              "--activation-scales", "channel", *arguments)
    made = onnx.load(tmp_path / "made.onnx")
    restored = restore(tmp_path, made)
    assert not any(n.op_type == "QuantizeLinear" for n in restored.graph.node)
    feeds = random_feeds(model)
    assert np.corrcoef(run(restored, feeds)[0].ravel(), run(model, feeds)[0].ravel())[0, 1] > 0.9, "but for the weights' rounding"


def test_why_nothing_is_restored(tmp_path):
    """Zero points that differ: in the error where that is all, in the totals where weights are restored."""
    model = chain(decoded_zero=3)
    assert "nothing to restore: 1 quantized activations have to stay: its zero points differ" in restore(tmp_path, model, status=4)
    run_int4q("rewrite", tmp_path / "in.onnx", "-qfo", tmp_path / "int4.onnx")
    done = run_int4q("restore", tmp_path / "int4.onnx", "-fo", tmp_path / "out.onnx", "--activations", "--weights")
    assert "0 restored, 1 left: its zero points differ" in done.stdout

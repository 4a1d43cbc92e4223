# SPDX-License-Identifier: Apache-2.0
"""Ranges of activations inside ConvNBits nodes: inspect tells of them as of all others, restore takes them out."""
import json

import numpy as np
import onnx
import pytest
from helpers import make_model, random_feeds, run, run_int4q, tensor, value
from onnx import TensorProto, helper
from test_activations import detector, lopsided, spread, statistics

RANGED = ("--decode", "nbits", "--activations")


def made(folder, name, *arguments):
    """The file that `rewrite` makes of the detector with statistics of what its Convs read, and the report."""
    onnx.save(detector(), folder / "in.onnx")
    stats = statistics(folder, {n: spread(lopsided(n)) for n in "tc"})
    run_int4q("rewrite", folder / "in.onnx", "-fq", "-o", folder / name, "--calibration", stats, "--json", folder / "report.json",
              *arguments)
    return folder / name, json.loads((folder / "report.json").read_text())


def restored(folder, source, name, *arguments):
    run_int4q("restore", source, "-fq", "-o", folder / name, "--json", folder / "restore.json", *arguments)
    model = onnx.load(folder / name)
    onnx.checker.check_model(model, full_check=True)
    return model, json.loads((folder / "restore.json").read_text())


def nodes(model, op):
    return [n for n in model.graph.node if n.op_type == op]


@pytest.mark.parametrize("levels", ["uint8", "int8"])
def test_inspect(tmp_path, levels):
    """A row a tensor, with the numbers that rewrite told; codes count from 0."""
    path, report = made(tmp_path, "out.onnx", *RANGED, levels)
    text = run_int4q("inspect", path, "--table", "--json", tmp_path / "inspect.json", "--require", "act8==2", "--require", "act==2",
                     "--require", "valid").stdout
    assert "activations 2 of 8 bits" in text
    found = {a["tensor"]: a for a in json.loads((tmp_path / "inspect.json").read_text())["activations"]}
    told = {a["tensor"]: a for a in report["activations"] if not a["reason"]}
    assert set(found) == set(told) == {"t", "c"}
    for name, row in found.items():
        assert (row["bits"], row["codes"], row["low"], row["high"], row["channels"]) == (8, "uint8", 0, 255, None)
        assert np.float32(row["scale"]) == np.float32(told[name]["scale"]) and row["zero_point"] == told[name]["zero_point"]
        assert row["decoded_scale"] is None


def test_activations_alone(tmp_path):
    """The file is that which is made without them: its nodes find their ranges on each run."""
    path, _ = made(tmp_path, "with.onnx", *RANGED, "uint8", "--no-bias-correction")
    without, _ = made(tmp_path, "without.onnx", *RANGED[:2], "--no-bias-correction")
    _, report = restored(tmp_path, path, "out.onnx", "--activations")
    assert (tmp_path / "out.onnx").read_bytes() == without.read_bytes()
    assert [(a["tensor"], a["bits"], a["became"]) for a in report["activations"]] == [("t", 8, "float"), ("c", 8, "float")]
    run_int4q("inspect", tmp_path / "out.onnx", "--require", "act==0")
    assert "nothing to restore" in run_int4q("restore", tmp_path / "out.onnx", "--activations", "-fo", tmp_path / "o", status=4).stderr


def test_weights_alone(tmp_path):
    """Activations stay in 8 bits, before the Convs: as behind DequantizeLinear. The depthwise Conv had no range."""
    path, _ = made(tmp_path, "nbits.onnx", *RANGED, "uint8")
    plain, _ = made(tmp_path, "dq.onnx", "--activations", "uint8")
    ours, _ = restored(tmp_path, path, "a.onnx")
    other, _ = restored(tmp_path, plain, "b.onnx")
    assert len(nodes(ours, "QuantizeLinear")) == len(nodes(ours, "DequantizeLinear")) == 2 and not nodes(ours, "ConvNBits")
    readers = {n.name: n.input[0] for n in nodes(ours, "Conv")}
    assert readers["depthwise"] == "t" and readers["point"].startswith("t_activation") and readers["last"].startswith("c_activation")
    for node in nodes(other, "Conv"):
        if node.name == "depthwise":
            node.input[0] = "t"
    feeds = random_feeds(detector())
    for a, b in zip(run(ours, feeds), run(other, feeds)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_both(tmp_path):
    path, _ = made(tmp_path, "out.onnx", *RANGED, "uint8")
    model, _ = restored(tmp_path, path, "back.onnx", "--activations", "--weights")
    assert {n.op_type for n in model.graph.node} == {"Conv", "Sigmoid", "Mul", "Add"}
    assert not any("activation" in t.name for t in model.graph.initializer)


def test_qonnx(tmp_path):
    """Ranges with a zero point are no Quant, and stay before it, with the reason; others become one."""
    model = make_model([helper.make_node("Conv", ["x", "w"], ["a"], name="first"), helper.make_node("Relu", ["a"], ["r"]),
                        helper.make_node("Conv", ["r", "v"], ["y"], name="last")],
                       [tensor("w", 8, 3, 3, 3), tensor("v", 4, 8, 1, 1)], outputs=[value("y", 1, 4, 4, 4)])
    onnx.save(model, tmp_path / "in.onnx")
    stats = statistics(tmp_path, {"r": spread(np.maximum(lopsided("r"), 0))})
    run_int4q("rewrite", tmp_path / "in.onnx", "-fq", "-o", tmp_path / "out.onnx", "--calibration", stats, *RANGED, "uint8")
    ours, report = restored(tmp_path, tmp_path / "out.onnx", "q.onnx", "--as", "qonnx", "--strict")
    assert [a["became"] for a in report["activations"]] == ["quant"] and len(nodes(ours, "Quant")) == 3
    path, _ = made(tmp_path, "other.onnx", *RANGED, "uint8")
    ours, report = restored(tmp_path, path, "q.onnx", "--as", "qonnx")
    assert {(a["became"], a["reason"]) for a in report["activations"]} == {("left", "zero-point")}
    assert len(nodes(ours, "QuantizeLinear")) == 2


# ---- files of others

def node(folder, **changes):
    """The file of a range a tensor with other attributes of the node `point`; None: without."""
    path, _ = made(folder, "out.onnx", *RANGED, "uint8")
    model = onnx.load(path)
    point = next(n for n in model.graph.node if n.name == "point")
    for name, number in changes.items():
        kept = [a for a in point.attribute if a.name != name]
        del point.attribute[:]
        point.attribute.extend([*kept, *([] if number is None else [helper.make_attribute(name, number)])])
    onnx.save(model, path)
    return path


def test_two_ranges_of_a_tensor(tmp_path):
    """Each is a row, and each gets a pair."""
    path, _ = made(tmp_path, "out.onnx", *RANGED, "uint8")
    model = onnx.load(path)
    point = next(n for n in model.graph.node if n.name == "point")
    for name, scale in (("twin", None), ("other", 0.5)):
        twin = onnx.NodeProto()
        twin.CopyFrom(point)
        twin.name, twin.output[0] = name, f"y_{name}"
        for a in twin.attribute:
            if a.name == "input_scale" and scale:
                a.f = scale
        model.graph.node.append(twin)
        model.graph.output.append(value(f"y_{name}", 1, 6, 12, 12))
    onnx.save(model, path)
    run_int4q("inspect", path, "--require", "act8==3")
    ours, report = restored(tmp_path, path, "back.onnx")
    assert len(nodes(ours, "QuantizeLinear")) == 3 and not report["activations"]
    readers = {n.name: n.input[0] for n in nodes(ours, "Conv")}
    assert readers["point"] == readers["twin"] != readers["other"]


@pytest.mark.parametrize(("changes", "count"), [({"accuracy_level": 0}, 1), ({"accuracy_level": None}, 1), ({"input_scale": None}, 1),
                                                ({"input_zero_point": None}, 2)])
def test_nodes_without_a_range(tmp_path, changes, count):
    """Level 0 computes in float, whatever the scale."""
    run_int4q("inspect", node(tmp_path, **changes), "--require", f"act8=={count}")


@pytest.mark.parametrize(("changes", "told"), [
    ({"input_scale": -1.0}, "node 'point': its input_scale is not a positive number"),
    ({"input_scale": float("nan")}, "node 'point': its input_scale is not a positive number"),
    ({"input_scale": float("inf")}, "node 'point': its input_scale is not a positive number"),
    ({"input_zero_point": 256}, "node 'point': its input_zero_point is no code of 8 bits"),
    ({"input_zero_point": -1}, "node 'point': its input_zero_point is no code of 8 bits")])
def test_ranges_that_are_none(tmp_path, changes, told):
    path = node(tmp_path, **changes)
    assert told in run_int4q("inspect", path, "--require", "valid", status=3).stderr
    for arguments in [], ["--activations"]:
        assert told in run_int4q("restore", path, "-fo", tmp_path / "o.onnx", *arguments, status=3).stderr


def test_in_a_body(tmp_path):
    """Its nodes get pairs of their own graph."""
    path, _ = made(tmp_path, "out.onnx", *RANGED, "uint8")
    model = onnx.load(path)
    point = next(n for n in model.graph.node if n.name == "point")
    model.graph.node.remove(point)
    branches = []
    for i in range(2):
        twin = onnx.NodeProto()
        twin.CopyFrom(point)
        twin.name, twin.output[0] = f"point{i}", f"f{i}"
        codes = [t for t in model.graph.initializer if t.name in twin.input]
        branches.append(helper.make_graph([twin], f"b{i}", [], [value(f"f{i}", 1, 6, 12, 12)], codes if i else []))
    model.graph.initializer.append(helper.make_tensor("yes", TensorProto.BOOL, [], [True]))
    model.graph.node.insert(3, helper.make_node("If", ["yes"], ["f"], then_branch=branches[0], else_branch=branches[1]))
    onnx.save(model, path)
    run_int4q("inspect", path, "--require", "act8==2")
    ours, _ = restored(tmp_path, path, "back.onnx", "--activations")
    assert not any(n.op_type == "QuantizeLinear" for n in ours.graph.node)
    run_int4q("inspect", tmp_path / "back.onnx", "--require", "act8==0")

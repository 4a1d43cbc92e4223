# SPDX-License-Identifier: Apache-2.0
"""Weights that stand for integers already: what inspect and restore make of them, wherever they are in the model."""
import json

import numpy as np
import onnx
import pytest
from exchange import QONNX, assert_imported, conv, finn_model, hard_weights, qcdq, quant, quant_model, quant_node, stored
from helpers import decoded_values, graphs, make_model, random_feeds, rewrite, run, run_int4q, tensor, value
from onnx import TensorProto, helper, numpy_helper


def inspected(path, *args, status=0):
    done = run_int4q("inspect", path, "--json", "-", *args, status=status)
    return json.loads(done.stdout)


@pytest.mark.parametrize("make, storage, source, bits, fake", [
    (lambda: quant_model(np.ones((4, 3, 3, 3)), 0.5, bits=3), "float32", "quant", 3, 1),
    (lambda: finn_model(np.ones((4, 3, 3, 3)), "INT2"), "float32", "finn", 2, 1),
    (lambda: qcdq(np.ones((4, 3, 3, 3)), np.float32(1), 0, (-7, 7)), "int8", "qcdq", 4, 0),
    (lambda: qcdq(None, np.float32(1), 0, floats=np.ones((4, 3, 3, 3))), "float32", "qdq", 8, 1),
    (lambda: qcdq(np.ones((4, 3, 3, 3)), np.float32(1), 0), "int8", None, None, 0)])
def test_inspect(tmp_path, make, storage, source, bits, fake):
    """Says what the integers come from; floats that stand for some are fake, and none once they are imported."""
    model = make()
    onnx.save(model, tmp_path / "model.onnx")
    found = inspected(tmp_path / "model.onnx", "--require", f"fake=={fake}", "--require", f"float=={0}")
    row = found["convs"][0]
    assert (row["storage"], row["source"], row["source_bits"]) == (storage, source, bits)
    assert row["exact"] is (True if source else None) and found["totals"]["fake"] == fake
    assert row["shape"] == [4, 3, 3, 3]
    run_int4q("rewrite", tmp_path / "model.onnx", "--import", "weights", "-o", tmp_path / "out.onnx")
    after = inspected(tmp_path / "out.onnx", "--require", "fake==0", "--require", "int4==1",
                      "--reference", tmp_path / "model.onnx")
    assert after["convs"][0]["source"] is None
    assert [d for d in after["differences"] if "opset" not in d and "ir_version" not in d] == []
    assert after["convs"][0]["max_error"] == 0


def test_inspect_activations(tmp_path):
    """Every node that only QONNX's kin has, of activations and of constants; none once all is imported."""
    def threshold(source, made, kind):
        return helper.make_node("MultiThreshold", [source, "t"], [made], domain="finn.custom_op.general", out_dtype=kind)
    nodes = [quant_node("w4"), quant_node("x4", inputs=("x", "one", "z", "b"), output="a"),
             quant_node("a4", inputs=("a", "one", "z", "b"), output="c", narrow=0),
             quant_node("sign", "BipolarQuant", inputs=("c", "one"), output="d"), conv("q", "e", source="d"),
             threshold("e", "f", "UINT6"), threshold("f", "g", "FLOAT32"),
             helper.make_node("Trunc", ["g", "one", "z", "b", "two"], ["y"], "cut", domain=QONNX)]
    model = quant_model(np.ones((4, 3, 3, 3)), 0.5, nodes=nodes,
                        extra=[stored("one", 1), stored("two", 2), stored("t", np.zeros((1, 3)))])
    onnx.save(model, tmp_path / "model.onnx")
    found = inspected(tmp_path / "model.onnx", "--require", "quants==7", "--require", "valid")
    assert [(q["op"], q["tensor"], q["bits"], q["activation"]) for q in found["quants"]] == [
        ("Quant", "w", 4, False), ("Quant", "x", 4, True), ("Quant", "a", 4, True), ("BipolarQuant", "c", 1, True),
        ("MultiThreshold", "e", 6, True), ("MultiThreshold", "f", None, True), ("Trunc", "g", 2, True)]
    assert [q["node"] for q in found["quants"]][:4] == ["w4", "x4", "a4", "sign"]
    told = run_int4q("inspect", tmp_path / "model.onnx").stdout
    assert ("quants     2 Quant of 4 bits, 1 BipolarQuant of 1 bit, 1 Trunc of 2 bits, 1 MultiThreshold, 1 MultiThreshold of 6 bits "
            "on activations, 1 on constants: ") in told
    run_int4q("rewrite", tmp_path / "model.onnx", "--import", "all", "-o", tmp_path / "out.onnx")
    assert inspected(tmp_path / "out.onnx", "--require", "quants==0")["quants"] == []
    del model.graph.node[1].input[3]
    onnx.save(model, tmp_path / "model.onnx")
    assert "node 'x4' (Quant): it has 3 inputs" in inspected(tmp_path / "model.onnx", status=3)["problems"][0]


def test_rank_of_imported_weights(tmp_path):
    """What is imported has no rank, and the report does not speak of none of the worst."""
    onnx.save(quant_model(np.ones((4, 3, 3, 3)), 0.5), tmp_path / "model.onnx")
    done = run_int4q("rewrite", tmp_path / "model.onnx", "--import", "weights", "--rank", "weights", "--keep", "1", "--keep-format",
                     "int8", "-n")
    assert "by estimated loss a byte, none is kept; a measured" in done.stdout


def test_inspect_malformed(tmp_path):
    model = quant_model(np.ones((4, 3, 3, 3)), 0.5)
    model.graph.node[0].input.pop()
    onnx.save(model, tmp_path / "model.onnx")
    assert "has 3 inputs" in run_int4q("inspect", tmp_path / "model.onnx", status=3).stderr


@pytest.mark.parametrize("listed", [False, True])
def test_restore(tmp_path, listed):
    """Floats of exactly what the nodes compute, the sign of 0 included; what only made them goes."""
    weight = hard_weights(np.random.default_rng(5), (4, 3, 3, 3), np.float32(0.3), 4)
    model = quant_model(weight, np.full((4, 1, 1, 1), 0.3))
    model.opset_import.append(helper.make_opsetid(QONNX, 1))
    if listed:
        model.graph.input.append(value("w", 4, 3, 3, 3))
    onnx.save(model, tmp_path / "in.onnx")
    run_int4q("restore", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx")
    result = onnx.load(tmp_path / "out.onnx")
    assert [t.name for t in result.graph.initializer] == ["q"] and [n.op_type for n in result.graph.node] == ["Conv"]
    assert [o.domain for o in result.opset_import] == [""] and [i.name for i in result.graph.input] == ["x"]
    wanted = quant(weight, np.float32(0.3), np.float32(0), 4, 1, 1)
    assert numpy_helper.to_array(result.graph.initializer[0]).tobytes() == wanted.tobytes()
    assert np.signbit(wanted[wanted == 0]).any()


@pytest.mark.parametrize("floats", [False, True])
def test_restore_clip(tmp_path, floats):
    codes = np.random.default_rng(6).integers(-20, 20, (4, 3, 3, 3))
    scale = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    column = scale.reshape(-1, 1, 1, 1)
    onnx.save(qcdq(codes, scale, np.zeros(4), (-7, 7), codes * column if floats else None), tmp_path / "in.onnx")
    run_int4q("restore", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx")
    result = onnx.load(tmp_path / "out.onnx")
    assert [n.op_type for n in result.graph.node] == ["Conv"]
    np.testing.assert_array_equal(numpy_helper.to_array(result.graph.initializer[0]),
                                  np.clip(codes, -7, 7).astype(np.float32) * column)


# ---- where they stand


def test_channels_last(tmp_path):
    """The codes are stored; the Conv stays one of qonnx, which is told."""
    weight = tensor("w", 4, 3, 3, 3)  # [O, kh, kw, I]
    nodes = [quant_node("quant"), helper.make_node("Conv", ["x", "q"], ["y"], name="conv", domain="qonnx.custom_op.channels_last")]
    model = quant_model(numpy_helper.to_array(weight), np.full((4, 1, 1, 1), 0.1), nodes=nodes)
    model.opset_import.append(helper.make_opsetid("qonnx.custom_op.channels_last", 1))
    onnx.save(model, tmp_path / "in.onnx")
    done = run_int4q("rewrite", tmp_path / "in.onnx", "--import", "all", "-o", tmp_path / "out.onnx")
    assert "left       1 Conv: ONNX Runtime cannot run this file" in done.stdout
    result = onnx.load(tmp_path / "out.onnx")
    assert [n.op_type for n in result.graph.node] == ["DequantizeLinear", "Conv"]
    np.testing.assert_array_equal(decoded_values(result.graph)["q"],
                                  quant(numpy_helper.to_array(weight), np.float32(0.1), np.float32(0), 4, 1, 1))


@pytest.mark.parametrize("make, storage", [
    (lambda codes: quant_model(codes * np.float32(0.3), 0.3), "int4"),
    (lambda codes: qcdq(codes, np.full(4, 0.3, np.float32), np.zeros(4), (-7, 7)), "int4"),
    (lambda codes: qcdq(codes, np.full(4, 0.3, np.float32), np.zeros(4)), "int4"),
    (lambda codes: qcdq(codes * 9, np.full(4, 0.3, np.float32), np.zeros(4), (-100, 100)), "int8")])
def test_in_front_of_float16(tmp_path, make, storage):
    """As Brevitas exports models in FLOAT16: a Cast between decoder and Conv, which stays."""
    codes = np.random.default_rng(4).integers(-7, 8, (4, 3, 3, 3)).astype(np.float32)
    codes[0, 0, 0, 0] = 7
    model = make(codes)
    model.graph.node[-1].input[:] = ["x", "half"]
    model.graph.node.insert(len(model.graph.node) - 1, helper.make_node("Cast", ["q"], ["half"], to=TensorProto.FLOAT16))
    for end in (model.graph.input[0], model.graph.output[0]):
        end.type.tensor_type.elem_type = TensorProto.FLOAT16
    onnx.save(model, tmp_path / "model.onnx")
    run_int4q("restore", tmp_path / "model.onnx", "-o", tmp_path / "floats.onnx")
    result, report = rewrite(model, tmp_path, "--import", "all", "--strict")
    assert [c["storage"] for c in report["convs"]] == [storage]
    inspected(tmp_path / "out.onnx", "--require", f"{storage}==1", "--require", "fake==0")
    floats = onnx.load(tmp_path / "floats.onnx")
    assert [n.op_type for n in floats.graph.node] == ["Cast", "Conv"] and not [n for n in result.graph.node if n.domain]
    feeds = random_feeds(floats)
    np.testing.assert_array_equal(run(result, feeds)[0], run(floats, feeds)[0])


def test_in_a_body(tmp_path):
    """A weight of a body is stored inside it; one that a body captures in the graph that has it."""
    array = numpy_helper.to_array(tensor("w", 4, 3, 3, 3))
    body = helper.make_graph([quant_node("inner", inputs=("v", "s", "z", "b"), output="p"), conv("p", "i", "in"),
                              conv("q", "j", "captured"), helper.make_node("Add", ["i", "j"], ["k"])],
                             "body", [], [helper.make_tensor_value_info("k", TensorProto.FLOAT, None)],
                             [stored("v", array)])
    nodes = [quant_node("quant"), helper.make_node("If", ["yes"], ["y"], then_branch=body, else_branch=body)]
    body_else = nodes[1].attribute[1].g
    for node in body_else.node:
        node.name += "-else"
    model = quant_model(array, np.full((4, 1, 1, 1), 0.1), extra=[numpy_helper.from_array(np.array(True), "yes")], nodes=nodes)
    result, report = rewrite(model, tmp_path, "--import", "all")
    assert [c["storage"] for c in report["convs"]] == ["int4"] * 4
    wanted = quant(array, np.float32(0.1), np.float32(0), 4, 1, 1)
    for graph in graphs(result.graph):
        (name, found), = decoded_values(graph).items()
        assert name == ("q" if graph.name == "graph" else "p")
        np.testing.assert_array_equal(found, wanted)
    run(result, random_feeds(model))


def test_external_data(tmp_path):
    array = numpy_helper.to_array(tensor("w", 64, 3, 3, 3))
    onnx.save(quant_model(array, 0.1), tmp_path / "in.onnx", save_as_external_data=True, location="in.data", size_threshold=0)
    run_int4q("rewrite", tmp_path / "in.onnx", "--import", "weights", "-o", tmp_path / "out.onnx")
    np.testing.assert_array_equal(decoded_values(onnx.load(tmp_path / "out.onnx").graph)["q"],
                                  quant(array, np.float32(0.1), np.float32(0), 4, 1, 1))


@pytest.mark.parametrize("scale", [7.9e-13, 1e-40, 1e30])
def test_far_scales(tmp_path, scale):
    steps = np.random.default_rng(9).integers(-9, 9, (4, 3, 3, 3))
    weight = (steps * np.float32(scale)).astype(np.float32)
    assert_imported(quant_model(weight, scale), tmp_path,
                    {"q": quant(weight, np.float32(scale), np.float32(0), 4, 1, 1)}, formats=["int4"])


@pytest.mark.parametrize("options", [(), ("--method", "squant"), ("--keep-format", "int8", "--min-weights", "100")])
def test_there_and_back(tmp_path, options):
    """What is written as QONNX comes back with the same codes and scales."""
    nodes = [conv("w", "a", "first", pads=[1, 1, 1, 1]), conv("v", "y", "second", source="a")]
    model = make_model(nodes, [tensor("w", 3, 3, 3, 3), tensor("v", 5, 3, 3, 3)])
    there, _ = rewrite(model, tmp_path, "--format", "qonnx", *options)
    back, report = rewrite(there, tmp_path, "--import", "all")
    assert report["quants"]["left"] == [] and report["totals"]["imported"] == 2
    onnx.save(there, tmp_path / "there.onnx")
    run_int4q("restore", tmp_path / "there.onnx", "-o", tmp_path / "floats.onnx")
    floats = {t.name: numpy_helper.to_array(t) for t in onnx.load(tmp_path / "floats.onnx").graph.initializer}
    found = decoded_values(back.graph)
    assert sorted(found) == ["v", "w"]
    for name, values in found.items():
        np.testing.assert_array_equal(values, floats[name])
    scales = {t.name: numpy_helper.to_array(t) for t in there.graph.initializer if t.name.endswith("_scale")}
    for name, scale in scales.items():
        again = next(t for t in back.graph.initializer if t.name.startswith(name))  # the name was in use
        np.testing.assert_array_equal(numpy_helper.to_array(again).reshape(-1), scale.reshape(-1))


def test_integers_come_back(tmp_path):
    """int4q's own INT4, to QONNX and back: the same codes."""
    model = make_model([conv("w")], [tensor("w", 4, 3, 3, 3)])
    direct, _ = rewrite(model, tmp_path)
    onnx.save(direct, tmp_path / "direct.onnx")
    run_int4q("restore", tmp_path / "direct.onnx", "--as", "qonnx", "-o", tmp_path / "there.onnx")
    back, _ = rewrite(onnx.load(tmp_path / "there.onnx"), tmp_path, "--import", "all")
    for name in ("w_quantized", "w_scale"):
        one, other = (next(t for t in m.graph.initializer if t.name.startswith(name)) for m in (direct, back))
        assert (one.data_type, list(one.dims), one.raw_data) == (other.data_type, list(other.dims), other.raw_data)


def test_many_weights_of_one_tensor(tmp_path):
    """Each Quant has integers of its own: a small model does not fill the memory."""
    nodes = []
    for i in range(700):
        nodes += [quant_node(f"quant{i}", output=f"q{i}"), conv(f"q{i}", f"y{i}", f"conv{i}")]
    model = quant_model(np.ones((256, 256, 1, 1)), 0.5, nodes=nodes)
    onnx.save(model, tmp_path / "in.onnx")
    assert "64 bytes for each" in run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--import", "weights", status=3).stderr

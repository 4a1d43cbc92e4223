# SPDX-License-Identifier: Apache-2.0
"""scripts/sensitivity_sweep.py --what activations: what it tries against Q/DQ pairs in the float model; its file."""
import json

import numpy as np
import onnx
import pytest
from helpers import INT4Q, make_model, run, run_int4q, tensor, value, yolo_scene
from onnx import helper, numpy_helper

from int4q.lab.commands import calibrate
from int4q.lab.commands import sensitivity_sweep as sweep
from int4q.lab.experiment import candidates, inputs
from int4q.lab.models.graph import Graph


def chain(opset=17, kind=np.float32):
    """x -> Conv -> Relu -> h, which a Conv and a depthwise Conv read; the sum of both is scaled down again."""
    def conv(source, weight, output, **more):
        return helper.make_node("Conv", [source, weight], [output], name=f"conv_{weight}", pads=[1] * 4, **more)
    nodes = [conv("x", "a", "c"), helper.make_node("Relu", ["c"], ["h"]), conv("h", "b", "u"),
             conv("h", "d", "v", group=8), helper.make_node("Add", ["u", "v"], ["s"]),
             helper.make_node("Sigmoid", ["s"], ["t"]), conv("t", "e", "y")]
    weights = [tensor(name, *shape, kind=kind) for name, shape in
               (("a", (8, 3, 3, 3)), ("b", (8, 8, 3, 3)), ("d", (8, 1, 3, 3)), ("e", (4, 8, 3, 3)))]
    elements = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    return make_model(nodes, weights, inputs=[value("x", 1, 3, 6, 6, kind=elements)], opset=opset)


def quantized(folder, model, *options):
    """What int4q makes of a model with statistics of two random images."""
    onnx.save(model, folder / "m.onnx")
    for i, array in enumerate(np.random.default_rng(3).standard_normal((2, 1, 3, 6, 6)).astype(np.float32)):
        np.save(folder / f"{i}.npy", array)
    calibrate.main([str(folder / "m.onnx"), "--inputs", str(folder), "-o", str(folder / "stats")])
    return candidates.quantized(str(folder / "m.onnx"), INT4Q, ["--calibration", str(folder / "stats"), *options])


def reference(model, made, name):
    """The model with a Q/DQ pair of the quantized one before the readers of a value, with its own scale at both ends."""
    stored = {t.name: t for t in made.model.graph.initializer}
    pair = next(n for n in made.model.graph.node if n.op_type == "QuantizeLinear" and n.input[0] == name)
    scale, zero = (stored[i] for i in pair.input[1:])
    row = next(r for r in made.report["activations"] if r["tensor"] == name)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    ends = [numpy_helper.from_array(np.array(v, np.uint8), n) for n, v in (("low", 0), ("high", 2 ** row["bits"] - 1))]
    copy.graph.initializer.extend([scale, zero, *ends])
    nodes = [helper.make_node("QuantizeLinear", [name, *pair.input[1:]], ["q"], axis=1),
             helper.make_node("Clip", ["q", "low", "high"], ["k"]),
             helper.make_node("DequantizeLinear", ["k", *pair.input[1:]], ["f"], axis=1)]
    for node in copy.graph.node:
        if node.op_type == "Conv" and node.input[0] == name:
            node.input[0] = "f"
    at = next(i for i, n in enumerate(copy.graph.node) if "f" in n.input)
    ordered = [*copy.graph.node[:at], *nodes, *copy.graph.node[at:]]
    del copy.graph.node[:]
    copy.graph.node.extend(ordered)
    return copy


@pytest.mark.parametrize("options", ["--activations uint4", "--activations uint8",
                                     "--activations uint6 --activation-scales channel"])
def test_candidates_are_pairs(tmp_path, options):
    """A candidate rounds one value for all Convs that read it, as the pair in the quantized model does; weights are float."""
    model = chain()
    made = quantized(tmp_path, model, *options.split())
    found = inputs.find_inputs(model, made)
    assert [(c.layer, c.at, c.bits) for c in found] == [("h", 2, int(options[18])), ("t", 6, int(options[18]))]
    graph, feed = Graph(model, ["y"]), {"x": np.random.default_rng(9).standard_normal((1, 3, 6, 6)).astype(np.float32)}
    plain = run(model, feed)[0]
    for candidate in found:
        got = run(graph.part(0, len(graph.nodes), feed, ["y"], candidate.changes), feed)[0]
        np.testing.assert_allclose(got, run(reference(model, made, candidate.layer), feed)[0], rtol=1e-4, atol=1e-4)
        assert np.abs(got - plain).max() > 1e-3
        behind = graph.run(0, 2, [feed], graph.live(2))
        parts = graph.run(2, len(graph.nodes), behind, ["y"], 1, candidate.changes)[0]["y"]
        np.testing.assert_allclose(parts, got, rtol=1e-4, atol=1e-4)


def test_behind_8_bits(tmp_path):
    """A scale a channel may stand in a Mul before the pair; what is rounded is the same."""
    model = chain()
    options = ("--activations", "uint4", "--activation-scales", "channel")
    plain = inputs.find_inputs(model, quantized(tmp_path, model, *options))
    behind = inputs.find_inputs(model, quantized(tmp_path, model, *options, "--format", "int8"))
    for one, other in zip(plain, behind, strict=True):
        for key, array in one.changes.stored.items():
            np.testing.assert_allclose(other.changes.stored[key], array, rtol=1e-6)


def test_old_opsets(tmp_path):
    """Nothing but arithmetic of opset 11, to which the pairs of the quantized model are new."""
    model = chain(opset=11)
    found = inputs.find_inputs(model, quantized(tmp_path, model, "--activations", "uint4"))
    feed = {"x": np.ones((1, 3, 6, 6), np.float32)}
    for candidate in found:
        run(Graph(model, ["y"]).part(0, 7, feed, ["y"], candidate.changes), feed)


def test_half_precision(tmp_path):
    model = chain(kind=np.float16)
    found = inputs.find_inputs(model, quantized(tmp_path, model, "--activations", "uint4"))
    feed = {"x": np.ones((1, 3, 6, 6), np.float16)}
    for candidate in found:
        assert {a.dtype for a in candidate.changes.stored.values()} == {np.dtype(np.float16)}
        run(Graph(model, ["y"]).part(0, 7, feed, ["y"], candidate.changes), feed)


@pytest.fixture(scope="module")
def yolo(tmp_path_factory):
    """A small YOLOv10n with pictures and statistics."""
    folder = yolo_scene(tmp_path_factory.mktemp("yolo"))
    calibrate.main([str(folder / "n.onnx"), "--images", str(folder / "images"), "-n", "2", "--mean-only", "-o",
                    str(folder / "stats")])
    return folder


SOME = "--include '/model.[0-4]/*'"


def options(yolo, work, rewrite):
    return [str(yolo / "n.onnx"), "--images", str(yolo / "images"), "-n", "2", "-o", str(work / "inputs.json"), "-j", "2",
            "--work", str(work / "work"), "--int4q", INT4Q, "--what", "activations", "--rewrite", rewrite]


def test_sweep(yolo, tmp_path, capsys):
    """What it measures is what --keep-activations takes: the most sensitive tenth gets 8 bits."""
    rewrite = f"{SOME} --calibration {yolo / 'stats'}"
    sweep.main(options(yolo, tmp_path, rewrite))
    assert "the most sensitive of 12 activations" in capsys.readouterr().out
    found = json.loads((tmp_path / "inputs.json").read_text())
    rows, kept = found["layer_sensitivity"], found["k"]
    values = [row["sensitivity"] for row in rows]
    assert len({row["layer"] for row in rows}) == 12 and values == sorted(values, reverse=True) and values[-1] > 0
    assert {row["num_bits"] for row in rows} == {4} and rows[0]["channels"] > 0
    run_int4q("rewrite", yolo / "n.onnx", "-q", "-o", tmp_path / "q.onnx", "--include", "/model.[0-4]/*", "--calibration",
              yolo / "stats", "--activations", "uint4", "--keep-activations", tmp_path / "inputs.json", "--json",
              tmp_path / "r.json")
    report = json.loads((tmp_path / "r.json").read_text())
    assert kept == 1
    assert {r["tensor"] for r in report["activations"] if r["bits"] == 8} == {row["layer"] for row in rows[:kept]}


def test_without_statistics(yolo, tmp_path):
    with pytest.raises(SystemExit) as end:
        sweep.main(options(yolo, tmp_path, SOME))
    assert "--calibration" in str(end.value.code) and "\n" not in str(end.value.code)

# SPDX-License-Identifier: Apache-2.0
"""What very many nodes share is looked at once: a small file must not keep the tool busy for hours, nor fill memory."""
import json

import numpy as np
import onnx
from helpers import make_model, run_int4q, tensor, value
from onnx import TensorProto, numpy_helper

SCALE = numpy_helper.from_array(np.float32(0.5), "s")


def codes(name, *dims):
    count = int(np.prod(dims))
    return TensorProto(name=name, data_type=TensorProto.INT4, dims=dims, raw_data=bytes([0x21]) * ((count + 1) // 2))


def save(path, nodes, initializers):
    """By hand: helper.make_node takes its time."""
    onnx.save(make_model(nodes, initializers, outputs=[value("y0", 1)], opset=21), path)


def node(op_type, inputs, output, name=""):
    return onnx.NodeProto(op_type=op_type, input=inputs, output=[output], name=name)


def test_codes_that_many_decoders_share(tmp_path):
    """2,000 x 4,000,000 codes, if each were looked at; one mark a channel alone would pass the limit of memory."""
    nodes = []
    for i in range(2000):
        nodes += [node("DequantizeLinear", ["q", "s"], f"w{i}"), node("Conv", ["x", f"w{i}"], f"y{i}", f"c{i}")]
    save(tmp_path / "shared.onnx", nodes, [codes("q", 4000000, 1, 1, 1), SCALE])
    run_int4q("inspect", tmp_path / "shared.onnx", "-q", "--stats", "--require", "int4==2000", "--require", "valid")


def test_weight_that_many_convs_share(tmp_path):
    nodes = [node("DequantizeLinear", ["q", "s"], "w")] + [node("Conv", ["x", "w"], f"y{i}", f"c{i}") for i in range(50000)]
    save(tmp_path / "shared.onnx", nodes, [codes("q", 400000, 1, 1, 1), SCALE])
    run_int4q("inspect", tmp_path / "shared.onnx", "-q", "--stats", "--reference", tmp_path / "shared.onnx", "--require", "int4==50000")
    run_int4q("restore", tmp_path / "shared.onnx", "-q", "-o", tmp_path / "out.onnx")
    run_int4q("inspect", tmp_path / "out.onnx", "-q", "--require", "float==50000")


def test_scale_that_many_decoders_share(tmp_path):
    nodes, weights = [], [SCALE]
    for i in range(40000):
        nodes += [node("DequantizeLinear", [f"q{i}", "s"], f"w{i}"), node("Conv", ["x", f"w{i}"], f"y{i}", f"c{i}")]
        weights.append(codes(f"q{i}", 1, 2, 1, 1))
    save(tmp_path / "shared.onnx", nodes, weights)
    run_int4q("restore", tmp_path / "shared.onnx", "-q", "-o", tmp_path / "out.onnx")
    restored = onnx.load(tmp_path / "out.onnx").graph
    assert len(restored.node) == 40000 and len(restored.initializer) == 40000
    np.testing.assert_array_equal(numpy_helper.to_array(restored.initializer[-1]).ravel(), np.float32([0.5, 1]))


def decoders(count, stored):
    """Many that read the same codes with scales of their own."""
    nodes, constants = [], [stored]
    for i in range(count):
        nodes += [node("DequantizeLinear", ["q", f"s{i}"], f"w{i}"), node("Conv", ["x", f"w{i}"], f"y{i}", f"c{i}")]
        constants.append(numpy_helper.from_array(np.float32(i + 1), f"s{i}"))
    return nodes, constants


def test_floats_that_a_small_model_would_become(tmp_path):
    """64 KiB of codes would become 100 MB; up to 64 bytes a byte (and 16 MiB) they do become floats."""
    save(tmp_path / "shared.onnx", *decoders(200, codes("q", 1 << 17, 1, 1, 1)))
    done = run_int4q("restore", tmp_path / "shared.onnx", "-q", "-o", tmp_path / "out.onnx", status=3)
    assert "floats take more than 64 bytes" in done.stderr and not (tmp_path / "out.onnx").exists()
    run_int4q("inspect", tmp_path / "shared.onnx", "-q", "--require", "valid")
    save(tmp_path / "shared.onnx", *decoders(32, codes("q", 1 << 17, 1, 1, 1)))
    run_int4q("restore", tmp_path / "shared.onnx", "-q", "-o", tmp_path / "out.onnx")


def test_name_that_many_convs_and_entries_share(tmp_path):
    nodes = [node("Conv", ["x", "w"], f"y{i}", "c") for i in range(20000)]
    save(tmp_path / "shared.onnx", nodes, [tensor("w", 4, 3, 3, 3)])
    rows = [{"layer": "c", "sensitivity": i} for i in range(100000)]
    (tmp_path / "sens.json").write_text(json.dumps({"layer_sensitivity": rows, "k": 0}))
    run_int4q("rewrite", tmp_path / "shared.onnx", "-q", "-n", "--topk", tmp_path / "sens.json", "--json", tmp_path / "report.json")
    assert {c["sensitivity"] for c in json.loads((tmp_path / "report.json").read_text())["convs"]} == {99999}

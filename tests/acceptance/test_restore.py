# SPDX-License-Identifier: Apache-2.0
"""int4q restore: bit-equal weights, the rest of the graph as it was before the rewrite."""
import onnx
import pytest
from helpers import make_model, random_feeds, rewrite, run, run_int4q, tensor, value
from onnx import helper, numpy_helper

FORMS = [[], ["--format", "uint4"], ["--format", "int8"], ["--format", "packed-u8"], ["--decode", "cast"],
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


def test_again_gives_the_same_codes(tmp_path):
    """Decoded weights are on the grid already: quantizing them once more changes nothing."""
    rewrite(small(), tmp_path)
    run_int4q("restore", tmp_path / "out.onnx", "-o", tmp_path / "back.onnx")
    run_int4q("rewrite", tmp_path / "back.onnx", "-o", tmp_path / "again.onnx", "-q")
    first, second = onnx.load(tmp_path / "out.onnx"), onnx.load(tmp_path / "again.onnx")
    codes = [[t.raw_data for t in m.graph.initializer if t.name.endswith("_quantized")] for m in (first, second)]
    assert codes[0] == codes[1]

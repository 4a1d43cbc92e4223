# SPDX-License-Identifier: Apache-2.0
"""--target-size and --assume-constant on models whose sizes matter."""
import json
import os

import onnx
import pytest
from helpers import assert_equal_outputs, make_model, rewrite, run_int4q, tensor, value
from onnx import helper

LAYERS = 6


def chain():
    """Six Convs of 36 KB each."""
    nodes = [helper.make_node("Conv", [f"v{i}", f"w{i}"], [f"v{i + 1}"], name=f"conv{i}", pads=[1] * 4) for i in range(LAYERS)]
    return make_model(nodes, [tensor(f"w{i}", 32, 32, 3, 3) for i in range(LAYERS)], inputs=[value("v0", 1, 32, 4, 4)],
                      outputs=[value(f"v{LAYERS}", 1, 32, 4, 4)])


@pytest.fixture(name="scores")
def fixture_scores(tmp_path):
    path = tmp_path / "sens.json"
    path.write_text(json.dumps({f"conv{i}": float((i * 5) % LAYERS) for i in range(LAYERS)}))
    return path


@pytest.mark.parametrize("keep", range(LAYERS))
def test_target_size(tmp_path, scores, keep):
    """With the exact size of an output that keeps K, K are kept; with a byte less, one fewer."""
    original = chain()
    rewrite(original, tmp_path, "--topk", scores, "--keep", keep)
    size = os.path.getsize(tmp_path / "out.onnx")
    _, report = rewrite(original, tmp_path, "--topk", scores, "--target-size", size)
    assert report["output"]["bytes"] == size and report["topk"]["keep"] == keep
    if keep:
        _, report = rewrite(original, tmp_path, "--topk", scores, "--target-size", size - 1)
        assert report["topk"]["keep"] == keep - 1
    else:
        done = run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--topk", scores, "--target-size", size - 1, status=4)
        assert str(size) in done.stderr


@pytest.mark.parametrize("way", [
    "--format uint4 --method squant --block 32", "--format packed-u8 --keep-format int8", "--format packed3 --method squant", "--format packed6", "--format int8", "--decode cast --block 16",
    "--dq-domain com.microsoft --keep-format int8", "--external-data side.bin --method squant", "--opset 23", "--rank weights",
    "--rank weights --method squant --keep-format int8 --min-weights 100",
])
@pytest.mark.parametrize("keep", [0, 1, 4])
def test_sizes_are_exact(tmp_path, scores, way, keep):
    """Whatever else is told: what was priced is what is written, external data included, to the byte."""
    original, ways = chain(), way.split() if "--rank" in way else ["--topk", scores, *way.split()]
    for i, node in enumerate(original.graph.node[:3]):  # biases that are corrected in place, and that are shared
        node.input.append("bias" if i else "own")
    original.graph.initializer.extend([tensor("bias", 32), tensor("own", 32)])
    rewrite(original, tmp_path, *ways, "--keep", keep)
    size = sum(os.path.getsize(tmp_path / name) for name in os.listdir(tmp_path) if name in ("out.onnx", "side.bin"))
    _, report = rewrite(original, tmp_path, *ways, "--target-size", size)
    assert report["output"]["bytes"] == size and report["topk"]["keep"] == keep
    if keep:
        _, report = rewrite(original, tmp_path, *ways, "--target-size", size - 1)
        assert report["output"]["bytes"] < size and report["topk"]["keep"] == keep - 1


def test_target_size_in_other_words(tmp_path, scores):
    original = chain()
    for text, limit in (("100K", 100000), ("0.1M", 100000), ("100Ki", 102400), ("50%", 0.5)):
        _, report = rewrite(original, tmp_path, "--topk", scores, "--target-size", text)
        assert 0 < report["output"]["bytes"] <= (limit if limit > 1 else report["input"]["bytes"] * limit)


def test_assume_constant(tmp_path):
    """A weight that could be replaced is quantized when told to; only its own entry leaves graph.input."""
    original = chain()
    original.graph.input.extend(value(f"w{i}", 32, 32, 3, 3) for i in range(2))
    _, report = rewrite(original, tmp_path)
    assert [c["reason"] for c in report["convs"]] == ["weight-is-input"] * 2 + [None] * 4
    rewritten, report = rewrite(original, tmp_path, "--assume-constant", "--exclude", "conv1")
    assert [c["reason"] for c in report["convs"]] == [None, "excluded"] + [None] * 4
    assert [i.name for i in rewritten.graph.input] == ["v0", "w1"] and report["inputs_dropped"] == 1
    plain = onnx.ModelProto()
    plain.CopyFrom(original)
    del plain.graph.input[1:]
    assert_equal_outputs(plain, rewritten)

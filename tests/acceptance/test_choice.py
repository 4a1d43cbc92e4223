# SPDX-License-Identifier: Apache-2.0
"""--target-size, --bits and --assume-constant on models whose sizes matter."""
import json
import os
import re

import numpy as np
import onnx
import pytest
from helpers import assert_equal_outputs, make_model, random_feeds, rewrite, run, run_int4q, tensor, value
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


def mixed(original, folder, *args):
    """A rewrite by --choices, which is checked to be what inspect finds and ONNX Runtime computes."""
    rewritten, report = rewrite(original, folder, *args)
    kinds = [c["storage"] for c in report["convs"]]
    found = json.loads(run_int4q("inspect", os.path.join(folder, "out.onnx"), "--json", "-").stdout)
    assert [c["storage"] for c in found["convs"]] == kinds
    assert [c["block"] for c in found["convs"]] == [c["block"] for c in report["convs"]]
    if "float32" not in kinds:
        assert found["bits_per_weight"] == pytest.approx(report["totals"]["bits_per_weight"])
    run_int4q("restore", os.path.join(folder, "out.onnx"), "-o", os.path.join(folder, "wide.onnx"), "-f", "-q")
    feeds = random_feeds(original)
    for optimize in (False, True):
        for want, got in zip(run(onnx.load(os.path.join(folder, "wide.onnx")), feeds), run(rewritten, feeds, optimize)):
            np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4 * np.abs(want).max())
    return report


def uneven():
    """Convs of several sizes, two of which share a weight."""
    sizes = [(16, 3, 3), (24, 16, 3), (40, 24, 1), (40, 40, 3), (64, 40, 3), (64, 64, 1), (64, 64, 1)]
    nodes = [helper.make_node("Conv", [f"v{i}", f"w{min(i, 5)}"], [f"v{i + 1}"], name=f"conv{i}", pads=[k // 2] * 4)
             for i, (_, _, k) in enumerate(sizes)]
    weights = [tensor(f"w{i}", o, c, k, k, seed=i) for i, (o, c, k) in enumerate(sizes[:6])]
    return make_model(nodes, weights, inputs=[value("v0", 1, 3, 8, 8)], outputs=[value("v7", 1, 64, 8, 8)])


def save(model, folder):
    onnx.save(model, folder / "in.onnx")
    return [folder / "in.onnx"]


LISTS = ["3,4,5,6,8", "int4,int4:32,int8", "2,4,6,float", "packed-u8,float", "uint4,int2,8"]


@pytest.mark.parametrize("choices", LISTS)
@pytest.mark.parametrize("method", ["absmax", "squant"])
def test_bits(tmp_path, choices, method):
    """The bytes of the report are those of the file; never above the budget, near it where there is something to choose from;
    more bits never predict more loss; one bit too few is told with the least."""
    original, losses, common = uneven(), [], ["--choices", choices, "--method", method]
    done = run_int4q("rewrite", *save(original, tmp_path), "-n", *common, "--bits", "0.5", status=4)
    least = float(re.search(r"least that is possible is ([0-9.]+) bits", done.stderr)[1])
    for more in (0.0001, 0.1, 0.37, 0.9, 1.7, 2.6, 4.1):
        report = mixed(original, tmp_path, *common, "--bits", f"{least + more:.4f}")
        weights = {c["weight"]: c for c in report["convs"]}
        bits = 8 * sum(c["bytes_after"] for c in weights.values()) / sum(c["weights"] for c in weights.values())
        assert report["totals"]["bits_per_weight"] == pytest.approx(bits) and bits <= least + more
        assert choices != LISTS[0] or bits > (least + more) * 0.97
        losses.append(report["totals"]["predicted_loss"])
        assert report["budget"]["next"]["predicted_loss"] <= losses[-1]
        assert sum(c["predicted_loss"] or 0 for c in weights.values()) == pytest.approx(losses[-1])
    assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0]


@pytest.mark.parametrize("choices", LISTS)
def test_bits_in_a_size(tmp_path, choices):
    """--target-size is met to the byte, and monotone; below the smallest size there is one line that names it."""
    original, losses = uneven(), []
    done = run_int4q("rewrite", *save(original, tmp_path), "-n", "--choices", choices, "--target-size", 100, status=4)
    least = int(re.search(r"smallest possible output has (\d+) bytes", done.stderr)[1])
    for size in (least, least + 500, least + 2000, int(least * 1.2), int(least * 1.5), least * 2):
        report = mixed(original, tmp_path, "--choices", choices, "--target-size", size)
        assert os.path.getsize(tmp_path / "out.onnx") == report["output"]["bytes"] <= size
        losses.append(report["totals"]["predicted_loss"])
    assert losses == sorted(losses, reverse=True)
    run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--choices", choices, "--target-size", least - 1, status=4)


def test_threads_and_kernels_choose_alike(tmp_path):
    original, found = uneven(), []
    for threads in (1, 2, 5):
        _, report = rewrite(original, tmp_path, "--bits", "5.1", "--choices", LISTS[0], "--method", "squant", "-j", threads)
        found.append([(c["storage"], c["predicted_loss"]) for c in report["convs"]])
    assert found[0] == found[1] == found[2]
    assert len({storage for storage, _ in found[0]}) > 1


def test_scores_weigh(tmp_path):
    """What is measured to be sensitive gets more bits than the same weight otherwise."""
    original, scores = uneven(), tmp_path / "scores.json"
    kinds = []
    for score in (1000, 0.001):
        scores.write_text(json.dumps({"conv4": score, **{f"conv{i}": 1 for i in (0, 1, 2, 3, 5)}}))
        _, report = rewrite(original, tmp_path, "--topk", scores, "--bits", "5", "--choices", LISTS[0])
        kinds.append(report["convs"][4]["bytes_after"])
    assert kinds[0] > kinds[1]
    scores.write_text(json.dumps({"excluded_onnx_nodes": ["conv4"], "excluded_layers": []}))
    _, report = rewrite(original, tmp_path, "--topk", scores, "--bits", "22", "--choices", LISTS[0])
    assert [c["reason"] for c in report["convs"]] == [None] * 4 + ["sensitive", None, None]

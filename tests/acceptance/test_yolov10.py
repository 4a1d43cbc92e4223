# SPDX-License-Identifier: Apache-2.0
"""The made YOLOv10 models: like real exports, and through the tool."""
import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from helpers import ROOT, assert_equal_outputs, decoded_weights, run_int4q

MAKER = os.path.join(ROOT, "scripts", "make_yolov10.py")
# Convs, Conv weights: the sums of the published architectures
KNOWN = {("n", "e2e"): (83, 2290288), ("n", "raw"): (82, 2290272), ("m", "e2e"): (118, 15328576)}


def make(folder, size="n", head="e2e", opset=13, *more):
    path = os.path.join(folder, f"yolov10{size}.onnx")
    subprocess.run([sys.executable, MAKER, "--size", size, "--head", head, "--opset", str(opset), "-o", path, *more],
                   check=True, stdout=subprocess.DEVNULL)
    return path


def convs(model):
    shapes = {t.name: list(t.dims) for t in model.graph.initializer}
    return [(n.name, n.input[1], shapes[n.input[1]]) for n in model.graph.node if n.op_type == "Conv"]


@pytest.mark.parametrize("size, head", KNOWN)
def test_counts(tmp_path, size, head):
    found = convs(onnx.load(make(tmp_path, size, head)))
    assert (len(found), sum(int(np.prod(shape)) for *_, shape in found)) == KNOWN[size, head]


def test_names(tmp_path):
    found = convs(onnx.load(make(tmp_path, "m")))
    for wanted in [("/model.0/conv/Conv", "model.0.conv.weight", [48, 3, 3, 3]),
                   ("/model.8/m.1/cv1/cv1.1/conv/Conv", "model.8.m.1.cv1.1.conv.weight", [576, 288, 1, 1]),
                   ("/model.10/attn/pe/conv/Conv", "model.10.attn.pe.conv.weight", [288, 1, 3, 3]),
                   ("/model.23/one2one_cv2.1/one2one_cv2.1.2/Conv", "model.23.one2one_cv2.1.2.weight", [64, 64, 1, 1]),
                   ("/model.23/one2one_cv3.2/one2one_cv3.2.0/one2one_cv3.2.0.1/conv/Conv",
                    "model.23.one2one_cv3.2.0.1.conv.weight", [192, 576, 1, 1]),
                   ("/model.23/dfl/conv/Conv", "model.23.dfl.conv.weight", [1, 16, 1, 1])]:
        assert wanted in found


def test_seed_decides(tmp_path):
    digests = []
    for seed in ("1", "1", "2"):
        with open(make(tmp_path, "n", "raw", 13, "--imgsz", "64", "--seed", seed), "rb") as file:
            digests.append(hashlib.sha256(file.read()).hexdigest())
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("head", ["e2e", "raw"])
@pytest.mark.parametrize("opset", [11, 12, 13, 17, 18, 20, 21])
def test_every_opset_through_the_tool(tmp_path, opset, head):
    path, out = make(tmp_path, "n", head, opset, "--imgsz", "64"), tmp_path / "out.onnx"
    original = onnx.load(path)
    onnx.checker.check_model(original, full_check=True)
    run_int4q("rewrite", path, "-o", out, "-q")
    # Equal opsets run on equal kernels; ReduceMax and Split are exact anyway.
    assert_equal_outputs(original, onnx.load(out))


def test_sensitivity_file(tmp_path):
    path, out = make(tmp_path, "n", "raw", 13, "--imgsz", "64"), tmp_path / "out.onnx"
    scores = json.loads((tmp_path / "sens.json").read_text())
    assert scores["scheme"]["synthetic"] is True and len(scores["layer_sensitivity"]) == 82
    run_int4q("rewrite", path, "-o", out, "-q", "--topk", tmp_path / "sens.json", "--json", tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    worst = sorted(scores["layer_sensitivity"], key=lambda row: -row["sensitivity"])[:10]
    kept = [c["weight"] for c in report["convs"] if c["reason"] == "sensitive"]
    assert sorted(kept) == sorted(row["layer"] + ".weight" for row in worst)
    assert report["topk"] == {"path": str(tmp_path / "sens.json"), "entries": 82, "keep": 10, "unmatched": []}
    run_int4q("inspect", out, "--require", "int4==72", "--require", "float==10", "--require", "valid")


def test_full_size(tmp_path):
    """YOLOv10m, 61.7 MB: sizes to the byte, every decoded weight within half a step, equal outputs."""
    path, out = make(tmp_path, "m"), tmp_path / "out.onnx"
    run_int4q("rewrite", path, "-o", out, "-q", "--json", tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    counts = {"convs": 118, "quantized": 117, "kept": 1, "weights": 15328576, "weights_quantized": 15328560}
    assert report["totals"].items() >= counts.items()
    assert report["input"]["bytes"] == os.path.getsize(path) and report["output"]["bytes"] == os.path.getsize(out)
    dry = json.loads(run_int4q("rewrite", path, "-n", "--json", "-").stdout)
    assert dry["output"]["bytes"] == os.path.getsize(out) and dry["convs"] == report["convs"]
    assert dry["dry_run"] and not dry["written"]
    original, rewritten = onnx.load(path), onnx.load(out)
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in original.graph.initializer}
    decoded = decoded_weights(rewritten.graph)
    assert len(decoded) == 117
    for row in report["convs"]:
        if row["storage"] != "int4":
            continue
        gap = np.abs(weights[row["weight"]].astype(np.float64) - decoded[row["weight"]])
        step = np.abs(weights[row["weight"]]).reshape(row["shape"][0], -1).max(1) / 7
        assert (gap.reshape(len(step), -1) <= step[:, None] * 0.5000001).all()
        assert row["max_error"] == pytest.approx(gap.max(), rel=1e-6)
        power = np.square(weights[row["weight"]].astype(np.float64)).sum()
        assert row["sqnr_db"] == pytest.approx(10 * np.log10(power / np.square(gap).sum()), rel=1e-8)
    assert_equal_outputs(original, rewritten)

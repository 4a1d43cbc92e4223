# SPDX-License-Identifier: Apache-2.0
"""int4q.lab.detectors and scripts/eval_coco.py: decoding undone by hand, small evaluations, trained models if there."""
import csv
import json
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from helpers import ROOT, make_model, run_int4q, shared_data, value
from onnx import helper, numpy_helper
from PIL import Image
from pycocotools.coco import COCO

from int4q.lab.base import errors
from int4q.lab.commands import eval_coco
from int4q.lab.detection import bootstrap, coco, detectors, heads, pictures, recognition, similarity

SIZE = (64, 96)
PLAIN = {"raw": False, "exp": False, "corners": True, "planes": False}


# ---- Pictures

def test_resize():
    """Bilinear between pixel centres: exact on a ramp, no smoothing when it gets smaller."""
    ramp = np.repeat(np.arange(0, 200, 10, dtype=np.uint8)[None, :, None], 4, 0).repeat(3, 2)
    assert (pictures.resize(ramp, 4, 20) == ramp).all()
    twice = pictures.resize(ramp, 8, 40)
    np.testing.assert_array_equal(twice[3, 1:-1, 0], np.rint(np.arange(1, 39) * 5 - 2.5))
    assert twice[0, 0, 0] == 0 and twice[0, -1, 0] == 190
    third = pictures.resize(np.arange(9, dtype=np.uint8).reshape(1, 9, 1).repeat(3, 2) * 9, 1, 3)
    np.testing.assert_array_equal(third[0, :, 0], [9, 36, 63])


@pytest.mark.parametrize("name, box, scale", [
    ("yolov10", (16, 0, 48, 96), (0.5, 0.5)), ("yolox", (0, 0, 32, 96), (0.5, 0.5)),
    ("nanodet", (16, 0, 48, 96), (0.5, 0.5))])
def test_letterbox(name, box, scale):
    """A picture of 192 x 64 in 96 x 64: half as large, in the middle or at the top, on the family's ground."""
    family = detectors.FAMILIES[name]
    picture = np.full((64, 192, 3), (200, 100, 50), np.uint8)
    out, placement = pictures.letterbox(picture, SIZE, family)
    top, left, bottom, right = box
    assert (out[top:bottom, left:right] == picture[0, 0]).all()
    outside = np.ones(SIZE, bool)
    outside[top:bottom, left:right] = False
    assert (out[outside] == family.ground).all() and placement.scale == scale
    inner = np.array([[left, top, right, bottom], [-9, -9, 999, 999]], float)
    np.testing.assert_allclose(pictures.to_picture(inner, placement), [[0, 0, 192, 64]] * 2)


@pytest.mark.parametrize("name, wanted", [
    ("yolov10", [200 / 255, 100 / 255, 50 / 255]), ("yolox", [50, 100, 200]),
    ("yolox-0.1", [(200 / 255 - .485) / .229, (100 / 255 - .456) / .224, (50 / 255 - .406) / .225]),
    ("nanodet", [(50 - 103.53) / 57.375, (100 - 116.28) / 57.12, (200 - 123.675) / 58.395])])
def test_normalization(name, wanted):
    picture = np.full((*SIZE, 3), (200, 100, 50), np.uint8)
    values, _ = pictures.prepare(picture, SIZE, detectors.FAMILIES[name])
    assert values.shape == (1, 3, *SIZE) and values.dtype == np.float32
    np.testing.assert_allclose(values[0, :, 5, 5], wanted, rtol=1e-5)


# ---- Decoding: outputs made from boxes, and back

def scene(distances):
    """Box [anchors, 4] around every anchor's point, from distances in strides; class scores [anchors, 3]."""
    points, strides = heads.grid(SIZE, 0.5)
    boxes = np.concatenate([points - distances[:, :2], points + distances[:, 2:]], 1) * strides
    return boxes, np.random.default_rng(0).uniform(0.1, 0.9, (len(boxes), 3))


def logit(p):
    return np.log(p / (1 - p))


def one_hot(distances, bins):
    """[n, 4 * bins] whose softmax is all on two neighbouring bins, so that the mean is the distance."""
    low = np.floor(distances).astype(int)
    out = np.full((*distances.shape, bins), -1e4)
    np.put_along_axis(out, low[..., None], np.log(1 - (distances - low))[..., None], 2)
    np.put_along_axis(out, low[..., None] + 1, np.log(distances - low + 1e-30)[..., None], 2)
    return out.reshape(len(distances), -1)


def sides(boxes):
    return (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]


def random_distances(most):
    return np.random.default_rng(1).uniform(0.1, most, (sum(heads.cells(SIZE)), 4))


def check(decoded, boxes, scores):
    np.testing.assert_allclose(decoded[0], boxes, atol=1e-6)
    np.testing.assert_allclose(decoded[1], scores, atol=1e-6)


def test_yolo():
    distances = random_distances(14)
    boxes, scores = scene(distances)
    raw = np.concatenate([one_hot(distances, 16), logit(scores)], 1).T[None]
    check(heads.decode_yolo([raw], SIZE, dict(PLAIN, raw=True)), boxes, scores)
    corners = np.concatenate([boxes, scores], 1).T[None]
    check(heads.decode_yolo([corners], SIZE, PLAIN), boxes, scores)
    middle = np.concatenate([*sides(boxes), scores], 1).T[None]
    check(heads.decode_yolo([middle], SIZE, dict(PLAIN, corners=False)), boxes, scores)


def test_yolox():
    boxes, scores = scene(random_distances(5))
    points, strides = heads.grid(SIZE, 0)
    centre, side = sides(boxes)
    seen = np.full((len(boxes), 1), 0.8)
    pixels = np.concatenate([centre, side, seen, scores], 1)[None]
    check(heads.decode_yolox([pixels], SIZE, dict(PLAIN, exp=True)), boxes, scores * 0.8)
    raw = np.concatenate([centre / strides - points, np.log(side / strides), seen, scores], 1)[None]
    check(heads.decode_yolox([raw], SIZE, PLAIN), boxes, scores * 0.8)
    logits = np.concatenate([raw[0, :, :4], logit(raw[0, :, 4:])], 1)
    check(heads.decode_yolox([logits[None]], SIZE, dict(PLAIN, raw=True)), boxes, scores * 0.8)
    levels = np.split(logits, np.cumsum(heads.cells(SIZE))[:-1])
    planes = np.concatenate([level.T.reshape(len(level), -1) for level in levels])[None]
    check(heads.decode_yolox([planes], SIZE, dict(PLAIN, raw=True, planes=True)), boxes, scores * 0.8)


def test_nanodet():
    distances = random_distances(6)
    boxes, scores = scene(distances)
    ends = np.cumsum(heads.cells(SIZE))[:-1]
    outputs = [a[None] for whole in (scores, one_hot(distances, 8)) for a in np.split(whole, ends)]
    check(heads.decode_nanodet(outputs, SIZE, PLAIN), boxes, scores)


def test_suppression():
    """Of boxes of one class that overlap the best stays; other classes and scores below the floor do not matter."""
    family = detectors.FAMILIES["yolov8"]
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [0, 0, 10, 10]], float)
    scores = np.array([[0.6, 0], [0.9, 0], [0.5, 1e-4], [0, 0.7]])
    found, best, labels = heads.pick(boxes, scores, family)
    assert best.tolist() == [0.9, 0.7, 0.5] and labels.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(found, boxes[[1, 3, 2]])
    assert len(heads.pick(boxes, scores, detectors.FAMILIES["yolov10-raw"])[1]) == 4
    assert [len(a) for a in heads.pick(boxes, scores * 0, family)] == [0, 0, 0]


# ---- Families

def shaped_model(shapes, *nodes, initializers=(), weight=1.0, size=SIZE):
    """A model whose outputs have these shapes and values that mean nothing; its first Conv has weights of one size."""
    made = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("ReduceMax", ["c"], ["m"], keepdims=0), *nodes]
    stored, names = [numpy_helper.from_array(np.full((1, 3, 1, 1), weight, np.float32), "w"), *initializers], []
    for i, shape in enumerate(shapes):
        stored.append(numpy_helper.from_array(np.zeros(shape, np.float32), f"zeros{i}"))
        made.append(helper.make_node("Add", [f"zeros{i}", "m"], [f"y{i}"]))
        names.append(value(f"y{i}", *shape))
    return make_model(made, stored, inputs=[value("x", 1, 3, *size)], outputs=names)


PAIRS = [[1, n, c] for c in (80, 32) for n in (96, 24, 6)]


@pytest.mark.parametrize("name, shapes, weight", [
    ("yolov10", [[1, 300, 6]], 1), ("yolov8", [[1, 84, 126]], 1), ("yolov8", [[1, 5, 126]], 1),
    ("yolox", [[1, 126, 85]], 0.005), ("yolox-0.1", [[1, 126, 85]], 0.3), ("yolox-0.1", [[1, 126, 6]], 0.3),
    ("nanodet", PAIRS, 1)])
def test_recognized(tmp_path, name, shapes, weight):
    """Also where the shapes of the outputs are open."""
    model = shaped_model(shapes, weight=weight)
    onnx.save(model, tmp_path / "m.onnx")
    assert detectors.Detector(tmp_path / "m.onnx").name == name
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[1].dim_param = "n"
    onnx.save(model, tmp_path / "m.onnx")
    assert detectors.Detector(tmp_path / "m.onnx").name == name


def test_not_recognized(tmp_path):
    onnx.save(shaped_model([[1, 1000]]), tmp_path / "m.onnx")
    with pytest.raises(errors.Error, match=r"no family known with outputs \[1, 1000\] for input 64x96"):
        detectors.Detector(tmp_path / "m.onnx")
    onnx.save(make_model([helper.make_node("Relu", ["x"], ["y"])]), tmp_path / "m.onnx")
    with pytest.raises(errors.Error, match="no family known"):
        detectors.Detector(tmp_path / "m.onnx")
    onnx.save(make_model([helper.make_node("Relu", ["x"], ["y"])], inputs=[value("x", 1, 5)]), tmp_path / "m.onnx")
    with pytest.raises(errors.Error, match="a detector has one input"):
        detectors.Detector(tmp_path / "m.onnx")


def test_facts():
    """SiLU's Sigmoid gives no probabilities; corners and planes are told from the nodes."""
    silu = [helper.make_node("Sigmoid", ["c"], ["s"]), helper.make_node("Mul", ["c", "s"], ["t"])]
    model = shaped_model([[1, 84, 126]], *silu)
    assert recognition.graph_facts(model, SIZE) == {"raw": True, "exp": False, "corners": False, "planes": False}
    more = [helper.make_node("Sigmoid", ["t"], ["p"]), helper.make_node("Sub", ["c", "t"], ["a"]),
            helper.make_node("Add", ["c", "t"], ["b"]), helper.make_node("Concat", ["a", "b"], ["boxes"], axis=1),
            helper.make_node("Reshape", ["t", "shape"], ["flat"]), helper.make_node("Exp", ["t"], ["e"])]
    shape = numpy_helper.from_array(np.array([96, 85, 1]), "shape")
    model = shaped_model([[1, 126, 85]], *silu, *more, initializers=[shape])
    assert recognition.graph_facts(model, SIZE) == {"raw": False, "exp": True, "corners": True, "planes": True}
    assert recognition.plain_sigmoids(model.graph) == ["p"]


def test_input_size(tmp_path):
    """The model's own, the user's, that of the metadata, 640: in this order."""
    model = shaped_model([[1, 300, 6]])
    assert recognition.input_size("", model, 320) == SIZE
    for d in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        d.dim_param = "side"
    assert recognition.input_size("", model, 320) == (320, 320) and recognition.input_size("", model, None) == (640, 640)
    helper.set_model_props(model, {"imgsz": "[256, 384]"})
    assert recognition.input_size("", model, None) == (256, 384)
    onnx.save(model, tmp_path / "m.onnx")
    assert detectors.Detector(tmp_path / "m.onnx").size == (256, 384)


# ---- Evaluation

def constant_detector(path, rows):
    """A YOLOv10 model [1, 64, 64] that finds the same in every picture: rows of x1, y1, x2, y2, score, class."""
    nodes = [helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0), helper.make_node("Mul", ["m", "none"], ["z"]),
             helper.make_node("Add", ["z", "rows"], ["y"])]
    stored = [numpy_helper.from_array(np.float32(0), "none"),
              numpy_helper.from_array(np.array([rows], np.float32).reshape(1, -1, 6), "rows")]
    onnx.save(make_model(nodes, stored, inputs=[value("x", 1, 3, 64, 64)],
                         outputs=[value("y", 1, len(rows), 6)]), path)
    return str(path)


def write_scene(folder, boxes):
    """Pictures of 128 x 128 (twice the models' input) and annotations: boxes[i] are (x, y, w, h, category) of image i."""
    images, rows = [], []
    for i, found in enumerate(boxes):
        Image.new("RGB", (128, 128), (i, i, i)).save(folder / f"{i}.png")
        images.append({"id": i + 10, "file_name": f"{i}.png", "width": 128, "height": 128})
        rows += [{"id": len(rows) + 1 + j, "image_id": i + 10, "category_id": c, "bbox": [x, y, w, h], "area": w * h,
                  "iscrowd": 0} for j, (x, y, w, h, c) in enumerate(found)]
    truth = {"images": images, "annotations": rows, "categories": [{"id": c, "name": str(c)} for c in (3, 7)]}
    (folder / "truth.json").write_text(json.dumps(truth))
    return ["--images", str(folder), "--annotations", str(folder / "truth.json"), "--json", str(folder / "report.json")]


def report(folder, *args):
    eval_coco.main([*args])
    return json.loads((folder / "report.json").read_text())["models"]


def test_by_hand(tmp_path, capsys):
    """One picture with its box found, one with it elsewhere: 51 of the 101 recall points have precision 1."""
    options = write_scene(tmp_path, [[(20, 20, 40, 60, 7)], [(90, 90, 20, 20, 7)]])
    model = constant_detector(tmp_path / "m.onnx", [[10, 10, 30, 40, 0.9, 1]])
    none = constant_detector(tmp_path / "none.onnx", [[0, 0, 0, 0, 0, 0]])
    rough = constant_detector(tmp_path / "rough.onnx", [[10, 10, 30, 31, 0.9, 1]])  # IoU 0.7: five of ten thresholds
    rows = report(tmp_path, model, none, rough, *options, "--bootstrap", "20", "--csv", str(tmp_path / "r.csv"))
    assert [r["mAP"] for r in rows] == pytest.approx([100 * 51 / 101, 0, 50 * 51 / 101], abs=1e-3)
    assert [r["mAP50"] for r in rows] == pytest.approx([100 * 51 / 101, 0, 100 * 51 / 101], abs=1e-3)
    assert rows[1]["difference"] == pytest.approx(-100 * 51 / 101, abs=1e-3) and rows[0]["difference"] is None
    assert all(r["mAP_low"] <= r["mAP"] <= r["mAP_high"] for r in rows) and rows[0]["mAP_low"] < rows[0]["mAP_high"]
    assert all(r["kl"] is None and r["images"] == 2 and r["family"] == "yolov10" for r in rows)
    with open(tmp_path / "r.csv", encoding="utf-8") as file:
        assert [float(r["mAP"]) for r in csv.DictReader(file)] == [r["mAP"] for r in rows]
    text = capsys.readouterr().out
    assert len(text.splitlines()) == 4 and "50.49 (" in text and "100.00)" in text


def test_classes(tmp_path, capsys):
    """Each by its name, the one that changes most first; one without annotations is none."""
    options = write_scene(tmp_path, [[(20, 20, 40, 60, 7)], [(90, 90, 20, 20, 7), (20, 20, 40, 60, 3)]])
    both = constant_detector(tmp_path / "m.onnx", [[10, 10, 30, 40, 0.9, 1], [10, 10, 30, 40, 0.8, 0]])
    one = constant_detector(tmp_path / "one.onnx", [[10, 10, 30, 40, 0.9, 1]])
    rows = report(tmp_path, both, one, *options, "--bootstrap", "0", "--classes")
    seven = pytest.approx(100 * 51 / 101, abs=1e-3)
    assert [r["classes"] for r in rows] == [{"3": 50, "7": seven}, {"3": 0, "7": seven}]
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[-3:]] == ["mAP50-95", "3", "7"]
    truth = json.loads((tmp_path / "truth.json").read_text())
    truth["annotations"] = [a for a in truth["annotations"] if a["category_id"] == 7]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    assert report(tmp_path, both, *options, "--bootstrap", "0")[0]["classes"] == {"7": seven}


def test_draws(tmp_path, capsys):
    """Models that differ in their draw are one row of means; others are none."""
    options = write_scene(tmp_path, [[(20, 20, 40, 60, 7)], [(90, 90, 20, 20, 7)]])
    model = constant_detector(tmp_path / "float.onnx", [[10, 10, 30, 40, 0.9, 1]])
    draws = [constant_detector(tmp_path / f"w4-a8-draw{i}.onnx", [[10, 10, 30, height, 0.9, 1]])
             for i, height in enumerate((40, 31, 40))]
    alone = constant_detector(tmp_path / "w8-draw0.onnx", [[0, 0, 0, 0, 0, 0]])
    report(tmp_path, model, *draws, alone, *options, "--bootstrap", "0")
    rows = json.loads((tmp_path / "report.json").read_text())["means"]
    assert [(r["name"], r["draws"]) for r in rows] == [("w4-a8", 3), ("w8", 1)]
    point = 100 * 51 / 101
    assert rows[0]["mAP"] == pytest.approx(point * 5 / 6, abs=1e-3) and rows[0]["ratio"] == pytest.approx(5 / 6, abs=1e-3)
    assert rows[0]["deviation"] == pytest.approx(point / 2 / 3 ** .5, abs=1e-3)
    assert rows[1]["deviation"] is None and rows[1]["mAP"] == rows[1]["ratio"] == 0 and rows[0]["kl"] is None
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3].startswith("mean of draws") and lines[-2].split()[:3] == ["w4-a8", "3", "42.08"]


def test_limit_and_reference(tmp_path):
    options = write_scene(tmp_path, [[(20, 20, 40, 60, 7)], [(90, 90, 20, 20, 7)]])
    model = constant_detector(tmp_path / "m.onnx", [[10, 10, 30, 40, 0.9, 1]])
    other = constant_detector(tmp_path / "o.onnx", [[10, 10, 30, 40, 0.9, 0]])
    rows = report(tmp_path, model, "--reference", other, *options, "--limit", "1", "--bootstrap", "0")
    assert [(r["model"], r["mAP"], r["images"]) for r in rows] == [(other, 0, 1), (model, 100, 1)]
    assert rows[0]["mAP_low"] is None and rows[1]["difference"] == 100


@pytest.mark.parametrize("first", [0, 1, 1000])
def test_home_made_annotations(tmp_path, first):
    """Ids that are texts, annotations counted from 0, without area and iscrowd: the figures of the complete file."""
    options = write_scene(tmp_path, [[(20, 20, 40, 60, 7)], [(90, 90, 20, 20, 7)]])
    model = constant_detector(tmp_path / "m.onnx", [[10, 10, 30, 40, 0.9, 1]])
    truth = json.loads((tmp_path / "truth.json").read_text())
    for row in truth["images"] + truth["categories"]:
        row["id"] = f"id {row['id']}"
    for i, row in enumerate(truth["annotations"]):
        row.update(id=first + i, image_id=f"id {row['image_id']}", category_id=f"id {row['category_id']}")
        del row["area"], row["iscrowd"]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    assert report(tmp_path, model, *options, "--bootstrap", "0")[0]["mAP"] == pytest.approx(100 * 51 / 101, abs=1e-3)


def test_crowds_and_missing_images(tmp_path, capsys):
    """What lies in a crowd is neither right nor wrong; annotated images that are not there do not count."""
    options = write_scene(tmp_path, [[(20, 20, 40, 60, 7), (0, 0, 128, 128, 3)], [(90, 90, 20, 20, 7)]])
    model = constant_detector(tmp_path / "m.onnx", [[10, 10, 30, 40, 0.5, 1], [2, 2, 60, 60, 0.9, 1]])
    truth = json.loads((tmp_path / "truth.json").read_text())
    truth["annotations"][1].update(iscrowd=1, category_id=7)
    truth["annotations"].append({**truth["annotations"][2], "image_id": 99})  # of no image
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "1.png").unlink()
    rows = report(tmp_path, model, *options, "--bootstrap", "5")
    assert rows[0]["mAP"] == 100 and rows[0]["images"] == 1
    assert "1 of 2 annotated images are in" in capsys.readouterr().err


def random_evaluation(images=12):
    """A COCOeval of random boxes, crowds among the annotations."""
    random = np.random.default_rng(3)
    corners = random.uniform(0, 60, (images * 6, 2))
    boxes = np.concatenate([corners, random.uniform(10, 40, corners.shape)], 1)
    kinds, home = random.integers(1, 4, len(boxes)), np.arange(len(boxes)) % images
    truth = [{"id": i + 1, "image_id": int(h), "category_id": int(k), "bbox": list(b), "area": b[2] * b[3],
              "iscrowd": int(i % 9 == 0)} for i, (b, k, h) in enumerate(zip(boxes, kinds, home))]
    coco = COCO()
    coco.dataset = {"images": [{"id": i} for i in range(images)], "annotations": truth,
                    "categories": [{"id": k} for k in (1, 2, 3, 4)]}
    coco.createIndex()
    shifted = np.repeat(boxes, 3, 0) + random.normal(0, 3, (len(boxes) * 3, 4))
    rows = np.column_stack([np.repeat(home, 3), shifted, random.random(len(shifted)).round(2), np.repeat(kinds, 3)])
    return coco, rows


def test_weighted_mean(monkeypatch):
    """The bootstrap's sum is that of pycocotools: on all images, on a part of them, and on none."""
    truth, rows = random_evaluation()
    whole = coco.match(truth, rows, list(range(12)))
    table = bootstrap.category_matches(whole)
    wanted = coco.summary(whole.eval["precision"])
    assert 5 < wanted[0] < wanted[1] < 95
    some = np.isin(np.arange(12), [0, 2, 3, 7]).astype(float)
    part = coco.summary(coco.match(truth, rows, [0, 2, 3, 7]).eval["precision"])
    found = bootstrap.weighted_summary(table, np.stack([np.ones(12), some, 3 * some, np.zeros(12)]))
    np.testing.assert_allclose(found, [wanted, part, part, (0, 0)], rtol=1e-9)
    assert bootstrap.weighted_summary([], np.ones((2, 12))).tolist() == [[0, 0], [0, 0]]
    resamples = bootstrap.bootstrap([whole, whole], 7, 5)
    monkeypatch.setattr(bootstrap, "TOGETHER", 1)
    np.testing.assert_array_equal(bootstrap.bootstrap([whole], 7, 5)[:, 0], resamples[:, 1])


def test_divergence():
    p, q = np.array([[0.5, 0.9]]), np.array([[0.25, 0.9]])
    assert similarity.divergence(p, q) == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(0.5 / 0.75))
    assert similarity.divergence(q, q) == 0 and np.isfinite(similarity.divergence(np.zeros(3), np.ones(3)))


def test_overlap():
    """Half of each box shared; no area at all; only anchors that the reference sees count, by their probability."""
    wanted = np.array([[0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 4, 4], [1, 1, 1, 1]], float)
    got = np.array([[0, 0, 4, 4], [2, 0, 6, 4], [5, 5, 6, 6], [1, 1, 1, 1]], float)
    np.testing.assert_allclose(similarity.overlap(wanted, got), [1, 1 / 3, 0, 0])
    seen = np.array([[0.3, 0.1], [0.1, 0.6], [0.05, 0.1], [0.0, 0.1]])
    found = similarity.compare((seen, wanted), (seen, got))
    np.testing.assert_allclose(found, [0, 0.3 + 0.6 / 3, 0.9])
    assert similarity.similarity(np.stack([found, [2, 0.1, 0.1]])) == (1.0, 0.6)
    assert similarity.similarity(np.zeros((2, 3))) == (0.0, None)
    assert np.isnan(similarity.compare((seen, None), (seen, got))[1:]).all()
    assert np.isnan(similarity.compare((None, None), (seen, got))).all()


def yolov10(folder, head, size="n"):
    path = os.path.join(folder, f"{head}.onnx")
    subprocess.run([sys.executable, os.path.join(ROOT, "scripts", "make_yolov10.py"), "--size", size, "--head", head,
                    "--imgsz", "64", "-o", path], check=True, stdout=subprocess.DEVNULL)
    return path


def give_weights(source, target):
    """The maker draws the weights of its two heads in different orders."""
    stored, model = {t.name: t for t in onnx.load(source).graph.initializer}, onnx.load(target)
    for weight in model.graph.initializer:
        weight.CopyFrom(stored[weight.name])
    onnx.save(model, target)


def test_yolov10_heads(tmp_path):
    """Both heads of one network: the same detections and probabilities; the rewritten model's differ a little."""
    options = write_scene(tmp_path, [[(20, 20, 40, 60, 7)], [(90, 90, 20, 20, 7)]])
    truth = json.loads((tmp_path / "truth.json").read_text())
    truth["categories"] = [{"id": i, "name": str(i)} for i in range(80)]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    models = [yolov10(tmp_path, head) for head in ("e2e", "raw")]
    give_weights(*models)
    small = str(tmp_path / "small.onnx")
    run_int4q("rewrite", models[0], "-o", small, "-q")
    rows = report(tmp_path, *models, small, *options, "--bootstrap", "2")
    assert [r["family"] for r in rows] == ["yolov10", "yolov10-raw", "yolov10"]
    assert rows[1]["kl"] == pytest.approx(0, abs=1e-3) and rows[2]["kl"] > 0.01
    assert rows[1]["iou"] == pytest.approx(1, abs=1e-3) and rows[2]["iou"] < 0.9999
    picture = np.random.default_rng(0).integers(0, 256, (50, 80, 3), np.uint8)
    first, second = (detectors.Detector(m).detect(picture) for m in models)
    best = len(first[1])  # as many as there are places, in so small a model
    assert best == 84 and len(second[1]) == 300
    np.testing.assert_allclose(first[1], second[1][:best], atol=1e-5)
    np.testing.assert_allclose(np.sort(first[0].sum(1)), np.sort(second[0][:best].sum(1)), atol=0.05)


def test_errors(tmp_path):
    options = write_scene(tmp_path, [[(20, 20, 40, 60, 7)]])
    model = constant_detector(tmp_path / "m.onnx", [[10, 10, 30, 40, 0.9, 5]])

    def refused(*args):
        with pytest.raises(SystemExit) as end:
            eval_coco.main([*map(str, args)])
        text = str(end.value.code)
        assert text.startswith("eval_coco.py: ") and "\n" not in text
        return text
    assert "class 5 found, but the annotations have 2 categories" in refused(model, *options)
    assert "missing.onnx: No such file" in refused(tmp_path / "missing.onnx", *options)
    assert "missing.json: No such file" in refused(model, *options[:2], "--annotations", tmp_path / "missing.json")
    assert "m.onnx: not JSON" in refused(model, *options[:2], "--annotations", model)
    (tmp_path / "other.json").write_text("[]")
    assert "no COCO annotations" in refused(model, *options[:2], "--annotations", tmp_path / "other.json")
    truth = json.loads((tmp_path / "truth.json").read_text())
    for change, said in (({"categories": []}, "annotation 1 is of category 7, which is none of its 0"), ({"images": None}, "no COCO"),):
        (tmp_path / "other.json").write_text(json.dumps({**truth, **change}))
        assert said in refused(model, *options[:2], "--annotations", tmp_path / "other.json")
    (tmp_path / "other.json").write_text("{}")
    assert "no COCO annotations: 'images' is missing" in refused(model, *options[:2], "--annotations", tmp_path / "other.json")
    for option in ("--json", "--csv"):  # before anything is evaluated
        assert f"{tmp_path}: is a directory" in refused(tmp_path / "missing.onnx", *options[:4], option, tmp_path)
    (tmp_path / "s.onnx").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    assert "s.onnx: not an ONNX model: it is a Git LFS pointer" in refused(tmp_path / "s.onnx", *options)
    assert "no such directory" in refused(model, "--images", tmp_path / "nowhere", *options[2:])
    (tmp_path / "empty").mkdir()
    assert "none of the 1 annotated images" in refused(model, "--images", tmp_path / "empty", *options[2:])
    (tmp_path / "0.png").write_bytes(b"no picture")
    assert "none of the annotated images can be read" in refused(model, *options)
    assert "0.png: cannot identify" in refused(model, *options, "--strict")


# What the first 30 images gave when all 102 gave 39.15, 30.94 and 25.64, which other programs confirm.
@pytest.mark.parametrize("name, family, wanted", [
    ("yolov10n_e2e_op13", "yolov10", 47.32), ("yolox_nano_416", "yolox-0.1", 35.43), ("nanodet_m_320", "nanodet", 27.58)])
def test_trained(tmp_path, name, family, wanted):
    model = shared_data("models", f"{name}.onnx")
    rows = report(tmp_path, model, "--images", shared_data("coco-mini", "val2017"), "--annotations",
                  shared_data("coco-mini", "instances_val2017.json"), "--limit", "30", "--bootstrap", "0", "--json",
                  str(tmp_path / "report.json"))
    assert rows[0]["family"] == family and rows[0]["mAP"] == pytest.approx(wanted, abs=0.3)


def test_pairs_hide_no_activation():
    """A SiLU is one though what it reads and gives is quantized, so the scores are still taken for logits."""
    from int4q.lab.detection.recognition import plain_sigmoids
    from int4q.lab.models.graph import without_pairs

    def pair(source):
        return [helper.make_node("QuantizeLinear", [source, "s", "z"], [f"{source}_q"]),
                helper.make_node("DequantizeLinear", [f"{source}_q", "s", "z"], [f"{source}_d"])]
    nodes = [*pair("a"), helper.make_node("Sigmoid", ["a_d"], ["g"]), *pair("g"), helper.make_node("Mul", ["a_d", "g_d"], ["h"]),
             *pair("h"), helper.make_node("Sigmoid", ["h_d"], ["y"])]
    graph = helper.make_graph(nodes, "graph", [], [])
    assert plain_sigmoids(graph) == ["g", "y"] and plain_sigmoids(without_pairs(graph)) == ["y"]
    assert [list(n.input) for n in without_pairs(graph).node if n.op_type == "Mul"] == [["a", "g"]]

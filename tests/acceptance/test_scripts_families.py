# SPDX-License-Identifier: Apache-2.0
"""Detectors that are not those of the table: other tasks, other classes, other heads; and pictures wherever they are."""
import json
import os

import numpy as np
import onnx
import pytest
from helpers import INT4Q, ROOT, make_model, value
from onnx import helper, numpy_helper
from PIL import Image

from int4q.lab.base import errors
from int4q.lab.commands import calibrate, eval_coco, smoke_run
from int4q.lab.detection import classes, detectors, families, heads, metadata, pictures
from int4q.lab.detection.family import Detections
from int4q.lab.experiment import likeness
from int4q.lab.experiment import smoke as experiment_smoke

SIZE = (64, 96)
NAMES = "{0: 'cat', 1: 'traffic light', 2: 'dog'}"


def detector(path, rows, said=None, output=(1, -1, 6), size=(64, 64)):
    """A model that finds the same rows in every picture, behind a Conv to calibrate."""
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
             helper.make_node("ReduceMax", ["c"], ["m"], keepdims=0), helper.make_node("Mul", ["m", "none"], ["z"]),
             helper.make_node("Add", ["z", "rows"], ["y"])]
    found = np.array(rows, np.float32).reshape(output)
    stored = [numpy_helper.from_array(np.float32(0), "none"), numpy_helper.from_array(found, "rows"),
              numpy_helper.from_array(np.ones((1, 3, 1, 1), np.float32), "w")]
    model = make_model(nodes, stored, inputs=[value("x", 1, 3, *size)], outputs=[value("y", *found.shape)])
    helper.set_model_props(model, said or {})
    onnx.save(model, path)
    return str(path)


def scene(folder, category, categories, name="0.png"):
    """One picture of 128 x 128 with one object, whose box is 10 10 30 40 in a model's input of 64 x 64."""
    os.makedirs((folder / name).parent, exist_ok=True)
    Image.new("RGB", (128, 128)).save(folder / name)
    truth = {"images": [{"id": 1, "file_name": "0.png", "width": 128, "height": 128}],
             "annotations": [{"image_id": 1, "category_id": category, "bbox": [20, 20, 40, 60]}],
             "categories": [{"id": 10 * (i + 1), "name": n} for i, n in enumerate(categories)]}
    (folder / "truth.json").write_text(json.dumps(truth))


def evaluated(folder, *args):
    eval_coco.main([*map(str, args), "--annotations", str(folder / "truth.json"), "--bootstrap", "0", "--json", str(folder / "r.json")])
    return json.loads((folder / "r.json").read_text())["models"]


def refused(folder, *args):
    with pytest.raises(SystemExit) as end:
        evaluated(folder, *args)
    return str(end.value.code)


BOX = [10, 10, 30, 40, 0.9]


# ---- tasks and classes

@pytest.mark.parametrize("task", ["pose", "segment", "obb", "classify"])
def test_other_tasks(tmp_path, task):
    """A head [1, 56, anchors] of a pose model has the shape of a YOLOv8 of 52 classes."""
    path = detector(tmp_path / "m.onnx", np.zeros((1, 56, 126)), {"task": task}, (1, 56, 126), SIZE)
    with pytest.raises(errors.Error, match=f"made for the task '{task}'"):
        detectors.Detector(path)
    detector(path, np.zeros((1, 56, 126)), {"task": "detect"}, (1, 56, 126), SIZE)
    assert detectors.Detector(path).name == "yolov8"


def test_wrong_number_of_classes(tmp_path):
    """52 classes that nobody names are not COCO's 80."""
    scene(tmp_path, 10, [f"c{i}" for i in range(80)])
    path = detector(tmp_path / "m.onnx", np.zeros((1, 116, 84)), None, (1, 116, 84))
    said = refused(tmp_path, path, "--images", tmp_path)
    assert "m.onnx: 52 classes, but the annotations have 80 categories" in said and "\n" not in said


def test_classes_by_name(tmp_path, capsys):
    """In another order and case, and fewer than the categories."""
    scene(tmp_path, 30, ["dog", "bird", "Traffic_Light", "cat"])
    path = detector(tmp_path / "m.onnx", [[*BOX, 1]], {"names": NAMES})
    assert evaluated(tmp_path, path, "--images", tmp_path)[0]["mAP"] == 100
    assert not capsys.readouterr().err


def test_classes_without_a_category(tmp_path, capsys):
    scene(tmp_path, 20, ["bird", "cat"])
    path = detector(tmp_path / "m.onnx", [[*BOX, 0], [*BOX, 2]], {"names": NAMES})
    assert evaluated(tmp_path, path, "--images", tmp_path)[0]["mAP"] == 100
    assert "2 of its 3 classes are no categories of the annotations, and do not count: 'traffic light', 'dog'" in capsys.readouterr().err


def test_classes_by_position(tmp_path, capsys):
    scene(tmp_path, 20, ["Katze", "Ampel", "Hund"])
    path, other = (detector(tmp_path / name, [[*BOX, 1]], {"names": NAMES}) for name in ("m.onnx", "n.onnx"))
    assert evaluated(tmp_path, path, other, "--images", tmp_path)[0]["mAP"] == 100
    said = capsys.readouterr().err  # once, of the first of them
    assert f"{path}: class 'cat' is taken for category 'Katze'" in said and said.count("is taken for") == 1


@pytest.mark.parametrize("named", ["{0: '0', 1: '1', 2: '2'}", "['class0', 'class1', 'class2']"])
def test_numbers_are_no_names(tmp_path, capsys, named):
    """Exports without names have these: they are taken in their order without a word, if there are as many."""
    scene(tmp_path, 20, ["cat", "dog", "bird"])
    path = detector(tmp_path / "m.onnx", [[*BOX, 1]], {"names": named})
    assert evaluated(tmp_path, path, "--images", tmp_path)[0]["mAP"] == 100 and not capsys.readouterr().err
    scene(tmp_path, 20, ["cat", "dog"])
    assert "3 classes, but the annotations have 2 categories" in refused(tmp_path, path, "--images", tmp_path)


def test_no_class_in_common(tmp_path):
    scene(tmp_path, 10, ["ship", "plane"])
    path = detector(tmp_path / "m.onnx", [[*BOX, 1]], {"names": NAMES})
    assert "none of its 3 classes ('cat', 'traffic light', 'dog') is among the 2 categories of the annotations" in \
        refused(tmp_path, path, "--images", tmp_path)


@pytest.mark.parametrize("said, names", [
    (NAMES, ["cat", "traffic light", "dog"]), ("['a', 'b']", ["a", "b"]), ("", None), ("{0: 'a', 2: 'b'}", None),
    ("{0: 1}", None), ("__import__('os')", None), ("(" * 9999, None)])
def test_names_in_metadata(said, names):
    model = make_model([helper.make_node("Relu", ["x"], ["y"])])
    helper.set_model_props(model, {"names": said})
    assert metadata.class_names(model) == names


def test_categories_without_names():
    unnamed = [classes.Category(7, ""), classes.Category(9, "")]
    assert classes.match_classes("m", ["a", "b"], 2, unnamed).tolist() == [7, 9]


# ---- heads

def test_yolov5(tmp_path):
    """[1, 3 * places, 5 + classes]: pixels and probabilities already."""
    rows = np.zeros((3 * sum(heads.cells(SIZE)), 7), np.float32)
    rows[5] = [20, 25, 20, 30, 0.9, 0.1, 0.8]
    path = detector(tmp_path / "m.onnx", rows, None, (1, -1, 7), SIZE)
    found = detectors.Detector(path, probabilities=True)
    picture = np.zeros((*SIZE, 3), np.uint8)
    boxes, scores, labels = found.detect(picture)
    assert found.name == "yolov5" and labels[0] == 1 and scores[0] == pytest.approx(0.72)
    np.testing.assert_allclose(boxes[0], [10, 10, 30, 40], atol=1e-4)


def test_a_family_of_ones_own(tmp_path):
    """The example: boxes in 0..1."""
    scene(tmp_path, 20, ["a", "b"])
    path = detector(tmp_path / "m.onnx", [[10 / 64, 10 / 64, 30 / 64, 40 / 64, 0.1, 0.9]], None, (1, 1, 6))
    example = os.path.join(ROOT, "examples", "family.py")
    row = evaluated(tmp_path, path, "--images", tmp_path, "--family", f"{example}:SIMPLE")[0]
    assert row["mAP"] == 100 and row["family"] == f"{example}:SIMPLE"


def test_families_that_are_none(tmp_path, capsys):
    (tmp_path / "broken.py").write_text("X = 1\nraise ValueError('two\\nlines')\n")
    (tmp_path / "other.py").write_text("X = 1\n")
    for name, said in (("yolo8", "did you mean yolov8?"), ("detr", "known are yolov10, "), (f"{tmp_path}/none.py:X", "FileNotFoundError"),
                       (f"{tmp_path}/broken.py:X", "ValueError: two lines"), (f"{tmp_path}/other.py:Y", "AttributeError"),
                       (f"{tmp_path}/other.py:X", "not an int4q.lab.detection.family.Family")):
        with pytest.raises(SystemExit) as end:
            eval_coco.main(["m.onnx", "--images", "i", "--annotations", "a", "--family", name])
        assert end.value.code == 2 and said in capsys.readouterr().err, name
    path = detector(tmp_path / "m.onnx", np.zeros(7), None, (1, 7))
    with pytest.raises(errors.Error, match="--family takes yolov10, .*nanodet.* FILE.py:NAME"):
        detectors.Detector(path)
    with pytest.raises(errors.Error, match="does not say what its outputs mean"):
        detectors.Detector(path, "letterbox").detect(np.zeros((8, 8, 3), np.uint8))
    assert families.find_family("letterbox").blind


def test_a_family_that_does_not_fit(tmp_path):
    scene(tmp_path, 20, ["a", "b"])
    path = detector(tmp_path / "m.onnx", np.zeros((100, 9)), None, (1, 100, 9))
    said = refused(tmp_path, path, "--images", tmp_path, "--family", "yolox")
    assert "its outputs [1, 100, 9] are not those of the family yolox: " in said and "\n" not in said


@pytest.mark.parametrize(("name", "said"), [("nanodet", "are not those of the family nanodet"), ("yolov8", "are not those"),
                                            ("yolov10", "is not that of the family yolov10: [1, n, 6]")])
def test_a_wrong_family_is_not_calibrated(tmp_path, name, said):
    """It would prepare pictures as that family wants them, and tell nothing."""
    scene(tmp_path, 20, ["a", "b"])
    path = detector(tmp_path / "m.onnx", np.zeros((7, 3)), None, (1, 7, 3))
    with pytest.raises(SystemExit) as end:
        calibrate.main([path, "--images", str(tmp_path), "--family", name, "-o", str(tmp_path / "s")])
    assert said in str(end.value.code) and not (tmp_path / "s").exists()


def test_any_head_is_calibrated(tmp_path, capsys):
    """Pictures are letterboxed; with --focus too, where all positions count the same."""
    scene(tmp_path, 10, ["a"])
    path = detector(tmp_path / "m.onnx", np.zeros(7), None, (1, 7))
    for more in ([], ["--focus", "1"]):
        calibrate.main([path, "--images", str(tmp_path), "-n", "1", "-o", str(tmp_path / "stats"), *more])
        assert "no family known with outputs [1, 7]" in capsys.readouterr().err
    detector(path, np.zeros((1, 56, 84)), {"task": "pose"}, (1, 56, 84))
    calibrate.main([path, "--images", str(tmp_path), "-n", "1", "-o", str(tmp_path / "stats")])
    assert "pictures are letterboxed, RGB 0..1" in capsys.readouterr().err


# ---- pictures

@pytest.fixture
def folder(tmp_path):
    """Six pictures in folders of folders, one of which is broken, and one is a list of all."""
    for i, name in enumerate(("train/a/0.png", "train/b/1.jpg", "train/2.png", "val/3.png", "val/c/4.jpg", "val/5.jpg")):
        os.makedirs((tmp_path / name).parent, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path / name)
    broken = (tmp_path / "val/c/4.jpg").read_bytes()
    (tmp_path / "val/c/4.jpg").write_bytes(broken[:len(broken) // 2])
    (tmp_path / "train" / ".hidden.png").write_bytes(b"")
    (tmp_path / "list.txt").write_text("./train/2.png\n\nval/3.png\n")
    (tmp_path / "data.yaml").write_text("path: .\ntrain: train\nval: [val/3.png, list.txt]\nnames: {0: a}\n")
    return tmp_path


def names(paths):
    return [os.path.basename(p) for p in paths]


def test_places_of_pictures(folder):
    assert names(pictures.list_pictures(str(folder / "train"))) == ["2.png", "0.png", "1.jpg"]
    assert names(pictures.list_pictures(str(folder / "list.txt"))) == ["2.png", "3.png"]
    assert names(pictures.list_pictures(str(folder / "data.yaml"))) == ["2.png", "0.png", "1.jpg"]
    assert names(pictures.list_pictures(str(folder / "data.yaml"), "val")) == ["3.png", "2.png"]
    assert names(pictures.list_pictures(str(folder / "val/3.png"))) == ["3.png"]
    (folder / "other.yaml").write_text("names: {0: a}\n")
    (folder / "empty").mkdir()
    for place, said in (("other.yaml", "neither train nor val"), ("none", "No such file"), ("m.onnx", "neither a folder"),
                        ("empty", "no pictures")):
        if place == "m.onnx":
            (folder / place).write_bytes(b"")
        with pytest.raises(errors.Error, match=said):
            pictures.list_pictures(str(folder / place))


def test_broken_pictures_are_left_out(folder, capsys):
    """Others take their place; --strict ends there."""
    chosen = pictures.sample_pictures(str(folder / "val"), 2, 0)
    assert names(chosen) == ["3.png", "5.jpg"]
    assert names(pictures.sample_pictures(str(folder / "val"), 3, 0)) == ["3.png", "5.jpg"]
    said = capsys.readouterr().err
    assert "4.jpg: left out: image file is truncated" in said and "only 2 pictures" in said
    with pytest.raises(errors.Error, match=r"4.jpg: image file is truncated"):
        pictures.sample_pictures(str(folder / "val"), 3, 0, strict=True)
    assert pictures.sample_pictures(str(folder / "train"), 2, 5) == pictures.sample_pictures(str(folder / "train"), 2, 5)


def test_annotated_pictures_are_found_below(tmp_path):
    scene(tmp_path, 10, ["a"], "deep/down/0.png")
    path = detector(tmp_path / "m.onnx", [[*BOX, 0]])
    assert evaluated(tmp_path, path, "--images", tmp_path)[0]["mAP"] == 100
    (tmp_path / "data.yaml").write_text("train: nowhere\nval: deep\n")
    assert evaluated(tmp_path, path, "--images", tmp_path / "data.yaml")[0]["mAP"] == 100


# ---- smoke_run.py: what of a detector's answers stays

def smoke(folder, capsys, *args):
    with pytest.raises(SystemExit) as end:
        smoke_run.main([*map(str, args), "--reference", str(folder / "reference.onnx"), "--int4q", INT4Q, "--out", str(folder / "s.json")])
    assert end.value.code == 0
    return json.loads((folder / "s.json").read_text())["models"][0], capsys.readouterr().out


def test_detections_are_matched_not_subtracted(tmp_path, capsys):
    """The same objects in another order are the same; decibels of the table would be near 0."""
    scene(tmp_path, 10, ["a"])
    detector(tmp_path / "reference.onnx", [[0, 0, 20, 20, .9, 0], [30, 30, 60, 60, .8, 1], [5, 40, 20, 60, .7, 2], [0, 0, 9, 9, .1, 0]])
    other = detector(tmp_path / "m.onnx", [[31, 30, 60, 60, .95, 1], [0, 0, 20, 20, .6, 0], [5, 40, 20, 60, .5, 1], [0, 0, 9, 9, .1, 0]])
    row, said = smoke(tmp_path, capsys, other, "--images", tmp_path)
    assert row["likeness"] == {"pictures": 1, "kl": None, "iou": None, "wanted": 3, "matched": 2, "new": 1}
    assert "2 of 3 detections matched, 1 new\n" in said and " dB" not in said
    assert row["outputs"][0]["reference"]["sqnr_db"] < 5
    assert "equal to the reference" in smoke(tmp_path, capsys, tmp_path / "reference.onnx")[1]


def test_each_detection_is_matched_once():
    def found(boxes, scores):
        return Detections(np.array(boxes, float), np.array(scores), np.zeros(len(boxes), int))
    same = [[0, 0, 10, 10], [1, 0, 11, 10]]
    assert likeness.match_detections(found(same, [.9, .8]), found(same[:1], [.9])) == (2, 1, 0)
    assert likeness.match_detections(found(same[:1], [.9]), found(same, [.9, .8])) == (1, 1, 1)
    assert likeness.match_detections(found(same, [.9, .2]), found(same, [.9, .8])) == (1, 1, 1)
    assert likeness.match_detections(found(same, [.9, .8]), found([[90, 90, 99, 99]], [.9])) == (2, 0, 1)


def test_answers_before_the_choice(tmp_path, capsys):
    """KL and IoU at the head; on noise it is said; a model that is no detector has decibels."""
    rows = np.zeros((3 * sum(heads.cells(SIZE)), 7), np.float32)
    rows[5] = [20, 25, 20, 30, 0.9, 0.1, 0.8]
    detector(tmp_path / "reference.onnx", rows, None, (1, -1, 7), SIZE)
    rows[5, 6] = 0.4
    other = detector(tmp_path / "m.onnx", rows, None, (1, -1, 7), SIZE)
    row, said = smoke(tmp_path, capsys, other)
    p, q = 0.72, 0.36
    assert row["likeness"]["kl"] == pytest.approx(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)), abs=1e-3)
    assert row["likeness"]["iou"] == 1 and said.endswith("KL 0.268, IoU 1 (on noise)\n")
    for name, scale in (("reference", 1), ("m", 2)):
        detector(tmp_path / f"{name}.onnx", np.arange(7.) * scale, None, (1, 7))
    row, said = smoke(tmp_path, capsys, tmp_path / "m.onnx")
    assert "likeness" not in row and said.endswith(" dB\n")


def test_pictures_need_a_detector(tmp_path):
    scene(tmp_path, 10, ["a"])
    path = detector(tmp_path / "reference.onnx", np.zeros(7), None, (1, 7))
    with pytest.raises(SystemExit, match="no family known"):
        smoke_run.main([path, "--reference", path, "--images", str(tmp_path), "--int4q", INT4Q, "--out", str(tmp_path / "s.json")])


def test_open_sides_are_those_of_the_metadata():
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], inputs=[helper.make_tensor_value_info("x", 1, [1, 3, "h", "w"])])
    assert experiment_smoke.random_feeds(model, None, 0)["x"].shape == (1, 3, 640, 640)
    helper.set_model_props(model, {"imgsz": "[32, 64]"})
    assert experiment_smoke.random_feeds(model, None, 0)["x"].shape == (1, 3, 32, 64)
    assert experiment_smoke.random_feeds(model, 96, 0)["x"].shape == (1, 3, 96, 96)

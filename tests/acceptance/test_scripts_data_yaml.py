# SPDX-License-Identifier: Apache-2.0
"""Data sets of ultralytics: data.yaml, labels beside pictures, and the commands that take them for COCO annotations."""
import json
import os
import subprocess

import numpy as np
import pytest
from helpers import ROOT, make_model, value
from onnx import helper, numpy_helper, save
from PIL import Image

from int4q.lab.base import errors
from int4q.lab.commands import eval_coco, experiment, run_schemes
from int4q.lab.detection import coco, data_yaml, pictures, yolo_labels

WIDE, HIGH = 128, 96
BOX = (16, 12, 64, 48)  # x, y, width, height of the object in a picture of that size
FOUND = 100 * (51 + 50 * 2 / 3) / 101  # mAP where both objects of `data` are found, and one between them where nothing is


def label(kind, box=BOX):
    x, y, width, height = box
    return f"{kind} {(x + width / 2) / WIDE} {(y + height / 2) / HIGH} {width / WIDE} {height / HIGH}\n"


def detector(path, kind, names=("cat", "dog")):
    """Finds BOX in the pictures, which fill its input; what it finds is of the kind."""
    x, y, width, height = BOX
    row = np.array([[[x, y, x + width, y + height, .9, kind], *[[0] * 6] * 7]], np.float32)
    nodes = [helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0), helper.make_node("Mul", ["m", "none"], ["z"]),
             helper.make_node("Add", ["z", "row"], ["y"])]
    stored = [numpy_helper.from_array(np.float32(0), "none"), numpy_helper.from_array(row, "row")]
    model = make_model(nodes, stored, inputs=[value("x", 1, 3, HIGH, WIDE)], outputs=[value("y", 1, 8, 6)])
    helper.set_model_props(model, {"task": "detect", "names": str(dict(enumerate(names)))} if names else {})
    save(model, path)
    return str(path)


@pytest.fixture
def data(tmp_path):
    """Three pictures to evaluate on: a dog, a dog as a polygon, nothing; one to calibrate with."""
    for folder in ("images/train", "images/val/deep", "labels/train", "labels/val/deep"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("train/t", "val/0", "val/deep/1", "val/2"):
        Image.new("RGB", (WIDE, HIGH)).save(tmp_path / "images" / f"{name}.png")
    x, y, width, height = BOX
    corners = [x / WIDE, y / HIGH, (x + width) / WIDE, y / HIGH, (x + width) / WIDE, (y + height) / HIGH, x / WIDE, (y + height) / HIGH]
    (tmp_path / "labels/val/0.txt").write_text(label(1) + "\n" + label(1))
    (tmp_path / "labels/val/deep/1.txt").write_text("1 " + " ".join(map(str, corners)))
    (tmp_path / "data.yaml").write_text("path: .\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n")
    return tmp_path


def report(folder, *args):
    eval_coco.main([*map(str, args), "--bootstrap", "0", "--json", str(folder / "report.json")])
    return json.loads((folder / "report.json").read_text())["models"][0]


def test_labels_are_annotations(data, capsys):
    """Doubled lines count once, polygons by their box, pictures without labels have nothing; named once is enough."""
    place = str(data / "data.yaml")
    found = coco.read_annotations(place, place)
    assert [a["bbox"] for a in found.dataset["annotations"]] == [pytest.approx(BOX)] * 2
    assert [a["category_id"] for a in found.dataset["annotations"]] == [1, 1]
    assert [c.name for c in coco.categories_of(found)] == ["cat", "dog"]
    assert "1 of 3 pictures have no labels" in capsys.readouterr().err
    good, other = detector(data / "good.onnx", 1), detector(data / "other.onnx", 0)
    for options in (["--annotations", place], ["--images", place], ["--images", data / "images/val", "--annotations", place]):
        assert report(data, good, *options)["mAP"] == pytest.approx(FOUND, abs=1e-3)
    assert report(data, other, "--annotations", place)["mAP"] == 0


def test_classes_are_checked(data):
    place = data / "data.yaml"
    swapped = detector(data / "m.onnx", 0, ("dog", "cat"))
    assert report(data, swapped, "--images", place)["mAP"] == pytest.approx(FOUND, abs=1e-3)
    for names, said in ((("bird", "bee", "fox"), "none of its 3 classes"), (None, None)):
        path = detector(data / "m.onnx", 1, names)
        if said:
            with pytest.raises(SystemExit, match=said):
                report(data, path, "--images", place)
        else:
            assert report(data, path, "--images", place)["mAP"] == pytest.approx(FOUND, abs=1e-3)


def test_labels_count_for_the_pictures_of_the_place(data):
    """--images chooses among the pictures of the data set, which need not be where data.yaml says."""
    row = report(data, detector(data / "m.onnx", 1), "--images", data / "images/val/deep", "--annotations", data / "data.yaml")
    assert row["images"] == 1 and row["mAP"] == pytest.approx(100)


@pytest.mark.parametrize("line, said", [
    ("2 .5 .5 .1 .1", "class 2, but there are 2 names"), ("-1 .5 .5 .1 .1", "class -1"), ("0.5 .5 .5 .1 .1", "class 0.5"),
    ("1 .5 .5 .1", "3 numbers behind the class"), ("1 .1 .1 .2 .2 .3", "5 numbers"), ("1 64 48 10 10", "64 is no part of a side"),
    ("1 nan .5 .1 .1", "nan is no part"), ("dog .5 .5 .1 .1", "could not convert"), ("1 .1 .1 .2 .2 .3 7", "7 is no part")])
def test_wrong_labels(data, line, said):
    path = data / "labels/val/0.txt"
    path.write_text(f"{label(1)}{line}\n")
    with pytest.raises(errors.Error, match=rf"0\.txt: line 2: .*{said}"):
        coco.read_annotations(str(data / "data.yaml"), str(data / "data.yaml"))


def test_no_text(data):
    (data / "labels/val/0.txt").write_bytes(b"\xff\xfe1")
    with pytest.raises(errors.Error, match=r"0\.txt: no text"):
        coco.read_annotations(str(data / "data.yaml"), str(data / "data.yaml"))


def test_byte_order_marks(data):
    """Which editors of Windows write, in labels as in lists of pictures."""
    lists = {"labels/val/0.txt": label(1), "val.txt": "images/val/0.jpg"}
    for name, text in lists.items():
        (data / name).write_text(text + "\n", encoding="utf-8-sig")
    found = coco.read_annotations(str(data / "data.yaml"), str(data / "val.txt"))
    assert len(found.dataset["images"]) == len(found.dataset["annotations"]) == 1


def test_keypoints_are_no_polygon():
    """The box stands in front of them, and they may lie anywhere."""
    kind, box = yolo_labels.read_line("0 .5 .5 .25 .5 9 9 2 .1 .1 0", 1, True)
    assert kind == 0 and box == (.375, .25, .25, .5)
    with pytest.raises(ValueError, match="no box"):
        yolo_labels.read_line("0 .5 .5 .25", 1, True)


@pytest.mark.parametrize("picture, labels", [
    ("a/images/b/images/c/1.jpg", "a/images/b/labels/c/1.txt"), ("a/b/1.x.jpg", "a/b/1.x.txt"), ("images/1", "labels/1.txt")])
def test_label_path(picture, labels):
    assert yolo_labels.label_path("/" + picture) == "/" + labels


@pytest.mark.parametrize("said, names", [
    ("names: [a, b]", ["a", "b"]), ("names: {1: b, 0: 7}", ["7", "b"]), ("nc: 2", ["", ""]), ("nc: 1\nnames: [a]", ["a"]),
    ("names: {1: a}", None), ("names: a", None), ("names: []", None), ("nc: 3\nnames: [a]", None), ("x: 1", None)])
def test_names(tmp_path, said, names):
    (tmp_path / "d.yaml").write_text(f"val: images\n{said}\n")
    if names:
        assert data_yaml.class_list(str(tmp_path / "d.yaml")) == names
        return
    with pytest.raises(errors.Error, match=r"d\.yaml: (names has no list|nc is 3, but there are 1)"):
        data_yaml.class_list(str(tmp_path / "d.yaml"))


def test_places_of_roboflow(data):
    """../val is meant from the folder of data.yaml where there is none beside it."""
    (data / "data.yaml").write_text("train: ../images/train\nval: ../images/val\nnames: [cat, dog]\n")
    assert len(pictures.list_pictures(str(data / "data.yaml"), "val")) == 3


def test_val_is_missing(data):
    """Pictures that a model was trained with are not evaluated on, unless they are named."""
    place = data / "data.yaml"
    place.write_text("path: .\ntrain: images/train\nnames: [cat, dog]\n")
    (data / "labels/train/t.txt").write_text(label(1))
    for option in ("--images", "--annotations"):
        with pytest.raises(SystemExit, match=r"^[^\n]*data\.yaml: val is missing: [^\n]*$"):
            report(data, detector(data / "m.onnx", 1), option, place)
    row = report(data, detector(data / "m.onnx", 1), "--images", data / "images/train", "--annotations", place)
    assert row["images"] == 1 and row["mAP"] == pytest.approx(100)


def test_train_is_missing(data, capsys):
    """Statistics are then those of val, which is said."""
    (data / "data.yaml").write_text("path: .\nval: images/val\nnames: [cat, dog]\n")
    assert len(pictures.list_pictures(str(data / "data.yaml"), "val")) == 3 and not capsys.readouterr().err
    assert len(pictures.list_pictures(str(data / "data.yaml"))) == 3
    assert "data.yaml: train is missing: pictures of val stand for it" in capsys.readouterr().err


def test_nothing_labelled(data):
    for path in (data / "labels").rglob("*.txt"):
        path.unlink()
    with pytest.raises(SystemExit, match=r"none of its 3 pictures has labels; looked for .*labels/val/0\.txt"):
        report(data, detector(data / "m.onnx", 1), "--images", data / "data.yaml")
    with pytest.raises(SystemExit, match=r"labels: a folder; of labels for YOLOs it is their data\.yaml"):
        report(data, detector(data / "m.onnx", 1), "--images", data / "images", "--annotations", data / "labels")


def test_unreadable_pictures_are_left_out(data, capsys):
    (data / "images/val/0.png").write_bytes(b"no picture")
    assert report(data, detector(data / "m.onnx", 1), "--images", data / "data.yaml")["images"] == 2
    assert "0.png: left out" in capsys.readouterr().err


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned(tmp_path, orientation):
    """As the camera says; the size too."""
    picture = Image.fromarray(np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3))
    exif = picture.getexif()
    exif[0x112] = orientation
    picture.save(tmp_path / "p.png", exif=exif)
    read = pictures.read_picture(str(tmp_path / "p.png"))
    assert pictures.picture_size(str(tmp_path / "p.png")) == read.shape[1::-1] == ((4, 6) if orientation < 5 else (6, 4))
    upright = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: a.transpose(1, 0, 2),
               6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).transpose(1, 0, 2), 8: np.rot90}[orientation]
    np.testing.assert_array_equal(read, upright(np.asarray(picture)))


def test_commands_want_both_or_a_data_yaml(data, capsys):
    for main, first in ((eval_coco.main, "m.onnx"), (run_schemes.main, "s.json")):
        for options in ([], ["--images", "i"], ["--annotations", "a.json"]):
            with pytest.raises(SystemExit) as end:
                main([first, *options])
            assert end.value.code == 2 and "or a data.yaml as one of them" in capsys.readouterr().err


@pytest.mark.parametrize("given, wanted", [
    (["d.yaml"], ["d.yaml"] * 3), (["calib", "d.yml"], ["calib", "d.yml", "d.yml"]), (["a", "b", "c.json"], ["a", "b", "c.json"]),
    (["d.yaml", "b", "c.json"], ["d.yaml", "b", "c.json"]), (["calib", "val", "d.yaml"], ["calib", "val", "d.yaml"])])
def test_experiment_takes_data_yaml(given, wanted):
    args = experiment.parse(["m.onnx", *given])
    assert [args.calibration, args.images, args.annotations] == wanted


def test_experiment_without_annotations(tmp_path, capsys):
    with pytest.raises(SystemExit):
        experiment.parse(["m.onnx", "calib", "val"])
    assert "ANNOTATIONS are needed, or a data.yaml" in capsys.readouterr().err
    script = os.path.join(ROOT, "scripts", "experiment.sh")
    for given, said in ((["m.onnx", "calib", "val"], "experiment.sh [options] MODEL"), (["m.onnx", tmp_path / "d.yaml"], "experiment.sh: m.onnx: no such")):
        done = subprocess.run([script, *map(str, given)], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode and done.stderr.startswith(said)

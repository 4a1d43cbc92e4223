# SPDX-License-Identifier: Apache-2.0
"""scripts/export_yolo.py, with a stand-in for ultralytics, which needs weights from elsewhere."""
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import yolo_scene

from int4q.lab.commands import export_yolo
from int4q.lab.detection import detectors


@pytest.fixture(scope="module")
def yolo(tmp_path_factory):
    return yolo_scene(tmp_path_factory.mktemp("yolo"))


def test_export_without_ultralytics(tmp_path, monkeypatch):
    """One line that says what to install."""
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    with pytest.raises(SystemExit, match=r"export_yolo.py: .*requirements-export.txt") as end:
        export_yolo.main(["yolov10n.pt", "-o", str(tmp_path / "m.onnx")])
    assert "\n" not in end.value.code


@pytest.mark.parametrize("head, family", [("e2e", "yolov10"), ("raw", "yolov10-raw")])
def test_export(yolo, tmp_path, monkeypatch, capsys, head, family):
    """With a stand-in for ultralytics, whose export is a model that is there: the two heads give the same detections."""
    asked = {}

    class Yolo:
        def __init__(self, weights):
            if weights != "n.pt":
                raise FileNotFoundError(f"{weights}\nis not there")

        def export(self, **options):
            asked.update(options)
            return shutil.copy(yolo / "n.onnx", tmp_path / "n.onnx")

    monkeypatch.setitem(sys.modules, "ultralytics", SimpleNamespace(YOLO=Yolo))
    export_yolo.main(["n.pt", "-o", str(tmp_path / "out" / "m.onnx"), "--head", head, "--opset", "17", "--size", "64"])
    assert asked["opset"] == 17 and asked["imgsz"] == 64 and asked["format"] == "onnx" and asked["simplify"] is False
    assert asked["nms"] is False  # by default version 8.4 exports the head of YOLOv10 that needs NMS
    assert "m.onnx: " in capsys.readouterr().out
    detector = detectors.Detector(tmp_path / "out" / "m.onnx")
    assert detector.name == family
    picture = np.random.default_rng(0).integers(0, 256, (50, 80, 3), np.uint8)
    wanted, got = (d.detect(picture)[1][:20] for d in (detectors.Detector(yolo / "n.onnx"), detector))
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    with pytest.raises(SystemExit, match="export_yolo.py: m.pt: m.pt is not there"):
        export_yolo.main(["m.pt", "-o", str(tmp_path / "m.onnx")])


def test_weights_of_the_user(yolo, tmp_path, monkeypatch):
    """Of weights that are a file ultralytics gets a copy: it writes the model and more beside them."""
    class Yolo:
        def __init__(self, weights):
            self.folder, self.content = os.path.dirname(weights), Path(weights).read_text()

        def export(self, **_):
            assert self.content == "weights"
            (Path(self.folder) / "stray").touch()
            return shutil.copy(yolo / "n.onnx", self.folder)

    monkeypatch.setitem(sys.modules, "ultralytics", SimpleNamespace(YOLO=Yolo))
    weights = tmp_path / "weights" / "n.pt"
    weights.parent.mkdir()
    weights.write_text("weights")
    export_yolo.main([str(weights), "-o", str(tmp_path / "out" / "m.onnx")])
    assert os.listdir(weights.parent) == ["n.pt"] and os.listdir(tmp_path / "out") == ["m.onnx"]


def test_help(capsys):
    with pytest.raises(SystemExit) as end:
        export_yolo.main(["--help"])
    assert end.value.code == 0 and "--head {e2e,raw}" in capsys.readouterr().out

# SPDX-License-Identifier: Apache-2.0
"""The families that are known, and those that a user brings.

Adding a family is adding a row to FAMILIES and a case to recognition.recognize; one for a single model is a Family in a
file of Python, --family FILE.py:NAME, as examples/family.py has it.
"""
import argparse
import difflib
import functools
import importlib.util
import os

from int4q.lab.base.errors import Error, one_line
from int4q.lab.detection.family import Family, first
from int4q.lab.detection.heads import decode_nanodet, decode_yolo, decode_yolov5, decode_yolox

MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of ImageNet
FAMILIES = {
    "yolov10": Family("ends in detections [1, n, 6]: x1, y1, x2, y2, score, class", None),
    "yolov10-raw": Family("YOLOv10 cut before its choice of boxes: [1, 144 or 84, anchors]", decode_yolo),
    "yolov8": Family("YOLOv8 and successors, [1, 84 or 144, anchors]", decode_yolo, overlap=0.7),
    "yolov5": Family("YOLOv5 and YOLOv7 with their boxes decoded: [1, 25200, 85]", decode_yolov5, overlap=0.6),
    "yolox": Family("YOLOX, input BGR 0..255: [1, anchors, 85]", decode_yolox, order="bgr", deviation=(1, 1, 1),
                    whole=int, corner=first, overlap=0.65, most=100),
    "yolox-0.1": Family("YOLOX of release 0.1.0, input RGB with ImageNet's mean and deviation", decode_yolox,
                        mean=MEAN, deviation=DEVIATION, whole=int, corner=first, overlap=0.65, most=100),
    "nanodet": Family("NanoDet, six outputs: [1, places, 80] and [1, places, 32] for each level", decode_nanodet,
                      order="bgr", ground=0, corner=lambda free: free // 2, overlap=0.6, floor=0.05, most=100,
                      mean=MEAN[::-1], deviation=DEVIATION[::-1]),
    "letterbox": Family("any head: pictures as for YOLOs, RGB 0..1, to calibrate with; nothing can be evaluated", None,
                        blind=True),
}


@functools.cache
def find_family(name: str) -> Family:
    """The family of a name, or of FILE.py:NAME."""
    if name in FAMILIES:
        return FAMILIES[name]
    path, _, variable = name.rpartition(":")
    if not path.endswith(".py"):
        near = difflib.get_close_matches(name, FAMILIES, 1)
        raise Error(f"{name}: no family: " + (f"did you mean {near[0]}?" if near else
                                               f"known are {', '.join(FAMILIES)}, and FILE.py:NAME"))
    spec = importlib.util.spec_from_file_location("int4q_family", path)
    try:
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found = getattr(module, variable)
    except Exception as error:  # whatever the user's file does
        raise Error(f"{path}: {type(error).__name__}: {one_line(error)}") from error
    if not isinstance(found, Family):
        raise Error(f"{name}: not an int4q.lab.detection.family.Family")
    return found


def known_family(name: str) -> str:
    """The name, with a path that workers find too."""
    path, _, variable = name.rpartition(":")
    name = f"{os.path.abspath(path)}:{variable}" if path else name
    try:
        find_family(name)
    except Error as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return name

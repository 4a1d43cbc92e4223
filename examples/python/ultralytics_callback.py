# SPDX-License-Identifier: Apache-2.0
"""Each export of ultralytics to ONNX also gives the model in 4 bits, beside it: yolov10n.onnx, yolov10n-int4.onnx."""
import sys

from ultralytics import YOLO

import int4q


def quantize(exporter):
    if exporter.args.format == "onnx":
        path = exporter.file.with_suffix(".onnx")
        print(int4q.rewrite(path, path.with_stem(path.stem + "-int4"), method="squant", force=True).summary())


if __name__ == "__main__":
    yolo = YOLO(sys.argv[1])
    yolo.add_callback("on_export_end", quantize)
    yolo.export(format="onnx", nms=False)

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# Sensitivity files: how many stay float, and which.
model good-detector
echo '{"layer_sensitivity": [{"layer": "model.0.conv", "sensitivity": 1}, {"layer": "model.1.m.0.cv1", "sensitivity": 3},
  {"layer": "model.1.m.0.cv2", "sensitivity": 2}, {"layer": "model.9", "sensitivity": 9}], "k": 1}' >rows.json
echo '{"excluded_layers": ["model.0.conv"], "excluded_onnx_nodes": ["/model.1/m/m.0/cv2/Conv"]}' >lists.json
echo '{"model.0.conv": 0.5, "model.2.dfl.conv": 7}' >scores.json
chosen() {
    int4q rewrite -n good-detector.onnx --json - "$@" | python3 -c 'import json,sys
report = json.load(sys.stdin)
print(*(c["reason"] or "int4" for c in report["convs"]), report["topk"]["keep"], report["topk"]["unmatched"])'
}
chosen --topk rows.json
chosen --topk rows.json --keep 2
chosen --topk rows.json --keep 0
chosen --topk rows.json --quantize 1
chosen --topk rows.json --quantize 70%
chosen --topk lists.json
chosen --topk scores.json
chosen --topk scores.json --quantize 100%
int4q rewrite -n good-detector.onnx --topk rows.json | grep -A1 ^topk
fails 2 int4q rewrite good-detector.onnx --keep 3
fails 2 int4q rewrite good-detector.onnx --topk rows.json --keep 3 --quantize 3
fails 2 int4q rewrite good-detector.onnx --topk lists.json --keep 3
fails 2 int4q rewrite good-detector.onnx --topk lists.json --quantize 3
fails 2 int4q rewrite good-detector.onnx --topk rows.json --quantize 101%
fails 2 int4q rewrite good-detector.onnx --topk rows.json --quantize few
fails 1 int4q rewrite good-detector.onnx --topk missing.json
echo '{"layer_sensitivity": [' >broken.json
fails 3 int4q rewrite good-detector.onnx --topk broken.json
echo '{"elsewhere": 1}' >stranger.json
fails 3 int4q rewrite good-detector.onnx --topk stranger.json
# the direction of scores, and a size to fit into
chosen --topk rows.json --keep 1 --topk-order lower-worse
chosen --topk rows.json --keep 1 --topk-order higher-worse
fails 4 int4q rewrite -q good-detector.onnx --topk rows.json --target-size 1000
fails 2 int4q rewrite good-detector.onnx --topk rows.json --target-size big
fails 2 int4q rewrite good-detector.onnx --topk rows.json --target-size 1Mi%
fails 2 int4q rewrite good-detector.onnx --topk rows.json --target-size 1M --keep 1
fails 2 int4q rewrite good-detector.onnx --topk lists.json --target-size 1M
fails 2 int4q rewrite good-detector.onnx --target-size 1M
fails 2 int4q rewrite good-detector.onnx --topk rows.json --topk-order up
fails 2 int4q rewrite good-detector.onnx --topk-order auto

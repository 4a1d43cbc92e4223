#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# What is kept, by which option, and what it becomes; options that keep nothing.
model good-detector
told() {
    echo "$*"
    int4q rewrite good-detector.onnx --table -f -o out.onnx "$@" | grep -E '^(convs|topk|rank|note|written)|kept by|\((sensitive|small)\)'
}
echo '{"model.0.conv": 1, "model.1.m.0.cv1": 3, "model.1.m.0.cv2": 2}' >scores.json
# all become INT8, which is something to write
told --rank weights --keep-format int8
told --rank weights --keep-format int8 --keep 9999
told --rank weights --keep-format int8 --target-size 100M
told --min-weights 999999999 --keep-format int8
told --topk scores.json --keep-format int8
# some do
told --rank weights --keep 1
told --rank weights --keep 1 --keep-format int8
told --rank weights --quantize 1
told --topk scores.json --keep 50 --exclude model.1.m.0.cv1
rm out.onnx
# nothing is left to quantize
fails 4 int4q rewrite -q good-detector.onnx --rank weights
fails 4 int4q rewrite -q good-detector.onnx --rank weights --keep 20
fails 4 int4q rewrite -q good-detector.onnx --topk scores.json
# options that make no difference
told --keep-format int8
told --no-bias-correction
told --allow-unmatched
told --method squant --no-bias-correction
rm out.onnx
fails 2 int4q rewrite good-detector.onnx --rank weights --target-size 999999999999999%
fails 2 int4q rewrite good-detector.onnx --rank weights --target-size 9999999999G
fails 2 int4q rewrite good-detector.onnx --quantize 3

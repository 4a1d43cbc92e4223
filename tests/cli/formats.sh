#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# How weights are stored: every format, form and combination that makes no sense.
model good-detector
for options in '--format uint4' '--format int8' '--format packed-u8' '--format packed3' '--format packed5' '--format int2' '--decode cast' '--dq-domain com.microsoft' \
    '--block 4' '--min-weights 40 --keep-format int8'; do
    # shellcheck disable=SC2086
    int4q rewrite good-detector.onnx -f -o out.onnx $options | grep -E '^(convs|opset|note)'
    int4q inspect out.onnx --require valid | grep '^convs'
done
fails 2 int4q rewrite good-detector.onnx --format int5
fails 2 int4q rewrite good-detector.onnx --format int2 --dq-domain com.microsoft
fails 2 int4q rewrite good-detector.onnx --keep-format int4
fails 2 int4q rewrite good-detector.onnx --decode fast
fails 2 int4q rewrite good-detector.onnx --dq-domain onnx
fails 2 int4q rewrite good-detector.onnx --block -1
fails 2 int4q rewrite good-detector.onnx --format packed-u8 --block 32
fails 2 int4q rewrite good-detector.onnx --format packed-u8 --decode cast
fails 2 int4q rewrite good-detector.onnx --dq-domain com.microsoft --block 32
fails 2 int4q rewrite good-detector.onnx --dq-domain com.microsoft --decode cast

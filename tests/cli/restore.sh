#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# The way back: floats of exactly the values that the file holds.
model good-detector
for options in '--format int4' '--format packed-u8' '--decode cast' '--block 4' '--dq-domain com.microsoft'; do
    # shellcheck disable=SC2086
    int4q rewrite -q -f good-detector.onnx -o small.onnx $options
    int4q restore small.onnx -f -o float.onnx | head -1
    int4q restore small.onnx -f -o float.onnx --table | head -1
    int4q inspect float.onnx --require float==4 --require valid | grep '^convs'
    # what is lost was lost when it was quantized
    int4q inspect small.onnx --reference float.onnx --json - |
        python3 -c 'import json, sys; print(sum(c["max_error"] for c in json.load(sys.stdin)["convs"]))'
done
fails 4 int4q restore good-detector.onnx -o nothing.onnx
fails 1 int4q restore small.onnx -o float.onnx
fails 1 int4q restore missing.onnx -o nothing.onnx
fails 2 int4q restore small.onnx --dry-run
int4q restore -q - -o - <small.onnx | cmp - float.onnx

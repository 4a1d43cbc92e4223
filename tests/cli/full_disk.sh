#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# Nothing is lost in silence when standard output cannot be written.
model good-detector
fails 1 int4q rewrite -q good-detector.onnx -o - >/dev/full
fails 1 int4q rewrite -n good-detector.onnx >/dev/full
fails 1 int4q rewrite -n good-detector.onnx --json - >/dev/full
fails 1 int4q rewrite -n good-detector.onnx --json /dev/full
fails 1 int4q --version >/dev/full
fails 1 int4q inspect --help >/dev/full
# The model comes first: that it is written is said by what fails then, and where the JSON goes is looked at before.
int4q rewrite -q good-detector.onnx
cp out.onnx wanted.onnx
for sink in '--json /dev/full' '--json -'; do
    # shellcheck disable=SC2086 # two words
    fails 1 int4q rewrite good-detector.onnx -f $sink >/dev/full
    cmp out.onnx wanted.onnx
    echo old >out.onnx
done
fails 1 int4q rewrite good-detector.onnx -f >/dev/full
cmp out.onnx wanted.onnx
int4q restore wanted.onnx -q -o back.onnx
fails 1 int4q restore wanted.onnx -f -o back.onnx >/dev/full
echo old >out.onnx
fails 1 int4q rewrite good-detector.onnx -f --json missing/report.json
fails 1 int4q inspect missing.onnx --json missing/report.json
cat out.onnx

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# Standard descriptors that are closed are not taken for files: what is printed ends in none of them.
model good-detector
int4q rewrite good-detector.onnx -q
int4q restore out.onnx -q -o back.onnx
without_output() { "$@" >&-; }
without_input() { "$@" <&-; }
without_any() { "$@" <&- >&- 2>&-; }
cp out.onnx "$SCRATCH"
cp back.onnx "$SCRATCH"
same() {
    cmp "$SCRATCH/out.onnx" out.onnx && cmp "$SCRATCH/back.onnx" back.onnx && echo same
}
fails 1 without_output int4q rewrite good-detector.onnx -f
fails 1 without_output int4q restore out.onnx -f -o back.onnx
fails 1 without_output int4q rewrite good-detector.onnx -f --json -
fails 1 without_output int4q rewrite good-detector.onnx -o -
fails 1 without_output int4q inspect out.onnx
fails 1 without_output int4q --version
fails 1 without_input int4q inspect -
same
without_output int4q rewrite good-detector.onnx -q -f && same
int4q rewrite good-detector.onnx -f -v --progress >/dev/null 2>&- && same
without_any int4q rewrite good-detector.onnx -f -v
echo "status $?" && same

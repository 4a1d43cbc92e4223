#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# Standard input and output.
model good-detector
int4q rewrite good-detector.onnx -q
int4q rewrite - -o - -q <good-detector.onnx | cmp - out.onnx
# shellcheck disable=SC2002 # a pipe, which cannot be mapped
cat good-detector.onnx | int4q rewrite -q - -o piped.onnx
cmp piped.onnx out.onnx
int4q rewrite good-detector.onnx -o - 2>report | cmp - out.onnx
grep '^convs' report
int4q inspect - <out.onnx | grep '^convs'
int4q inspect --json - out.onnx | head -c 1
echo
printf '/model.0/*\n# comment\n' | int4q rewrite -n good-detector.onnx --include-from - | grep '^convs'
fails 2 int4q rewrite - --topk - <good-detector.onnx
fails 2 int4q rewrite - --include-from - <good-detector.onnx
fails 2 int4q rewrite good-detector.onnx --include-from - --exclude-from - </dev/null
fails 2 int4q rewrite good-detector.onnx -o - --json -
fails 2 int4q rewrite good-detector.onnx -o a --json a
fails 2 int4q rewrite good-detector.onnx -o a --json ./a
fails 2 int4q rewrite good-detector.onnx -o a --json good-detector.onnx
fails 2 int4q inspect good-detector.onnx --json ./good-detector.onnx
fails 2 int4q inspect - --reference - <good-detector.onnx
fails 2 int4q rewrite - --calibration - <good-detector.onnx
echo '{"/model.0/conv/Conv": 1}' >sens.json
fails 2 int4q rewrite good-detector.onnx --topk sens.json --json sens.json
fails 2 int4q rewrite good-detector.onnx --topk sens.json -f -o sens.json
ln sens.json other.json
fails 2 int4q rewrite good-detector.onnx --topk sens.json --json other.json
cat sens.json
int4q rewrite good-detector.onnx -q -o /dev/null --json /dev/null
fails 3 int4q inspect - </dev/null

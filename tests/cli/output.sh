#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# Where the result goes, and what is never touched.
model good-detector
echo precious >out.onnx
fails 1 int4q rewrite good-detector.onnx
cat out.onnx
int4q rewrite -q good-detector.onnx -f
int4q inspect -q out.onnx --require int4==3
fails 1 int4q rewrite good-detector.onnx -o missing/out.onnx
fails 1 int4q rewrite -q good-detector.onnx -f -o .
fails 1 int4q rewrite good-detector.onnx -f -o /dev/full
int4q rewrite -q good-detector.onnx -o /dev/null
# what stands for a descriptor is not replaced
fails 2 int4q rewrite -q good-detector.onnx -f -o /dev/stdout >redirected
fails 2 int4q inspect good-detector.onnx --json /proc/self/fd/1 >redirected
int4q inspect -q good-detector.onnx --json /dev/stdout | head -c 1
echo
rm redirected
# over the input itself
cp good-detector.onnx again.onnx
int4q rewrite -q again.onnx -o again.onnx -f
cmp again.onnx out.onnx
ls -A
# a symbolic link is itself the output: taken without -f, even when it leads to nothing, and replaced with it
ln -s good-detector.onnx link.onnx
ln -s nothing dangling.onnx
fails 1 int4q rewrite good-detector.onnx -o link.onnx
fails 1 int4q rewrite good-detector.onnx -o dangling.onnx
int4q rewrite -qf good-detector.onnx -o link.onnx
int4q rewrite -qf good-detector.onnx -o dangling.onnx
cmp link.onnx out.onnx && cmp dangling.onnx out.onnx && cmp good-detector.onnx "$TESTS/../data/good-detector.onnx"
fails 2 int4q rewrite missing.onnx -o ''
fails 2 int4q rewrite missing.onnx --json ''
fails 2 int4q inspect ''
# names as long as the system lets them be
long=$(printf 'n%.0s' {1..255})
int4q rewrite -q good-detector.onnx -o "$long" && cmp "$long" out.onnx

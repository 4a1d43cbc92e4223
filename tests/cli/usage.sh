#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# Wrong usage: one line that names the word, exit 2.
model good-detector
fails 2 int4q
fails 2 int4q rewrit good-detector.onnx
fails 2 int4q --verbose
fails 2 int4q rewrite good-detector.onnx --format int3
fails 2 int4q rewrite good-detector.onnx --format int44
fails 2 int4q rewrite
fails 2 int4q inspect good-detector.onnx other.onnx
fails 2 int4q rewrite good-detector.onnx other.onnx third.onnx
fails 2 int4q rewrite good-detector.onnx other.onnx -o third.onnx
fails 2 int4q good-detector.onnx
fails 2 int4q quantize good-detector.onnx
fails 2 int4q --verson
fails 2 int4q rewrite good-detector.onnx --blocks 32
fails 2 int4q rewrite good-detector.onnx --exclud x
fails 2 int4q rewrite good-detector.onnx -o
fails 2 int4q rewrite good-detector.onnx --min-weights many
fails 2 int4q rewrite good-detector.onnx --opset 26
fails 2 int4q rewrite good-detector.onnx --opset 20
fails 2 int4q rewrite good-detector.onnx --opset 0
fails 2 int4q inspect good-detector.onnx --require 'int5>3'
fails 2 int4q inspect good-detector.onnx -f
# the message lists the sets of this build
fails 2 env INT4Q_CPU=sse9 int4q inspect good-detector.onnx 2>/dev/null
fails 2 env INT4Q_CPU=sse9 int4q rewrite good-detector.onnx 2>/dev/null
fails 2 env INT4Q_CPU=sse9 int4q --version 2>/dev/null
INT4Q_CPU=scalar int4q --version | grep -c 'using scalar'
int4q rewrite -q -- good-detector.onnx && ls
# The output behind the model, as the tools around have it.
int4q rewrite -q good-detector.onnx named.onnx && int4q restore -q named.onnx float.onnx && ls
int4q help | head -n 1

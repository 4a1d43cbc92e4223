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

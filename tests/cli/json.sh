#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# The report as JSON, to the letter.
model good-detector
int4q rewrite good-detector.onnx --json report.json --exclude model.1.m.0.cv2 -q
cat report.json
int4q inspect out.onnx --json - --require 'int4>=2' --require valid

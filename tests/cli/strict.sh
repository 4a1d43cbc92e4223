#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# --strict: a Conv that had to be left is an error; one that was meant to be left is not.
model good-non-finite
model good-detector
fails 3 int4q rewrite -q --strict good-non-finite.onnx
fails 4 int4q rewrite -q --strict good-non-finite.onnx --exclude conv
int4q rewrite -q --strict good-detector.onnx
int4q rewrite -q --strict good-non-finite.onnx -f --json report.json
echo "status $?"
grep '"written"' report.json

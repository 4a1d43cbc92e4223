#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# Nothing to quantize is exit 4 with a report; a requirement that does not hold as well.
model good-no-conv
model good-non-finite
model good-identities
model good-detector
fails 4 int4q rewrite good-no-conv.onnx
fails 4 int4q rewrite good-non-finite.onnx
fails 4 int4q rewrite good-identities.onnx
fails 4 int4q rewrite -q good-detector.onnx --exclude '*'
int4q rewrite -q good-detector.onnx
fails 4 int4q rewrite -q out.onnx -o again.onnx
fails 4 int4q inspect -q out.onnx --require int4==4 --require 'float>=1' --require 'size<1K'

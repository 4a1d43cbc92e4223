#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# The main job: the report, the file, and what inspect says of it.
model good-detector
int4q rewrite good-detector.onnx
ls
int4q inspect out.onnx --require 'int4==3' --require float==1 --require valid

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# The main job: the report, the file, and what inspect says of it.
model good-detector
int4q rewrite good-detector.onnx --table
ls
int4q inspect out.onnx --require 'int4==3' --require float==1 --require valid
# By stages, of which there are four here; --table has all that a Conv has.
int4q rewrite good-detector.onnx -n --exclude 'model.1.*'
int4q inspect out.onnx --table
int4q inspect out.onnx --require int4=3 --require float=2

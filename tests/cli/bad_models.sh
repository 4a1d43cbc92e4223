#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# Models that are none, or not sound: one line that says what is wrong, exit 3, no output.
for name in bad-empty bad-garbage bad-truncated bad-nested bad-type-twice bad-long-length bad-long-tag bad-overflowing-dims \
    bad-short-payload bad-external-missing unsupported-operator; do
    model "$name"
    fails 3 int4q rewrite "$name.onnx"
done
for name in bad-empty bad-garbage bad-truncated bad-nested bad-external-missing; do
    fails 3 int4q inspect -q "$name.onnx"
done
int4q inspect bad-short-payload.onnx
echo "status $?"
int4q inspect bad-overflowing-dims.onnx
echo "status $?"
truncate -s 2G large.onnx # without taking any space
fails 3 int4q inspect large.onnx
rm large.onnx
fails 1 int4q rewrite missing.onnx
fails 1 int4q inspect missing.onnx
fails 1 int4q rewrite .

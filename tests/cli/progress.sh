#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# A bar belongs on a terminal, or where it is asked for; it goes when the work is done. -q shows none.
model good-detector
run() {
    echo "with $*"
    int4q rewrite good-detector.onnx -o out.onnx -f "$@" 2>&1 >/dev/null | tr '\r\033' '~^'
    echo
}
run --progress | sed -E 's/(~\[[# ]*\][ 0-9]*%)+/BARS/g'
run --no-progress
run
run -q --progress
fails 2 int4q rewrite good-detector.onnx -o out.onnx -f --progress --no-progress

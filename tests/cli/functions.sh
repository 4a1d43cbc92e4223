# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
set -u

model() {
    cp "$TESTS/../data/$1.onnx" "$1.onnx"
}

fails() {
    local expected=$1 status=0 before lines
    shift
    before=$(ls -A)
    "$@" 2>"$SCRATCH/stderr" || status=$?
    cat "$SCRATCH/stderr" >&2
    [ "$status" -eq "$expected" ] || echo "status $status, $expected expected: $*"
    lines=$(wc -l <"$SCRATCH/stderr")
    [ "$lines" -eq 1 ] || echo "$lines lines on standard error: $*"
    grep -q '^int4q: ' "$SCRATCH/stderr" || echo "the line does not begin with int4q: $*"
    [ "$before" = "$(ls -A)" ] || echo "files changed: $*"
}

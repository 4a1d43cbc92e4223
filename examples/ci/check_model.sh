#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_model.sh FLOAT_MODEL INT4_MODEL REQUIREMENTS [options of int4q rewrite]: a build step that makes INT4_MODEL
# from FLOAT_MODEL, and fails unless it is what REQUIREMENTS asks for: a file with one expression of `inspect
# --require` a line, and # comments. Leaves INT4_MODEL.json, with what was done to each Conv, for the build's artifacts.
# The exit status is that of int4q: 2 wrong options, 3 a bad model, 4 not what was asked for.
set -eu
[ $# -ge 3 ] || { sed -n '3,6s/^# //p' "$0" >&2; exit 2; }
float=$1 int4=$2 requirements=$3
shift 3

# --strict: a Conv that could not be quantized is an error, and not a line in a table that nobody reads.
int4q rewrite "$float" -o "$int4" -f -q --strict --json "$int4.json" "$@"

set --
while IFS= read -r line || [ -n "$line" ]; do
    expression=$(printf '%s\n' "${line%%#*}" | tr -d '[:blank:]')
    [ -z "$expression" ] || set -- "$@" --require "$expression"
done <"$requirements"
[ $# -gt 0 ] || { echo "$requirements: asks for nothing" >&2; exit 2; }
int4q inspect "$int4" "$@"

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# inspect --stats and --reference: what the codes look like, what they cost, and what else changed.
model good-detector
int4q rewrite -q good-detector.onnx
int4q inspect out.onnx --stats --reference good-detector.onnx
int4q inspect out.onnx --reference good-detector.onnx
int4q rewrite -q good-detector.onnx --method squant -o corrected.onnx
int4q inspect corrected.onnx --reference good-detector.onnx | grep '^differs'
int4q inspect corrected.onnx --reference good-detector.onnx --table | grep '^differs'
# Many differences of a kind are a line, but for --table and for JSON.
model good-identities
model good-inputs-listed
for option in '' --table '--json -'; do
    # shellcheck disable=SC2086
    int4q inspect good-identities.onnx --reference good-inputs-listed.onnx $option | grep -c '(Identity)'
done
int4q inspect good-identities.onnx --reference good-inputs-listed.onnx | sed -n '/^differs/,$p'
int4q inspect out.onnx --stats --reference good-detector.onnx --json - | python3 -c 'import json, sys
report = json.load(sys.stdin)
print([sum(c["histogram"] or []) for c in report["convs"]], [c["sqnr_db"] is not None for c in report["convs"]])
print(report["differences"])'
int4q inspect good-detector.onnx --reference good-detector.onnx --json - | python3 -c 'import json, sys
report = json.load(sys.stdin)
print(report["differences"], [(c["sqnr_db"], c["max_error"]) for c in report["convs"]])'
fails 1 int4q inspect out.onnx --reference missing.onnx
fails 2 int4q inspect - --reference - <out.onnx

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# --bits, --choices: what each Conv gets, and every budget and list that cannot be met.
model good-detector
told() {
    echo "$@"
    int4q rewrite -n --table good-detector.onnx "$@" | grep -v '^hint\|^           '
}
told --bits 40
told --bits 8 --choices 3,4,5,6,8,float --method squant
told --bits 9.5 --choices int4,int8
told --bits 9 --choices 4,4:16,8
told --target-size 1380 --choices 8,float
told --bits 10 --format packed-u8
told --bits 10.9 --choices 3,4,8 --min-weights 100 --keep-format int8
int4q rewrite -n good-detector.onnx --bits 10 --choices 3,4:4,8,float --json - |
    python3 -c '
import json, sys
report = json.load(sys.stdin)
print(report["budget"]["choices"], report["budget"]["bits"], report["budget"]["target_size"])
print([(c["storage"], c["block"], c["predicted_loss"] is None) for c in report["convs"]])
assert report["totals"]["bits_per_weight"] <= 10
assert abs(sum(c["predicted_loss"] or 0 for c in report["convs"]) - report["totals"]["predicted_loss"]) < 1e-9
assert report["budget"]["next"]["predicted_loss"] <= report["totals"]["predicted_loss"]'
fails 4 int4q rewrite -q good-detector.onnx --bits 3 --choices 3,4
fails 4 int4q rewrite -q good-detector.onnx --target-size 100 --choices 3,4
fails 4 int4q rewrite -q good-detector.onnx --target-size 1300 --choices 3,4,float
fails 4 int4q rewrite -q good-detector.onnx --bits 31 --choices float,4 --exclude '*'
touch out.onnx # of which a wrong number is not the fault
fails 2 int4q rewrite good-detector.onnx --bits many
fails 2 int4q rewrite good-detector.onnx --target-size many --rank weights
rm out.onnx
fails 4 int4q rewrite -q good-detector.onnx --target-size 300% --rank weights
fails 2 int4q rewrite good-detector.onnx --bits 0
fails 2 int4q rewrite good-detector.onnx --bits 4.5 --target-size 1M
fails 2 int4q rewrite good-detector.onnx --bits 4.5 --keep 1
fails 2 int4q rewrite good-detector.onnx --bits 4.5 --block 32
fails 2 int4q rewrite good-detector.onnx --choices 3,4
fails 2 int4q rewrite good-detector.onnx --bits 4.5 --choices 3,7
fails 2 int4q rewrite good-detector.onnx --bits 4.5 --choices ''
fails 2 int4q rewrite good-detector.onnx --bits 4.5 --choices 4,
fails 2 int4q rewrite good-detector.onnx --bits 4.5 --choices float
fails 2 int4q rewrite good-detector.onnx --bits 4.5 --choices 3:32
fails 2 int4q rewrite good-detector.onnx --bits 4.5 --choices float:32
fails 2 int4q rewrite good-detector.onnx --bits 4.5 --choices int4:x
fails 2 int4q rewrite good-detector.onnx --bits 4.5 --choices int4:0
fails 2 int4q rewrite good-detector.onnx --bits 4.5 --choices int4:32 --dq-domain com.microsoft
fails 2 int4q rewrite good-detector.onnx --bits 4.5 --choices int2 --dq-domain com.microsoft
fails 2 int4q rewrite good-detector.onnx --bits 4.5 --choices "4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4"
fails 2 int4q rewrite good-detector.onnx --bits 4.5 --choices 4,qonnx
fails 2 int4q rewrite good-detector.onnx --bits 4.5 --format qonnx

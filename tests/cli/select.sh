#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# --include and --exclude: by node, weight and module name, exactly or as a glob.
model good-detector
chosen() {
    int4q rewrite -n good-detector.onnx --json - "$@" |
        python3 -c 'import json,sys; print(*(c["reason"] or "int4" for c in json.load(sys.stdin)["convs"]))'
}
chosen
chosen --include /model.0/conv/Conv
chosen --include model.1.m.0.cv2.weight --include 'model.0.*'
chosen --exclude model.1.m.0.cv1
chosen --include '/model.1/*' --exclude '*cv2*'
chosen --include model.2.dfl.conv
chosen --include '*dfl*' --include '*cv1*'
chosen --min-weights 50
chosen --min-weights 50 --include model.1.m.0.cv1 --include 'model.1.*'
printf '# heads\r\n\r\nmodel.1.m.0.cv2\r\n' >list
chosen --include-from list
chosen --exclude-from list --exclude nothing --allow-unmatched
: >none
fails 4 int4q rewrite good-detector.onnx -q --include-from none
fails 2 int4q rewrite good-detector.onnx --exclude model.0.convv
fails 2 int4q rewrite good-detector.onnx --include 'model.7.*' --include '*'
fails 1 int4q rewrite good-detector.onnx --include-from missing

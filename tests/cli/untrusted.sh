#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
. "$TESTS/functions.sh"
# JSON, pattern files and statistics that are made to harm: one line, and little time and memory.
model good-detector
repeat() { # repeat TEXT TIMES
    yes "$1" | head -n "$2" | tr -d '\n'
}
topk() {
    fails 3 int4q rewrite good-detector.onnx --topk file
}
topk_text() {
    printf '%s' "$1" >file
    topk
}
repeat '[' 100000 >file && topk
repeat '{"a":' 100000 >file && topk
truncate -s $((16 * 1024 * 1024 + 1)) file && topk
topk_text '{"model.0.conv": NaN}'
topk_text '{"model.0.conv": 1e999}'
topk_text '{"model.0.conv": 99999999999999999999}'
topk_text '{"model.0.conv": 1, "model.0.conv": 2}'
topk_text $'{"model.0.conv\xff": 1}'
topk_text '{"\u001b[31m\u202e": 1}'
topk_text '{"model.0.conv\u0000": 1}'
# names of any length
topk_text "{\"$(repeat m 5000)\": 1}"
printf '{"model.0.conv": 1, "%s": 2}' "$(repeat m 5000)" >file
int4q rewrite -n good-detector.onnx --topk file | grep -o 'no Conv: m*' | wc -c
patterns() {
    fails "$1" int4q rewrite good-detector.onnx --exclude-from file
}
printf 'model.0.conv\0*' >file && patterns 2
truncate -s $((1024 * 1024 + 1)) file && patterns 3
repeat '*m' 50000 >file && patterns 2
printf 'model.0.conv' >file && int4q rewrite -n good-detector.onnx --exclude-from file | grep '^convs'
# a byte order mark is no text, and nobody sees it elsewhere
printf '\xef\xbb\xbfmodel.0.conv\n' >file && int4q rewrite -n good-detector.onnx --exclude-from file | grep '^convs'
printf '\xef\xbb\xbf{"model.0.conv": 1}' >file && int4q rewrite -n good-detector.onnx --topk file | grep '^topk'
printf 'model.0.\xef\xbb\xbfconv\n' >file && patterns 2
topk_text $'\xef\xbb\xbf\xef\xbb\xbf{}'
statistics() { # statistics LENGTH HEADER; the length as printf's escapes
    printf '%b%s' "$1" "$2" >file
    fails 3 int4q rewrite good-detector.onnx --method calibrated --calibration file
}
zeros='\0\0\0\0\0\0\0'
statistics '\01' ''
statistics '\0377\0377\0377\0377\0377\0377\0377\0177' '{}'
statistics "$zeros\\0200" '{}'
statistics "\\02$zeros" '[]'
statistics "\\02$zeros" '{}'
entry() { # entry DTYPE SHAPE OFFSETS
    local header='{"__metadata__":{"images":"1"},"model.0.conv.weight|mu":{"dtype":"'$1'","shape":'$2',"data_offsets":'$3'}}'
    statistics "\\0$(printf %o ${#header})$zeros" "$header"
}
entry F32 '[27]' '[0,108]'
entry F32 '[27]' '[-108,0]'
entry F32 '[27]' '[9223372036854775807,9223372036854775807]'
entry F32 '[4611686018427387904,27]' '[0,0]'
entry F64 '[27]' '[0,216]'
entry F32 '[[27]]' '{}'

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
fails 1 int4q inspect . # its sandbox has no directory at all
fails 1 int4q inspect bad-short-payload.onnx --reference .

# What is often taken for a model: named for what it is.
foreign() { # foreign NAME FORMAT: a file of these bytes, as printf writes them
    # shellcheck disable=SC2059
    printf "$2" >"$1"
    fails 3 int4q inspect "$1"
}
foreign lfs.onnx 'version https://git-lfs.github.com/spec/v1\noid sha256:00\n'
foreign zip.onnx 'PK\003\004\024'
foreign legacy.pt '\200\002\212\012l\374\234\106\371 j\250P\031.'
foreign keras.h5 '\211HDF\r\n\032\n'
foreign photo.png '\211PNG\r\n\032\n'
foreign photo.jpg '\377\330\377\340'
foreign photo.webp 'RIFF1234WEBPVP8 '
foreign model.gguf 'GGUF\003'
foreign model.engine 'ftrt\000'
foreign model.tflite '\034\000\000\000TFL3'
foreign model.ort '\034\000\000\000ORTM'
foreign model.onnx.gz '\037\213\010'
foreign model.onnx.xz '\3757zXZ'
foreign model.onnx.zst '\050\265\057\375'
foreign openvino.xml '<?xml version="1.0"?>'
foreign page.onnx '<!DOCTYPE html>'
foreign sens.json '{"a": 1}'
foreign list.json '[1]'
foreign text.onnx 'ir_version: 8\n'
foreign model.safetensors '\002\000\000\000\000\000\000\000{}'
foreign model.onnx.data '\377\377'
printf '%0257d' 0 >models.tar && printf ustar >>models.tar
fails 3 int4q inspect models.tar
# The same bytes in a model are no mark.
printf '\010\010\022\007TFL3abc\072\000' >named.onnx
int4q inspect -q named.onnx

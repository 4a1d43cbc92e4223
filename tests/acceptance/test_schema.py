# SPDX-License-Identifier: Apache-2.0
"""proto/onnx.proto against the schema in the onnx package: message by message, field by field."""
import os
import subprocess

from google.protobuf import descriptor_pb2
from helpers import ROOT
from onnx import onnx_ml_pb2


def compiled(folder):
    target = os.path.join(folder, "schema.bin")
    subprocess.run(["protoc", f"--proto_path={ROOT}/proto", f"--descriptor_set_out={target}", "onnx.proto"], check=True)
    with open(target, "rb") as file:
        return descriptor_pb2.FileDescriptorSet.FromString(file.read()).file[0]


def enums(owner, prefix):
    return {(prefix + e.name, v.name): v.number for e in owner.enum_type for v in e.value}


def flat(file):
    """{(message, field number): (name, type, label, oneof, packed)} and {(enum, value): number}"""
    fields, values = {}, enums(file, "")

    def walk(message, prefix):
        name = prefix + message.name
        values.update(enums(message, name + "."))
        for field in message.field:
            oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else None
            fields[name, field.number] = (field.name, field.type, field.type_name, field.label, oneof, field.options.packed)
        for inner in message.nested_type:
            walk(inner, name + ".")
    for message in file.message_type:
        walk(message, "")
    return fields, values


def test_schema(tmp_path):
    theirs = descriptor_pb2.FileDescriptorProto()
    onnx_ml_pb2.DESCRIPTOR.CopyToProto(theirs)
    ours = compiled(tmp_path)
    assert ours.package == "onnx" and ours.syntax in ("", "proto2")
    for mine, wanted in zip(flat(ours), flat(theirs)):
        assert len(wanted) > 20
        assert {k: (mine.get(k), wanted.get(k)) for k in mine.keys() | wanted.keys() if mine.get(k) != wanted.get(k)} == {}

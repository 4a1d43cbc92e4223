#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the models of this directory again: make.py [DIRECTORY].  README.md tells what each is for."""
import os
import sys
from itertools import pairwise

import numpy as np
from onnx import TensorProto, helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))


def weight(name, *shape, seed=0):
    random = np.random.default_rng([seed, *name.encode()])
    return numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), name)


def value(name, *shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def model(nodes, initializers, opset=17, ir=8, inputs=None, outputs=None, **rest):
    graph = helper.make_graph(nodes, "g", inputs or [value("x", 1, 3, 8, 8)], outputs or [value("y", None, None, None, None)],
                              initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir,
                             producer_name="int4q-tests", **rest)


def detector():
    """Names as torch exports give them, a DFL projection, an operator that opset 21 wants otherwise."""
    nodes = [
        helper.make_node("Conv", ["x", "model.0.conv.weight", "model.0.conv.bias"], ["a"], name="/model.0/conv/Conv", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"], name="/model.0/act/Relu"),
        helper.make_node("Conv", ["b", "model.1.m.0.cv1.weight"], ["c"], name="/model.1/m/m.0/cv1/Conv", group=4),
        helper.make_node("Conv", ["c", "model.1.m.0.cv2.weight"], ["d"], name="/model.1/m/m.0/cv2/Conv"),
        helper.make_node("Conv", ["d", "model.2.dfl.conv.weight"], ["e"], name="/model.2/dfl/conv/Conv"),
        helper.make_node("ReduceMax", ["e"], ["y"], name="/model.2/ReduceMax", axes=[1], keepdims=1)]
    dfl = numpy_helper.from_array(np.arange(8, dtype=np.float32).reshape(1, 8, 1, 1), "model.2.dfl.conv.weight")
    return model(nodes, [weight("model.0.conv.weight", 4, 3, 3, 3), weight("model.0.conv.bias", 4),
                         weight("model.1.m.0.cv1.weight", 4, 1, 3, 3), weight("model.1.m.0.cv2.weight", 8, 4, 1, 1), dfl])


def conv(initializer, **rest):
    return model([helper.make_node("Conv", ["x", "w"], ["y"], name="conv")], [initializer], **rest)


def no_conv():
    return model([helper.make_node("Relu", ["x"], ["y"], name="relu")], [])


def non_finite():
    tensor = numpy_helper.from_array(np.array([1, np.nan] * 27, np.float32).reshape(2, 3, 3, 3), "w")
    return conv(tensor)


def identities(length=60):
    """Each node reads its input twice: 2^60 ways from the weight to its end."""
    names = ["w", *(f"i{i}" for i in range(length))]
    chain = [helper.make_node("Identity", [a, a], [b]) for a, b in pairwise(names)]
    return model([*chain, helper.make_node("Conv", ["x", "w"], ["y"], name="conv")], [weight("w", 2, 3, 3, 3)])


def inputs_listed():
    """As older exporters do: every initializer is a graph input as well."""
    made = conv(weight("w", 2, 3, 3, 3), ir=3, opset=11)
    made.graph.input.append(value("w", 2, 3, 3, 3))
    return made


def unknown_operator():
    return model([helper.make_node("Conv", ["x", "w"], ["a"], name="conv"),
                  helper.make_node("NoSuchOp", ["a"], ["y"], name="strange")], [weight("w", 2, 3, 3, 3)])


def short_payload():
    made = conv(weight("w", 2, 3, 3, 3))
    made.graph.initializer[0].raw_data = made.graph.initializer[0].raw_data[:-4]
    return made


def overflowing_dims():
    made = conv(weight("w", 2, 3, 3, 3))
    made.graph.initializer[0].dims[:] = [2 ** 62, 2 ** 62, 3, 3]
    return made


def external():
    made = conv(weight("w", 2, 3, 3, 3))
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    return made


def field(number, body):
    """One field of a protobuf message, with a length."""
    size, length = len(body), bytearray()
    while True:
        length.append(size & 127 | (128 if size > 127 else 0))
        size >>= 7
        if not size:
            return bytes([number << 3 | 2]) + bytes(length) + body


def nested(levels=5000):
    """Types in types, deeper than any stack likes: graph.input.type.sequence_type.elem_type ..."""
    body = b""
    for _ in range(levels):
        body = field(4, field(1, body))
    return b"\x08\x08" + field(7, field(11, field(2, body)))


def type_twice():
    """graph.output { type {} type {} }"""
    return b"\x08\x08" + field(7, field(12, field(2, b"") * 2))


def long_length():
    """A length in six bytes where one would do: no reader takes more than five."""
    return b"\x08\x08" + b"\x12\x81\x80\x80\x80\x80\x00" + b"p" + field(7, b"")


def long_tag():
    return b"\x08\x08" + b"\x92\x80\x80\x80\x80\x00\x01" + b"p" + field(7, b"")


MODELS = {
    "good-detector": detector, "good-inputs-listed": inputs_listed, "good-no-conv": no_conv,
    "good-non-finite": non_finite, "good-identities": identities, "unsupported-operator": unknown_operator,
    "bad-external-missing": external, "bad-short-payload": short_payload, "bad-overflowing-dims": overflowing_dims,
    "bad-long-length": long_length, "bad-long-tag": long_tag,
    "bad-nested": nested, "bad-type-twice": type_twice, "bad-garbage": lambda: b"this is no model at all\n",
    "bad-empty": lambda: b"", "bad-truncated": lambda: detector().SerializeToString()[:-100],
}


def main():
    target = sys.argv[1] if len(sys.argv) > 1 else HERE
    for name, make in MODELS.items():
        made = make()
        with open(os.path.join(target, name + ".onnx"), "wb") as file:
            file.write(made if isinstance(made, bytes) else made.SerializeToString())


if __name__ == "__main__":
    main()

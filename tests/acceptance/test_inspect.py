# SPDX-License-Identifier: Apache-2.0
"""What inspect tells of models that others made: kinds of weights, differences from a reference, what is not sound."""
import json

import numpy as np
import onnx
import pytest
from helpers import make_model, run_int4q, tensor
from onnx import TensorProto, helper, numpy_helper


def conv(weight="w", output="y", source="x", name="conv", **attributes):
    return helper.make_node("Conv", [source, weight], [output], name=name, **attributes)


def inspect(folder, model, *args, status=0):
    """The JSON of a model that is saved to in.onnx."""
    if model:
        onnx.save(model, folder / "in.onnx")
    run_int4q("inspect", folder / "in.onnx", "--json", folder / "report.json", *args, status=status)
    return json.loads((folder / "report.json").read_text())


# ---- differences from a reference


def plain():
    """Tensors wherever a model may have them: initializers, a Constant, the body of an If."""
    def body(name):
        return helper.make_graph([helper.make_node("Add", ["a", name], [f"sum_{name}"])], name,
                                 [], [helper.make_tensor_value_info(f"sum_{name}", TensorProto.FLOAT, None)], [tensor(name, 300)])
    nodes = [conv(output="c"), helper.make_node("Constant", [], ["k"], value=tensor("", 300)),
             helper.make_node("Reshape", ["c", "shape"], ["a"]), helper.make_node("Add", ["a", "k"], ["d"]),
             helper.make_node("If", ["yes"], ["y"], then_branch=body("t"), else_branch=body("e"))]
    return make_model(nodes, [tensor("w", 4, 3, 1, 1), numpy_helper.from_array(np.int64([-1, 1]), "shape"),
                              numpy_helper.from_array(np.array(True), "yes"), tensor("b", 300)])


def in_typed_fields(model):
    """The same numbers in float_data and its like instead of raw_data."""
    for stored in model.graph.initializer:
        array = numpy_helper.to_array(stored)
        stored.CopyFrom(helper.make_tensor(stored.name, stored.data_type, array.shape, array.reshape(-1).tolist()))
    return model


@pytest.mark.parametrize("location", ["other.bin", "a-longer-name-that-moves-what-follows.bin"])
def test_equal_is_equal_wherever_it_is_stored(tmp_path, location):
    onnx.save(plain(), tmp_path / "inline.onnx")
    onnx.save(in_typed_fields(plain()), tmp_path / "typed.onnx")
    for name in ("in.onnx", location.replace(".bin", ".onnx")):
        onnx.save(plain(), tmp_path / name, save_as_external_data=True, location=name.replace(".onnx", ".bin"), size_threshold=0,
                  convert_attribute=True)
    for ours in ("in.onnx", "inline.onnx", "typed.onnx"):
        for theirs in (location.replace(".bin", ".onnx"), "inline.onnx", "typed.onnx"):
            run_int4q("inspect", tmp_path / ours, "--reference", tmp_path / theirs, "--json", tmp_path / "report.json")
            assert json.loads((tmp_path / "report.json").read_text())["differences"] == [], (ours, theirs)


@pytest.mark.parametrize("change, told", {
    "a bit of an initializer": (lambda m: flip(m.graph.initializer[3]), "initializer 'b' changed"),
    "a bit of a Constant": (lambda m: flip(m.graph.node[1].attribute[0].t), "node 'k' (Constant) changed"),
    "a bit in a body": (lambda m: flip(m.graph.node[4].attribute[0].g.initializer[0]), "node 'y' (If) changed"),
    "a type": (lambda m: setattr(m.graph.initializer[3], "data_type", TensorProto.INT32), "initializer 'b' changed"),
    "a shape": (lambda m: m.graph.initializer[3].dims.insert(0, 1), "initializer 'b' changed"),
    "a doc string": (lambda m: setattr(m.graph.initializer[3], "doc_string", "new"), "initializer 'b' changed"),
}.values())
def test_what_differs_is_told(tmp_path, change, told):
    changed = plain()
    change(changed)
    onnx.save(plain(), tmp_path / "other.onnx", save_as_external_data=True, location="other.bin", size_threshold=0)
    assert inspect(tmp_path, changed, "--reference", tmp_path / "other.onnx")["differences"] == [told]


def flip(stored):
    stored.raw_data = bytes([stored.raw_data[0] ^ 1]) + stored.raw_data[1:]

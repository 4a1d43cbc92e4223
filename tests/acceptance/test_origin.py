# SPDX-License-Identifier: Apache-2.0
"""Statistics belong to the weights that they were measured on: those of another model are refused, with both names."""
import json

import numpy as np
import onnx
import pytest
from helpers import make_model, run_int4q, tensor
from onnx import TensorProto, helper, numpy_helper
from safetensors import safe_open

from int4q.lab.commands import calibrate


def model(kind=np.float32, names=("stem.conv.weight", "head.conv.weight")):
    nodes = [helper.make_node("Relu", ["x"], ["h"]),
             helper.make_node("Conv", ["h", names[0]], ["g"], name="stem", pads=[1] * 4),
             helper.make_node("Conv", ["g", names[1]], ["y"], name="head")]
    shapes = ((8, 3, 3, 3), (4, 8, 1, 1))
    weights = [numpy_helper.from_array(numpy_helper.to_array(tensor("w", *s)).astype(kind), n)
               for n, s in zip(names, shapes, strict=True)]
    element = TensorProto.FLOAT16 if kind == np.float16 else TensorProto.FLOAT
    return make_model(nodes, weights, inputs=[helper.make_tensor_value_info("x", element, [1, 3, 6, 6])],
                      outputs=[helper.make_tensor_value_info("y", element, None)])


@pytest.fixture(params=[np.float32, np.float16], ids=["float", "float16"])
def measured(tmp_path, request):
    """The model, and the folder where its statistics are."""
    found = model(request.param)
    onnx.save(found, tmp_path / "first.onnx")
    np.save(tmp_path / "x.npy", np.random.default_rng(2).standard_normal((1, 3, 6, 6)).astype(request.param))
    calibrate.main([str(tmp_path / "first.onnx"), "--inputs", str(tmp_path / "x.npy"), "-o", str(tmp_path / "stats")])
    return found, tmp_path


def rewrite(folder, changed, *options, status=0):
    onnx.save(changed, folder / "second.onnx")
    return run_int4q("rewrite", folder / "second.onnx", "-n", "--method", "calibrated", "--calibration", folder / "stats",
                     *options, status=status)


def change(weights, by):
    for weight in weights:
        array = numpy_helper.to_array(weight)
        weight.CopyFrom(numpy_helper.from_array(array + array.dtype.type(by), weight.name))


def test_digests_are_of_the_numbers(measured):
    _, folder = measured
    with safe_open(folder / "stats", "numpy") as file:
        metadata = file.metadata()
    assert metadata["model"] == "first.onnx" and set(json.loads(metadata["weights_crc32"])) == {"stem.conv.weight", "head.conv.weight"}


def test_what_leaves_weights_alone_is_taken(measured):
    """Nodes renamed, weights stored in another way, other weights added: all of these a tool may do."""
    found, folder = measured
    for node in found.graph.node:
        node.name += "_renamed"
    found.metadata_props.add(key="author", value="somebody")
    rewrite(folder, found)
    if found.graph.initializer[0].data_type == TensorProto.FLOAT:
        first = found.graph.initializer[0]
        values = numpy_helper.to_array(first).ravel()
        first.CopyFrom(helper.make_tensor(first.name, TensorProto.FLOAT, first.dims, values))
        rewrite(folder, found)
    onnx.save(found, folder / "second.onnx", save_as_external_data=True, location="second.data", size_threshold=0)
    run_int4q("rewrite", folder / "second.onnx", "-n", "--method", "calibrated", "--calibration", folder / "stats")


@pytest.mark.parametrize("method", ["calibrated", "absmax"])
def test_fine_tuned_models_are_refused(measured, method):
    found, folder = measured
    change(found.graph.initializer, 0.125)
    done = rewrite(folder, found, "--method", method, status=3)
    assert done.stderr.startswith(f"int4q: {folder}/stats: measured on first.onnx, of whose weights 2 of 2 have other values in "
                                  f"{folder}/second.onnx, 'stem.conv.weight' the first; --allow-other-model")
    rewrite(folder, found, "--method", method, "--allow-other-model")


def test_one_other_weight_is_enough(measured):
    found, folder = measured
    change(found.graph.initializer[1:], 0.125)
    assert "1 of 2 have other values" in rewrite(folder, found, status=3).stderr


def test_none_in_common(measured):
    _, folder = measured
    other = model(names=("a.weight", "b.weight"))
    assert "measured on first.onnx, and none of its 2 weights is in" in rewrite(folder, other, status=3).stderr
    rewrite(folder, other, "--allow-other-model", "--method", "squant")


def test_nothing_to_allow(tmp_path):
    onnx.save(model(), tmp_path / "in.onnx")
    done = run_int4q("rewrite", tmp_path / "in.onnx", "-n", "--method", "squant", "--allow-other-model")
    assert "--allow-other-model: there is no --calibration" in done.stdout


@pytest.mark.parametrize("options", [(), ("--exclude", "stem")])
def test_statistics_of_a_quantized_model(tmp_path, capsys, options):
    """They tell no sums of weights that the model does not store: the float model does not take them for its own."""
    float_model, stats = tmp_path / "float.onnx", tmp_path / "stats"
    onnx.save(model(), float_model)
    run_int4q("rewrite", float_model, "--method", "squant", "-o", tmp_path / "int4.onnx", *options)
    np.save(tmp_path / "x.npy", np.ones((1, 3, 6, 6), np.float32))
    calibrate.main([str(tmp_path / "int4.onnx"), "--inputs", str(tmp_path / "x.npy"), "-o", str(stats)])
    count = 2 - len(options) // 2
    assert f"int4.onnx: {count} of its 2 Conv weights are not stored as floats" in capsys.readouterr().err
    arguments = ["rewrite", float_model, "-n", "--method", "squant", "--calibration", stats]
    assert f"measured on int4.onnx, which does not store {count} weights of Convs as floats" in run_int4q(*arguments, status=3).stderr
    run_int4q(*arguments, "--allow-other-model")
    if options:
        run_int4q("rewrite", tmp_path / "int4.onnx", "-n", "--calibration", stats)


def test_weights_in_constants_are_known(tmp_path):
    found = model()
    for weight in list(found.graph.initializer):
        found.graph.node.insert(0, helper.make_node("Constant", [], [weight.name], value=weight))
    del found.graph.initializer[:]
    onnx.save(found, tmp_path / "first.onnx")
    np.save(tmp_path / "x.npy", np.ones((1, 3, 6, 6), np.float32))
    calibrate.main([str(tmp_path / "first.onnx"), "--inputs", str(tmp_path / "x.npy"), "-o", str(tmp_path / "stats")])
    rewrite(tmp_path, found)
    change([node.attribute[0].t for node in found.graph.node[:1]], 0.125)
    assert "1 of 2 have other values" in rewrite(tmp_path, found, status=3).stderr

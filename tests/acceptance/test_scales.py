# SPDX-License-Identifier: Apache-2.0
"""Scales that are searched for, against a plain numpy version of the search."""
import numpy as np
import onnx
import pytest
from helpers import assert_equal_outputs, int4_codes, make_model, rewrite, run_int4q, tensor, value
from onnx import helper, numpy_helper

POWERS = {"mse": 2, "l2.4": 2.4}


def grid_of(row, percent, half, asymmetric):
    """Scale and zero point, for codes -8 to 7, of weights whose extent is shrunk."""
    factor = np.float32(percent) / np.float32(100)
    low, high = np.minimum(row.min(), np.float32(0)) * factor, np.maximum(row.max(), np.float32(0)) * factor
    scale = (high - low) / np.float32(15) if asymmetric else np.maximum(high / np.float32(7), -low / np.float32(8))
    if half and np.float16(scale) == 0 and (low or high):
        scale = 2.0 ** -24
    scale = np.float32(np.float16(scale)) if half else np.float32(scale)
    scale = scale if scale > 0 else np.float32(1)
    return scale, int(np.rint(-low / scale)) - 8 if asymmetric else 0


def codes_of(row, scale, zero):
    return np.clip(np.rint(row / scale).astype(int) + zero, -8, 7)


def loss_of(row, scale, zero, half, power):
    decoded = (codes_of(row, scale, zero) - zero).astype(np.float32) * scale
    decoded = decoded.astype(np.float16).astype(np.float32) if half else decoded
    return (np.abs(row.astype(np.float64) - decoded) ** power).sum()


def search(row, half, asymmetric, power):
    losses = {}

    def best_of(percents):
        for percent in percents:
            if 0 < percent <= 100:
                losses[percent] = loss_of(row, *grid_of(row, percent, half, asymmetric), half, power)
        return min(losses, key=lambda percent: (losses[percent], -percent))

    best = best_of(range(100, 19, -4))
    best = best_of((best + 2, best - 2))
    return grid_of(row, best_of((best + 1, best - 1)), half, asymmetric)


def lopsided(name, *shape, kind=np.float32):
    """Normal weights, of which some rows are nothing, tiny, of one sign, or have one that sticks out."""
    array = numpy_helper.to_array(tensor(name, *shape)).reshape(shape[0], -1).copy()
    array[0], array[1], array[2] = 0, array[1] * (1e-42 if kind is np.float32 else 1e-7), np.abs(array[2])
    array[3, 0], array[4, 1] = 9, -9
    return numpy_helper.from_array(array.reshape(shape).astype(kind), name)


@pytest.mark.parametrize("scale", POWERS)
@pytest.mark.parametrize("asymmetric", [[], ["--asymmetric"]])
@pytest.mark.parametrize("block", [0, 10])
@pytest.mark.parametrize("kind", [np.float32, np.float16])
@pytest.mark.parametrize("form", ["int4", "uint4"])
def test_scale_has_the_least_error(tmp_path, scale, asymmetric, block, kind, form):
    half, element = kind is np.float16, helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    model = make_model([helper.make_node("Conv", ["x", "w"], ["y"], name="a")], [lopsided("w", 9, 40, 3, 3, kind=kind)],
                       [value("x", 1, 40, 6, 6, kind=element)], [value("y", 1, 9, 4, 4, kind=element)], opset=21)
    rewritten, report = rewrite(model, tmp_path, "--scale", scale, *asymmetric, "--format", form, *(["--block", block] if block else []))
    stored, shift = {t.name: t for t in rewritten.graph.initializer}, 8 if form == "uint4" else 0
    scales = numpy_helper.to_array(stored["w_scale"]).astype(np.float32).reshape(9, -1)
    zeros = int4_codes(stored["w_zero_point"]).reshape(9, -1) - shift
    codes = int4_codes(stored["w_quantized"]).reshape(9, -1) - shift
    weight, clipped = numpy_helper.to_array(model.graph.initializer[0]).astype(np.float32).reshape(9, -1), 0
    for o, row in enumerate(weight):
        for b, first in enumerate(range(0, len(row), block or len(row))):
            run = slice(first, first + (block or len(row)))
            wanted = search(row[run], half, bool(asymmetric), POWERS[scale])
            assert (scales[o, b], zeros[o, b]) == wanted
            np.testing.assert_array_equal(codes[o, run], codes_of(row[run], *wanted))
            steps = row[run] / wanted[0] + wanted[1]
            clipped += ((steps > 7.5) | (steps < -8.5)).sum()
    assert report["convs"][0]["clipped"] == clipped > 0
    if not block:
        assert_equal_outputs(model, rewritten)


@pytest.mark.parametrize("scale", POWERS)
@pytest.mark.parametrize("asymmetric", [[], ["--asymmetric"]])
def test_channels_that_are_scattered(tmp_path, scale, asymmetric):
    nodes = [helper.make_node("ConvTranspose", ["x", "t"], ["a"], name="t", group=2), helper.make_node("Flatten", ["a"], ["f"]),
             helper.make_node("Gemm", ["f", "g"], ["h"], name="g", transB=1), helper.make_node("MatMul", ["h", "m"], ["y"], name="m")]
    model = make_model(nodes, [tensor("t", 6, 3, 2, 2), tensor("g", 80, 54), tensor("m", 80, 5)], [value("x", 1, 6, 2, 2)],
                       [value("y", 1, 5)], opset=21)
    rewritten, report = rewrite(model, tmp_path, "--scale", scale, *asymmetric, "--op-types", "ConvTranspose,Gemm,MatMul")
    onnx.checker.check_model(rewritten, full_check=True)
    stored, source = ({t.name: t for t in m.graph.initializer} for m in (rewritten, model))
    for node in report["convs"]:
        name, axis, clipped = node["weight"], 0 if node["weight"] == "g" else 1, 0
        weight, codes = (np.moveaxis(a, axis, 0) for a in (numpy_helper.to_array(source[name]), int4_codes(stored[f"{name}_quantized"])))
        for channel, row in enumerate(weight.reshape(len(weight), -1)):
            wanted = search(row, False, bool(asymmetric), POWERS[scale])
            assert numpy_helper.to_array(stored[f"{name}_scale"])[channel] == wanted[0]
            assert int4_codes(stored[f"{name}_zero_point"])[channel] == wanted[1]
            np.testing.assert_array_equal(codes[channel].reshape(-1), codes_of(row, *wanted))
            steps = row / wanted[0] + wanted[1]
            clipped += ((steps > 7.5) | (steps < -8.5)).sum()
        assert node["clipped"] == clipped


@pytest.mark.parametrize("arguments, zero_point", [
    (["--method", "squant"], "asymmetric"), (["--method", "squant", "--scale", "mse"], "zero"), (["--scale", "mse"], "zero"),
    (["--method", "squant", "--scale", "l2.4", "--asymmetric"], "asymmetric"), (["--scale", "l2.4", "--asymmetric"], "asymmetric"),
    (["--scale", "range"], "asymmetric"), (["--scale", "range", "--asymmetric"], "asymmetric"), (["--asymmetric"], "asymmetric"),
    (["--scale", "mse", "--asymmetric", "--format", "packed-u8"], "asymmetric"), (["--method", "squant", "--scale", "signed"], "zero")])
def test_who_has_a_zero_point(tmp_path, arguments, zero_point):
    model = make_model([helper.make_node("Conv", ["x", "w"], ["y"], name="a")], [lopsided("w", 9, 3, 3, 3)], opset=21)
    rewrite(model, tmp_path, *arguments)
    run_int4q("inspect", tmp_path / "out.onnx", "--json", tmp_path / "inspected.json")
    assert f'"zero_point": "{zero_point}"' in (tmp_path / "inspected.json").read_text()


@pytest.mark.parametrize("arguments, word", [
    (["--scale", "absmax", "--asymmetric"], "--scale absmax has no zero point: --asymmetric goes with range, mse and l2.4"),
    (["--scale", "signed", "--asymmetric"], "--scale signed has no zero point"),
    (["--scale", "mse", "--format", "int8"], "--format int8 is for --method absmax only"),
    (["--format", "int8", "--calibration", "s"], "--calibration makes no difference to codes of --format int8"), (["--scale", "l2"], "l2.4")])
def test_usage(tmp_path, arguments, word):
    onnx.save(make_model([helper.make_node("Conv", ["x", "w"], ["y"], name="a")], [tensor("w", 4, 3, 3, 3)]), tmp_path / "in.onnx")
    assert word in run_int4q("rewrite", tmp_path / "in.onnx", *arguments, status=2).stderr


@pytest.mark.parametrize("scale", POWERS)
def test_weights_that_are_not_finite_stay(tmp_path, scale):
    weight = np.ones((4, 3, 3, 3), np.float32)
    weight[3, 2, 1, 0] = np.nan
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], name="a"), helper.make_node("Conv", ["x", "v"], ["z"], name="b")]
    model = make_model(nodes, [numpy_helper.from_array(weight, "w"), tensor("v", 4, 3, 3, 3)], opset=21)
    _, report = rewrite(model, tmp_path, "--scale", scale)
    assert [row["reason"] for row in report["convs"]] == ["non-finite", None]

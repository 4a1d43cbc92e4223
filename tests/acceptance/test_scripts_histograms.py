# SPDX-License-Identifier: Apache-2.0
"""scripts/calibrate.py: the histograms of what Convs read, against a plain loop over the values."""
import math

import numpy as np
import onnx
import pytest
from helpers import INT4Q, make_model, run, tensor, value
from onnx import TensorProto, helper
from safetensors import safe_open

from int4q.lab.calibration import taps
from int4q.lab.commands import calibrate
from int4q.lab.models import session


def conv(weight, source, output, **attributes):
    return helper.make_node("Conv", [source, weight], [output], **attributes)


def several(shape=(1, 4, 7, 9)):
    """Two Convs that read h, one that reads u, and one that reads the input itself."""
    nodes = [helper.make_node("Relu", ["x"], ["h"]), helper.make_node("MaxPool", ["h"], ["u"], kernel_shape=[2, 2]),
             conv("a", "h", "w", pads=[1] * 4), conv("b", "h", "v"), conv("a", "u", "y"), conv("b", "x", "z")]
    return make_model(nodes, [tensor("a", 4, 4, 3, 3), tensor("b", 2, 4, 1, 1)], inputs=[value("x", *shape)])


def measured(folder, model, arrays, *options):
    """{key: array} of the file that calibrate.py writes for these arrays."""
    onnx.save(model, folder / "model.onnx")
    for i, array in enumerate(arrays):
        np.save(folder / f"{i}.npy", array)
    calibrate.main([str(folder / "model.onnx"), "--inputs", str(folder), "-o", str(folder / "stats"), *options])
    with safe_open(folder / "stats", "numpy") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no dictionary)


def inputs(*shape, count=3):
    return list(np.random.default_rng(1).standard_normal((count, *shape)).astype(np.float32))


def check(found, name, arrays):
    """What the file has for a value with these contents [N, C, sides ...], one element after the other."""
    lows, highs, counts = (found[f"{name}|{key}"] for key in ("lo", "hi", "hist"))
    assert lows.dtype == highs.dtype == np.float32 and counts.dtype == np.uint32
    assert len(counts) == len(lows) == len(highs) == arrays[0].shape[1]
    bins = counts.shape[1]
    for channel, (low, high, row) in enumerate(zip(lows, highs, counts, strict=True)):
        values = [float(v) for array in arrays for image in array for v in image[channel].ravel()]
        assert (low, high) == (min(values), max(values))
        wanted = [0] * bins
        for v in values:
            place = math.floor((v - float(low)) / (float(high) - float(low)) * bins) if high > low else 0
            wanted[min(place, bins - 1)] += 1
        assert row.tolist() == wanted


@pytest.mark.parametrize("shape", [(1, 4, 7, 9), (2, 4, 7, 9)])
def test_counts(tmp_path, shape):
    """One histogram a value, however many Convs read it; the model's input has one too; batches count as images."""
    model, arrays = several(shape), inputs(*shape)
    found = measured(tmp_path, model, arrays)
    assert {key for key in found if key.endswith("|hist")} >= {"h|hist", "u|hist", "x|hist"}
    given = [run(session.with_outputs(model, ["h", "u"]), {"x": a}) for a in arrays]
    for name, values in zip("hux", ([h for h, _ in given], [u for _, u in given], arrays), strict=True):
        check(found, name, values)


def test_constant_channels(tmp_path):
    """Values that are all the same lie in the first bin; next to them, in the others, the greatest is in the last."""
    arrays = inputs(1, 4, 7, 9)
    for array in arrays:
        array[:, 1], array[:, 2] = 2.5, -1
    found = measured(tmp_path, several(), arrays)
    assert found["x|hist"][1, 0] == found["h|hist"][2, 0] == 3 * 63 and found["h|lo"][2] == found["h|hi"][2] == 0
    assert found["x|hist"][0, -1] >= 1
    check(found, "x", arrays)


def test_far_apart(tmp_path):
    """Ends whose difference float32 does not hold."""
    arrays = inputs(1, 4, 7, 9)
    arrays[0][0, 0, 0, 0], arrays[1][0, 0, 0, 0] = -3e38, 3e38
    model = make_model([conv("b", "x", "y")], [tensor("b", 2, 4, 1, 1)], inputs=[value("x", 1, 4, 7, 9)])
    check(measured(tmp_path, model, arrays, "--mean-only"), "x", arrays)


def test_half_precision(tmp_path):
    """FLOAT16 values are counted as they are."""
    model = make_model([conv("b", "x", "y")], [tensor("b", 2, 4, 1, 1, kind=np.float16)],
                       inputs=[value("x", 1, 4, 7, 9, kind=TensorProto.FLOAT16)],
                       outputs=[value("y", 1, 2, 7, 9, kind=TensorProto.FLOAT16)])
    arrays = [a.astype(np.float16) for a in inputs(1, 4, 7, 9)]
    check(measured(tmp_path, model, arrays), "x", arrays)


def test_parts(tmp_path, monkeypatch):
    """Several threads give the same bytes; several runs an image the same histograms."""
    whole = measured(tmp_path, several(), inputs(1, 4, 7, 9))
    first = (tmp_path / "stats").read_bytes()
    measured(tmp_path, several(), inputs(1, 4, 7, 9), "-j", "2")
    assert (tmp_path / "stats").read_bytes() == first
    monkeypatch.setattr(taps, "PASS_BYTES", 1)
    parts = measured(tmp_path, several(), inputs(1, 4, 7, 9))
    for key in whole:
        if key.endswith(("|lo", "|hi", "|hist")):
            assert parts[key].tobytes() == whole[key].tobytes()


def test_left_out(tmp_path):
    found = measured(tmp_path, several(), inputs(1, 4, 7, 9), "--no-histograms")
    assert sorted(found) == ["a|H", "a|mu", "b|H", "b|mu"]


def test_behind_quantized_convs(tmp_path):
    """What is spread how is a matter of the float model, also when moments are measured behind quantized Convs."""
    model, arrays = several(), inputs(1, 4, 7, 9)
    plain = measured(tmp_path, model, arrays)
    found = measured(tmp_path, model, arrays, "--sequential", "--int4q", INT4Q)
    assert found.keys() > plain.keys()
    for key in plain:
        if key.endswith(("|lo", "|hi", "|hist")):
            np.testing.assert_array_equal(plain[key], found[key])

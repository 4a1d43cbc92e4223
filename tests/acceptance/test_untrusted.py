# SPDX-License-Identifier: Apache-2.0
"""Statistics that lie do no more than make the numbers worse: what is written is finite."""
import numpy as np
import onnx
import pytest
from helpers import make_model, run_int4q, tensor
from onnx import helper, numpy_helper
from safetensors.numpy import save_file

LARGEST = np.finfo(np.float32).max


def write(folder, mean, covariance, kind=np.float32, images="1"):
    weight = numpy_helper.from_array(numpy_helper.to_array(tensor("w", 4, 3, 3, 3)).astype(kind) * kind(100), "w")
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], name="one")
    onnx.save(make_model([node], [weight, tensor("b", 4, kind=kind)]), folder / "in.onnx")
    save_file({"w|mu": np.full(27, mean, np.float32), "w|H": np.full((27, 27), covariance, np.float32)},
              folder / "stats.safetensors", {"images": images})
    return ["rewrite", folder / "in.onnx", "-qf", "-o", folder / "out.onnx", "--calibration", folder / "stats.safetensors"]


@pytest.mark.parametrize("kind", [np.float32, np.float16])
@pytest.mark.parametrize("mean, covariance", [(LARGEST, 1), (-LARGEST, LARGEST), (0, -1), (0, 0), (LARGEST, -LARGEST)])
@pytest.mark.parametrize("method", ["absmax", "squant", "calibrated"])
def test_finite(tmp_path, method, mean, covariance, kind):
    run_int4q(*write(tmp_path, mean, covariance, kind), "--method", method)
    run_int4q("inspect", tmp_path / "out.onnx", "-q", "--require", "int4==1", "--require", "valid")
    for stored in onnx.load(tmp_path / "out.onnx").graph.initializer:
        if stored.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16):
            assert np.isfinite(numpy_helper.to_array(stored)).all(), stored.name


@pytest.mark.parametrize("mean, covariance", [(np.nan, 1), (np.inf, 1), (1, np.nan), (1, -np.inf)])
def test_not_finite(tmp_path, mean, covariance):
    done = run_int4q(*write(tmp_path, mean, covariance), "--method", "calibrated", status=3)
    assert "not finite" in done.stderr and not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize("images", ["", "0", "-1", "1e5", "1 ", "9" * 100])
def test_number_of_images(tmp_path, images):
    done = run_int4q(*write(tmp_path, 0, 1, images=images), status=3)
    assert "stats.safetensors" in done.stderr

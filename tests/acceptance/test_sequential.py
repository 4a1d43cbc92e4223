# SPDX-License-Identifier: Apache-2.0
"""calibrate.py --sequential, and what int4q makes of targets: each Conv makes up for those in front of it."""
import os

import numpy as np
import onnx
import pytest
from helpers import INT4Q, make_model, rewrite, run, run_int4q, shared_data, tensor, value
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file, save_file
from test_methods import array, detector, moments_of

from int4q.lab.calibration import patches
from int4q.lab.commands import calibrate
from int4q.lab.detection.detectors import Detector
from int4q.lab.detection.pictures import list_pictures, read_picture
from int4q.lab.models import session


def save(folder, found, images=12):
    save_file(found, str(folder / "stats.safetensors"), {"images": str(images)})
    return folder / "stats.safetensors"


def with_weights(model, changes):
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for stored in copy.graph.initializer:
        if stored.name in changes:
            stored.CopyFrom(numpy_helper.from_array(changes[stored.name].astype(np.float32), stored.name))
    return copy


def made_up_targets(model, names):
    """{key: array}: targets and shifts near the weights."""
    random, found = np.random.default_rng(5), {}
    for name in names:
        weight = array(model, name)
        rows = weight.reshape(len(weight), -1)
        found[f"{name}|target"] = (rows + 0.02 * random.standard_normal(rows.shape)).astype(np.float32)
        found[f"{name}|shift"] = random.standard_normal(len(rows)).astype(np.float32)
    return found


@pytest.mark.parametrize("options", [[], ["--rounding", "descent"], ["--block", "8"]])
def test_codes_come_near_the_target(tmp_path, options):
    """They are those of a model that has the targets for weights; errors are told against the weights all the same."""
    model, names = detector(), ["w", "d", "p"]
    found, _ = moments_of(model)
    targets = made_up_targets(model, names)
    other = with_weights(model, {n: targets[f"{n}|target"].reshape(array(model, n).shape) for n in names})
    calibrated = ["--method", "calibrated", *options, "--calibration"]
    plain, _ = rewrite(other, tmp_path, *calibrated, str(save(tmp_path, found)))
    aimed, report = rewrite(model, tmp_path, *calibrated, str(save(tmp_path, {**found, **targets})))
    for name in names:
        for part in ("quantized", "scale", "zero_point"):
            assert [t for t in plain.graph.initializer if t.name == f"{name}_{part}"] == \
                [t for t in aimed.graph.initializer if t.name == f"{name}_{part}"]
    np.testing.assert_allclose(array(aimed, "b"), array(plain, "b") + targets["w|shift"], rtol=1e-6, atol=1e-6)
    decoded = run(session.with_outputs(aimed, ["w"]), {"x": np.zeros((1, 3, 12, 12), np.float32)})[0].astype(np.float64)
    weight = array(model, "w").astype(np.float64)
    wanted = 10 * np.log10(np.square(weight).sum() / np.square(weight - decoded).sum())
    row = next(c for c in report["convs"] if c["weight"] == "w")
    assert row["sqnr_db"] == pytest.approx(wanted, abs=1e-3)
    assert row["max_error"] == pytest.approx(np.abs(weight - decoded).max(), rel=1e-5)
    assert any("3 weights make up for the errors" in note for note in report["notes"])


def test_targets_are_for_methods_with_statistics(tmp_path):
    """Other methods take the same file for its means alone."""
    model = detector()
    found, _ = moments_of(model)
    for options in (["--method", "squant"], []):
        plain, _ = rewrite(model, tmp_path, *options, "--calibration", str(save(tmp_path, found)))
        more = {**found, **made_up_targets(model, ["w", "d", "p"])}
        aimed, report = rewrite(model, tmp_path, *options, "--calibration", str(save(tmp_path, more)))
        assert plain == aimed and not any("make up" in note for note in report["notes"])


def test_no_bias_correction_leaves_biases(tmp_path):
    model = detector()
    found, _ = moments_of(model)
    statistics = save(tmp_path, {**found, **made_up_targets(model, ["w"])})
    aimed, _ = rewrite(model, tmp_path, "--method", "calibrated", "--no-bias-correction", "--calibration", str(statistics))
    np.testing.assert_array_equal(array(aimed, "b"), array(model, "b"))


def test_weights_that_are_not_finite_stay(tmp_path):
    """Also where their target is finite."""
    model = detector()
    found, _ = moments_of(model)
    targets = made_up_targets(model, ["w"])
    broken = array(model, "w").copy()
    broken[3, 1, 1, 1] = np.nan
    model = with_weights(model, {"w": broken})
    _, report = rewrite(model, tmp_path, "--method", "calibrated", "--calibration", str(save(tmp_path, {**found, **targets})))
    assert [c["reason"] for c in report["convs"]] == ["non-finite", None, None, None]


@pytest.mark.parametrize("key, change, words", [
    ("w|target", lambda a: a[:-1], "not F32 of a shape"), ("w|target", lambda a: a[:, :-1], "not F32 of a shape"),
    ("w|target", lambda a: a.astype(np.float64), "not F32"), ("w|shift", lambda a: a[1:], "not F32 of a shape"),
    ("w|target", lambda a: a * np.float32(np.nan), "beyond"), ("w|shift", lambda a: a / np.float32(0), "beyond"),
    ("w|target", lambda a: a * np.float32(1e37), "beyond 1.26765e+30")])
def test_damaged_targets_are_refused(tmp_path, key, change, words):
    model = detector()
    found = {**moments_of(model)[0], **made_up_targets(model, ["w"])}
    with np.errstate(divide="ignore"):
        found[key] = np.ascontiguousarray(change(found[key]))
    onnx.save(model, tmp_path / "in.onnx")
    done = run_int4q("rewrite", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", "--method", "calibrated", "--calibration",
                     save(tmp_path, found), status=3)
    assert words in done.stderr and not (tmp_path / "out.onnx").exists()


def test_targets_that_float16_cannot_hold_are_refused(tmp_path):
    onnx.save(chain(np.float16), tmp_path / "in.onnx")
    found = {"w|mu": np.zeros(27, np.float32), "w|H": np.eye(27, dtype=np.float32), "w|target": np.full((8, 27), 1e5, np.float32)}
    done = run_int4q("rewrite", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", "--method", "calibrated", "--calibration",
                     save(tmp_path, found), status=3)
    assert "beyond 65504" in done.stderr


# ---- The script

def chain(kind=np.float32):
    """Four Convs behind each other, one depthwise, one without a bias, two that share a weight, and a sum."""
    element = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["a"], name="first", pads=[1] * 4), helper.make_node("Relu", ["a"], ["ar"]),
             helper.make_node("Conv", ["ar", "d"], ["c"], name="depthwise", group=8, pads=[1] * 4),
             helper.make_node("Relu", ["c"], ["cr"]),
             helper.make_node("Conv", ["cr", "p", "s"], ["e"], name="point"), helper.make_node("Relu", ["e"], ["er"]),
             helper.make_node("Conv", ["er", "p", "s"], ["f"], name="again"), helper.make_node("Add", ["f", "cr"], ["y"])]
    weights = [tensor("w", 8, 3, 3, 3, kind=kind), tensor("b", 8, kind=kind), tensor("d", 8, 1, 3, 3, kind=kind),
               tensor("p", 8, 8, 1, 1, kind=kind), tensor("s", 8, kind=kind)]
    return make_model(nodes, weights, [value("x", 1, 3, 10, 12, kind=element)],
                      [helper.make_tensor_value_info("y", element, None)], opset=17)


def calibrated(folder, model, *options):
    """The float model that the rewritten one decodes to, the statistics, and the inputs that they were taken with."""
    arrays = list(np.random.default_rng(2).standard_normal((3, 1, 3, 10, 12)))
    (folder / "arrays").mkdir()
    kind = helper.tensor_dtype_to_np_dtype(model.graph.input[0].type.tensor_type.elem_type)
    for i, a in enumerate(arrays):
        np.save(folder / "arrays" / f"{i}.npy", a.astype(kind))
    onnx.save(model, folder / "m.onnx")
    calibrate.main([str(folder / "m.onnx"), "--inputs", str(folder / "arrays"), "--sequential", "--rewrite", " ".join(options),
                    "--int4q", INT4Q, "-o", str(folder / "stats")])
    run_int4q("rewrite", folder / "m.onnx", "-q", "-o", folder / "q.onnx", "--method", "calibrated", "--calibration", folder / "stats",
              *options)
    run_int4q("restore", folder / "q.onnx", "-q", "-o", folder / "f.onnx")
    return onnx.load(folder / "f.onnx"), load_file(folder / "stats"), [a.astype(kind) for a in arrays]


def seen(model, name, arrays):
    return [run(session.with_outputs(model, [name]), {"x": a})[0].astype(np.float64) for a in arrays]


def patch_rows(conv, arrays):
    """[groups, K, positions] of all images."""
    return np.concatenate([b.astype(np.float64) for a in arrays for b in patches.patch_blocks(conv, patches.windows(conv, a[0]))], 2)


CONVS = {"d": ("ar", (3, 3), [(1, 1)] * 2, 8), "p": ("cr", (1, 1), [(0, 0)] * 2, 1)}


@pytest.mark.parametrize("options", [[], ["--block", "3"], ["--scale", "signed", "--exclude", "depthwise"]])
def test_statistics_are_those_behind_the_rewritten_convs(tmp_path, options):
    model = chain()
    result, found, arrays = calibrated(tmp_path, model, *options)
    for name, (source, kernel, pads, groups) in CONVS.items():
        conv = patches.Conv(source, kernel, (1, 1), (1, 1), pads, "NOTSET", groups)
        x, y = (patch_rows(conv, seen(m, source, arrays)) for m in (model, result))
        positions = x.shape[2]
        mean, second = y.mean(2), np.einsum("gkp,glp->gkl", y, y) / positions
        np.testing.assert_allclose(found[f"{name}|mu"].reshape(mean.shape), mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found[f"{name}|H"].reshape(second.shape), second, rtol=1e-4, atol=1e-4)
        weight = array(model, name).astype(np.float64).reshape(groups, -1, x.shape[1])
        for g in range(groups):
            own = np.cov(y[g], bias=True).reshape(len(y[g]), -1)
            both = (x[g] - x[g].mean(1)[:, None]) @ (y[g] - y[g].mean(1)[:, None]).T / positions
            variance = np.diag(own).reshape(-1, int(np.prod(kernel))).mean(1)
            distance = np.array([[np.hypot(i // kernel[1] - j // kernel[1], i % kernel[1] - j % kernel[1])
                                  for j in range(np.prod(kernel))] for i in range(np.prod(kernel))])
            prior = np.kron(np.diag((variance + variance.mean()) / 2), .5 ** distance)
            shrunk = .5 * own + .5 * prior + (1e-4 * np.diag(own).mean() + 1e-12) * np.eye(len(own))
            target = weight[g] + .5 * weight[g] @ (both - own) @ np.linalg.inv(shrunk)
            rows = slice(g * len(target), (g + 1) * len(target))
            np.testing.assert_allclose(found[f"{name}|target"][rows], target, rtol=1e-3, atol=1e-3)
            np.testing.assert_allclose(found[f"{name}|shift"][rows], weight[g] @ x[g].mean(1) - target @ y[g].mean(1),
                                       rtol=1e-3, atol=2e-3)
    np.testing.assert_allclose(found["w|target"], array(model, "w").reshape(8, -1), rtol=1e-5, atol=1e-5)


def test_outputs_come_nearer(tmp_path):
    """A trained detector gives more of what it gave, on other pictures."""
    model, pictures = shared_data("models", "nanodet_m_320.onnx"), shared_data("coco-mini")
    detector, found = Detector(model), {}
    inputs = [detector.prepare(read_picture(p))[0] for p in list_pictures(os.path.join(pictures, "val2017"))[:4]]
    for way in ("", "--sequential"):
        calibrate.main([model, "--images", os.path.join(pictures, "calib"), "-n", "3", "--int4q", INT4Q,
                        "-o", str(tmp_path / "stats"), *way.split()])
        run_int4q("rewrite", model, "-q", "-f", "-o", tmp_path / "out.onnx", "--method", "calibrated", "--calibration",
                  tmp_path / "stats")
        found[way] = Detector(str(tmp_path / "out.onnx"))
    errors = {way: np.mean([np.square(a - b).mean() for x in inputs for a, b in zip(detector.run(x), quantized.run(x))])
              for way, quantized in found.items()}
    assert errors["--sequential"] < 0.95 * errors[""], errors


def test_float16(tmp_path):
    model = chain(np.float16)
    result, found, _ = calibrated(tmp_path, model)
    assert {t.data_type for t in result.graph.initializer if t.name in "wdp"} == {TensorProto.FLOAT16}
    assert all(a.dtype == (np.uint32 if key.endswith("|hist") else np.float32) for key, a in found.items())


def test_usage(tmp_path):
    for options in (["--sequential", "--mean-only"], ["--rewrite", "--block 32"]):
        with pytest.raises(SystemExit) as end:
            calibrate.main(["m.onnx", "--inputs", "x.npy", *options, "-o", "s"])
        assert end.value.code == 2
    onnx.save(chain(), tmp_path / "m.onnx")
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 10, 12), np.float32))
    with pytest.raises(SystemExit) as end:
        calibrate.main([str(tmp_path / "m.onnx"), "--inputs", str(tmp_path / "x.npy"), "--sequential", "--rewrite=--blok 3",
                        "--int4q", INT4Q, "-o", str(tmp_path / "s")])
    assert "--blok" in str(end.value.code) and not (tmp_path / "s").exists()

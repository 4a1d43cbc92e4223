# SPDX-License-Identifier: Apache-2.0
"""scripts/calibrate.py: its moments against a plain loop, and against what ONNX Runtime's Conv makes of the input."""
import hashlib
import itertools
import json
import os

import numpy as np
import onnx
import pytest
from helpers import make_model, run, shared_data, tensor, value
from onnx import TensorProto, helper, numpy_helper
from safetensors import safe_open

from int4q.lab.calibration import between, convs, histograms, moments, patches, taps
from int4q.lab.commands import calibrate
from int4q.lab.detection import attention
from int4q.lab.models import session


def conv(weight="w", source="h", output="y", **attributes):
    return helper.make_node("Conv", [source, weight], [output], **attributes)


def behind_relu(*nodes, shape=(1, 4, 7, 9), initializers=(), **more):
    """x -> Relu -> h -> the nodes: the Convs read a value that is no input of the model."""
    return make_model([helper.make_node("Relu", ["x"], ["h"]), *nodes], initializers,
                      inputs=[value("x", *shape)], **more)


def measured(folder, model, arrays, *options):
    """({key: array}, metadata) of the moments that calibrate.py writes for these arrays."""
    os.makedirs(folder / "arrays", exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    for i, array in enumerate(arrays):
        np.save(folder / "arrays" / f"{i}.npy", array)
    (folder / "stats").unlink(missing_ok=True)
    calibrate.main([str(folder / "model.onnx"), "--inputs", str(folder / "arrays"), "-o", str(folder / "stats"),
                    "--no-histograms", *options])
    return read(folder / "stats")


def read(path):
    with safe_open(path, "numpy") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118 (no dictionary)


def but_made(path):
    """All that is in a file but with which options it was made."""
    found, metadata = read(path)
    return {key: array.tobytes() for key, array in found.items()}, {**metadata, "made": None}


def inputs(*shape, count=2):
    return list(np.random.default_rng(1).standard_normal((count, *shape)).astype(np.float32))


def naive(arrays, kernel, strides, dilations, pads, groups):
    """(mu, H) in float64, one patch and one element after the other."""
    patches = []
    for image in (i for a in arrays for i in np.maximum(a, 0).astype(np.float64)):
        counts = [(side + a + b - (k - 1) * d - 1) // s + 1
                  for side, (a, b), k, d, s in zip(image.shape[1:], pads, kernel, dilations, strides)]
        for place in itertools.product(*map(range, counts)):
            patches.append([element(image, c, [p * s + k * d - a for p, s, k, d, (a, _) in
                                               zip(place, strides, offset, dilations, pads)])
                            for c in range(len(image)) for offset in itertools.product(*map(range, kernel))])
    x = np.array(patches).reshape(len(patches), groups, -1)
    mean = np.array([sum(column) / len(x) for column in x.reshape(len(x), -1).T]).reshape(groups, -1)
    second = np.array([[[np.dot(x[:, g, i], x[:, g, j]) / len(x) for j in range(x.shape[2])]
                        for i in range(x.shape[2])] for g in range(groups)])
    return (mean[0], second[0], len(x)) if groups == 1 else (mean, second, len(x))


def element(image, channel, at):
    inside = all(0 <= i < side for i, side in zip(at, image.shape[1:]))
    return image[(channel, *at)] if inside else 0.0


CASES = {  # input, weight, attributes, strides, dilations, pads of each axis, groups
    "plain": ((1, 4, 7, 9), (5, 4, 3, 3), {}, (1, 1), (1, 1), [(0, 0), (0, 0)], 1),
    "pads": ((1, 4, 7, 9), (5, 4, 3, 2), {"pads": [1, 0, 2, 3]}, (1, 1), (1, 1), [(1, 2), (0, 3)], 1),
    "strides": ((1, 4, 7, 9), (5, 4, 3, 3), {"pads": [1] * 4, "strides": [2, 3]}, (2, 3), (1, 1), [(1, 1)] * 2, 1),
    "dilations": ((1, 4, 8, 9), (5, 4, 2, 3), {"pads": [1] * 4, "dilations": [3, 2]}, (1, 1), (3, 2), [(1, 1)] * 2, 1),
    "both": ((1, 2, 11, 12), (5, 2, 3, 3), {"pads": [2] * 4, "strides": [2, 1], "dilations": [2, 3]}, (2, 1), (2, 3),
             [(2, 2)] * 2, 1),
    "groups": ((1, 6, 5, 6), (4, 3, 3, 3), {"pads": [1] * 4, "group": 2}, (1, 1), (1, 1), [(1, 1)] * 2, 2),
    "depthwise": ((1, 4, 7, 9), (4, 1, 3, 3), {"pads": [1] * 4, "group": 4, "strides": [2, 2]}, (2, 2), (1, 1),
                  [(1, 1)] * 2, 4),
    "depthwise, twice": ((1, 3, 5, 5), (6, 1, 3, 3), {"group": 3}, (1, 1), (1, 1), [(0, 0)] * 2, 3),
    "same_upper": ((1, 4, 8, 7), (5, 4, 3, 2), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, (2, 2), (1, 1),
                   [(0, 1), (0, 1)], 1),
    "same_lower": ((1, 4, 8, 7), (5, 4, 3, 2), {"auto_pad": "SAME_LOWER", "strides": [2, 2]}, (2, 2), (1, 1),
                   [(1, 0), (1, 0)], 1),
    "same, stride > kernel": ((1, 4, 7, 9), (5, 4, 1, 1), {"auto_pad": "SAME_UPPER", "strides": [3, 2]}, (3, 2), (1, 1),
                              [(0, 0), (0, 0)], 1),
    "valid": ((1, 4, 8, 7), (5, 4, 3, 3), {"auto_pad": "VALID"}, (1, 1), (1, 1), [(0, 0)] * 2, 1),
    "1x1": ((1, 4, 7, 9), (5, 4, 1, 1), {}, (1, 1), (1, 1), [(0, 0)] * 2, 1),
    "1x1, strides": ((1, 4, 7, 9), (5, 4, 1, 1), {"strides": [2, 2]}, (2, 2), (1, 1), [(0, 0)] * 2, 1),
    "1-D": ((1, 4, 13), (5, 4, 3), {"pads": [2, 1], "strides": [2], "dilations": [2]}, (2,), (2,), [(2, 1)], 1),
    "3-D": ((1, 2, 4, 5, 4), (3, 2, 2, 3, 2), {"pads": [1, 0, 0, 0, 1, 1], "strides": [1, 2, 1]}, (1, 2, 1), (1, 1, 1),
            [(1, 0), (0, 1), (0, 1)], 1),
    "batch": ((3, 4, 5, 6), (5, 4, 3, 3), {"pads": [1] * 4}, (1, 1), (1, 1), [(1, 1)] * 2, 1),
}


@pytest.mark.parametrize("case", CASES)
def test_moments(tmp_path, case):
    shape, weight, attributes, strides, dilations, pads, groups = CASES[case]
    model = behind_relu(conv(**attributes), shape=shape, initializers=[tensor("w", *weight)])
    arrays = inputs(*shape)
    found, metadata = measured(tmp_path, model, arrays)
    mean, second, positions = naive(arrays, weight[2:], strides, dilations, pads, groups)
    assert sorted(found) == ["w|H", "w|mu"] and all(a.dtype == np.float32 for a in found.values())
    assert found["w|mu"].shape == mean.shape and found["w|H"].shape == second.shape
    np.testing.assert_allclose(found["w|mu"], mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["w|H"], second, rtol=1e-5, atol=1e-6)
    assert json.loads(metadata["positions"]) == {"w": positions}
    assert metadata["images"] == str(2 * shape[0])
    check_with_conv(model, arrays, found, groups)


def check_with_conv(model, arrays, found, groups):
    """E[W x] = W mu and E[(W x)^2] = diag(W H W^T) must be the moments of what Conv gives."""
    y = np.concatenate([run(model, {"x": a})[0] for a in arrays]).astype(np.float64)
    y = np.moveaxis(y, 1, 0).reshape(y.shape[1], -1)
    w = numpy_helper.to_array(model.graph.initializer[0]).astype(np.float64)
    rows = w.reshape(groups, len(w) // groups, -1)
    mean, second = found["w|mu"].reshape(groups, -1), found["w|H"].reshape(groups, rows.shape[2], -1)
    np.testing.assert_allclose(np.einsum("gok,gk->go", rows, mean).ravel(), y.mean(1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.einsum("gok,gkl,gol->go", rows, second, rows).ravel(), np.square(y).mean(1),
                               rtol=1e-4, atol=1e-5)


def test_mean_only(tmp_path):
    model = behind_relu(conv(pads=[1] * 4, strides=[2, 2]), initializers=[tensor("w", 5, 4, 3, 3)])
    found, _ = measured(tmp_path, model, inputs(1, 4, 7, 9), "--mean-only")
    every, _ = measured(tmp_path, model, inputs(1, 4, 7, 9))
    assert list(found) == ["w|mu"]
    np.testing.assert_allclose(found["w|mu"], every["w|mu"], rtol=1e-6, atol=1e-7)


def test_float16(tmp_path):
    model = make_model([conv(source="x")], [tensor("w", 5, 4, 3, 3, kind=np.float16)],
                       inputs=[value("x", 1, 4, 7, 9, kind=TensorProto.FLOAT16)],
                       outputs=[helper.make_tensor_value_info("y", TensorProto.FLOAT16, None)])
    arrays = [np.abs(a).astype(np.float16) for a in inputs(1, 4, 7, 9)]
    found, _ = measured(tmp_path, model, arrays)
    mean, second, _ = naive(arrays, (3, 3), (1, 1), (1, 1), [(0, 0)] * 2, 1)
    np.testing.assert_allclose(found["w|mu"], mean, rtol=1e-5)
    np.testing.assert_allclose(found["w|H"], second, rtol=1e-5)


def several():
    """Two Convs with one input, one behind them, and a weight that two of them share."""
    nodes = [conv("a", "h", "u", pads=[1] * 4), conv("b", "h", "v", pads=[1] * 4), conv("a", "u", "y", pads=[1] * 4)]
    return behind_relu(*nodes, initializers=[tensor("a", 4, 4, 3, 3), tensor("b", 2, 4, 3, 3)])


def test_shared_weight(tmp_path):
    """All patches of both its Convs count."""
    model, arrays = several(), inputs(1, 4, 7, 9)
    found, metadata = measured(tmp_path, model, arrays)
    middle = [run(session.with_outputs(model, ["h", "u"]), {"x": a}) for a in arrays]
    model = make_model([conv(source="x", pads=[1] * 4)], [tensor("w", 4, 4, 3, 3)], inputs=[value("x", 1, 4, 7, 9)])
    alone, _ = measured(tmp_path / "alone", model, [a for pair in middle for a in pair])
    assert json.loads(metadata["positions"]) == {"a": 252, "b": 126} and metadata["images"] == "2"
    for key in ("mu", "H"):
        np.testing.assert_allclose(found[f"a|{key}"], alone[f"w|{key}"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name, size", [("PASS_BYTES", 1), ("PATCH_BYTES", 1), ("PATCH_BYTES", 3000)])
def test_in_parts(tmp_path, monkeypatch, name, size):
    """Several runs an image, and several blocks of patches, give the same moments."""
    whole, _ = measured(tmp_path, several(), inputs(1, 4, 7, 9))
    monkeypatch.setattr(taps if name == "PASS_BYTES" else patches, name, size)
    parts, _ = measured(tmp_path, several(), inputs(1, 4, 7, 9))
    assert whole.keys() == parts.keys()
    for key in whole:
        np.testing.assert_allclose(whole[key], parts[key], rtol=1e-5, atol=1e-6)


def test_passes():
    entries = [(convs.make_conv(conv(source=s), (1, 1, 1, 1)), ["w"]) for s in "aabbc"]
    parts = taps.split_passes(entries, {"a": 100 << 20, "b": 100 << 20, "c": 100 << 20})
    assert [[e[0].source for e in part] for part in parts] == [["a", "a", "b", "b"], ["c"]]


def weights(folder, model):
    return sorted(key[:-3] for key in measured(folder, model, inputs(1, 4, 7, 9), "--mean-only")[0])


def test_names(tmp_path):
    """The initializer behind Identity nodes; else the constant's own name; and nothing where the weight is no constant."""
    stored = tensor("w", 5, 4, 3, 3)
    behind = [helper.make_node("Identity", ["w"], ["i"]), helper.make_node("Identity", ["i"], ["j"]), conv("j")]
    assert weights(tmp_path, behind_relu(*behind, initializers=[stored])) == ["w"]
    constant = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(numpy_helper.to_array(stored)))
    assert weights(tmp_path, behind_relu(constant, conv("c"))) == ["c"]
    turned = helper.make_node("Transpose", ["t"], ["w"], perm=[3, 2, 1, 0])
    assert weights(tmp_path, behind_relu(turned, conv("w"), initializers=[tensor("t", 3, 3, 4, 5)])) == ["w"]
    made = [helper.make_node("ReduceMax", ["h"], ["m"], keepdims=0), helper.make_node("Mul", ["w", "m"], ["v"]),
            conv("v", output="z"), conv("w")]
    model = behind_relu(*made, initializers=[stored])
    assert weights(tmp_path, model) == ["w"]
    assert convs.find_convs("", model)[0][1] == ["w"]


def test_listed_initializers(tmp_path):
    """Old models list their initializers as inputs; those need not be fed."""
    model = behind_relu(conv(), initializers=[tensor("w", 5, 4, 3, 3)], opset=8)
    model.graph.input.append(value("w", 5, 4, 3, 3))
    assert weights(tmp_path, model) == ["w"]


def test_npz_and_threads(tmp_path):
    """Several inputs, by name; a dynamic batch."""
    nodes = [helper.make_node("Add", ["x", "z"], ["h"]), conv()]
    model = make_model(nodes, [tensor("w", 5, 4, 3, 3)], inputs=[value("x", 1, 4, 7, 9), value("z", 1, 4, 7, 9)])
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n"
    onnx.save(model, tmp_path / "model.onnx")
    a, b = inputs(2, 4, 7, 9)
    np.savez(tmp_path / "in.npz", x=a.astype(np.float64), z=b[:1])
    calibrate.main([str(tmp_path / "model.onnx"), "--inputs", str(tmp_path / "in.npz"), "-o", str(tmp_path / "s"),
                    "-j", "2"])
    found, metadata = read(tmp_path / "s")
    mean, _, _ = naive([np.maximum(a + b[:1], -9) + 9], (3, 3), (1, 1), (1, 1), [(0, 0)] * 2, 1)
    np.testing.assert_allclose(found["w|mu"], mean - 9, rtol=1e-4, atol=1e-4)
    assert metadata["images"] == "2"


def test_file(tmp_path):
    """Same bytes again; the metadata; a header that ends where float32 values may begin; nothing left lying around."""
    _, metadata = measured(tmp_path, several(), inputs(1, 4, 7, 9))
    first = (tmp_path / "stats").read_bytes()
    measured(tmp_path, several(), inputs(1, 4, 7, 9))
    assert (tmp_path / "stats").read_bytes() == first and int.from_bytes(first[:8], "little") % 8 == 0
    digest = hashlib.sha256((tmp_path / "model.onnx").read_bytes()).hexdigest()
    assert metadata["model_sha256"] == digest and metadata["int4q_statistics"] == "1"
    assert sorted(os.listdir(tmp_path)) == ["arrays", "model.onnx", "stats"]


def test_not_twice(tmp_path, monkeypatch, capsys):
    """The same command leaves what it made; other options, inputs or weights are measured."""
    arrays, path, made = inputs(1, 4, 7, 9), tmp_path / "model.onnx", tmp_path / "stats"
    measured(tmp_path, several(), arrays)
    onnx.save(several(), path, save_as_external_data=True, location="weights", size_threshold=0)
    times, measure = [], calibrate.measure

    def count(*args):
        times.append(args)
        measure(*args)
    monkeypatch.setattr(calibrate, "measure", count)

    def again(*options):
        calibrate.main([str(path), "--inputs", str(tmp_path / "arrays"), "-o", str(made), *options])
        return len(times)
    assert again() == 1 and again() == 1 and "remove it to measure again" in capsys.readouterr().out
    assert again("-j", "2") == 1 and again("--mean-only") == 2 and again("--mean-only") == 2
    np.save(tmp_path / "arrays" / "0.npy", arrays[0][::-1] + 1)
    assert again("--mean-only") == 3
    with open(tmp_path / "weights", "r+b") as file:
        file.write(b"\0\0")
    assert again("--mean-only") == 4
    made.write_bytes(made.read_bytes()[:100])
    assert again("--mean-only") == 5
    made.write_bytes((26).to_bytes(8, "little") + b'{"__metadata__": ["made"]}')
    assert again("--mean-only") == 6
    said = json.loads(read(made)[1]["made"])
    assert said["options"]["mean_only"] and [name for name, _ in said["files"]] == ["model.onnx", "weights", "0.npy", "1.npy"]
    assert set(said["versions"]) == {"python", "numpy", "onnx", "onnxruntime"}


def test_external_data(tmp_path):
    model, arrays = several(), inputs(1, 4, 7, 9)
    inside, _ = measured(tmp_path, model, arrays)
    onnx.save(model, tmp_path / "model.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    calibrate.main([str(tmp_path / "model.onnx"), "--inputs", str(tmp_path / "arrays"), "-o", str(tmp_path / "out")])
    outside, _ = read(tmp_path / "out")
    assert all(inside[key].tobytes() == outside[key].tobytes() for key in inside)


def refused(folder, *args):
    """The one line that calibrate.py ends with; what was at the output before stays."""
    (folder / "stats").write_bytes(b"before")
    with pytest.raises(SystemExit) as end:
        calibrate.main([*map(str, args), "-o", str(folder / "stats")])
    assert (folder / "stats").read_bytes() == b"before" and not list(folder.glob("stats?*"))
    text = str(end.value.code)
    assert text.startswith("calibrate.py: ") and "\n" not in text
    return text


def test_errors(tmp_path):
    model, array, stray = tmp_path / "model.onnx", tmp_path / "x.npy", tmp_path / "stray.onnx"
    onnx.save(behind_relu(conv(), initializers=[tensor("w", 5, 4, 3, 3)]), model)
    np.save(array, np.full((1, 4, 7, 9), np.nan, np.float32))
    stray.write_bytes(b"no model")
    (tmp_path / "empty").mkdir()
    assert "h: values that are not finite" in refused(tmp_path, model, "--inputs", array)
    assert "w: moments that are not finite" in refused(tmp_path, model, "--inputs", array, "--no-histograms")
    np.save(array, np.zeros((1, 4, 7, 8), np.float32))
    assert "shape [1, 4, 7, 8], but the input x has [1, 4, 7, 9]" in refused(tmp_path, model, "--inputs", array)
    assert "missing.onnx: No such file" in refused(tmp_path, tmp_path / "missing.onnx", "--inputs", array)
    assert "missing.npy" in refused(tmp_path, model, "--inputs", tmp_path / "missing.npy")
    assert "not an ONNX model" in refused(tmp_path, stray, "--inputs", array)
    with pytest.raises(SystemExit, match="^calibrate.py: .*/new/stats: cannot create: the folder does not exist$"):
        calibrate.main([str(model), "--inputs", str(array), "-o", str(tmp_path / "new" / "stats")])
    assert not (tmp_path / "new").exists()
    with pytest.raises(SystemExit, match="^calibrate.py: .*/empty: is a directory$"):
        calibrate.main([str(model), "--inputs", str(array), "-o", str(tmp_path / "empty")])
    assert "no .npy or .npz files" in refused(tmp_path, model, "--inputs", tmp_path / "empty")
    assert "no pictures" in refused(tmp_path, model, "--images", tmp_path / "empty")
    onnx.save(behind_relu(helper.make_node("Relu", ["h"], ["y"])), model)
    assert "no Conv with a constant weight" in refused(tmp_path, model, "--inputs", array)


def test_pictures(tmp_path, capsys):
    """Pictures, prepared for the family; --seed chooses. This model does not tell what it finds where."""
    from PIL import Image
    model = make_model([conv(source="x", output="c", pads=[1] * 4, strides=[8, 8])], [tensor("w", 6, 3, 3, 3)],
                       inputs=[value("x", 1, 3, 32, 32)])
    model.graph.node.append(helper.make_node("Reshape", ["c", "shape"], ["y"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, -1, 6]), "shape"))
    onnx.save(model, tmp_path / "m.onnx")
    random = np.random.default_rng(0)
    for i in range(4):
        Image.fromarray(random.integers(0, 256, (24, 32, 3), np.uint8)).save(tmp_path / f"{i}.png")
    files = [tmp_path / f"s{i}" for i in range(3)]
    for file, seed in zip(files, "110"):
        calibrate.main([str(tmp_path / "m.onnx"), "--images", str(tmp_path), "-n", "2", "--family", "yolov10", "-o",
                        str(file), "--seed", seed])
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()
    calibrate.main([str(tmp_path / "m.onnx"), "--images", str(tmp_path), "-n", "2", "--family", "yolov10", "-o",
                    str(tmp_path / "focus"), "--seed", "1", "--focus", "0.3"])
    assert but_made(tmp_path / "focus") == but_made(files[0])
    said = capsys.readouterr().err
    assert "does not tell what it finds where; all positions count the same" in said and "--size" not in said
    for size in "32", "64":
        calibrate.main([str(tmp_path / "m.onnx"), "--images", str(tmp_path), "-n", "2", "--family", "yolov10", "-o",
                        str(tmp_path / "sized"), "--seed", "1", "--size", size])
        said = capsys.readouterr().err
        assert ("m.onnx: --size 64 changes nothing, the input is 32x32" in said) == (size == "64") == ("--size" in said)
    assert but_made(tmp_path / "sized") == but_made(files[0])
    found, metadata = read(files[0])
    assert metadata["images"] == "2" and json.loads(metadata["positions"]) == {"w": 32}
    assert 0.3 < found["w|mu"].reshape(3, 3, 3)[:, 2, 2].mean() < 0.7


@pytest.mark.parametrize("case", ["pads", "groups", "depthwise", "3-D"])
@pytest.mark.parametrize("size", [patches.PATCH_BYTES, 1])
def test_weights(monkeypatch, case, size):
    """A position that counts twice is as good as two of them; block by block too."""
    monkeypatch.setattr(patches, "PATCH_BYTES", size)
    shape, weight, attributes, *_ = CASES[case]
    made = convs.make_conv(conv(**attributes), weight)
    values = inputs(*shape, count=1)[0]
    counts, twice = [], moments.Moments()
    plain = moments.Moments()

    def weigh(places):
        counts.append(np.arange(np.prod(places)) % 3)
        return counts[-1].astype(np.float32)
    twice.add(made, values, weigh=weigh)
    view = patches.windows(made, values[0])
    every = np.concatenate(list(patches.patch_blocks(made, view)), 2)
    plain.add_block(np.repeat(every, counts[0], 2), None, False)
    assert twice.positions == every.shape[2] and twice.total == counts[0].sum()
    np.testing.assert_allclose(twice.first, plain.first, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(twice.second, plain.second, rtol=1e-5, atol=1e-5)
    means = moments.Moments()
    means.add(made, values, True, weigh)
    np.testing.assert_array_equal(means.first, twice.first)
    assert means.second is None


def test_attention():
    """p / sqrt(area) in each cell of a box, the part of it that lies inside; even where nothing is seen."""
    boxes = np.array([[8, 8, 24, 16], [-50, 24, 7, 90], [0, 0, 8, 8]], np.float64)
    probabilities = np.array([[.5, .1], [0, .25], [.01, .01]])
    found = attention.attention(probabilities, boxes, (32, 40))
    wanted = np.zeros((4, 5))
    wanted[1, 1:3] = .5 / np.sqrt(2)
    wanted[3, 0] = .25
    np.testing.assert_allclose(found, wanted / wanted.mean(), rtol=1e-6)
    np.testing.assert_array_equal(attention.attention(probabilities * 0, boxes, (32, 40)), np.ones((4, 5)))


def test_position_weights():
    cells = np.zeros((4, 4), np.float32)
    cells[0, 0] = 16
    found = attention.position_weights(cells, (32, 32), (2, 2), .3)
    np.testing.assert_allclose(found, [.7 + .3 * 4, .7, .7, .7], rtol=1e-6)
    np.testing.assert_allclose(attention.position_weights(cells, (32, 32), (8, 8), 1).reshape(8, 8)[:2, :2], 16)
    for places in ((4, 400), (7,), (2, 2, 2)):  # no maps of the picture
        np.testing.assert_array_equal(attention.position_weights(cells, (32, 32), places, .3), np.ones(np.prod(places)))
    assert np.all(attention.position_weights(cells, (32, 32), (1, 1), .3) == 1)


def test_focus(tmp_path):
    """Where a detector finds something counts more, if asked for."""
    model, pictures = shared_data("models", "nanodet_m_320.onnx"), shared_data("coco-mini", "calib")
    files = {f: tmp_path / f"{f}" for f in ("0", "0.3", "1")}
    for f, file in files.items():
        calibrate.main([model, "--images", pictures, "-n", "1", "--mean-only", "--focus", f, "-o", str(file)])
    (even, plain), (some, told), (all_of_it, _) = map(read, files.values())
    assert plain["focus"] == "0" and told["focus"] == "0.3" and plain["positions"] == told["positions"]
    for key in even:
        np.testing.assert_allclose(some[key], .7 * even[key] + .3 * all_of_it[key], rtol=1e-3, atol=1e-4)
    assert any(np.abs(even[key] - all_of_it[key]).max() > .05 for key in even)


def test_focus_is_a_fraction(tmp_path):
    with pytest.raises(SystemExit) as end:
        calibrate.main(["m.onnx", "--images", str(tmp_path), "--focus", "1.5", "-o", "s"])
    assert end.value.code == 2


# ---- values between Convs


def test_values_between_convs(tmp_path):
    """Of what has a Conv before it and one behind it: the outputs of Convs, and of what computes, but for what Convs read."""
    nodes = [conv("w", "x", "a"), helper.make_node("Sigmoid", ["a"], ["b"]), helper.make_node("Mul", ["a", "b"], ["c"]),
             helper.make_node("Split", ["c"], ["d", "e"], axis=1, num_outputs=2), helper.make_node("Add", ["d", "e"], ["f"]),
             helper.make_node("Relu", ["f"], ["g"]), conv("v", "g", "h"), helper.make_node("Relu", ["h"], ["y"])]
    model = make_model(nodes, [tensor("w", 4, 3, 3, 3), tensor("v", 4, 2, 1, 1)], opset=18)
    assert between.values_between(model.graph) == ["a", "c", "f", "h"]
    onnx.save(model, tmp_path / "model.onnx")
    arrays = inputs(1, 3, 6, 6)
    for i, array in enumerate(arrays):
        np.save(tmp_path / f"{i}.npy", array)
    calibrate.main([str(tmp_path / "model.onnx"), "--inputs", *(str(tmp_path / f"{i}.npy") for i in range(2)), "-o", str(tmp_path / "stats")])
    found, _ = read(tmp_path / "stats")
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.extend(onnx.ValueInfoProto(name=n) for n in "acfh")
    seen = [run(probe, {"x": a}, optimize=True)[1:] for a in arrays]
    for name, values in zip("acfh", zip(*seen)):
        flat = np.concatenate([v.ravel() for v in values])
        low, high = found[f"{name}|lo"], found[f"{name}|hi"]
        assert low.shape == high.shape == (1,) and (low[0], high[0]) == (flat.min(), flat.max())
        counts = found[f"{name}|hist"]
        assert counts.shape == (1, 2048) and counts.sum() == flat.size
        wide = flat.astype(np.float64)
        parts = np.minimum(((wide - low[0]) / (np.float64(high[0]) - low[0]) * 2048).astype(int), 2047)
        np.testing.assert_array_equal(counts[0], np.bincount(parts, minlength=2048))
    assert found["x|hist"].shape == (3, histograms.BINS) and found["g|hist"].shape == (2, histograms.BINS)
    assert not {"b|hist", "d|hist", "y|hist"} & set(found)

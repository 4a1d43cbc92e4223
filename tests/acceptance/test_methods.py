# SPDX-License-Identifier: Apache-2.0
"""Methods: codes against plain numpy versions of their definitions, biases, and what ONNX Runtime makes of them."""
import numpy as np
import onnx
import pytest
from helpers import (
    assert_equal_outputs,
    decoded_weights,
    int4_codes,
    make_model,
    random_feeds,
    rewrite,
    run,
    run_int4q,
    tensor,
    value,
)
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file


def detector():
    """A 3x3 Conv, a depthwise one without bias, a 1x1 one whose bias two Convs share."""
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["a"], name="first", pads=[1] * 4), helper.make_node("Relu", ["a"], ["ar"]),
             helper.make_node("Conv", ["ar", "d"], ["c"], name="depthwise", group=16, pads=[1] * 4),
             helper.make_node("Conv", ["c", "p", "s"], ["y0"], name="point"),
             helper.make_node("Conv", ["c", "q", "s"], ["y1"], name="other"), helper.make_node("Add", ["y0", "y1"], ["y"])]
    weights = [tensor("w", 16, 3, 3, 3), tensor("b", 16), tensor("d", 16, 1, 3, 3), tensor("p", 9, 16, 1, 1), tensor("s", 9),
               tensor("q", 9, 16, 1, 1)]
    return make_model(nodes, weights, [value("x", 1, 3, 12, 12)], [value("y", 1, 9, 12, 12)], opset=21)


def moments_of(model, images=12):
    """Statistics of the inputs of detector(), as scripts/calibrate.py would write them; made up, but consistent."""
    found = {}
    for i, stored in enumerate(model.graph.initializer):
        if len(stored.dims) != 4:
            continue
        random = np.random.default_rng(i)
        groups = stored.dims[0] if stored.name == "d" else 1
        k = int(np.prod(stored.dims[1:]))
        patches = np.abs(random.standard_normal((groups, 400, k)) @ random.standard_normal((k, k)) * 0.4 + 0.5)
        shape = (groups, k) if groups > 1 else (k,)
        found[f"{stored.name}|mu"] = patches.mean(1).reshape(shape).astype(np.float32)
        found[f"{stored.name}|H"] = (np.einsum("gni,gnj->gij", patches, patches) / 400).reshape((*shape, k)).astype(np.float32)
    return found, {"images": str(images)}


def save_moments(folder, model, **kwargs):
    found, metadata = moments_of(model, **kwargs)
    save_file(found, str(folder / "stats.safetensors"), metadata)
    return folder / "stats.safetensors", found


def array(model, name):
    return numpy_helper.to_array(next(t for t in model.graph.initializer if t.name == name))


def grid_of(weight, zero_points=True):
    """Scale and zero point of each row of weight [O, K], for codes 0 to 15."""
    low, high = np.minimum(weight.min(1), 0), np.maximum(weight.max(1), 0)
    scale = ((high - low) / np.float32(15)).astype(np.float32)
    return scale, np.rint(-low / scale).astype(int)


def squant(row, kernel, scale, zero):
    """arXiv 2202.07471 for one row [K] in kernels of `kernel` elements."""
    codes = np.clip(np.rint(row / scale).astype(int) + zero, 0, 15)
    errors = codes - zero - row.astype(np.float64) / float(scale)

    def flip(candidates):
        total = errors[candidates[0]].sum() * float(scale)
        sign, last, crossed = (1 if total > 0 else -1), None, False
        order = [i for i in sorted(candidates[1], key=lambda i: (-abs(errors[i]), i))
                 if errors[i] * sign > 0 and 0 <= codes[i] - sign <= 15]
        if total == 0:
            return None
        while order and abs(total) > float(scale) / 2 and not crossed:
            last = order.pop(0)
            codes[last] -= sign
            errors[last] -= sign
            total -= sign * float(scale)
            crossed = total * sign < 0
        return last if crossed else (order[0] if order else None)

    movable = list(range(len(row)))
    if kernel > 1:
        picked = [flip((np.arange(i, i + kernel), range(i, i + kernel))) for i in range(0, len(row), kernel)]
        movable = [i for i in picked if i is not None]
    flip((np.arange(len(row)), movable))
    return codes


@pytest.mark.parametrize("seed", range(3))
def test_squant_is_as_published(tmp_path, seed):
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"], name="a"), helper.make_node("Conv", ["x", "v"], ["b"], name="b")]
    model = make_model(nodes, [tensor("w", 24, 8, 3, 3, seed=seed), tensor("v", 24, 8, 1, 1, seed=seed)], [value("x", 1, 8, 6, 6)],
                       [value("a", 1, 24, 4, 4), value("b", 1, 24, 6, 6)], opset=21)
    rewritten, report = rewrite(model, tmp_path, "--method", "squant", "--format", "uint4")
    stored = {t.name: t for t in rewritten.graph.initializer}
    for name, kernel in (("w", 9), ("v", 1)):
        weight = array(model, name).reshape(24, -1)
        scale, zero = grid_of(weight)
        np.testing.assert_array_equal(numpy_helper.to_array(stored[f"{name}_scale"]), scale)
        np.testing.assert_array_equal(int4_codes(stored[f"{name}_zero_point"]), zero)
        wanted = np.stack([squant(row, kernel, s, z) for row, s, z in zip(weight, scale, zero)])
        np.testing.assert_array_equal(int4_codes(stored[f"{name}_quantized"]).reshape(24, -1), wanted)
    assert report["options"]["method"] == "squant"
    assert_equal_outputs(model, rewritten)


@pytest.mark.parametrize("arguments", [["--scale", "signed"], ["--asymmetric"], ["--scale", "range", "--rounding", "squant"],
                                       ["--rounding", "squant"], ["--method", "squant", "--scale", "absmax", "--no-bias-correction"],
                                       ["--asymmetric", "--format", "uint4"]])
def test_runtime_decodes_what_was_chosen(tmp_path, arguments):
    model = detector()
    assert_equal_outputs(model, rewrite(model, tmp_path, *arguments)[0])


@pytest.mark.parametrize("form", [["--decode", "cast"], ["--format", "uint4", "--decode", "cast"], ["--format", "packed-u8"],
                                  ["--dq-domain", "com.microsoft"], ["--block", "9"], ["--block", "9", "--decode", "cast"]])
@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_every_form_has_zero_points(tmp_path, form, kind):
    """The same weights whatever the form: as restore sees them, and as ONNX Runtime does."""
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], name="a")]
    element = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    model = make_model(nodes, [tensor("w", 7, 3, 3, 3, kind=kind)], [value("x", 1, 3, 6, 6, kind=element)],
                       [value("y", 1, 7, 4, 4, kind=element)], opset=21)
    blocks = form if "--block" in form else []
    rewrite(model, tmp_path, "--method", "squant", *blocks)
    run_int4q("restore", tmp_path / "out.onnx", "-f", "-o", tmp_path / "wanted.onnx")
    rewritten, _ = rewrite(model, tmp_path, "--method", "squant", *form)
    onnx.checker.check_model(rewritten, full_check=True)
    run_int4q("inspect", tmp_path / "out.onnx", "--require", "valid", "--stats")
    run_int4q("restore", tmp_path / "out.onnx", "-f", "-o", tmp_path / "got.onnx")
    wanted, got = (onnx.load(tmp_path / name) for name in ("wanted.onnx", "got.onnx"))
    np.testing.assert_array_equal(array(got, "w"), array(wanted, "w"))
    assert len(np.unique(array(got, "w")[0])) > 8
    feeds = random_feeds(model)
    if kind is np.float32:  # ONNX Runtime computes FLOAT16 in float, where it may leave out a rounding
        np.testing.assert_array_equal(run(rewritten, feeds)[0], run(wanted, feeds)[0])


def covariance(found, name, group, kernel, images, blocks=False):
    """The matrix of the definition in src/quantize/moments.h."""
    mean, second = (found[f"{name}|{what}"].astype(np.float64) for what in ("mu", "H"))
    if mean.ndim > 1:
        mean, second = mean[group], second[group]
    cov = second - np.outer(mean, mean)
    elements, shrink = int(np.prod(kernel)), 0.3 if blocks or images == 1 else {4: 0.3 - 0.2 * 3 / 7, 12: 0.1}[images]
    places = np.stack(np.unravel_index(np.arange(elements), kernel), 1)
    near = 0.5 ** np.sqrt(((places[:, None] - places[None]) ** 2).sum(-1))
    diagonal = np.diag(cov).reshape(-1, elements).mean(1)
    prior = np.kron(np.diag((diagonal + np.diag(cov).mean()) / 2), near)
    matrix = (1 - shrink) * cov + shrink * prior
    return matrix + np.eye(len(matrix)) * (1e-4 * np.diag(matrix).mean() + 1e-12)


@pytest.mark.parametrize("images, block", [(1, 0), (4, 0), (12, 0), (12, 5)])
@pytest.mark.parametrize("rounding", ["descent", "gptq"])
def test_no_single_code_can_be_better(tmp_path, rounding, images, block):
    """Where coordinate descent ends, no code can change alone; and it is better than where it began."""
    model = detector()
    path, found = save_moments(tmp_path, model, images=images)
    weights, losses = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer if len(t.dims) == 4}, {}
    for method in (["squant"], ["calibrated", "--rounding", rounding, "--calibration", path]):
        rewritten, _ = rewrite(model, tmp_path, "--method", *method, *(["--block", str(block)] if block else []))
        run_int4q("restore", tmp_path / "out.onnx", "-f", "-o", tmp_path / "restored.onnx")
        stored = {t.name: t for t in rewritten.graph.initializer}
        decoded, loss = onnx.load(tmp_path / "restored.onnx"), 0
        for name, weight in weights.items():
            codes = int4_codes(stored[f"{name}_quantized"]).reshape(len(weight), -1)
            scale = numpy_helper.to_array(stored[f"{name}_scale"]).astype(np.float64).reshape(len(weight), -1)
            scale = np.repeat(scale, block, 1)[:, :codes.shape[1]] if scale.shape[1] > 1 else scale
            errors = (weight - array(decoded, name)).reshape(len(weight), -1)
            for row in range(len(weight)):
                matrix = covariance(found, name, row, weight.shape[2:], images, block > 0)
                loss += errors[row] @ matrix @ errors[row]
                if method[0] == "squant":
                    continue
                for step in (1, -1):
                    change = -step * scale[row]
                    gain = 2 * change * (matrix @ errors[row]) + change ** 2 * np.diag(matrix)
                    allowed = (codes[row] + step <= 7) & (codes[row] + step >= -8)
                    assert (gain[allowed] >= -1e-6 * abs(loss)).all()
        losses[method[0]] = loss
    assert losses["calibrated"] < 0.95 * losses["squant"]


def test_biases_take_up_the_mean_error(tmp_path):
    model = detector()
    bias = next(t for t in model.graph.initializer if t.name == "b")
    bias.doc_string = "why"
    bias.metadata_props.add(key="source", value="training run 7")
    path, found = save_moments(tmp_path, model)
    rewritten, _ = rewrite(model, tmp_path, "--method", "calibrated", "--calibration", path)
    corrected = next(t for t in rewritten.graph.initializer if t.name == "b")
    assert corrected.doc_string == "why" and corrected.metadata_props == bias.metadata_props
    decoded = decoded_weights(rewritten.graph)
    inputs = {n.name: list(n.input) for n in rewritten.graph.node if n.op_type == "Conv"}
    assert inputs["first"][2] == "b" and inputs["depthwise"][2] == "d_bias"
    assert inputs["point"][2] == "s_corrected" and inputs["other"][2] == "s_corrected_1"
    for name, weight, bias in (("first", "w", "b"), ("depthwise", "d", None), ("point", "p", "s"), ("other", "q", "s")):
        before = array(model, bias) if bias else 0
        mean = found[f"{weight}|mu"].astype(np.float64)
        errors = (array(model, weight).astype(np.float64) - decoded[weight]).reshape(len(decoded[weight]), -1)
        wanted = before + (errors * mean).sum(1)
        np.testing.assert_allclose(array(rewritten, inputs[name][2]), wanted, rtol=1e-5, atol=1e-6)
    onnx.checker.check_model(rewritten, full_check=True)
    run(rewritten, random_feeds(model))
    plain, _ = rewrite(model, tmp_path, "--method", "calibrated", "--calibration", path, "--no-bias-correction")
    np.testing.assert_array_equal(array(plain, "b"), array(model, "b"))
    assert {t.name for t in plain.graph.initializer}.isdisjoint({"d_bias", "s_corrected"})


@pytest.mark.parametrize("arguments", [["squant"], ["calibrated"], ["absmax"], ["absmax", "--asymmetric"]])
def test_report_tells_what_was_done(tmp_path, arguments):
    model = detector()
    path, found = save_moments(tmp_path, model)
    arguments = ["--method", *arguments, *(["--calibration", path] if "calibrated" in arguments else [])]
    rewritten, report = rewrite(model, tmp_path, *arguments)
    stored, decoded, ratios = {t.name: t for t in rewritten.graph.initializer}, decoded_weights(rewritten.graph), []
    for row in report["convs"]:
        weight = array(model, row["weight"]).reshape(row["shape"][0], -1).astype(float)
        scale = numpy_helper.to_array(stored[row["weight"] + "_scale"]).astype(float)[:, None]
        zero = int4_codes(stored[row["weight"] + "_zero_point"])[:, None]
        codes = int4_codes(stored[row["weight"] + "_quantized"]).reshape(weight.shape)
        errors = weight - decoded[row["weight"]].reshape(weight.shape)
        low, high = (-7, 7) if arguments[1:] == ["absmax"] else (-8, 7)
        nearest = np.clip(np.rint(weight / scale) + zero, low, high)
        assert row["moved"] == (codes != nearest).sum()
        assert row["clipped"] == ((weight / scale + zero > high + 0.5) | (weight / scale + zero < low - 0.5)).sum()
        assert row["drift"] == pytest.approx(np.abs((errors / scale).sum(1)).max(), rel=1e-4, abs=1e-5)
        ratios.append((errors ** 2).sum() / (weight ** 2).sum())
        assert row["sqnr_db"] == pytest.approx(-10 * np.log10(ratios[-1]), abs=1e-3)
        if "calibrated" not in arguments:
            assert row["output_sqnr_db"] is None
            continue
        group = range(len(weight)) if row["weight"] == "d" else [0] * len(weight)
        matrices = [covariance(found, row["weight"], g, row["shape"][2:], 12) for g in group]
        noise, signal = (sum(v @ a @ v for v, a in zip(values, matrices)) for values in (errors, weight))
        assert row["output_sqnr_db"] == pytest.approx(10 * np.log10(signal / noise), abs=1e-3)
    assert report["totals"]["sqnr_db"] == pytest.approx(-10 * np.log10(np.mean(ratios)), abs=1e-3)
    if "squant" in arguments:
        assert max(row["drift"] for row in report["convs"]) <= 0.5 + 1e-5


def test_biases_that_cannot_change_are_told_of(tmp_path):
    nodes = [helper.make_node("Abs", ["b"], ["bias"]), helper.make_node("Conv", ["x", "w", "bias"], ["y"], name="a")]
    model = make_model(nodes, [tensor("w", 4, 3, 3, 3), tensor("b", 4)], outputs=[value("y", 1, 4, 4, 4)], opset=21)
    path, _ = save_moments(tmp_path, model)
    rewritten, report = rewrite(model, tmp_path, "--method", "squant", "--calibration", path)
    assert any("1 Convs have a bias that is computed" in note for note in report["notes"])
    assert_equal_outputs(model, rewritten)


def test_weights_without_statistics_are_told_of(tmp_path):
    model = detector()
    found, metadata = moments_of(model)
    save_file({k: v for k, v in found.items() if k[0] != "w"}, str(tmp_path / "s.safetensors"), metadata)
    _, report = rewrite(model, tmp_path, "--method", "calibrated", "--calibration", tmp_path / "s.safetensors")
    assert any("1 weights are not in the file" in note for note in report["notes"]) and report["totals"]["quantized"] == 4


@pytest.mark.parametrize("arguments, told", [
    (["--method", "calibrated"], ["their codes are chosen without"]), (["--method", "squant"], []),
    (["--method", "squant", "--rank", "stats", "--keep", "0"], ["their losses are estimated from the weights alone"]),
    (["--method", "squant", "--rank", "weights", "--keep", "0"], [])])
def test_means_alone_are_told_of(tmp_path, arguments, told):
    """Statistics of --mean-only correct biases, and that is all."""
    model = detector()
    found, metadata = moments_of(model)
    for name, means in (("means", True), ("all", False)):
        save_file({k: v for k, v in found.items() if not means or k.endswith("|mu")}, str(tmp_path / name), metadata)
        _, report = rewrite(model, tmp_path, *arguments, "--calibration", tmp_path / name)
        notes = [note for note in report["notes"] if "covariances" in note]
        assert len(notes) == (len(told) if means else 0)
        assert all(f"{report['totals']['quantized']} weights have no covariances" in n and t in n for n, t in zip(notes, told))


@pytest.mark.parametrize("kernels", ["scalar", None])
@pytest.mark.parametrize("threads", [1, 5])
def test_bytes_depend_on_nothing_else(tmp_path, monkeypatch, kernels, threads):
    model = detector()
    path, _ = save_moments(tmp_path, model)
    wanted, _ = rewrite(model, tmp_path, "--method", "calibrated", "--calibration", path)
    if kernels:
        monkeypatch.setenv("INT4Q_CPU", kernels)
    got, _ = rewrite(model, tmp_path, "--method", "calibrated", "--calibration", path, "-j", threads)
    assert got.SerializeToString() == wanted.SerializeToString()


def damage(path, kind):
    data = bytearray(path.read_bytes())
    header = int.from_bytes(data[:8], "little")
    if kind == "empty":
        data = b""
    elif kind == "long header":
        data[:8] = (1 << 40).to_bytes(8, "little")
    elif kind == "no JSON":
        data[8:12] = b"nope"
    elif kind == "cut":
        data = data[:8 + header + 100]
    elif kind == "wrong type":
        data = data.replace(b'"F32"', b'"F16"', 1)
    elif kind == "infinite":
        data[8 + header:] = b"\x00\x00\x80\x7f" * ((len(data) - 8 - header) // 4)
    elif kind == "no images":
        data = data.replace(b'"images"', b'"imagos"', 1)
    path.write_bytes(data)


@pytest.mark.parametrize("kind", ["empty", "long header", "no JSON", "cut", "wrong type", "infinite", "no images"])
def test_damaged_statistics_are_refused(tmp_path, kind):
    model = detector()
    path, _ = save_moments(tmp_path, model)
    damage(path, kind)
    onnx.save(model, tmp_path / "in.onnx")
    done = run_int4q("rewrite", tmp_path / "in.onnx", "--method", "calibrated", "--calibration", path, "-o", tmp_path / "out.onnx", status=3)
    assert len(done.stderr.splitlines()) == 1 and not (tmp_path / "out.onnx").exists()
    assert done.stderr.startswith(f"int4q: {path}: ")  # neither the model nor nothing
    assert kind != "infinite" or "|H': the moments of its inputs are not finite" in done.stderr


def test_statistics_of_another_model_are_refused(tmp_path):
    model = detector()
    found, metadata = moments_of(model)
    found["w|mu"] = found["w|mu"][:20].copy()
    save_file(found, str(tmp_path / "s.safetensors"), metadata)
    onnx.save(model, tmp_path / "in.onnx")
    done = run_int4q("rewrite", tmp_path / "in.onnx", "--method", "squant", "--calibration", tmp_path / "s.safetensors", status=3)
    assert "'w|mu' is not F32 of a shape that fits" in done.stderr


@pytest.mark.parametrize("arguments", [["--method", "calibrated"], ["--rounding", "gptq"], ["--method", "best"],
                                       ["--asymmetric", "--scale", "absmax"], ["--format", "int8", "--method", "squant"]])
def test_usage(tmp_path, arguments):
    onnx.save(detector(), tmp_path / "in.onnx")
    run_int4q("rewrite", tmp_path / "in.onnx", *arguments, status=2)


def test_operators_without_kernels(tmp_path):
    """ConvTranspose and MatMul take the scale of a method, and the nearest code."""
    nodes = [helper.make_node("ConvTranspose", ["x", "t"], ["a"], name="t", group=2), helper.make_node("Flatten", ["a"], ["f"]),
             helper.make_node("Gemm", ["f", "g"], ["h"], name="g", transB=1), helper.make_node("MatMul", ["h", "m"], ["y"], name="m")]
    model = make_model(nodes, [tensor("t", 4, 3, 2, 2), tensor("g", 8, 54), tensor("m", 8, 5)], [value("x", 1, 4, 2, 2)],
                       [value("y", 1, 5)], opset=21)
    rewritten, report = rewrite(model, tmp_path, "--method", "squant", "--op-types", "ConvTranspose,Gemm,MatMul")
    assert report["totals"]["quantized"] == 3
    onnx.checker.check_model(rewritten, full_check=True)
    feeds = random_feeds(model)
    run_int4q("restore", tmp_path / "out.onnx", "-o", tmp_path / "back.onnx")
    wanted = run(onnx.load(tmp_path / "back.onnx"), feeds)[0]  # packed beforehand there, hence not bit for bit
    np.testing.assert_allclose(run(rewritten, feeds)[0], wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
    assert TensorProto.INT4 in {t.data_type for t in rewritten.graph.initializer}


@pytest.mark.parametrize("method", [["absmax"], ["squant"]])
def test_rank_by_weights_keeps_the_loss_a_byte(tmp_path, method):
    model = detector()
    _, full = rewrite(model, tmp_path, "--method", *method, "--no-bias-correction")
    losses = {r["node"]: 10 ** (-r["sqnr_db"] / 10) / r["weights"] for r in full["convs"]}
    _, report = rewrite(model, tmp_path, "--method", *method, "--rank", "weights", "--keep", "2", "--keep-format", "int8")
    kept = {r["node"] for r in report["convs"] if r["reason"] == "sensitive"}
    assert kept == set(sorted(losses, key=losses.get)[-2:])
    for row in report["convs"]:
        assert row["sensitivity"] == pytest.approx(losses[row["node"]], rel=1e-5)
        assert row["storage"] == ("int8" if row["node"] in kept else "int4")
    assert report["topk"] == {"path": None, "entries": 4, "keep": 2, "unmatched": []}


def test_rank_by_outputs(tmp_path):
    model = detector()
    path, found = save_moments(tmp_path, model)
    rewritten, _ = rewrite(model, tmp_path, "--method", "squant", "--no-bias-correction")
    decoded, losses = decoded_weights(rewritten.graph), {}
    for node in model.graph.node:
        if node.op_type == "Conv":
            weight = array(model, node.input[1])
            errors = (weight.astype(float) - decoded[node.input[1]]).reshape(len(weight), -1)
            matrices = [covariance(found, node.input[1], g, weight.shape[2:], 12) for g in range(len(weight) if node.input[1] == "d" else 1)]
            matrices = matrices if len(matrices) > 1 else matrices * len(weight)
            noise, signal = (sum(v @ a @ v for v, a in zip(values, matrices)) for values in (errors, weight.reshape(len(weight), -1)))
            losses[node.name] = noise / signal / weight.size
    _, report = rewrite(model, tmp_path, "--method", "calibrated", "--calibration", path, "--rank", "stats", "--keep", "1")
    for row in report["convs"]:
        assert row["sensitivity"] == pytest.approx(losses[row["node"]], rel=1e-4)
    assert [r["node"] for r in report["convs"] if r["reason"] == "sensitive"] == [max(losses, key=losses.get)]


@pytest.mark.parametrize("method", [["squant"], ["calibrated", "--calibration", "stats.safetensors"], ["squant", "--decode", "cast"]])
def test_rank_fills_the_target_size(tmp_path, monkeypatch, method):
    monkeypatch.chdir(tmp_path)
    nodes = [helper.make_node("Conv", ["x", f"w{i}"], [f"y{i}"], name=f"c{i}") for i in range(5)]
    model = make_model(nodes, [tensor(f"w{i}", 40 + 20 * i, 16, 3, 3) for i in range(5)], [value("x", 1, 16, 4, 4)],
                       [value(f"y{i}", 1, 40 + 20 * i, 2, 2) for i in range(5)], opset=21)
    save_moments(tmp_path, model)
    arguments = ["--method", *method, "--rank", "weights", "--keep-format", "int8"]
    sizes = [rewrite(model, tmp_path, *arguments, "--keep", keep)[1]["output"]["bytes"] for keep in range(5)]
    assert sizes == sorted(sizes)
    _, report = rewrite(model, tmp_path, *arguments, "--target-size", (sizes[2] + sizes[3]) // 2)
    assert report["output"]["bytes"] == sizes[2] and report["topk"]["keep"] == 2


@pytest.mark.parametrize("arguments", [["--rank", "stats"], ["--rank", "guess"], ["--rank", "weights", "--topk", "x.json"]])
def test_rank_usage(tmp_path, arguments):
    onnx.save(detector(), tmp_path / "in.onnx")
    run_int4q("rewrite", tmp_path / "in.onnx", *arguments, status=2)


@pytest.mark.parametrize("fmt, bits", [("int2", 2), ("packed2", 2), ("packed3", 3), ("int4", 4), ("packed5", 5), ("packed6", 6)])
@pytest.mark.parametrize("method", ["absmax", "squant", "calibrated"])
def test_every_method_at_every_width(tmp_path, method, fmt, bits):
    """A bit more is worth 6 dB, less where the grid is so coarse that its shape counts; what is stored decodes to what was
    chosen."""
    weights = tensor("w", 16, 8, 3, 3)
    model = make_model([helper.make_node("Conv", ["x", "w"], ["y"], name="a")], [weights], [value("x", 1, 8, 9, 9)],
                       [value("y", 1, 16, 7, 7)], opset=21)
    mixing = np.random.default_rng(1).standard_normal((72, 72)).astype(np.float32)
    save_file({"w|mu": np.zeros(72, np.float32), "w|H": mixing @ mixing.T}, tmp_path / "stats.safetensors", {"images": "1"})
    extra = ["--calibration", tmp_path / "stats.safetensors"] if method == "calibrated" else []
    rewritten, report = rewrite(model, tmp_path, "--method", method, "--format", fmt, *extra)
    assert report["convs"][0]["storage"] == fmt
    assert report["convs"][0]["sqnr_db"] > 6.02 * bits - 11
    feeds = random_feeds(model)
    run_int4q("restore", tmp_path / "out.onnx", "-fq", "-o", tmp_path / "float.onnx")
    assert run(rewritten, feeds)[0].tobytes() == run(onnx.load(tmp_path / "float.onnx"), feeds)[0].tobytes()

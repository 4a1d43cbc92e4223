# SPDX-License-Identifier: Apache-2.0
"""com.int4q::ConvNBits as docs/conv_nbits.md has it: by the library libint4q_ort.so, and by the function body."""
import concurrent.futures
import glob
import os
import subprocess
import sys

import nbits
import numpy as np
import onnx
import onnxruntime
import pytest
from helpers import ROOT, run, run_int4q, shared_data, with_output_shapes
from nbits_reference import ACTIVATIONS, Case, activate, families, level0, level4, random_case
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

LEVELS = onnxruntime.GraphOptimizationLevel


@pytest.fixture(name="library", scope="module")
def fixture_library():
    """The shared object; skips where it is not built, or cannot be loaded into this process."""
    path = os.environ.get("INT4Q_OPS_LIBRARY", "")
    if not path:
        pytest.skip("libint4q_ort.so is not built, or with a sanitizer")
    return path


def open_session(model, library=None, threads=1, optimize=False):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = LEVELS.ORT_ENABLE_ALL if optimize else LEVELS.ORT_DISABLE_ALL
    options.log_severity_level, options.intra_op_num_threads = 4, threads
    if library:
        options.register_custom_ops_library(library)
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def compute(case, library, threads=1):
    return open_session(case.model(body=False), library, threads).run(None, {"x": case.x})[0]


def assert_near(got, want, relative):
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=relative, atol=relative * np.abs(want).max(initial=0))


# ---- the library against the formulas

@pytest.mark.parametrize("name", families())
def test_every_family(library, name):
    case = families()[name]
    wanted = level4(case)
    got = compute(case, library)
    assert got.shape == wanted.shape and got.tobytes() == wanted.tobytes()
    case.level = 0
    assert_near(compute(case, library), level0(case), 2e-5)


@pytest.mark.parametrize("seed", range(60))
def test_any_shape(library, seed):
    case = random_case(seed)
    assert compute(case, library).tobytes() == level4(case).tobytes()
    case.level = 0
    assert_near(compute(case, library), level0(case), 2e-5)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("group", [1, 12])
def test_activations(library, name, kernel, group):
    case = Case(channels=12, outputs=12, group=group, kernel=(kernel, kernel), pads=(kernel // 2,) * 4, size=(14, 15),
                **ACTIVATIONS[name])
    for scale in (1, 100):  # also where exp overflows
        case.x = case.x * np.float32(scale)
        assert_near(compute(case, library), activate(level4(case), case), 2e-6)


def test_constant_and_zero_inputs(library):
    case = Case(pads=(1, 1, 1, 1), images=4)
    case.x[0], case.x[1], case.x[2], case.x[3] = 0, 5, -5, 1e-30
    assert compute(case, library).tobytes() == level4(case).tobytes()


@pytest.mark.parametrize("group", [1, 8])
def test_extremes_of_each_image_are_its_own(library, group):
    case = Case(group=group, images=2)
    case.x[1] *= 1000
    whole = compute(case, library)
    for i in range(2):
        single = Case(group=group)
        single.x = case.x[i:i + 1]
        assert compute(single, library).tobytes() == whole[i:i + 1].tobytes()


@pytest.mark.parametrize("group", [1, 8])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none(library, wrong, group):
    """What they reach comes from level 0; another image, and another channel where depthwise, does not notice."""
    case = Case(group=group, images=2, pads=(1, 1, 1, 1))
    case.x[1, 3, 4, 5] = wrong
    got = compute(case, library)
    with np.errstate(invalid="ignore"):
        plain = level4(case)
    assert got[0].tobytes() == plain[0].tobytes()
    case.level = 0
    exact = compute(case, library)
    for o in range(case.outputs):
        if group == 1 or o == 3:
            np.testing.assert_array_equal(got[1, o], exact[1, o])
            assert not np.isfinite(got[1, o]).all()
        else:
            assert got[1, o].tobytes() == plain[1, o].tobytes()


@pytest.mark.parametrize("group", [1, 8])
def test_no_images_and_empty_maps(library, group):
    """Nothing gives nothing, padding alone gives the bias."""
    case = Case(group=group, kernel=(1, 1), pads=(1, 1, 1, 1))
    session = open_session(case.model(body=False, dims=["n", 8, "h", "w"]), library)
    assert session.run(None, {"x": np.zeros((0, 8, 4, 4), np.float32)})[0].shape == (0, 8, 6, 6)
    for size in ((0, 5), (5, 0), (0, 0)):
        got = session.run(None, {"x": np.zeros((2, 8, *size), np.float32)})[0]
        np.testing.assert_array_equal(got, np.broadcast_to(case.biases.reshape(1, 8, 1, 1), (2, 8, size[0] + 2, size[1] + 2)))
    session = open_session(Case(group=group, kernel=(1, 1)).model(body=False, dims=["n", 8, "h", "w"]), library)
    assert session.run(None, {"x": np.zeros((1, 8, 0, 5), np.float32)})[0].shape == (1, 8, 0, 5)


def test_sizes_may_change_from_run_to_run(library):
    case = Case(pads=(1, 1, 1, 1))
    session = open_session(case.model(body=False, dims=["n", 8, "h", "w"]), library)
    for images, *case.size in ((1, 9, 11), (3, 4, 50), (2, 1, 1), (1, 40, 3)):
        case.images, case.x = images, np.random.default_rng(images).standard_normal((images, 8, *case.size)).astype(np.float32)
        assert session.run(None, {"x": case.x})[0].tobytes() == level4(case).tobytes()


# ---- the same bytes, however it is computed

SAMPLE = ("3x3 stride 1", "3x3 stride 2", "1x1 stride 1", "depthwise 3 stride 1 on (14, 19)", "depthwise 7 stride 2 on (14, 19)",
          "first layer", "many channels 3x3", "groups", "blocks", "int8", "one dimension", "a large map")


@pytest.mark.parametrize("name", SAMPLE)
@pytest.mark.parametrize("level", [0, 4])
def test_any_number_of_threads(library, name, level):
    case = families()[name]
    case.level, case.activation = level, nbits.SILU
    wanted = compute(case, library).tobytes()
    assert all(compute(case, library, threads).tobytes() == wanted for threads in (2, 3, 7))


CHILD = """
import sys
sys.path[:0] = sys.argv[2].split(":")
from test_conv_nbits import SAMPLE, compute, families, nbits
for name in SAMPLE:
    for level in (0, 4):
        case = families()[name]
        case.level, case.activation = level, nbits.SILU
        sys.stdout.buffer.write(compute(case, sys.argv[1]).tobytes())
"""


def with_set(library, name):
    return subprocess.run([sys.executable, "-c", CHILD, library, ":".join(sys.path)], capture_output=True, check=False,
                          env={**os.environ, "INT4Q_CPU": name})


def test_kernel_sets_agree(library):
    """Those that this CPU can run; what it says of others is one line."""
    wanted = with_set(library, "scalar").stdout
    assert wanted
    for name in ("avx2", "avxvnni", "avx512vnni", "neon", "neondot"):
        done = with_set(library, name)
        if done.returncode == 0:
            assert done.stdout == wanted, name
        else:
            assert b"kernel set" in done.stderr, done.stderr


def test_unknown_kernel_set(library, monkeypatch):
    monkeypatch.setenv("INT4Q_CPU", "abacus")
    with pytest.raises(Exception, match="'the node': unknown kernel set 'abacus'"):
        open_session(Case().model(body=False), library)


def test_concurrent_runs_and_sessions(library):
    case = families()["3x3 stride 1"]
    wanted = level4(case).tobytes()
    sessions = [open_session(case.model(body=False), library, 2) for _ in range(3)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = pool.map(lambda i: sessions[i % 3].run(None, {"x": case.x})[0].tobytes(), range(300))
        assert set(results) == {wanted}


def test_memory_does_not_grow(library):
    def resident():
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    case = Case(pads=(1, 1, 1, 1))
    session = open_session(case.model(body=False, dims=["n", 8, "h", "w"]), library)
    for i in range(10000):
        session.run(None, {"x": case.x[:, :, :i % 9 + 1]})
        if i == 1000:
            before = resident()
    assert resident() - before < 1 << 20


# ---- the function body

@pytest.mark.parametrize("name", ["3x3 stride 2", "1x1 stride 1", "depthwise 3 stride 2 on (8, 8)", "dilation and stride", "groups",
                                  "one dimension, stride 2", "uint4", "int8", "no zero points", "no bias", "neither", "blocks",
                                  "short last block", "blocks, one dimension", "three images", "uneven padding"])
def test_body_is_the_dq_form(name):
    case = families()[name]
    model = case.model()
    got = run(model, {"x": case.x})[0]
    assert got.tobytes() == run(case.dq_model(), {"x": case.x})[0].tobytes()
    run(model, {"x": case.x}, optimize=True)
    onnx.checker.check_model(with_output_shapes(case.model()), full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.output[0].type.tensor_type.shape
    assert [d.dim_value for d in inferred.dim] == list(got.shape)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_body_has_every_activation(name):
    case = Case(**ACTIVATIONS[name])
    wanted = run(case.dq_model(), {"x": case.x})[0].tobytes()
    assert run(case.model(), {"x": case.x})[0].tobytes() == wanted
    alone = case.model()
    del alone.functions[:]
    alone.functions.append(case.body([case.activation]))
    onnx.checker.check_model(with_output_shapes(alone), full_check=True)
    assert run(alone, {"x": case.x})[0].tobytes() == wanted


def test_body_in_the_reference_evaluator():
    from onnx.reference import ReferenceEvaluator
    for case in (Case(), Case(bias=False), Case(block=5), Case(activation=nbits.SILU)):
        got = ReferenceEvaluator(case.model()).run(None, {"x": case.x})[0]
        case.level = 0
        assert_near(got, activate(level0(case), case), 1e-5)


def test_optimizations_fold_the_choice_away(tmp_path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "optimized.onnx"), 4
    onnxruntime.InferenceSession(Case(activation=nbits.SILU).model().SerializeToString(), options)
    ops = [n.op_type for n in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert "If" not in ops and "Conv" in ops


def test_library_goes_before_body(library):
    case = Case(pads=(1, 1, 1, 1))
    for optimize in (False, True):
        session = open_session(case.model(), library, optimize=optimize)
        assert session.run(None, {"x": case.x})[0].tobytes() == level4(case).tobytes()


# ---- detectors

def in_form(source, folder, form):
    run_int4q("rewrite", source, "-f", "-q", "-o", folder / "out.onnx", "--decode", form)
    return onnx.load(folder / "out.onnx")


def simulated(model, converted):
    """The form `dq` with what level 4 does to activations as nodes in front of each Conv that is a ConvNBits."""
    made = {n.name: nbits.attributes(n) for n in converted.graph.node if n.domain == nbits.DOMAIN}
    copy, nodes = onnx.ModelProto.FromString(model.SerializeToString()), []
    for node in copy.graph.node:
        if node.op_type == "Conv" and node.name in made:
            found = made[node.name]
            depthwise = found["weight_shape"][1] == 1 and found["group"] > 1
            more = eight_bits(node.input[0], f"{node.name}_8", [2, 3] if depthwise else [1, 2, 3])
            nodes += more
            node.input[0] = more[-1].output[0]
        nodes.append(node)
    nodes = [onnx.NodeProto.FromString(n.SerializeToString()) for n in nodes]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    for name, numbers in (("zero", np.float32(0)), ("one", np.float32(1)), ("most", np.float32(255)), ("axes2", [2, 3]), ("axes3", [1, 2, 3])):
        copy.graph.initializer.append(numpy_helper.from_array(np.asarray(numbers), f"8_bits_{name}"))
    return copy


def eight_bits(x, prefix, axes):
    """The formulas of docs/conv_nbits.md as nodes; the last one gives s · (u − z)."""
    def node(op, output, *inputs):
        return helper.make_node(op, [f"8_bits_{i[1:]}" if i[0] == "." else x if i == "x" else f"{prefix}_{i}" for i in inputs],
                                [f"{prefix}_{output}"], **({"keepdims": 1} if op.startswith("Reduce") else {}))
    over = f".axes{len(axes)}"
    return [node("ReduceMin", "least", "x", over), node("Min", "low", "least", ".zero"), node("ReduceMax", "largest", "x", over),
            node("Max", "high", "largest", ".zero"), node("Sub", "range", "high", "low"), node("Div", "step", "range", ".most"),
            node("Equal", "flat", "step", ".zero"), node("Where", "s", "flat", ".one", "step"), node("Div", "inverse", ".one", "s"),
            node("Mul", "below", "low", "inverse"), node("Neg", "above", "below"), node("Round", "rounded", "above"),
            node("Min", "z", "rounded", ".most"), node("Neg", "bottom", "z"), node("Sub", "top", ".most", "z"),
            node("Mul", "steps", "x", "inverse"), node("Max", "kept", "steps", "bottom"), node("Min", "clamped", "kept", "top"),
            node("Round", "u", "clamped"), node("Mul", "y", "u", "s")]


def signal_to_noise(got, want):
    """In dB, the least of all outputs."""
    return min(10 * np.log10(np.square(w, dtype=float).sum() / max(np.square(g.astype(float) - w).sum(), 1e-30)) for g, w in zip(got, want))


def picture(model, shape):
    """A picture of COCO as this family of detectors wants it."""
    with Image.open(shared_data("coco-mini", "val2017", "000000000139.jpg")) as file:
        pixels = np.asarray(file.convert("RGB").resize(shape[:1:-1]), np.float32)
    return pixels.transpose(2, 0, 1)[None] / np.float32(1 if "yolox" in model else 255)


def check_detector(source, folder, library, make_input):
    """Body and form `dq` alike; the library as near to it as the simulation is: steps that flip add up to more than the
    difference of one of them, so every node is compared alone, with the numbers that reach it."""
    dq, converted = in_form(source, folder, "dq"), in_form(source, folder, "nbits")
    count = sum(n.op_type == "DequantizeLinear" for n in dq.graph.node)
    assert count == sum(n.domain == nbits.DOMAIN for n in converted.graph.node) > 0
    onnx.checker.check_model(converted, full_check=True)
    onnx.shape_inference.infer_shapes(converted, strict_mode=True)
    name, shape = dq.graph.input[0].name, [d.dim_value for d in dq.graph.input[0].type.tensor_type.shape.dim]
    feeds = {name: make_input(shape)}
    plain = run(dq, feeds)
    assert [y.tobytes() for y in run(converted, feeds)] == [y.tobytes() for y in plain]
    got = open_session(converted, library, threads=2, optimize=True).run(None, feeds)
    assert signal_to_noise(got, plain) > signal_to_noise(run(simulated(dq, converted), feeds), plain) - 2
    compare_nodes(converted, library, feeds)


def compare_nodes(model, library, feeds):
    """Each ConvNBits of a shape against the formulas, bit for bit in front of the activation."""
    nodes = [n for n in model.graph.node if n.domain == nbits.DOMAIN]
    stored, inside = {t.name: t for t in model.graph.initializer}, sorted({n.input[0] for n in nodes} - set(feeds))
    probe = onnx.ModelProto.FromString(model.SerializeToString())
    probe.graph.output.extend(helper.make_tensor_value_info(i, TensorProto.FLOAT, None) for i in inside)
    values = dict(zip(inside, open_session(probe).run(inside, feeds))) | feeds
    shapes = {(str(nbits.attributes(n)), values[n.input[0]].shape): n for n in nodes}
    for node in shapes.values():
        case = Case.of(node, [stored.get(i) for i in node.input[1:]], values[node.input[0]])
        single = open_session(case.model(body=False, activation=nbits.NONE), library, threads=2)
        assert single.run(None, {"x": case.x})[0].tobytes() == level4(case).tobytes(), node.name


def test_small_detector(library, tmp_path):
    source = os.path.join(ROOT, "tests", "data", "good-detector.onnx")
    check_detector(source, tmp_path, library, lambda shape: np.random.default_rng(0).random(shape).astype(np.float32))


@pytest.mark.parametrize("model", ["yolov10n_raw_op13.onnx", "yolox_nano_416.onnx", "nanodet_m_320.onnx"])
def test_real_detector(library, tmp_path, model):
    check_detector(shared_data("models", model), tmp_path, library, lambda shape: picture(model, shape))


# ---- the example

def runtime_to_link():
    """Folder and file of the libonnxruntime.so that the Python package brings."""
    found = glob.glob(os.path.join(os.path.dirname(onnxruntime.__file__), "capi", "libonnxruntime.so.*"))
    return found[0] if found else None


def test_example_in_c(library, tmp_path):
    headers = [f for f in (os.path.join(ROOT, "build", "onnxruntime", "usr", "include", "onnxruntime"), "/usr/include/onnxruntime")
               if os.path.exists(f)]
    runtime = runtime_to_link()
    if not runtime or not headers:
        pytest.skip("no libonnxruntime.so, or no header of it")
    os.symlink(runtime, tmp_path / "libonnxruntime.so.1")
    program = tmp_path / "conv_nbits"
    subprocess.run(["cc", "-std=c17", "-Wall", "-Wextra", "-Werror", os.path.join(ROOT, "examples", "conv_nbits.c"), "-o", program,
                    "-I", headers[0], f"-L{tmp_path}", "-l:libonnxruntime.so.1", f"-Wl,-rpath,{tmp_path}"], check=True)
    case = Case(pads=(1, 1, 1, 1))
    case.x = (np.arange(case.x.size) % 255 / np.float32(255)).astype(np.float32).reshape(case.x.shape)
    onnx.save(case.model(), tmp_path / "model.onnx")
    for ops, wanted in ((library, level4(case)), ("-", run(case.model(), {"x": case.x})[0])):
        done = subprocess.run([program, ops, tmp_path / "model.onnx"], capture_output=True, text=True, check=True)
        count, total = done.stdout.splitlines()[-1].split(" elements, sum ")
        assert int(count) == wanted.size and float(total) == pytest.approx(float(wanted.astype(float).sum()), rel=1e-8)


# ---- nodes that cannot be

def refused(library, model):
    with pytest.raises(Exception) as caught:
        open_session(model, library)
    text = str(caught.value)
    assert "ConvNBits 'the node': " in text and "\n" not in text.strip(), text
    return text


@pytest.mark.parametrize("changed, part", [
    ({"weight_shape": None}, "weight_shape has 0 elements, not 3 or 4"),
    ({"weight_shape": [8, 8, 0, 3]}, "weight_shape is 0, not 1 to"),
    ({"weight_shape": [8, 8, 3, 3, 3]}, "weight_shape has 5 elements"),
    ({"weight_shape": [8, 8, 9], "strides": None, "pads": None, "dilations": None}, "W has the shape [8, 8, 3, 3], not [8, 8, 9]"),
    ({"weight_shape": [8, 2**31 - 1, 2**31 - 1, 2**31 - 1]}, "weight_shape is too large"),
    ({"weight_shape": "8,8,3,3"}, "weight_shape is not a list of integers"),
    ({"strides": [1]}, "strides has 1 elements, not 2"),
    ({"strides": [0, 1]}, "strides is 0, not 1 to"),
    ({"pads": [0, 0, -1, 0]}, "pads is -1, not 0 to"),
    ({"pads": [0] * 6}, "pads has 6 elements, not 4"),
    ({"dilations": [1, 2**62]}, "dilations is 4611686018427387904, not 1 to"),
    ({"dilations": [2**31 - 1, 1]}, "dilation or padding is too large"),
    ({"group": 0}, "group is 0, not 1 to 8"),
    ({"group": 3}, "group is 3, which does not divide 8 outputs"),
    ({"group": 2}, "X has 8 channels, not 16"),
    ({"bits": 8}, "bits is 8, and W is int4"),
    ({"bits": 4.0}, "bits is not an integer"),
    ({"axis": 1}, "block_size is 0, not 1 to"),
    ({"axis": -4}, "axis is -4, not 0 to 1"),
    ({"block_size": 32}, "block_size is 32, not 0 to 0"),
    ({"activation": 7}, "activation is 7, not 0 to 6"),
    ({"activation": "SiLU"}, "activation is not an integer"),
    ({"alpha": float("nan")}, "alpha or beta is not a number"),
    ({"alpha": 1}, "alpha is not a float"),
    ({"accuracy_level": 5}, "accuracy_level is 5, not 0 to 4"),
    ({"accuracy_level": -1}, "accuracy_level is -1, not 0 to 4"),
    ({"input_scale": -0.5}, "input_scale is -0.5"),
    ({"input_scale": float("inf")}, "input_scale is inf"),
    ({"input_zero_point": 300}, "input_zero_point is 300, not 0 to 255"),
])
def test_wrong_attributes(library, changed, part):
    assert part in refused(library, Case().model(body=False, **changed))


def replaced(name, array):
    """The model of a case with one initializer changed."""
    model = Case().model(body=False)
    stored = next(t for t in model.graph.initializer if t.name == name)
    stored.CopyFrom(numpy_helper.from_array(array, name) if isinstance(array, np.ndarray) else array)
    return model


@pytest.mark.parametrize("name, array, part", [
    ("s", np.ones(7, np.float32), "scales has the shape [7], not [8]"),
    ("s", np.ones((8, 1), np.float32), "scales has the shape [8, 1], not [8]"),
    ("s", np.full(8, np.nan, np.float32), "scale"),
    ("s", np.full(8, np.inf, np.float32), "scale"),
    ("b", np.ones((1, 8), np.float32), "B has the shape [1, 8], not [8]"),
    ("b", np.float32(1), "B has the shape [], not [8]"),
    ("w", helper.make_tensor("w", TensorProto.INT4, [8, 72], [0] * 576), "W has the shape [8, 72], not [8, 8, 3, 3]"),
    ("w", helper.make_tensor("w", TensorProto.INT4, [1, 1, 1, 1, 8, 72], [0] * 576), "W has 6 dimensions"),
    ("z", helper.make_tensor("z", TensorProto.INT4, [], [0]), "zero_points has the shape [], not [8]"),
])
def test_wrong_initializers(library, name, array, part):
    array = np.asarray(array) if not isinstance(array, onnx.TensorProto) else array
    assert part in refused(library, replaced(name, array))


def test_weights_are_initializers(library):
    model = Case().model(body=False)
    for name in ("b", "s"):
        stored = next(t for t in model.graph.initializer if t.name == name)
        model.graph.input.append(helper.make_tensor_value_info(name, stored.data_type, stored.dims))
        model.graph.initializer.remove(stored)
    assert "scales is not an initializer" in refused(library, model)


def test_sums_that_could_overflow(library):
    """128 * 255 * 70000 passes 31 bits, 100 * 255 * 70000 does not."""
    case = Case(kind=TensorProto.INT8, channels=70000, outputs=1, kernel=(1, 1), size=(2, 2), zero_points=False)
    case.codes[:] = -128
    refused(library, case.model(body=False))
    case.codes[:] = 100
    assert compute(case, library).tobytes() == level4(case).tobytes()
    case = Case(channels=70000, outputs=2, kernel=(1, 1), size=(2, 2))
    assert compute(case, library).tobytes() == level4(case).tobytes()


@pytest.mark.parametrize("dims", [[1, 8, 9], [1, 8, 9, 9, 9], [1, 7, 9, 9], [1, 8, 2, 9]])
def test_wrong_shapes_of_x(library, dims):
    """Known when the session is made, or on a run, which does no harm to the next one."""
    refused(library, Case().model(body=False, dims=dims))
    case = Case()
    model = case.model(body=False)
    model.graph.input[0].type.tensor_type.ClearField("shape")
    session = open_session(model, library)
    with pytest.raises(Exception, match="ConvNBits 'the node': "):
        session.run(None, {"x": np.zeros(dims, np.float32)})
    assert session.run(None, {"x": case.x})[0].tobytes() == level4(case).tobytes()


# ---- what it is made of

def test_one_symbol_and_two_libraries(library):
    dynamic = subprocess.run(["readelf", "-dW", library], capture_output=True, text=True, check=True).stdout
    needed = [line.split("[")[1].rstrip("]") for line in dynamic.splitlines() if "(NEEDED)" in line]
    assert {name.split(".")[0] for name in needed} <= {"libc", "libm", "ld-linux-x86-64", "ld-linux-aarch64"}, needed
    symbols = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    assert [line.split()[-1] for line in symbols.splitlines()] == ["RegisterCustomOps"]


@pytest.mark.skipif(tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 24), reason="older versions crash when asked")
@pytest.mark.parametrize("dims, wanted", [
    (None, [1, 8, 5, 6]), (["n", 8, 9, 11], ["n", 8, 5, 6]), ([None, 8, 9, 11], []), (["n", 8, "h", "w"], [])])
def test_shape_of_y_is_known_early(library, dims, wanted):
    """Unless it is not: no number is made up, and no name."""
    for case in (Case(strides=(2, 2), pads=(1, 1, 1, 1)), Case(strides=(2, 2), pads=(1, 1, 1, 1), bias=False, zero_points=False)):
        assert open_session(case.model(body=False, dims=dims), library).get_outputs()[0].shape == wanted

# SPDX-License-Identifier: Apache-2.0
"""Anonymous memory is bounded by the packed output, whatever the input's size; file pages are given back.

RLIMIT_DATA limits what a process can allocate or write privately (mapped input pages are read-only, and do not count).
"""
import json
import os
import subprocess
import sys

import onnx
import pytest
from helpers import INT4Q, make_model, skip_sanitized, value
from onnx import TensorProto, helper

MIB = 1 << 20
LIMIT = 16 * MIB
RELEASE_STEP = 32 * MIB  # of i4q_model_release


# The peak that the kernel reports includes that of the process before it became the tool, hence a small one between.
RUNNER = """
import os, resource, sys
pid = os.fork()
if not pid:
    resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[1]),) * 2)
    os.execv(sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss * 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.fixture(autouse=True)
def without_sanitizers():
    """Their shadow memory counts, and is larger than any limit."""
    skip_sanitized()


def run_limited(data_limit, *args):
    """Run the tool with this much anonymous memory; returns its peak resident set in bytes."""
    command = [sys.executable, "-S", "-c", RUNNER, str(data_limit), INT4Q, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


def write_large(folder, layout, convs=4, idle=96 * MIB):
    """`convs` 1x1 Convs of 32 MiB each and an initializer that no Conv reads."""
    names = [f"w{i}" for i in range(convs)]
    weights = [TensorProto(name=n, data_type=TensorProto.FLOAT, dims=[2048, 4096, 1, 1]) for n in names]
    weights.append(TensorProto(name="idle", data_type=TensorProto.FLOAT, dims=[idle // 4]))
    nodes = [helper.make_node("Conv", ["x", n], [f"y{i}"], name=n) for i, n in enumerate(names)]
    model = make_model(nodes, [], [value("x", 1, 4096, 1, 1)], [value(f"y{i}", 1, 2048, 1, 1) for i in range(convs)], opset=21)
    blob, offset = os.urandom(MIB // 2), 0
    blob = bytes(b & 0x3f if i % 4 == 3 else b for i, b in enumerate(blob))  # finite, small exponents
    with open(folder / "large.bin", "wb") as data:
        for weight in weights:
            size = 4
            for d in weight.dims:
                size *= d
            if layout == "external":
                weight.data_location = TensorProto.EXTERNAL
                for key, text in (("location", "large.bin"), ("offset", offset), ("length", size)):
                    weight.external_data.add(key=key, value=str(text))
                data.write(blob * (size // len(blob)))
            else:
                weight.raw_data = blob * (size // len(blob))
            offset += size
    model.graph.initializer.extend(weights)
    (folder / "large.onnx").write_bytes(model.SerializeToString())
    return folder / "large.onnx", convs * 2048 * 4096 // 2


@pytest.mark.parametrize("layout", ["inline", "external"])
def test_rewrite_needs_its_output_and_16_mib(tmp_path, layout):
    path, packed = write_large(tmp_path, layout)
    peak = run_limited(packed + LIMIT, "rewrite", path, "-q", "-j", "2", "-o", tmp_path / "out.onnx")
    assert peak <= packed + LIMIT + 2 * RELEASE_STEP
    for arguments in ([], ["--stats"]):
        peak = run_limited(LIMIT, "inspect", tmp_path / "out.onnx", "--require", "int4==4", *arguments)


@pytest.mark.parametrize("layout", ["inline", "external"])
@pytest.mark.parametrize("options", [
    "--rank weights --keep 1",
    "--rank weights --keep 1 --keep-format int8 --method squant",
    "--rank weights --target-size 52% --keep-format int8",
    "--topk topk.json --target-size 65%",
])
def test_ranking_and_fitting_need_no_more(tmp_path, monkeypatch, layout, options):
    """The model is loaded once, what an estimate took is given back, and nothing is quantized to find a size."""
    path, packed = write_large(tmp_path, layout)
    packed += packed // 4 if "int8" in options else 0  # one of the four has twice the bits
    monkeypatch.chdir(tmp_path)
    (tmp_path / "topk.json").write_text('{"w0": 1, "w1": 3, "w2": 2, "w3": 0}')
    peak = run_limited(packed + LIMIT, "rewrite", path, "-q", "-j", "2", "-o", "out.onnx", "--json", "out.json", *options.split())
    assert peak <= packed + LIMIT + 2 * RELEASE_STEP
    reasons = [conv["reason"] for conv in json.loads((tmp_path / "out.json").read_text())["convs"]]
    assert reasons.count("sensitive") == 1


def test_inspect_touches_no_payload(tmp_path):
    """100 GB of external data, none of it there: reading it would take minutes."""
    count, size = 50, 2 << 30
    weights = [TensorProto(name=f"w{i}", data_type=TensorProto.FLOAT, dims=[1 << 14, 1 << 15, 1, 1],
                           data_location=TensorProto.EXTERNAL) for i in range(count)]
    for i, weight in enumerate(weights):
        for key, text in (("location", "sparse.bin"), ("offset", i * size), ("length", size)):
            weight.external_data.add(key=key, value=str(text))
    nodes = [helper.make_node("Conv", ["x", w.name], [f"y{w.name}"], name=w.name) for w in weights]
    model = make_model(nodes, weights, [value("x", 1, 1 << 15, 1, 1)], [value(f"y{w.name}", 1, 1 << 14, 1, 1) for w in weights])
    (tmp_path / "sparse.onnx").write_bytes(model.SerializeToString())
    with open(tmp_path / "sparse.bin", "wb") as data:
        try:
            data.truncate(count * size)
        except OSError as error:
            pytest.skip(f"no sparse file of 100 GB here: {error}")
    peak = run_limited(LIMIT, "inspect", tmp_path / "sparse.onnx", "--require", "float==50")
    assert peak <= LIMIT


def test_the_checker_takes_the_large_one(tmp_path):
    path, _ = write_large(tmp_path, "external", convs=1, idle=MIB)
    run_limited(LIMIT + 8 * MIB, "rewrite", path, "-q", "-o", tmp_path / "out.onnx")
    onnx.checker.check_model(str(tmp_path / "out.onnx"), full_check=True)


@pytest.mark.parametrize("reference", [False, True])
def test_codes_in_int32_data_that_many_decoders_share(tmp_path, reference):
    """They are read from a copy, of which there is one at a time: 400 of them would be 100 MB."""
    count = 400
    weights = [TensorProto(name="q", data_type=TensorProto.INT8, dims=[MIB // 4, 1, 1, 1], int32_data=bytes(MIB // 4))]
    nodes = []
    for i in range(count):
        weights.append(helper.make_tensor(f"s{i}", TensorProto.FLOAT, [], [i + 1]))
        nodes += [onnx.NodeProto(op_type="DequantizeLinear", input=["q", f"s{i}"], output=[f"w{i}"]),
                  onnx.NodeProto(op_type="Conv", input=["x", f"w{i}"], output=[f"y{i}"])]
    onnx.save(make_model(nodes, weights, outputs=[value("y0", 1)], opset=21), tmp_path / "in.onnx")
    compared = ["--reference", tmp_path / "in.onnx"] if reference else []
    run_limited(3 * LIMIT, "inspect", tmp_path / "in.onnx", "-q", "--require", f"int8=={count}", *compared)

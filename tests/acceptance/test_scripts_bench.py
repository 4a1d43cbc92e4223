# SPDX-License-Identifier: Apache-2.0
"""scripts/bench.py, bench_runtime.py and make_sized.py on tiny models: what they say, and that they clean up."""
import json
import os
import sys
from collections import namedtuple

import onnx
import pytest
from helpers import INT4Q, make_model, run_int4q, skip_sanitized, tensor, value
from onnx import helper

from int4q.lab.commands import bench, bench_runtime, make_sized, other_tools
from int4q.lab.experiment import rivals, static8


def bench_results(folder, *options):
    """What bench.py writes for these options; nothing else must stay in its directory."""
    bench.main(["--int4q", INT4Q, "--dir", str(folder / "work"), "--json", str(folder / "bench.json"), *options])
    assert os.listdir(folder / "work") == ["out"] and not os.listdir(folder / "work" / "out")
    with open(folder / "bench.json", encoding="utf-8") as file:
        return {case: {row["name"]: row for row in rows} for case, rows in json.load(file).items()}


@pytest.mark.parametrize("size, nodes, external", [("1M", 20, False), ("1.5M", 20, True), ("40K", 200, False)])
def test_sized_models(tmp_path, size, nodes, external):
    path = tmp_path / "m.onnx"
    make_sized.main(["--bytes", size, "--nodes", str(nodes), "-o", str(path), *(["--external"] if external else [])])
    assert os.path.exists(f"{path}.data") == external
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(path)
    weights = sum(len(t.raw_data) for t in model.graph.initializer)
    assert len(model.graph.node) == nodes and abs(weights / make_sized.size(size) - 1) < 0.1
    assert len({t.raw_data for t in model.graph.initializer}) == nodes // 2
    run_int4q("rewrite", path, "-o", tmp_path / "out.onnx")
    run_int4q("inspect", tmp_path / "out.onnx", "--require", f"int4=={nodes // 2}")


@pytest.mark.parametrize("options", [["--bytes", "many"], ["--nodes", "1"], ["--bytes", "3G"]])
def test_sized_refuses(options, tmp_path):
    with pytest.raises(SystemExit, match="2"):
        make_sized.main([*options, "-o", str(tmp_path / "m.onnx")])
    assert not os.listdir(tmp_path)


def test_bench(tmp_path, capsys):
    skip_sanitized()
    found = bench_results(tmp_path, "--quick", "--only", "start,nano,n1000", "-n", "1")
    out = capsys.readouterr().out
    assert set(found) == {"start", "nano", "n1000"} and set(found["n1000"]) == {bench.COPY, bench.OURS, bench.SYNCED}
    peers = {"onnx load + save", *rivals.commands("", "")}
    assert set(found["nano"]) == {bench.COPY, bench.OURS, bench.SYNCED} | peers
    rows = found["nano"]
    assert all(row["runs"] == 1 and 0 < row["min"] <= row["median"] for row in rows.values())
    assert rows[bench.COPY]["bytes"] == rows["onnx load + save"]["bytes"] > 7 * rows[bench.OURS]["bytes"] > 0
    assert f"{rows[bench.OURS]['median'] / rows[bench.COPY]['median']:.2f}" in out and "us a node" in out


def test_bench_goes_on(tmp_path, capsys, monkeypatch):
    """Without a contender that fails, or a case for which there is no room."""
    skip_sanitized()
    monkeypatch.setattr(bench, "LOAD_SAVE", "import sys; sys.exit('no more memory')")
    found = bench_results(tmp_path, "--only", "nano", "-n", "1")
    assert found["nano"]["onnx load + save"]["failure"] == "no more memory" and found["nano"][bench.OURS]["runs"] == 1
    assert "fails: no more memory" in capsys.readouterr().out
    monkeypatch.setattr(bench.shutil, "disk_usage", lambda path: namedtuple("usage", "free")(10**6))
    bench.main(["--int4q", INT4Q, "--dir", str(tmp_path / "work"), "--only", "nano"])
    assert "left out" in capsys.readouterr().out


def test_bench_targets(capsys):
    """A ratio at most 1, and one at least 15."""
    def rows(**medians):
        return [{"name": name.replace("_", " "), "median": seconds} for name, seconds in medians.items()]
    bench.print_targets({"yolov10m": [*rows(cp=2.0, int4q_rewrite=1.0), {"name": "onnx load + save", "median": 14.0}]})
    out = capsys.readouterr().out
    assert "<= 1.0: 0.50, met" in out and ">= 15: 14.00, missed" in out and "onnxsim" not in out


@pytest.mark.parametrize("main, option", [(bench.main, "nano,giant"), (bench_runtime.main, "float;giant")])
def test_unknown_names(tmp_path, capsys, main, option):
    with pytest.raises(SystemExit, match="2"):
        main(["--int4q", INT4Q, "--dir", str(tmp_path), "--only", option])
    assert "'giant'" in capsys.readouterr().err


def runtime_model(folder, opset=17):
    """Two Convs, one of them behind what is quantized, and a tail."""
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], name="first"), helper.make_node("Sigmoid", ["c"], ["s"], name="gate"),
             helper.make_node("Conv", ["s", "v"], ["d"], name="last"), helper.make_node("Softmax", ["d"], ["y"], name="tail")]
    inputs = [value("x", "batch", 3, 6, 6)]
    onnx.save(make_model(nodes, [tensor("w", 64, 3, 3, 3), tensor("v", 8, 64, 1, 1)], inputs=inputs, opset=opset), folder / "m.onnx")
    return str(folder / "m.onnx")


def bench_rows(folder, model, *args):
    bench_runtime.main(["--int4q", INT4Q, "--dir", str(folder / "work"), "--model", model, "-n", "1", "--runs", "2",
                        "--json", str(folder / "out.json"), *args])
    assert not os.listdir(folder / "work")
    with open(folder / "out.json", encoding="utf-8") as file:
        return json.load(file)


def test_bench_runtime(tmp_path, capsys):
    model = runtime_model(tmp_path)
    forms = ["float", "W8A8", "fused", "float, no arena", "int4, disable_quant_qdq", "int4, optimized and saved by ONNX Runtime"]
    found = bench_rows(tmp_path, model, "--only", ";".join(forms), "--threads", "1,2", "--also", model)
    assert [(row["name"], row["threads"]) for row in found] == [(name, n) for n in (1, 2) for name in [*forms, "m.onnx"]]
    rows = {row["name"]: row for row in found}
    assert all(0 < row["least"] <= row["latency"] and row["load"] > 0 and row["rss"] >= row["loaded"] for row in found)
    stored = {name: rows[name]["bytes"] for name in forms}
    assert stored["int4, disable_quant_qdq"] < stored["float"] < 2 * stored["int4, optimized and saved by ONNX Runtime"]
    assert rows["float"]["bytes"] == os.path.getsize(model) == rows["m.onnx"]["bytes"]
    assert "x float" in capsys.readouterr().out


def test_bench_runtime_of_an_old_opset(tmp_path):
    assert [row["name"] for row in bench_rows(tmp_path, runtime_model(tmp_path, 11), "--only", "W8A8", "--threads", "1")] == ["W8A8"]


def test_static_baseline_leaves_the_tail(tmp_path):
    static8.make_static8(runtime_model(tmp_path), str(tmp_path / "q.onnx"))
    made = onnx.load(tmp_path / "q.onnx").graph
    maker = {name: node for node in made.node for name in node.output}
    assert maker["y"].name == "tail"  # nothing behind it
    convs = [node for node in made.node if node.op_type == "Conv"]
    assert len(convs) == 2 and all(maker[name].op_type == "DequantizeLinear" for node in convs for name in node.input)
    tail = static8.float_nodes(onnx.load(tmp_path / "m.onnx").graph)
    assert tail == ["tail"]


def test_other_tools(tmp_path, capsys, monkeypatch):
    """A model that ONNX Runtime loads is named; of the others it is said what is wrong with them."""
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    onnx.save(make_model([node], [tensor("w", 4, 3, 3, 3)]), tmp_path / "m.onnx")
    monkeypatch.setattr(rivals, "KINDS", [rivals.Kind(lambda source, target: {
        "copies": ["cp", source, target], "fails": ["cp", "no such file", target], "garbage": ["cp", __file__, target]},
        ".onnx", rivals.LOAD)])
    other_tools.main([str(tmp_path / "m.onnx"), "-o", str(tmp_path / "out")])
    said = capsys.readouterr()
    assert said.out == f"{tmp_path / 'out' / 'copies.onnx'}\n"
    assert "fails: cp: " in said.err and "other_tools.py: garbage: " in said.err
    monkeypatch.setattr(rivals, "TOOLS", ("copies", "fails", "absent"))
    for tool, says in (("fails", "other_tools.py: fails: cp: "), ("absent", "other_tools.py: absent: not installed")):
        with pytest.raises(SystemExit, match=says):
            other_tools.main([str(tmp_path / "m.onnx"), "-o", str(tmp_path / "out"), "--tool", tool])
    other_tools.main([str(tmp_path / "m.onnx"), "-o", str(tmp_path / "out"), "--tool", "copies"])
    assert capsys.readouterr() == (f"{tmp_path / 'out' / 'copies.onnx'}\n", "")


def test_other_tools_commands(monkeypatch):
    """Those that are installed, and only those."""
    monkeypatch.setattr(rivals, "ONNXSIM", sys.executable)
    monkeypatch.setattr(rivals.importlib.util, "find_spec", lambda name: name == "quantize_rs")
    found = rivals.commands("in.onnx", "out.onnx", external=True)
    assert found["onnxsim"][-1] == "--save-as-external-data" and found["quantization-rs"][-2:] == ["in.onnx", "out.onnx"]
    monkeypatch.setattr(rivals, "ONNXSIM", "/nowhere")
    monkeypatch.setattr(rivals.importlib.util, "find_spec", lambda name: None)
    assert not rivals.commands("in.onnx", "out.onnx")

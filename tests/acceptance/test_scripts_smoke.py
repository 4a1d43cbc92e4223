# SPDX-License-Identifier: Apache-2.0
"""scripts/smoke_run.py and what it shares with the other scripts of the loop (int4q.lab.base)."""
import json
import os

import numpy as np
import onnx
import pytest
from helpers import INT4Q, ROOT, make_model, run_int4q, tensor, value
from onnx import TensorProto, helper, numpy_helper

from int4q import installation
from int4q.lab.base import files
from int4q.lab.commands import smoke_run
from int4q.lab.experiment import smoke


def small_model(path, scale=1.0):
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], name="first"), helper.make_node("Relu", ["c"], ["r"]),
             helper.make_node("Conv", ["r", "v"], ["y"], name="second")]
    last = numpy_helper.from_array((numpy_helper.to_array(tensor("v", 2, 4, 1, 1)) * scale).astype(np.float32), "v")
    onnx.save(make_model(nodes, [tensor("w", 4, 3, 3, 3), last], outputs=[value("y", 1, 2, 4, 4)]), path)
    return str(path)


def summary(folder, *args, status=0, name="smoke.json"):
    with pytest.raises(SystemExit) as end:
        smoke_run.main([*map(str, args), "--out", str(folder / name), "--int4q", INT4Q])
    assert end.value.code == status
    return json.loads((folder / name).read_text())


def test_outputs_of_another_model(tmp_path, capsys):
    """What cannot be compared is told."""
    model, other = small_model(tmp_path / "m.onnx"), small_model(tmp_path / "o.onnx")
    changed = onnx.load(other)
    changed.graph.node[-1].output[0] = changed.graph.output[0].name = "z"
    onnx.save(changed, other)
    summary(tmp_path, model, "--reference", other)
    assert ", not compared: no output has name and shape of one of the reference's" in capsys.readouterr().out


def test_nothing_is_left(tmp_path, monkeypatch):
    """Without --out there is no file."""
    model = small_model(tmp_path / "m.onnx")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        smoke_run.main([model, "--int4q", INT4Q])
    assert end.value.code == 0 and os.listdir(tmp_path) == ["m.onnx"] and not hasattr(smoke_run, "TMP")


def test_summary(tmp_path, capsys):
    """Which Convs are small, how far the outputs are from the reference's; the same bytes at the second run."""
    model, out = small_model(tmp_path / "m.onnx"), tmp_path / "out.onnx"
    run_int4q("rewrite", model, "-o", out, "-q", "--include", "first")
    found = summary(tmp_path, out, model, "--reference", model)
    text = (tmp_path / "smoke.json").read_bytes()
    assert summary(tmp_path, out, model, "--reference", model, name="again.json") == found
    assert (tmp_path / "again.json").read_bytes() == text
    first, second = found["models"]
    assert first["four_bits"] == ["first"] and first["convs"] == {"int4": 1, "float": 1} and first["ok"]
    assert first["bytes"] == os.path.getsize(out) and second["four_bits"] == []
    output = first["outputs"][0]
    assert output["shape"] == [1, 2, 4, 4] and output["sha256"] != second["outputs"][0]["sha256"]
    assert 5 < output["reference"]["sqnr_db"] < 40 and 0.9 < output["reference"]["cosine"] < 1
    assert second["outputs"][0]["reference"] == {"max_error": 0, "relative_error": 0, "cosine": 1, "sqnr_db": None}
    assert set(found["versions"]) == {"int4q", "python", "numpy", "onnx", "onnxruntime"}
    assert "1 Convs in 4 bits" in capsys.readouterr().out
    assert summary(tmp_path, out, "--seed", 1)["models"][0]["outputs"][0]["sha256"] != output["sha256"]


def test_comparison():
    wanted = np.array([3.0, 4.0], np.float32)
    assert smoke.compare(np.array([3.0, 3.0], np.float32), wanted) == {
        "max_error": 1, "relative_error": 0.25, "cosine": pytest.approx(21 / np.sqrt(18) / 5, rel=1e-5),
        "sqnr_db": pytest.approx(10 * np.log10(25), rel=1e-5)}
    assert smoke.compare(np.zeros((1, 2), np.float32), wanted) is None


def test_open_sides(tmp_path):
    """A picture's sides are --size, other open dimensions 1; half-precision inputs are given as such."""
    inputs = [helper.make_tensor_value_info("p", TensorProto.FLOAT16, ["n", 3, "h", "w"]), value("k", 1, 3, 1, 1)]
    inputs[1].type.tensor_type.elem_type = TensorProto.FLOAT16
    model = make_model([helper.make_node("Add", ["p", "k"], ["y"])], inputs=inputs)
    feeds = smoke.random_feeds(model, 32, 0)
    assert feeds["p"].shape == (1, 3, 32, 32) and feeds["p"].dtype == np.float16 and feeds["k"].shape == (1, 3, 1, 1)


def test_failures(tmp_path, capsys):
    """One line and status 1 for each model that cannot be used; the others are still checked."""
    model = small_model(tmp_path / "m.onnx")
    bad = os.path.join(ROOT, "tests", "data", "bad-short-payload.onnx")
    wild = small_model(tmp_path / "wild.onnx", scale=np.inf)
    found = summary(tmp_path, bad, model, wild, tmp_path / "none.onnx", status=1)
    assert [row["ok"] for row in found["models"]] == [False, True, False, False]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and "onnx.checker" in lines[0] and "output y is not finite" in lines[1]
    assert "none.onnx: No such file" in lines[2]


def test_no_tool(tmp_path, monkeypatch):
    model = small_model(tmp_path / "m.onnx")
    with pytest.raises(SystemExit, match="smoke_run.py: /nowhere/int4q: no such program"):
        smoke_run.main([model, "--int4q", "/nowhere/int4q"])
    monkeypatch.delenv("INT4Q", raising=False)
    monkeypatch.setattr(installation, "checkout", lambda: tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="no int4q at .*--int4q"):
        smoke_run.main([model])


def test_journal(tmp_path):
    """Lines survive; half a line, as a killed program leaves it, is dropped and the file goes on."""
    journal = files.Journal(str(tmp_path / "a" / "j.jsonl"))
    journal.add({"n": 1})
    journal.add({"n": 2})
    with open(journal.path, "ab") as file:
        file.write(b'{"n": 3')
    again = files.Journal(journal.path)
    assert again.rows == [{"n": 1}, {"n": 2}]
    again.add({"n": 4})
    assert files.Journal(journal.path).rows == [{"n": 1}, {"n": 2}, {"n": 4}]

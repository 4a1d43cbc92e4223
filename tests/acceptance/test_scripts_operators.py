# SPDX-License-Identifier: Apache-2.0
"""--ops-library of the scripts (int4q.lab.models.operators)."""
import json
import os

import numpy as np
import onnx
import onnxruntime
import pytest
from helpers import INT4Q, ROOT, run, run_int4q, tensor
from nbits_reference import ACTIVATIONS, Case, weights
from onnx import helper

from int4q.lab.base.errors import Error
from int4q.lab.base.files import file_sha256
from int4q.lab.commands import smoke_run
from int4q.lab.detection import recognition
from int4q.lab.experiment.pieces import Pieces
from int4q.lab.models import operators
from int4q.lab.models.expanded import expanded


@pytest.fixture(name="library")
def fixture_library(monkeypatch):
    path = os.environ.get(operators.VARIABLE)
    if not path:
        pytest.skip("libint4q_ort.so is not built, or with a sanitizer")
    monkeypatch.delenv(operators.VARIABLE)
    monkeypatch.setenv(operators.VARIABLE, operators.NONE)  # so that it is reset in the end
    return path


@pytest.fixture(name="model")
def fixture_model(tmp_path):
    for form in ("dq", "nbits"):
        run_int4q("rewrite", os.path.join(ROOT, "tests", "data", "good-detector.onnx"), "-q", "-o", tmp_path / f"{form}.onnx",
                  "--decode", form)
    return str(tmp_path / "nbits.onnx")


def smoke(folder, model, *args):
    with pytest.raises(SystemExit) as end:
        smoke_run.main([model, "--reference", str(folder / "dq.onnx"), "--int4q", INT4Q, "--out", str(folder / "smoke.json"), *args])
    assert end.value.code == 0
    return json.loads((folder / "smoke.json").read_text())["models"][0]


def test_with_library_and_without(tmp_path, model, library):
    """By the body the outputs are those of the form dq; by the library nearly, and the summary says by which one."""
    body, ours = smoke(tmp_path, model, "--ops-library", "none"), smoke(tmp_path, model, "--ops-library", library)
    assert body["ops_library"] is None and ours["ops_library"] == file_sha256(library)
    assert body["outputs"][0]["reference"]["max_error"] == 0
    assert 25 < ours["outputs"][0]["reference"]["sqnr_db"] < 100
    assert smoke(tmp_path, str(tmp_path / "dq.onnx"), "--ops-library", library)["ops_library"] is None


def test_where_it_is_looked_for(tmp_path, monkeypatch, library):
    assert operators.find_library() is None
    monkeypatch.setenv(operators.VARIABLE, library)
    assert operators.find_library() == library
    monkeypatch.delenv(operators.VARIABLE)
    monkeypatch.setattr(operators.installation, "checkout", lambda: tmp_path)
    for path in ("bin/int4q", "lib/x86_64-linux-gnu/libint4q_ort.so"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert operators.find_library() == str(tmp_path / "lib/x86_64-linux-gnu/libint4q_ort.so")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert operators.find_library() is None


def test_no_such_library(tmp_path, model, library):
    with pytest.raises(SystemExit) as end:
        smoke_run.main([model, "--int4q", INT4Q, "--out", str(tmp_path / "s.json"), "--ops-library", str(tmp_path / "none.so")])
    assert end.value.code == f"smoke_run.py: {tmp_path}/none.so: no such library"
    (tmp_path / "text.so").write_text("no library")
    operators.use_library(str(tmp_path / "text.so"))
    with pytest.raises(Error, match=r"text\.so: "):
        operators.register(onnxruntime.SessionOptions())


def test_results_depend_on_it(tmp_path):
    """A result that was computed by one library is none of another, nor of none; of other models it is."""
    rows = [{"sha256": "a"}, {"sha256": "b", "ops_library": None}, {"sha256": "b", "ops_library": "x"}, {"sha256": "b", "ops_library": "y"}]
    pieces = Pieces(str(tmp_path), rows, "annotations", None, None)
    files = [pieces.file(row, []) for row in rows]
    assert len(set(files)) == 4
    assert pieces.file({"sha256": "b"}, []) == files[1]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_expanded(name):
    """What reads graphs sees standard operators, which give the same numbers."""
    for case in (Case(**ACTIVATIONS[name]), Case(block=5, bias=False, **ACTIVATIONS[name])):
        model = case.model()
        plain = expanded(model)
        assert not plain.functions and not [n for n in plain.graph.node if n.domain]
        assert run(plain, {"x": case.x})[0].tobytes() == run(model, {"x": case.x})[0].tobytes()
    float_model = Case().dq_model()
    assert expanded(float_model) is float_model


def test_family_is_recognized_through_it(tmp_path):
    """The first weight and the Sigmoid behind a Conv tell what a YOLOX is."""
    first, obj = Case(channels=3, outputs=4, size=(32, 32)), tensor("v", 5, 4, 1, 1)
    model = first.model()
    model.graph.node[0].output[0] = "stem"
    model.graph.node.append(helper.make_node("Conv", ["stem", "v"], ["y"]))
    model.graph.initializer.append(obj)
    onnx.save(model, tmp_path / "m.onnx")
    plain = expanded(onnx.load(tmp_path / "m.onnx"))
    q, scale = weights(first)
    wanted = float(np.abs(q * scale.reshape(-1, 1, 1, 1)).mean())
    assert recognition.stem_level(str(tmp_path / "m.onnx"), plain) == pytest.approx(wanted, rel=1e-5)
    sigmoid = expanded(Case(activation=5).model())
    assert recognition.graph_facts(sigmoid, (32, 32))["raw"] is False

# SPDX-License-Identifier: Apache-2.0
"""examples/ci as a build runs it: the script fails when the model is not what was asked for, the workflow's steps run.
examples/python as Python runs it."""
import ast
import importlib.util
import json
import os
import pathlib
import runpy
import shutil
import subprocess
import sys
import types
import unittest.mock

import pytest
import yaml
from helpers import INT4Q, ROOT

EXAMPLES = os.path.join(ROOT, "examples", "ci")


@pytest.fixture(scope="module", name="repository")
def fixture_repository(tmp_path_factory):
    """What the workflow finds: models with sensitivities, and int4q; an int4q of ours in PATH."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "models").mkdir()
    (folder / "bin").mkdir()
    (folder / "int4q").symlink_to(ROOT)
    (folder / "bin" / "int4q").symlink_to(os.path.abspath(INT4Q))
    (folder / "models" / "yolov10m.require").symlink_to(os.path.join(EXAMPLES, "yolov10m.require"))
    subprocess.run([sys.executable, os.path.join(ROOT, "scripts", "make_yolov10.py"), "--size", "m", "-o",
                    folder / "models" / "yolov10m.onnx", "--sens", folder / "models" / "sens.json"], check=True,
                   stdout=subprocess.DEVNULL)
    return folder


def shell(repository, command, *, status=0):
    env = {**os.environ, "PATH": f"{repository / 'bin'}:{os.environ['PATH']}",
           "GITHUB_STEP_SUMMARY": str(repository / "summary")}
    # As GitHub runs the steps of Linux.
    done = subprocess.run(["bash", "-eo", "pipefail", "-c", command], cwd=repository, env=env, capture_output=True,
                          text=True, check=False)
    assert done.returncode == status, f"status {done.returncode}: {done.stdout}{done.stderr}"
    return done


def check(repository, arguments="--topk models/sens.json", requirements="models/yolov10m.require", status=0):
    return shell(repository, f"{EXAMPLES}/check_model.sh models/yolov10m.onnx out.onnx {requirements} {arguments}",
                 status=status)


def test_what_was_asked_for(repository):
    done = check(repository)
    assert "require    valid: holds" in done.stdout and "int4>=107: holds (107)" in done.stdout
    assert json.loads((repository / "out.onnx.json").read_text())["totals"]["quantized"] == 107


@pytest.mark.parametrize("arguments, requirements, status, says", [
    ("--exclude 'model.2*'", "models/yolov10m.require", 4, "int4>=107"),
    ("--exclude model.999.conv", "models/yolov10m.require", 2, "model.999.conv"),
    ("", "one.require", 4, "size<1M"),
    ("", "bad.require", 2, "int5"),
    ("", "empty.require", 2, "asks for nothing"),
    ("", "missing.require", 2, "missing.require")])
def test_what_was_not(repository, arguments, requirements, status, says):
    (repository / "one.require").write_text("size < 1M")  # and no newline
    (repository / "bad.require").write_text("int5 >= 1\n")
    (repository / "empty.require").write_text("# nothing\n")
    done = check(repository, arguments, requirements, status)
    assert says in done.stderr


def test_arguments():
    done = subprocess.run([os.path.join(EXAMPLES, "check_model.sh")], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith("check_model.sh FLOAT_MODEL")


def test_workflow(repository):
    """All its steps but those that install: they run, one after another, in the repository that it is meant for."""
    with open(os.path.join(EXAMPLES, "github-workflow.yml"), encoding="utf-8") as file:
        steps = yaml.safe_load(file)["jobs"]["rewrite"]["steps"]
    commands = [step["run"] for step in steps if "run" in step and not step["name"].startswith("Install")]
    assert len(commands) == 2
    for command in commands:
        shell(repository, command)
    assert "/model.0/conv/Conv" in (repository / "summary").read_text()
    assert (repository / "yolov10m-int4.onnx.json").exists()


# ---- Python

def test_ultralytics_callback(tmp_path, monkeypatch, capsys):
    """With a stand-in for ultralytics, which calls back as that does: the export is there, and the small one beside it."""
    class Yolo:
        def __init__(self, weights):
            self.file = pathlib.Path(weights)

        def add_callback(self, event, call):
            assert event == "on_export_end"
            self.call = call

        def export(self, format, nms):
            self.args = types.SimpleNamespace(format=format)
            shutil.copy(os.path.join(ROOT, "tests", "data", "good-detector.onnx"), self.file.with_suffix(".onnx"))
            self.call(self)

    monkeypatch.setenv("INT4Q", INT4Q)
    monkeypatch.setitem(sys.modules, "ultralytics", types.SimpleNamespace(YOLO=Yolo))
    monkeypatch.setattr(sys, "argv", ["callback", str(tmp_path / "yolo.pt")])
    for _ in range(2):  # also where it is there already
        runpy.run_path(os.path.join(ROOT, "examples", "python", "ultralytics_callback.py"), run_name="__main__")
    assert sorted(os.listdir(tmp_path)) == ["yolo-int4.onnx", "yolo.onnx"]
    assert capsys.readouterr().out.startswith("yolo.onnx: 3 of 4 Convs in int4 by squant")


def test_notebook(tmp_path, monkeypatch):
    """Its cells, one after another, in what has a stand-in for pandas where that is missing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INT4Q", os.path.abspath(INT4Q))
    if not importlib.util.find_spec("pandas"):
        monkeypatch.setitem(sys.modules, "pandas", unittest.mock.MagicMock())
    with open(os.path.join(ROOT, "examples", "python", "detector.ipynb"), encoding="utf-8") as file:
        cells = [cell for cell in json.load(file)["cells"] if cell["cell_type"] == "code"]
    names = {}
    for cell in cells:
        source = "".join(cell["source"])
        *lines, last = ast.parse(source).body
        exec(compile(ast.Module(lines, []), "cell", "exec"), names)
        names["_"] = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
        if hasattr(names["_"], "_repr_html_"):
            assert names["_"]._repr_html_()
        assert not cell["outputs"], "a notebook is kept without what it printed"
    assert names["_"] == (1, 300, 6) and names["report"].totals.quantized == 82
    assert names["mixed"].output.bytes < 0.2 * names["report"].input.bytes

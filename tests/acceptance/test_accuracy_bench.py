# SPDX-License-Identifier: Apache-2.0
"""scripts/accuracy_bench.sh: what it says before it does anything, and a small run from end to end."""
import filecmp
import json
import os
import subprocess
import sys

import pytest
from helpers import INT4Q, ROOT, yolo_scene

SCRIPT = os.path.join(ROOT, "scripts", "accuracy_bench.sh")
READY = os.path.join(ROOT, ".venv", "requirements.txt")


def bench(*args, **environment):
    return subprocess.run([SCRIPT, *map(str, args)], capture_output=True, text=True, check=False,
                          env={**os.environ, "INT4Q": INT4Q, **environment})


def test_help():
    assert bench("--help").returncode == 0 and bench("--help").stdout.startswith("accuracy_bench.sh [options] MODEL ")
    assert bench().returncode == 2 and bench().stderr == bench("--help").stdout


@pytest.mark.parametrize("args, says", [
    (["--row", "x"], "unknown option '--row'"), (["--rows"], "--rows needs a value"), (["--draws", "two"], "--draws: 'two' is no number"),
    (["--rows", "squants"], "--rows squants: no such row; --list tells of all"),
    (["--draws", "0", "--rows", "w4a8"], "--rows w4a8: no such row; --list tells of all")])
def test_mistakes(args, says):
    done = bench(*args)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"accuracy_bench.sh: {says}\n")


def test_paths(tmp_path):
    done = bench(SCRIPT, tmp_path, tmp_path, tmp_path / "none.json")
    assert (done.returncode, done.stderr) == (1, f"accuracy_bench.sh: {tmp_path / 'none.json'}: no such file or directory\n")


def test_list():
    def names(*args):
        return [line.split()[0] for line in bench("--list", *args).stdout.splitlines()]
    assert names("--bits", "3,4.5", "--rows", "*-bits,w4,onnx*") == ["squant-3-bits", "squant-4.5-bits", "w4", "3-bits", "4.5-bits",
                                                                     "onnxsim"]
    assert {"absmax", "w4a8", "ort-w8a8", "nncf-w8a8", "mnn-hqq"} < set(names())
    assert not {"w4a8", "ort-w8a8", "nncf-w8a8", "mnn-hqq"} & set(names("--draws", "0", "--no-others"))


@pytest.mark.skipif(not os.path.exists(READY) or not filecmp.cmp(READY, os.path.join(ROOT, "scripts", "requirements.txt")),
                    reason="scripts/setup.sh has not made .venv")
def test_run(tmp_path):
    """Rows are evaluated, those that cannot be made are told of with the reason, and one of our own is a failure."""
    scene = yolo_scene(tmp_path)
    data = [scene / "n.onnx", scene / "images", scene / "images", scene / "truth.json", tmp_path / "o u t"]
    rows = "absmax,w4,0.5-bits,nncf-w8a8"
    done = bench("-n", "2", "--limit", "1", "--draws", "1", "--bits", "0.5", "--rows", rows, *data, NNCF_PYTHON=sys.executable)
    assert done.returncode == 1, done.stderr
    found = json.loads((tmp_path / "o u t" / "results.json").read_text())
    made = ["n", "absmax", "w4-draw0"]
    assert [os.path.basename(row["model"]) for row in found["models"]] == [f"{name}.onnx" for name in made]
    assert [(row["name"], row["draws"]) for row in found["means"]] == [("w4", 1)]
    lacks = [line.removeprefix("not measured: ") for line in done.stdout.splitlines() if line.startswith("not measured: ")]
    assert lacks == (tmp_path / "o u t" / "missing.txt").read_text().splitlines()
    assert [line.split(":")[0] for line in lacks] == ["0.5-bits-draw0", "nncf-w8a8"]
    assert "the least that is possible is" in lacks[0] and "NNCF is not installed" in lacks[1]

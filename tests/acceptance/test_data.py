# SPDX-License-Identifier: Apache-2.0
"""The stored models: what their names promise, and that make.py still makes them."""
import glob
import os
import subprocess
import sys

import onnx
import pytest
from helpers import INT4Q, ROOT, assert_equal_outputs, run_int4q

DATA = os.path.join(ROOT, "tests", "data")
FILES = sorted(os.path.basename(f)[:-5] for f in glob.glob(os.path.join(DATA, "*.onnx")))


def test_make(tmp_path):
    subprocess.run([sys.executable, os.path.join(DATA, "make.py"), tmp_path], check=True)
    assert sorted(os.listdir(tmp_path)) == [f + ".onnx" for f in FILES]
    for name in FILES:
        with open(os.path.join(DATA, name + ".onnx"), "rb") as file:
            assert file.read() == (tmp_path / f"{name}.onnx").read_bytes(), name


def test_readme():
    with open(os.path.join(DATA, "README.md"), encoding="utf-8") as file:
        text = file.read()
    assert [name for name in FILES if f"`{name}`" not in text] == []


@pytest.mark.parametrize("name", FILES)
def test_promise(tmp_path, name):
    path, out = os.path.join(DATA, name + ".onnx"), tmp_path / "out.onnx"
    if not name.startswith("good-"):
        done = run_int4q("rewrite", path, "-o", out, status=3)
        assert done.stderr.startswith("int4q: ") and done.stderr.count("\n") == 1
        assert os.listdir(tmp_path) == []
        return
    run_int4q("inspect", path)
    if name in ("good-no-conv", "good-non-finite", "good-identities"):
        run_int4q("rewrite", path, "-o", out, status=4)
    else:
        run_int4q("rewrite", path, "-o", out)
        assert_equal_outputs(onnx.load(path), onnx.load(out), 1e-5)


def backend_models():
    """The models that the onnx package ships for testing backends; which, depends on its version."""
    base = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data")
    return sorted(glob.glob(os.path.join(base, "**", "model.onnx"), recursive=True))


def test_backend_models(tmp_path):
    """Each comes out valid and equal, has nothing to quantize, or is refused with a reason; none is a surprise."""
    for path in backend_models():
        out = tmp_path / "out.onnx"
        done = subprocess.run([INT4Q, "rewrite", path, "-f", "-q", "-o", out], capture_output=True, text=True, check=False)
        assert done.returncode in (0, 3, 4), (path, done.stderr)
        assert done.returncode == 0 or (done.stderr.startswith("int4q: ") and done.stderr.count("\n") == 1), path
        if done.returncode == 0:
            assert_equal_outputs(onnx.load(path), onnx.load(out), 1e-5)
        run_int4q("inspect", path, "-q")

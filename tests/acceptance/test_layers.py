# SPDX-License-Identifier: Apache-2.0
"""tests/layers.py finds what it is there for."""
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

SCRIPT = Path(ROOT, "tests", "layers.py")
SOUND = {
    "base/a.h": "",
    "base/a.c": '#include "base/a.h"',
    "onnx/b.h": '#include "base/a.h"',
    "onnx/b_impl.h": '#include "onnx/b.h"',
    "onnx/b.c": '#include "onnx/b_impl.h"',
    "onnx/opset/c.c": '#include "onnx/b.h"',
}


def tree(folder, files):
    for name, text in files.items():
        path = folder / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return folder


def layers(*arguments):
    done = subprocess.run([sys.executable, SCRIPT, *arguments], check=False, capture_output=True, text=True)
    return done.returncode, done.stdout


def test_a_sound_tree(tmp_path):
    assert layers(tree(tmp_path, SOUND)) == (0, "4 modules, 4 arrows, all of them down\n")


@pytest.mark.parametrize(
    "files, told",
    [
        ({"base/d.c": '#include "onnx/b.h"'}, "src/base/d must not know src/onnx/b"),
        ({"onnx/d.c": '#include "onnx/opset/c.h"', "onnx/opset/c.h": ""}, "src/onnx/d must not know src/onnx/opset/c"),
        ({"kernels/k.h": "", "onnx/b.c": '#include "kernels/k.h"'}, "src/onnx/b must not know src/kernels/k"),
        (
            {"base/d.h": "", "base/d.c": '#include "base/a.h"', "base/a.c": '#include "base/d.h"'},
            "a circle: base/a -> base/d -> base/a",
        ),
    ],
)
def test_an_arrow_up_and_a_circle(tmp_path, files, told):
    assert layers(tree(tmp_path, SOUND | files)) == (1, told + "\n")


def test_calls_count(tmp_path):
    """b.h declares what c.c defines, which calls b: no include shows it."""
    root = tree(tmp_path, {"base/b.h": "void b(void); void c(void);", "base/c.h": "", "base/system.h": ""})
    code = {"b": "void c(void); void b(void) { c(); }", "c": "void b(void); void c(void) { b(); }"}
    objects = tmp_path / "objects"
    folder = objects / "some.dir" / "base"
    folder.mkdir(parents=True)
    for name, text in code.items():
        (root / "src" / "base" / f"{name}.c").write_text(f'#include "base/{name}.h"\n')
        subprocess.run(["cc", "-c", "-x", "c", "-", "-o", folder / f"{name}.c.o"], input=text, text=True, check=True)
    assert layers(root)[0] == 0
    assert layers(root, "--objects", objects) == (1, "a circle: base/b -> base/c -> base/b\n")


def test_a_room_without_a_floor(tmp_path):
    tree(tmp_path, {"attic/a.c": '#include "base/b.h"', "base/b.h": ""})
    done = subprocess.run([sys.executable, SCRIPT, tmp_path], check=False, capture_output=True, text=True)
    assert done.returncode == 1 and "no floor for src/attic/a" in done.stderr

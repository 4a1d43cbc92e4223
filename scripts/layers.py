#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hold the C code to its floors: which folder of src may include which, and that no files include each other in a circle.

    layers.py [ROOT] [--library FILE]

A module is a .c with its .h.  With a library, what its objects call counts as well: a function that a header of one
module declares and another defines makes a circle that includes do not show.
"""
import argparse
import re
import subprocess
import sys
from pathlib import Path

FLOORS = [
    ["base"],
    ["platform"],
    ["kernels", "onnx"],
    ["quantize", "ort"],
    ["forms"],
    ["plan"],
    ["rewrite", "inspect"],
    ["report"],
    ["cli"],
]
# Folders beside each other on a floor know nothing of each other, and one of them less than its floor allows.
ALSO_FORBIDDEN = {("ort", "onnx")}
# Parts of a folder that stand above the rest of it.
INNER = {"onnx/opset": "onnx", "plan/means": "plan"}

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def floor_of(folder):
    """The floor of a folder of src, counted from the ground."""
    for number, folders in enumerate(FLOORS):
        if folder in folders:
            return number
    raise SystemExit(f"layers.py: no floor for the folder src/{folder}")


def modules(source):
    """What each module includes: {module: {module}}, both without suffix, from all its files."""
    edges = {}
    for path in sorted(source.rglob("*.[ch]")):
        module = str(path.relative_to(source).with_suffix(""))
        included = (Path(name).with_suffix("") for name in INCLUDE.findall(path.read_text(encoding="utf-8")))
        inside = {str(name) for name in included if (source / name.parent).is_dir() and name.parent != Path(".")}
        edges.setdefault(module, set()).update(inside - {module})
    return edges


def calls(library):
    """What each object of a library needs of the others: {object: {object}} by the names of their sources."""
    text = subprocess.run(["nm", "-A", "-P", library], check=True, capture_output=True, text=True).stdout
    defined, wanted = {}, []
    for line in text.splitlines():
        place, name, kind = line.split()[:3]
        member = re.search(r"\[(.+)\]", place).group(1)
        if kind == "U":
            wanted.append((member, name))
        elif kind.isupper():
            defined[name] = member
    edges = {}
    for member, name in wanted:
        if defined.get(name, member) != member:
            edges.setdefault(member, set()).add(defined[name])
    return edges

# SPDX-License-Identifier: Apache-2.0
"""The Python below scripts/: its folders are floors, commands stand alone, and those of scripts/ only call them."""
import ast
import sys
from pathlib import Path

import pytest
from helpers import ROOT

SCRIPTS = Path(ROOT) / "scripts"
LAB = SCRIPTS / "int4q" / "lab"
FLOORS = ("base", "models", "detection", "calibration", "experiment", "pages", "commands")
MODULES = sorted(path.relative_to(LAB) for path in LAB.glob("*/*.py"))


def imported(path):
    """[(module, [names])] of all that a file imports, wherever it stands."""
    found = []
    for node in ast.walk(ast.parse((LAB / path).read_text())):
        if isinstance(node, ast.ImportFrom):
            found.append((node.module, [alias.name for alias in node.names]))
        elif isinstance(node, ast.Import):
            found += [(alias.name, []) for alias in node.names]
    return found


def test_every_folder_is_a_floor():
    assert {path.parts[0] for path in MODULES} == set(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_go_down(path):
    """A module imports from its own folder and those below; a command from no command."""
    floor = FLOORS.index(path.parts[0])
    for module, names in imported(path):
        parts = module.split(".")
        if parts[0] != "int4q" or (parts[1:2] != ["lab"] and names != ["lab"]):
            continue  # what the package has beside its laboratory knows nothing of it, see below
        below = parts[2] if len(parts) > 2 else names[0]
        assert FLOORS.index(below) <= floor and below != "commands", module


def test_the_ground_floor_stands_alone():
    """The modules beside the laboratory need nothing but Python's own library, and what a caller has brought."""
    for path in sorted((SCRIPTS / "int4q").glob("*.py")):
        for module, names in imported(path):
            parts = module.split(".")
            assert parts[0] in {*sys.stdlib_module_names, "int4q", "onnx", "pandas"}, (path, module)
            assert parts[:2] != ["int4q", "lab"] and names != ["lab"], (path, module)


def test_commands_only_call():
    """Every command is a program, and has a module of the same name."""
    commands = {path.stem for path in MODULES if path.parts[0] == "commands"} - {"__init__"}
    assert {path.stem for path in SCRIPTS.glob("*.py")} == commands
    for name in commands:
        text = (SCRIPTS / f"{name}.py").read_text()
        assert f'run_command("{name}")' in text and len(text.splitlines()) < 12
